import { createHmac, timingSafeEqual } from "node:crypto";
import type { Logger } from "pino";

/** What GitHub is answered, whichever way a delivery came in. */
export interface Answer {
  status: 200 | 400 | 401 | 404 | 413 | 415 | 503;
  text: string;
}

/** Without the form of a signature it is no delivery, however large: no more is read than shows whether it is worth a warning. */
const maxUnsignedBytes = 1_000_000;

/** Checks a body while it comes. */
export interface SignatureCheck {
  /** Whether the signature has the form of one; nothing of another body is worth being kept. */
  inForm: boolean;
  maxBytes: number;
  tooLarge: Answer;
  update(chunk: Buffer): void;
  /** Whether all that came is signed with one of the secrets. Asked once, at the end. */
  fits(): boolean;
}

/**
 * HMAC-SHA256 over the raw bytes in constant time, with the current secret and, while it is rotated, the previous one
 * (security.md M0). https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
 */
export function checkSignature(
  signature: string | undefined,
  { secrets, maxBodyBytes }: { secrets: readonly string[]; maxBodyBytes: number },
): SignatureCheck {
  const given = Buffer.from(signature ?? "");
  const inForm = /^sha256=[0-9a-f]{64}$/.test(signature ?? "");
  const maxBytes = inForm ? maxBodyBytes : Math.min(maxBodyBytes, maxUnsignedBytes);
  const hashes = inForm ? secrets.map((secret) => createHmac("sha256", secret)) : [];
  return {
    inForm,
    maxBytes,
    tooLarge: { status: 413, text: `The body is larger than ${maxBytes} bytes.` },
    update(chunk) {
      for (const hash of hashes) hash.update(chunk);
    },
    fits() {
      // Every secret is tried, whatever the first says: the time does not tell which one fits.
      const matches = hashes
        .map((hash) => Buffer.from(`sha256=${hash.digest("hex")}`))
        .filter((expected) => timingSafeEqual(expected, given));
      return matches.length > 0;
    },
  };
}

export const unsigned: Answer = { status: 401, text: "The signature is missing or wrong." };

export interface Delivery {
  id: string;
  name: string;
  payload: object;
}

/** Looks up a header by its name in lower case. */
export type HeaderOf = (name: string) => string | undefined;

/** GitHub's names for a delivery, `unknown` and empty where they are missing. */
export function namesOf(header: HeaderOf): { event: string; deliveryId: string } {
  return { event: header("x-github-event") || "unknown", deliveryId: header("x-github-delivery") ?? "" };
}

/** The delivery in a signed body, or why it is none. */
export function deliveryIn(body: Buffer, header: HeaderOf): { delivery: Delivery } | Answer {
  const { event, deliveryId } = namesOf(header);
  if (deliveryId === "" || event === "unknown")
    return { status: 400, text: "X-GitHub-Event or X-GitHub-Delivery is missing." };
  // The table of handlers is a plain object, which has such names without anybody's asking.
  if (event in Object.prototype) return { status: 400, text: "X-GitHub-Event names no event." };
  const payload = parsed(body);
  // Probot would fail to make a client for it before any handler is asked.
  if (payload !== undefined && !namesInstallation(payload))
    return { status: 400, text: "The body's installation has an id that is no number." };
  if (payload !== undefined) return { delivery: { id: deliveryId, name: event, payload } };
  if (header("content-type")?.startsWith("application/x-www-form-urlencoded"))
    return { status: 415, text: "The body is a form. Set the webhook's content type to application/json." };
  return { status: 400, text: "The body is not a JSON object." };
}

/** Whether the installation that a payload is about, if any, has a number. */
function namesInstallation({ installation }: { installation?: { id?: unknown } | null }): boolean {
  return installation?.id === undefined || Number.isSafeInteger(installation.id);
}

function parsed(body: Buffer): object | undefined {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * What a delivery is answered: 503 when taking it throws, for then it was not queued. Every refusal is one line of the
 * log; what was taken has its line from `createReceive`.
 */
export async function answerTo(take: () => Promise<Answer>, header: HeaderOf, log: Logger): Promise<Answer> {
  const { event, deliveryId } = namesOf(header);
  const answer = await take().catch((error: unknown): Answer => {
    log.error({ deliveryId, event, status: 503, err: error }, "the delivery could not be queued");
    return { status: 503, text: "Not queued; please deliver again." };
  });
  const { status, text } = answer;
  if (status !== 200 && status !== 503) log.warn({ deliveryId, event, status }, `delivery refused: ${text}`);
  return answer;
}
