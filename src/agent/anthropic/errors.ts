import { AnthropicError, APIConnectionError, APIError } from "@anthropic-ai/sdk";
import { TransientModelError } from "../model.ts";
import { StalledError } from "./watched-fetch.ts";

/** A `retry-after` beyond this is cut to it: a queue that looks again costs nothing. */
const maxRetryAfterSeconds = 15 * 60;

/** What became of a failed call: it can be tried again later, the prompt was too long, old thinking must be dropped, or it will never work. */
export type Fault =
  | { kind: "transient"; error: TransientModelError }
  | { kind: "overflow"; message: string }
  | { kind: "stale-thinking"; message: string }
  | { kind: "fatal"; error: Error };

/**
 * Sorts what the SDK threw. Rate limits, overload, server errors, lost connections, stalled or cut streams and garbled
 * answers are transient; a request that the provider refuses is fatal, with a sentence on what to look at.
 */
export function sortFault(error: unknown, redact: (text: string) => string): Fault {
  const text = redact(error instanceof Error ? error.message : String(error)).slice(0, 600);
  if (error instanceof APIError && !(error instanceof APIConnectionError)) return sortAnswer(error, text);
  if (isConnectionFault(error)) return transient(`The connection to the model failed: ${text}`, 5, error);
  return { kind: "fatal", error: error instanceof Error ? error : new Error(text) };
}

function sortAnswer(error: APIError, text: string): Fault {
  const { status, type } = error;
  if (status === 429 || type === "rate_limit_error")
    return transient(`The model's rate limit is reached: ${text}`, retryAfter(error) ?? 30, error);
  if (status === 529 || type === "overloaded_error")
    return transient(`The model is overloaded: ${text}`, retryAfter(error) ?? 20, error);
  if (status === 408 || status === 409 || (status ?? 0) >= 500 || type === "api_error" || type === "timeout_error") {
    return transient(`The model's server failed: ${text}`, retryAfter(error) ?? 10, error);
  }
  if (status === 413 || (status === 400 && isOverflow(text))) return { kind: "overflow", message: text };
  if (status === 400 && /thinking.{0,60}(cannot be modified|signature|invalid)|signature.{0,40}thinking/i.test(text)) {
    return { kind: "stale-thinking", message: text };
  }
  const hint =
    status === 401 || status === 403
      ? " Look at the credentials."
      : status === 404
        ? " Look at the model's name and the base address."
        : "";
  return {
    kind: "fatal",
    error: new Error(`The model's provider refused the request: ${text}.${hint}`, { cause: error }),
  };
}

/** The wordings of the API, Bedrock and Vertex. There is no code for it. */
function isOverflow(text: string): boolean {
  return /prompt is too long|input is too long|exceeds? (the )?(model's )?(maximum )?context|context (window|limit|length)|too many (input )?tokens/i.test(
    text,
  );
}

function isConnectionFault(error: unknown): boolean {
  if (error instanceof APIConnectionError || error instanceof StalledError || error instanceof SyntaxError) return true;
  // The SDK's own complaints about an answer that is not whole, such as `terminated`.
  if (error instanceof AnthropicError) return true;
  if (!(error instanceof Error)) return false;
  const { code } = (error.cause ?? error) as NodeJS.ErrnoException;
  return (
    (typeof code === "string" && /^(E[A-Z]+|UND_ERR)/.test(code)) ||
    (error instanceof TypeError && /terminated|fetch failed/.test(error.message))
  );
}

function transient(message: string, seconds: number, cause: unknown): Fault {
  return { kind: "transient", error: new TransientModelError(message, seconds, { cause }) };
}

/** Seconds from `retry-after-ms` or `retry-after` (seconds or a date), at most 15 minutes. */
function retryAfter(error: APIError): number | undefined {
  const ms = Number(error.headers?.get("retry-after-ms") ?? Number.NaN);
  const after = error.headers?.get("retry-after") ?? "";
  const seconds = Number.isFinite(ms) ? ms / 1000 : after === "" ? Number.NaN : Number(after);
  const parsed = Number.isFinite(seconds) ? seconds : (Date.parse(after) - Date.now()) / 1000;
  return Number.isFinite(parsed) ? Math.min(maxRetryAfterSeconds, Math.max(0, parsed)) : undefined;
}
