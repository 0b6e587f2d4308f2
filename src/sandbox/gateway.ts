import { createConnection, createServer, type Socket } from "node:net";
import { Refusal } from "./backend.ts";

/** The variable by which a command finds the one server that it may reach: `http://127.0.0.1:<port>`. */
export const gatewayVariable = "MILLWRIGHT_GATEWAY";

/** Where the relay inside a sandbox with a network of its own listens, and where it finds the server's socket. */
const PORT = 3129;
export const GATEWAY_SOCKET = "/run/gateway.sock";

/** What a command inside is told. */
export const gatewayAddress = { [gatewayVariable]: `http://127.0.0.1:${PORT}` };

/** Shell text: inside there is no network but this relay, see {@link relay}. */
export const gatewayRelay = relay(PORT, GATEWAY_SOCKET);

/** Shell text of a relay from a loopback port to a Unix socket, ready before what follows it. Needs socat. */
export function relay(port: number, socket: string): string {
  return [
    `/usr/bin/socat TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr,backlog=256 UNIX-CONNECT:${socket} >/dev/null 2>&1 &`,
    `for _ in {1..200}; do (exec 3<>/dev/tcp/127.0.0.1/${port}) 2>/dev/null && break; sleep 0.02; done`,
  ].join("\n");
}

/** A loopback port of this machine that leads to the Unix socket, for commands that are not isolated. */
export async function openGatewayPort(socket: string): Promise<{ address: string; close(): void }> {
  const open = new Set<Socket>();
  const keep = (end: Socket) => {
    open.add(end);
    end.once("close", () => open.delete(end));
  };
  const server = createServer((client) => {
    const upstream = createConnection(socket);
    keep(client);
    keep(upstream);
    client.on("error", () => upstream.destroy());
    upstream.on("error", () => client.destroy());
    client.pipe(upstream);
    upstream.pipe(client);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Refusal("Cannot open a loopback port for the gateway");
  return {
    address: `http://127.0.0.1:${bound.port}`,
    close: () => {
      server.close();
      for (const end of open) end.destroy();
    },
  };
}
