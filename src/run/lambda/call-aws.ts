import { createHash, createHmac } from "node:crypto";
import type { Environment } from "../../config/intake.ts";

export interface AwsCall {
  service: "lambda" | "ssm" | "secretsmanager";
  path: string;
  headers: Record<string, string>;
  body: string | Uint8Array;
}

/** What AWS refused; `name` is its code. */
class AwsError extends Error {
  readonly status: number;

  constructor(status: number, code: string, message: string) {
    super(`${code} (${status}): ${message}`);
    this.name = code;
    this.status = status;
  }
}

const maxAttempts = 3;
const attemptTimeoutMs = 2_500;

/**
 * One POST to AWS, signed with the function's own credentials (Signature Version 4); resolves to the answer's text.
 * Throttled, failed and hanging attempts are repeated within the 10 s that GitHub waits for an answer. Rejects with
 * `AwsError` when AWS refuses. Region, credentials and addresses (`AWS_ENDPOINT_URL_…`) are the environment's, as for
 * the SDK, whose clients alone would take more of a cold start than all else.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
export async function callAws(call: AwsCall, environment: Environment): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await callOnce(call, environment);
    } catch (error) {
      if (attempt === maxAttempts || !mayPass(error)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100 * 2 ** attempt * (0.5 + Math.random() / 2)));
  }
}

async function callOnce(call: AwsCall, environment: Environment): Promise<string> {
  const url = new URL(call.path, endpointOf(call.service, environment));
  const response = await fetch(url, {
    method: "POST",
    headers: signed(call, url, environment),
    body: call.body as string | Uint8Array<ArrayBuffer>,
    signal: AbortSignal.timeout(attemptTimeoutMs),
  });
  const text = await response.text();
  if (response.ok) return text;
  throw refusal(response, text);
}

function refusal(response: Response, text: string): AwsError {
  let said: { __type?: string; message?: string; Message?: string } = {};
  try {
    said = JSON.parse(text) as typeof said;
  } catch {
    // A proxy's page, for example: the status says enough.
  }
  // `com.amazonaws.ssm#ParameterNotFound` in a body, `TooManyRequestsException:http://…` in a header.
  const type = response.headers.get("x-amzn-errortype") ?? said.__type ?? "UnknownError";
  const code = type.split(":")[0]?.split("#").at(-1) ?? type;
  return new AwsError(response.status, code, said.message ?? said.Message ?? response.statusText);
}

function mayPass(error: unknown): boolean {
  if (!(error instanceof AwsError)) return true;
  return error.status >= 500 || error.status === 429 || error.name.startsWith("Throttling");
}

function endpointOf(service: AwsCall["service"], environment: Environment): string {
  const own = { lambda: "LAMBDA", ssm: "SSM", secretsmanager: "SECRETS_MANAGER" }[service];
  const given = environment[`AWS_ENDPOINT_URL_${own}`] ?? environment["AWS_ENDPOINT_URL"];
  if (given !== undefined && given !== "") return given;
  const region = regionOf(environment);
  return `https://${service}.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
}

function regionOf(environment: Environment): string {
  const region = environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"];
  if (region === undefined) throw new Error("AWS_REGION is not set");
  return region;
}

function signed(call: AwsCall, url: URL, environment: Environment): Record<string, string> {
  const { AWS_ACCESS_KEY_ID: id = "", AWS_SECRET_ACCESS_KEY: secret = "", AWS_SESSION_TOKEN: token } = environment;
  const date = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const headers: Record<string, string> = {
    ...call.headers,
    host: url.host,
    "x-amz-content-sha256": sha256(call.body),
    "x-amz-date": date,
    ...(token !== undefined && { "x-amz-security-token": token }),
  };
  const names = Object.keys(headers).toSorted();
  const canonical = [
    "POST",
    // Every service but S3 encodes the encoded path once more.
    encodeURIComponent(url.pathname).replaceAll("%2F", "/"),
    "",
    ...names.map((name) => `${name}:${headers[name]}`),
    "",
    names.join(";"),
    headers["x-amz-content-sha256"],
  ].join("\n");
  const scope = [date.slice(0, 8), regionOf(environment), call.service, "aws4_request"];
  const key = scope.reduce<string | Buffer>((last, part) => hmac(last, part), `AWS4${secret}`);
  const signature = hmac(key, ["AWS4-HMAC-SHA256", date, scope.join("/"), sha256(canonical)].join("\n"));
  const { host: _, ...sent } = headers;
  return {
    ...sent,
    authorization: `AWS4-HMAC-SHA256 Credential=${id}/${scope.join("/")}, SignedHeaders=${names.join(";")}, Signature=${signature.toString("hex")}`,
  };
}

function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
