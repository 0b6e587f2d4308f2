import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** A network between a process and a server, which can be cut and mended. */
export interface Network {
  /** `host:port`. */
  address: string;
  /** Connections are reset and refused until it is mended. */
  cut(): Promise<void>;
  mend(): Promise<void>;
  close(): Promise<void>;
}

/** Relays TCP to `target` (`host:port`); on a port of its own unless given. `cut: true` begins without a connection. */
export async function openNetwork(
  target: string,
  { port = 0, cut = false }: { port?: number; cut?: boolean } = {},
): Promise<Network> {
  const { hostname, port: targetPort } = new URL(`http://${target}`);
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  let own = port;
  const mend = async () => {
    if (server !== undefined) return;
    server = createServer((client) => {
      const upstream = connect({ host: hostname, port: Number(targetPort) });
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        sockets.add(from);
        from.on("error", () => undefined);
        from.on("close", () => {
          sockets.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
    });
    await new Promise<void>((resolve, reject) => {
      server?.once("error", reject);
      server?.listen(own, "127.0.0.1", resolve);
    });
    own = (server.address() as AddressInfo).port;
  };
  const sever = async () => {
    const closing = server;
    server = undefined;
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => (closing === undefined ? resolve() : closing.close(() => resolve())));
  };
  if (own === 0 || !cut) await mend();
  if (cut) await sever();
  return { address: `127.0.0.1:${own}`, cut: sever, mend, close: sever };
}
