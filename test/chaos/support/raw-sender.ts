import { once } from "node:events";
import { type ClientRequest, request } from "node:http";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export interface Sent {
  /** Undefined when the connection ended without an answer. */
  status: number | undefined;
  bytes: number;
}

const block = Buffer.alloc(64 * 1024, "a");

/** Sends a body of so many bytes as fast as it is taken, and stops when it is answered. Never throws. */
export async function sendBytes(
  url: string,
  bytes: number,
  headers: Record<string, string>,
  framing: "chunked" | "content-length",
): Promise<Sent> {
  const length = framing === "chunked" ? { "transfer-encoding": "chunked" } : { "content-length": String(bytes) };
  const sending = request(url, { method: "POST", agent: false, headers: { ...headers, ...length } });
  let sent = 0;
  let status: number | undefined;
  const ended = outcome(sending).then((answer) => {
    status = answer;
    sending.destroy();
  });
  const over = ended.then(() => undefined);
  while (sent < bytes && !sending.destroyed) {
    const part = block.subarray(0, Math.min(block.length, bytes - sent));
    sent += part.length;
    if (!sending.write(part)) await Promise.race([once(sending, "drain").catch(() => undefined), over]);
  }
  if (!sending.destroyed) sending.end();
  await ended;
  return { status, bytes: sent };
}

function outcome(sending: ClientRequest): Promise<number | undefined> {
  return new Promise((resolve) => {
    sending.on("response", (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sending.on("error", () => resolve(undefined));
    sending.on("close", () => resolve(undefined));
  });
}

/** A connection that sends a byte now and then, and never comes to an end. Resolves to the way to give it up. */
export async function dribble(url: string, head: string, periodMs: number): Promise<() => void> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined);
  await once(socket, "connect");
  socket.write(head);
  let going = true;
  void (async () => {
    while (going && !socket.destroyed) {
      await sleep(periodMs);
      socket.write("a");
    }
  })();
  return () => {
    going = false;
    socket.destroy();
  };
}

/** A way to a TCP server that can be cut and mended. */
export interface Cable {
  port: number;
  /** Ends every connection; new ones are refused. */
  cut(): Promise<void>;
  mend(): Promise<void>;
}

export async function layCable(to: { host: string; port: number }): Promise<Cable> {
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  const listen = async (port: number) => {
    server = createServer((near) => {
      const far = connect(to.port, to.host);
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(socket);
        socket.on("error", () => other.destroy());
        socket.on("close", () => {
          sockets.delete(socket);
          other.destroy();
        });
        socket.pipe(other);
      }
    });
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as { port: number }).port;
  };
  const port = await listen(0);
  return {
    port,
    async cut() {
      const closed = new Promise((resolve) => server?.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    mend: async () => void (await listen(port)),
  };
}
