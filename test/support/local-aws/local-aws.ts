import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { createLocalLambda, type LocalLambda } from "./lambda.ts";
import { createLocalParameters, type LocalParameters } from "./parameters.ts";
import { createLocalS3, type LocalS3, sendError } from "./s3.ts";
import { denied } from "./signature.ts";

export interface LocalAws {
  url: string;
  s3: LocalS3;
  lambda: LocalLambda;
  held: LocalParameters;
  /** What the SDK's clients read from the environment of a process: endpoints, region and credentials. */
  environment: Record<string, string>;
  /** The same as options for a client in this process. */
  client: { endpoint: string; region: string; credentials: { accessKeyId: string; secretAccessKey: string } };
  close(): Promise<void>;
}

const REGION = "eu-central-1";
const LARGEST_EVENT_BYTES = 8 * 1024 * 1024;
const CREDENTIALS = { accessKeyId: "AKIALOCALSTANDIN", secretAccessKey: "local-stand-in-secret" };

/**
 * S3, Lambda's Invoke, SSM and Secrets Manager at one address on loopback, for the SDK's own clients. Every signature is
 * checked, of headers and of presigned URLs alike. Nothing is kept after `close`.
 */
export async function startLocalAws(options: { maxObjectBytes?: number } = {}): Promise<LocalAws> {
  const maxObjectBytes = options.maxObjectBytes ?? 5 * 1024 ** 3;
  const s3 = createLocalS3({ maxObjectBytes });
  const lambda = createLocalLambda({ region: REGION, s3Port: () => (server.address() as AddressInfo).port });
  const parameters = createLocalParameters();

  const server = createServer(async (request, response) => {
    try {
      const body = await bodyOf(request, Math.max(maxObjectBytes, LARGEST_EVENT_BYTES) + 1024 * 1024);
      const target = request.headers["x-amz-target"]?.toString();
      const service = serviceOf(request, target);
      const problem = denied(request, body, { credentials: CREDENTIALS, region: REGION, service });
      if (service === "s3") {
        if (problem) return sendError(response, problem, request.method ?? "GET");
        return s3.serve(request, response, body);
      }
      if (problem) {
        const headers = { "content-type": "application/json", "x-amzn-errortype": problem.code };
        response.writeHead(problem.status, headers);
        return response.end(JSON.stringify({ __type: problem.code, message: problem.message }));
      }
      if (service === "lambda") return await lambda.serve(request, response, body);
      return parameters.serve(request, response, body);
    } catch (error) {
      if (response.headersSent) return response.destroy();
      return response.writeHead(500).end(error instanceof Error ? error.message : String(error));
    }
  });
  // A client that comes back to an idle connection must find it open: its retries are switched off in tests.
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    s3: s3.s3,
    lambda: lambda.lambda,
    held: parameters.held,
    environment: {
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
      AWS_EC2_METADATA_DISABLED: "true",
      ...Object.fromEntries(
        ["S3", "LAMBDA", "SSM", "SECRETS_MANAGER"].map((name) => [`AWS_ENDPOINT_URL_${name}`, url]),
      ),
    },
    client: { endpoint: url, region: REGION, credentials: CREDENTIALS },
    async close() {
      await lambda.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function serviceOf(request: IncomingMessage, target: string | undefined): string {
  if (target?.startsWith("AmazonSSM.")) return "ssm";
  if (target?.startsWith("secretsmanager.")) return "secretsmanager";
  return /^\/20\d\d-\d\d-\d\d\//.test(request.url ?? "") ? "lambda" : "s3";
}

async function bodyOf(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw new Error(`The body has more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
