import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "pino";
import type { Probot } from "probot";
import type { Metrics } from "../telemetry/metrics.ts";
import { type Answer, answerTo, checkSignature, deliveryIn, type HeaderOf, namesOf, unsigned } from "./delivery.ts";

export interface Intake {
  /** One of Probot's handlers: whether the request was for us, after it was answered. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<boolean>;
  /** From now on deliveries are answered 503; resolves when those under way are answered. */
  close(): Promise<void>;
}

interface IntakeOptions {
  webhooks: Pick<Probot["webhooks"], "receive">;
  path: string;
  /** The current secret and, while it is rotated, the previous one. */
  secrets: string[];
  maxBodyBytes: number;
  log: Logger;
  metrics: Metrics;
}

/** How long the rest of a refused body is read and thrown away, so that its sender sees the answer and not a reset. */
const lingerMs = 2_000;
/** How often a piece of it (64 KB) is read: what is thrown away is memory until it is collected. */
const lingerReadMs = 20;

/**
 * The way in (security.md M0): the body is streamed with a byte cap before anything is parsed, the signature is
 * HMAC-SHA256 over the raw bytes in constant time, and the answer comes after the intent is durably queued. Answers 200,
 * 400 (not JSON), 401 (signature), 413 (too large), 415 (a form) or 503 (could not be queued), each with one log line.
 * https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
 */
export function createIntake(options: IntakeOptions): Intake {
  const { log, metrics } = options;
  const underWay = new Set<Promise<unknown>>();
  const held = new HeldBodies(options.maxBodyBytes);
  let closed = false;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedAt = performance.now();
    const header: HeaderOf = (name) => headerOf(request, name);
    const { status, text } = await answerTo(() => take(request, header, options, held, () => closed), header, log);
    // What was not signed may name any event: it must not make a new time series.
    const verified = status !== 401 && status !== 413;
    metrics.deliveries.inc({ event: verified ? namesOf(header).event : "unverified", answer: String(status) });
    metrics.acknowledgeSeconds.observe((performance.now() - startedAt) / 1000);
    reply(request, response, status, `${text}\n`);
  }

  return {
    async handle(request, response) {
      if (request.method !== "POST" || (request.url ?? "").split("?")[0] !== options.path) return false;
      const answering = answer(request, response);
      underWay.add(answering);
      await answering.finally(() => underWay.delete(answering));
      return true;
    },
    async close() {
      closed = true;
      await Promise.allSettled([...underWay]);
    },
  };
}

async function take(
  request: IncomingMessage,
  header: HeaderOf,
  options: IntakeOptions,
  held: HeldBodies,
  closed: () => boolean,
): Promise<Answer> {
  const body = await signedBody(request, header, options, held);
  if (!Buffer.isBuffer(body)) return body;
  const found = deliveryIn(body, header);
  if (!("delivery" in found)) return found;
  if (closed()) throw new Error("this process is stopping");
  await options.webhooks.receive(found.delivery as Parameters<typeof options.webhooks.receive>[0]);
  return { status: 200, text: "ok" };
}

/** The body when it is signed and not too large. Without the form of a signature nothing of it is kept. */
async function signedBody(
  request: IncomingMessage,
  header: HeaderOf,
  options: IntakeOptions,
  held: HeldBodies,
): Promise<Buffer | Answer> {
  const check = checkSignature(header("x-hub-signature-256"), options);
  const { inForm, maxBytes, tooLarge } = check;
  if (Number(header("content-length") ?? 0) > maxBytes) return tooLarge;
  const body = held.begin();
  try {
    let bytes = 0;
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) return tooLarge;
      check.update(chunk);
      if (inForm && !held.keep(body, chunk)) return { status: 503, text: "Too much at once; please deliver again." };
    }
    return check.fits() ? Buffer.concat(body.chunks) : unsigned;
  } finally {
    held.end(body);
  }
}

interface HeldBody {
  chunks: Buffer[];
  bytes: number;
  givenUp: boolean;
}

/**
 * What all bodies under way hold together is capped too: that they are forged is known at their end alone, and many large
 * ones at once would add up. Over the cap the one that holds most is given up, so that deliveries, which are small, come
 * through.
 */
class HeldBodies {
  readonly #maxBytes: number;
  readonly #bodies = new Set<HeldBody>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  begin(): HeldBody {
    const body = { chunks: [], bytes: 0, givenUp: false };
    this.#bodies.add(body);
    return body;
  }

  /** False when this body has been given up. */
  keep(body: HeldBody, chunk: Buffer): boolean {
    if (body.givenUp) return false;
    body.chunks.push(chunk);
    body.bytes += chunk.length;
    this.#bytes += chunk.length;
    while (this.#bytes > this.#maxBytes) {
      const most = [...this.#bodies].reduce((largest, other) => (other.bytes > largest.bytes ? other : largest));
      most.givenUp = true;
      this.#free(most);
    }
    return !body.givenUp;
  }

  end(body: HeldBody): void {
    this.#free(body);
    this.#bodies.delete(body);
  }

  #free(body: HeldBody): void {
    this.#bytes -= body.bytes;
    body.bytes = 0;
    body.chunks = [];
  }
}

/**
 * Answers, also while the body still comes: then it is read on for a while and thrown away, because Node cuts the
 * connection as soon as a last answer has ended, and a sender that is cut off in mid-body never sees why.
 */
function reply(request: IncomingMessage, response: ServerResponse, status: number, text: string): void {
  const headers = { "content-type": "text/plain; charset=utf-8", "content-length": Buffer.byteLength(text) };
  if (request.complete) {
    response.writeHead(status, headers).end(text);
    return;
  }
  response.writeHead(status, { ...headers, connection: "close" }).write(text);
  const end = () => {
    clearTimeout(timer);
    clearInterval(reading);
    response.end();
    request.destroy();
  };
  const timer = setTimeout(end, lingerMs);
  const reading = setInterval(() => request.read(), lingerReadMs);
  request.once("end", end).once("close", end).on("error", end);
}

function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
