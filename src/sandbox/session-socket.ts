import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";

/** A proxy at a Unix socket of its own. */
export interface SessionSocket {
  path: string;
  /** Ends all connections. */
  close(): void;
}

/**
 * Listens at `path` and passes CONNECT and plain HTTP requests on to the proxy at the Unix socket `upstream`, with
 * `credentials` (`user:password`) added. Who has this socket has this session and no other, and package managers that
 * cannot authenticate to a proxy work.
 */
export async function openSessionSocket(path: string, upstream: string, credentials: string): Promise<SessionSocket> {
  const authorization = `Basic ${Buffer.from(credentials).toString("base64")}`;
  const open = new Set<Socket>();
  const server = createServer(passRequest);
  server.on("connect", passTunnel);
  server.on("connection", (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  return {
    path,
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };

  function passRequest(incoming: IncomingMessage, answer: ServerResponse): void {
    const { method, url, headers } = incoming;
    const outgoing = request({
      ...{ socketPath: upstream, method, path: url },
      headers: { ...headers, "proxy-authorization": authorization },
    });
    outgoing.once("response", (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    outgoing.once("error", () => (answer.headersSent ? answer.destroy() : answer.writeHead(502).end()));
    answer.once("close", () => outgoing.destroy());
    incoming.pipe(outgoing);
  }

  function passTunnel(incoming: IncomingMessage, client: Duplex, head: Buffer): void {
    const outgoing = request({
      ...{ socketPath: upstream, method: "CONNECT", path: incoming.url },
      headers: { host: incoming.url, "proxy-authorization": authorization },
    });
    client.on("error", () => outgoing.destroy());
    outgoing.once("error", () => client.destroy());
    outgoing.once("response", (response) => client.end(statusLine(response))); // Refused in another form than a tunnel.
    outgoing.once("connect", (response, tunnel, first) => {
      client.write(statusLine(response));
      if (response.statusCode !== 200) return client.end();
      tunnel.on("error", () => client.destroy());
      client.once("close", () => tunnel.destroy());
      tunnel.once("close", () => client.destroy());
      client.write(first);
      tunnel.write(head);
      tunnel.pipe(client);
      client.pipe(tunnel);
    });
    outgoing.end();
  }
}

function statusLine(response: IncomingMessage): string {
  return `HTTP/1.1 ${response.statusCode} ${response.statusMessage}\r\n\r\n`;
}
