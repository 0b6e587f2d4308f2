import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

export interface Received {
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** What a receiver answers; `"nothing"` leaves the request without an answer. */
export type Answer = { status: number; headers?: Record<string, string>; body?: string } | "nothing";

/** An HTTP server on loopback that keeps what it is sent, such as Slack or the receiver of a webhook. */
export interface Receiver {
  url: string;
  received: Received[];
  /** Answers for the next requests, in order; after them every request is answered with 200. */
  answers: (Answer | Promise<Answer>)[];
  close(): Promise<void>;
}

/** Starts a receiver. */
export async function startReceiver(): Promise<Receiver> {
  const received: Received[] = [];
  const answers: Receiver["answers"] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (chunk: string) => {
      body += chunk;
    });
    request.on("end", async () => {
      received.push({ path: request.url ?? "", headers: request.headers, body });
      const answer = await (answers.shift() ?? { status: 200 });
      if (answer !== "nothing") response.writeHead(answer.status, answer.headers).end(answer.body ?? "");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    answers,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
