import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";

export interface LocalCredentials {
  accessKeyId: string;
  secretAccessKey: string;
}

/** Why AWS would not serve a request, in the words of its error codes. */
export interface Denied {
  status: number;
  code: string;
  message: string;
}

const CLOCK_SKEW_SECONDS = 15 * 60;
/** AWS takes no presigned URL that is valid for longer. */
const LONGEST_SECONDS = 7 * 24 * 3600;

/**
 * Recomputes the request's signature, of its Authorization header or of a presigned URL, and compares. Returns undefined
 * when it is right and in time. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
export function denied(
  request: IncomingMessage,
  body: Uint8Array,
  expected: { credentials: LocalCredentials; region: string; service: string },
): Denied | undefined {
  const [path = "/", query = ""] = splitOnce(request.url ?? "/", "?");
  const parameters = query.split("&").filter((part) => part !== "");
  const presigned = parameterOf(parameters, "X-Amz-Algorithm") !== undefined;
  const claim = presigned ? fromQuery(parameters) : fromHeader(request);
  if (claim === undefined) return forbidden("AccessDenied", "The request is not signed.");
  const at = instantOf(claim.date);
  if (Number.isNaN(at)) return forbidden("AccessDenied", `The signature has no date: "${claim.date}"`);
  const age = (Date.now() - at) / 1000;
  if (presigned) {
    if (!(claim.expiresSeconds > 0 && claim.expiresSeconds <= LONGEST_SECONDS)) {
      return {
        status: 400,
        code: "AuthorizationQueryParametersError",
        message: "X-Amz-Expires is out of its range",
      };
    }
    if (age > claim.expiresSeconds) return forbidden("AccessDenied", "Request has expired");
  }
  if (age < -CLOCK_SKEW_SECONDS || (!presigned && age > CLOCK_SKEW_SECONDS)) {
    return forbidden("RequestTimeTooSkewed", `The signature is ${Math.round(age)} seconds old.`);
  }
  const [accessKeyId, day, region, service, end] = claim.credential.split("/");
  if (accessKeyId !== expected.credentials.accessKeyId) {
    return forbidden("InvalidAccessKeyId", `There is no access key "${accessKeyId}".`);
  }
  if (region !== expected.region || service !== expected.service || end !== "aws4_request") {
    return forbidden("SignatureDoesNotMatch", `The signature is for ${claim.credential}, not ${expected.service}.`);
  }
  const unsigned = Object.keys(request.headers).filter(
    (name) => name.startsWith("x-amz-") && !claim.signedHeaders.includes(name),
  );
  if (unsigned.length > 0 || !claim.signedHeaders.includes("host")) {
    return forbidden("AccessDenied", `There were headers present which were not signed: ${unsigned.join(", ")}`);
  }
  const stated = header(request, "x-amz-content-sha256");
  const payload = stated ?? (presigned ? "UNSIGNED-PAYLOAD" : hex(body));
  if (/^[0-9a-f]{64}$/.test(payload) && payload !== hex(body)) {
    return { status: 400, code: "XAmzContentSHA256Mismatch", message: "The body is not the one that was signed." };
  }
  const canonical = [
    request.method,
    service === "s3" ? path : encodeURIComponent(path).replaceAll("%2F", "/"),
    canonicalQuery(parameters),
    ...claim.signedHeaders.map((name) => `${name}:${(header(request, name) ?? "").trim().replaceAll(/\s+/g, " ")}`),
    "",
    claim.signedHeaders.join(";"),
    payload,
  ].join("\n");
  const scope = `${day}/${region}/${service}/aws4_request`;
  const text = ["AWS4-HMAC-SHA256", claim.date, scope, hex(Buffer.from(canonical))].join("\n");
  const key = [day ?? "", region, service, "aws4_request"].reduce<string | Buffer>(
    (secret, part) => createHmac("sha256", secret).update(part).digest(),
    `AWS4${expected.credentials.secretAccessKey}`,
  );
  const right = createHmac("sha256", key).update(text).digest("hex");
  if (!claim.date.startsWith(day ?? " ") || !same(right, claim.signature)) {
    return forbidden("SignatureDoesNotMatch", "The request signature does not match the one that was calculated.");
  }
  return undefined;
}

interface Claim {
  credential: string;
  signedHeaders: string[];
  signature: string;
  date: string;
  expiresSeconds: number;
}

function fromHeader(request: IncomingMessage): Claim | undefined {
  const text = request.headers.authorization ?? "";
  const found = /^AWS4-HMAC-SHA256 Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})$/.exec(
    text,
  );
  if (!found) return undefined;
  return {
    credential: found[1]!,
    signedHeaders: found[2]!.split(";"),
    signature: found[3]!,
    date: header(request, "x-amz-date") ?? "",
    expiresSeconds: Number.POSITIVE_INFINITY,
  };
}

function fromQuery(parameters: readonly string[]): Claim | undefined {
  const value = (name: string) => parameterOf(parameters, name) ?? "";
  if (value("X-Amz-Algorithm") !== "AWS4-HMAC-SHA256") return undefined;
  return {
    credential: value("X-Amz-Credential"),
    signedHeaders: value("X-Amz-SignedHeaders").split(";"),
    signature: value("X-Amz-Signature"),
    date: value("X-Amz-Date"),
    expiresSeconds: Number(value("X-Amz-Expires")),
  };
}

function canonicalQuery(parameters: readonly string[]): string {
  return parameters
    .map((part) => splitOnce(part, "=").map((text) => escaped(decodeURIComponent(text ?? ""))))
    .map(([name = "", value = ""]) => [name, value] as const)
    .filter(([name]) => name !== "X-Amz-Signature")
    .toSorted(([a, x], [b, y]) => (a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
}

/** RFC 3986: everything but unreserved characters. */
function escaped(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function parameterOf(parameters: readonly string[], name: string): string | undefined {
  const found = parameters.find((part) => splitOnce(part, "=")[0] === name);
  return found === undefined ? undefined : decodeURIComponent(splitOnce(found, "=")[1] ?? "");
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(",") : value;
}

function instantOf(date: string): number {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date) ?? ([] as string[]);
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

function hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function same(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

function forbidden(code: string, message: string): Denied {
  return { status: 403, code, message };
}
