import { createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Probot } from "probot";
import type { Logger } from "pino";
import type { Metrics } from "../telemetry/metrics.ts";

type Middleware = (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;

interface IntakeOptions {
  webhooks: Pick<Probot["webhooks"], "receive">;
  path: string;
  /** The current secret and, while it is rotated, the previous one. */
  secrets: string[];
  maxBodyBytes: number;
  log: Logger;
  metrics: Metrics;
}

/**
 * The way in (security.md M0): the body is streamed with a byte cap before anything is parsed, the signature is
 * HMAC-SHA256 over the raw bytes in constant time, and the answer comes after the intent is durably queued.
 * Answers 200, 400 (not JSON), 401 (signature), 413 (too large), 415 (type) or 503 (could not be queued).
 * https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
 */
export function createIntake(options: IntakeOptions): Middleware {
  const { log, metrics } = options;
  return async (request, response) => {
    if (request.method !== "POST" || (request.url ?? "").split("?")[0] !== options.path) return false;
    const startedAt = performance.now();
    const event = header(request, "x-github-event") ?? "unknown";
    const deliveryId = header(request, "x-github-delivery") ?? "";
    const answer = await take(request, options, event, deliveryId).catch((error: unknown) => {
      log.error({ deliveryId, event, err: error }, "the delivery could not be queued");
      return { status: 503, text: "Not queued; please deliver again." };
    });
    if (answer.status !== 200 && answer.status !== 503) log.warn({ deliveryId, event, status: answer.status }, `delivery refused: ${answer.text}`);
    metrics.deliveries.inc({ event: answer.status === 401 || answer.status === 413 ? "unverified" : event, answer: String(answer.status) });
    metrics.acknowledgeSeconds.observe((performance.now() - startedAt) / 1000);
    // A body that was not read to its end would be read by the next request on this connection.
    const headers = { "content-type": "text/plain", ...(request.complete ? {} : { connection: "close" }) };
    response.writeHead(answer.status, headers).end(answer.text);
    if (!request.complete) response.once("finish", () => request.destroy());
    return true;
  };
}

async function take(request: IncomingMessage, options: IntakeOptions, event: string, deliveryId: string): Promise<{ status: number; text: string }> {
  const body = await cappedBody(request, options.maxBodyBytes);
  if (body === undefined) return { status: 413, text: `The body is larger than ${options.maxBodyBytes} bytes.` };
  if (!signed(body, header(request, "x-hub-signature-256"), options.secrets)) return { status: 401, text: "The signature is missing or wrong." };
  if (deliveryId === "" || event === "unknown") return { status: 400, text: "X-GitHub-Event or X-GitHub-Delivery is missing." };
  const payload = parsed(body);
  if (payload === undefined) return { status: 400, text: "The body is not a JSON object." };
  await options.webhooks.receive({ id: deliveryId, name: event, payload } as Parameters<typeof options.webhooks.receive>[0]);
  return { status: 200, text: "ok" };
}

/** Undefined when the body exceeds the cap; then no more than the cap was kept. */
async function cappedBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | undefined> {
  if (Number(header(request, "content-length") ?? 0) > maxBytes) return undefined;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += (chunk as Buffer).length;
    if (bytes > maxBytes) return undefined;
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

function signed(body: Buffer, signature: string | undefined, secrets: string[]): boolean {
  const given = Buffer.from(signature ?? "", "utf8");
  // Every secret is tried, whatever the first says: the time does not tell which one fits.
  return secrets.map((secret) => Buffer.from(`sha256=${createHmac("sha256", secret).update(body).digest("hex")}`)).filter((expected) => expected.length === given.length && timingSafeEqual(expected, given)).length > 0;
}

function parsed(body: Buffer): object | undefined {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
