import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What a function's process posted to the runtime API. */
export interface Posted {
  path: string;
  body: unknown;
  errorType: string | undefined;
}

export interface RuntimeApi {
  /** `host:port`, as `AWS_LAMBDA_RUNTIME_API` has it. */
  address: string;
  /** Hands an event to the next process that asks, and resolves to what it posts for it. */
  invoke(event: unknown, over?: { tenantId?: string; seconds?: number }): Promise<Posted>;
  /** What was posted without an invocation: errors at start. */
  readonly others: readonly Posted[];
  close(): Promise<void>;
}

/** AWS's runtime API on loopback (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html). */
export async function startRuntimeApi(): Promise<RuntimeApi> {
  const asking: ServerResponse[] = [];
  const waiting: ((answer: ServerResponse) => void)[] = [];
  const invocations = new Map<string, (posted: Posted) => void>();
  const others: Posted[] = [];
  let invoked = 0;
  const meet = () => {
    while (asking.length > 0 && waiting.length > 0) waiting.shift()?.(asking.shift() as ServerResponse);
  };
  const take = async (request: IncomingMessage, answer: ServerResponse): Promise<void> => {
    const path = (request.url ?? "").replace(/^\/2018-06-01\/runtime/, "");
    if (request.method === "GET" && path === "/invocation/next") {
      asking.push(answer);
      meet();
      return;
    }
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const errorType = request.headers["lambda-runtime-function-error-type"] as string | undefined;
    const posted = { path, body: JSON.parse(Buffer.concat(parts).toString("utf8")), errorType };
    const id = /^\/invocation\/([^/]+)\/(?:response|error)$/.exec(path)?.[1];
    const settle = id === undefined ? undefined : invocations.get(id);
    if (settle === undefined) others.push(posted);
    else settle(posted);
    if (id !== undefined) invocations.delete(id);
    answer.writeHead(202).end("{}");
  };
  // A function that is killed while it answers ends its connection; the invocation stays open.
  const server = createServer((request, answer) => void take(request, answer).catch(() => answer.destroy()));
  // An idle function keeps its question open for as long as there is nothing to do.
  server.requestTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    others,
    invoke: (event, { tenantId, seconds = 60 } = {}) => {
      invoked += 1;
      const id = `invocation-${invoked}`;
      return new Promise((resolve) => {
        invocations.set(id, resolve);
        waiting.push((answer) => {
          answer.writeHead(200, {
            "content-type": "application/json",
            "lambda-runtime-aws-request-id": id,
            "lambda-runtime-deadline-ms": `${Date.now() + seconds * 1000}`,
            "lambda-runtime-invoked-function-arn": "arn:aws:lambda:eu-central-1:123456789012:function:worker:7",
            "lambda-runtime-trace-id": `Root=${id}`,
            ...(tenantId === undefined ? {} : { "lambda-runtime-aws-tenant-id": tenantId }),
          });
          answer.end(JSON.stringify(event));
        });
        meet();
      });
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
