import { Agent, type IncomingMessage, request } from "node:http";
import { pathToFileURL } from "node:url";

/**
 * Runs a Lambda handler in a container image: `node runtime-client.ts FILE[#EXPORT]` (default export `handler`).
 *
 * The loop over AWS's runtime API (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), so that one base image
 * serves servers, workers and sandboxes; AWS's own client has to be compiled with a C++ toolchain and Node's headers.
 */

type Handler = (event: unknown, context: LambdaContext) => unknown;

/** What handlers get beside the event; the fields of AWS's Node.js runtime. */
export interface LambdaContext {
  awsRequestId: string;
  invokedFunctionArn: string;
  functionName: string;
  functionVersion: string;
  memoryLimitInMB: string;
  logGroupName: string;
  logStreamName: string;
  tenantId: string | undefined;
  callbackWaitsForEmptyEventLoop: boolean;
  getRemainingTimeInMillis(): number;
}

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

async function main(target: string | undefined): Promise<void> {
  const api = process.env["AWS_LAMBDA_RUNTIME_API"];
  if (api === undefined || target === undefined) {
    process.stderr.write("This starts a Lambda handler: AWS_LAMBDA_RUNTIME_API and the handler's file are needed.\n");
    process.exitCode = 2;
    return;
  }
  const handler = await loadHandler(target).catch(async (error: unknown) => {
    await post(api, "/runtime/init/error", described(error));
    throw error;
  });
  for (;;) await serveOne(api, handler);
}

async function loadHandler(target: string): Promise<Handler> {
  const [file = "", name = "handler"] = target.split("#");
  const module = (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  const handler = module[name];
  if (typeof handler !== "function") throw new TypeError(`${file} exports no function named ${name}`);
  return handler as Handler;
}

async function serveOne(api: string, handler: Handler): Promise<void> {
  // It answers when there is an invocation, which may be hours away.
  const { headers, body } = await call(api, "GET", "/runtime/invocation/next");
  const id = headers["lambda-runtime-aws-request-id"] as string;
  const traceId = headers["lambda-runtime-trace-id"] as string | undefined;
  if (traceId === undefined) delete process.env["_X_AMZN_TRACE_ID"];
  else process.env["_X_AMZN_TRACE_ID"] = traceId;
  try {
    const answer = await handler(JSON.parse(body.toString("utf8")), contextOf(id, headers));
    await post(api, `/runtime/invocation/${id}/response`, answer ?? null);
  } catch (error) {
    process.stderr.write(`${JSON.stringify({ level: "error", requestId: id, ...described(error) })}\n`);
    await post(api, `/runtime/invocation/${id}/error`, described(error));
  }
}

function contextOf(awsRequestId: string, headers: IncomingMessage["headers"]): LambdaContext {
  const deadlineMs = Number(headers["lambda-runtime-deadline-ms"]);
  return {
    awsRequestId,
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"] as string,
    functionName: process.env["AWS_LAMBDA_FUNCTION_NAME"] ?? "",
    functionVersion: process.env["AWS_LAMBDA_FUNCTION_VERSION"] ?? "",
    memoryLimitInMB: process.env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] ?? "",
    logGroupName: process.env["AWS_LAMBDA_LOG_GROUP_NAME"] ?? "",
    logStreamName: process.env["AWS_LAMBDA_LOG_STREAM_NAME"] ?? "",
    tenantId: headers["lambda-runtime-aws-tenant-id"] as string | undefined,
    callbackWaitsForEmptyEventLoop: false,
    getRemainingTimeInMillis: () => deadlineMs - Date.now(),
  };
}

function described(error: unknown) {
  const { name, message, stack = "" } = error instanceof Error ? error : new Error(String(error));
  return { errorType: name, errorMessage: message, stackTrace: stack.split("\n").slice(1) };
}

async function post(api: string, path: string, content: unknown): Promise<void> {
  const type: Record<string, string> = path.endsWith("/error")
    ? { "lambda-runtime-function-error-type": "Unhandled" }
    : {};
  const { status, body } = await call(api, "POST", path, JSON.stringify(content), type);
  // The runtime API refuses what is too large; the invocation then fails by itself, and the loop goes on.
  if (status >= 300) process.stderr.write(`The runtime API answered ${status} to ${path}: ${body}\n`);
}

function call(
  api: string,
  method: string,
  path: string,
  body = "",
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: IncomingMessage["headers"]; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const sent = request(
      `http://${api}/2018-06-01${path}`,
      { method, agent, headers: { "content-type": "application/json", ...headers } },
      async (answer) => {
        try {
          const parts: Buffer[] = [];
          for await (const part of answer) parts.push(part as Buffer);
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(parts) });
        } catch (error) {
          reject(error);
        }
      },
    );
    sent.on("error", reject);
    sent.end(body);
  });
}

await main(process.argv[2]);
