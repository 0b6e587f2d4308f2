import { AnthropicError, APIConnectionError, APIError } from "@anthropic-ai/sdk";
import { type ForPeople, ModelRefusedError, TransientModelError } from "../model.ts";
import { OversizedError, StalledError } from "./watched-fetch.ts";

/** A `retry-after` beyond this is cut to it: a queue that looks again costs nothing. */
const maxRetryAfterSeconds = 15 * 60;

/** What became of a failed call: it can be tried again later, the prompt was too long, old thinking must be dropped, the model has to write its tool call anew, or it will never work. */
export type Fault =
  | { kind: "transient"; error: TransientModelError }
  | { kind: "overflow"; message: string }
  | { kind: "stale-thinking"; message: string }
  | { kind: "broken-call"; message: string }
  | { kind: "fatal"; error: Error };

const later = "Next: trigger the run again later.";
const limited: ForPeople = {
  reason: "The model's provider limits how much may be asked of it, and the limit is reached.",
  advice: "Next: trigger the run again later, or ask the operator to have the provider's limit raised.",
};
const overloaded: ForPeople = { reason: "The model is overloaded.", advice: later };
const failing: ForPeople = { reason: "The model's server failed.", advice: later };
const unreachable: ForPeople = {
  reason: "The model could not be reached, or its answers broke off.",
  advice: `${later} The operator finds the details in the log.`,
};

/**
 * Sorts what the SDK threw. Rate limits, overload, server errors, lost connections, stalled or cut streams and garbled
 * answers are transient; a request that the provider refuses is fatal, with a sentence on what to look at.
 */
export function sortFault(error: unknown, redact: (text: string) => string): Fault {
  const text = redact(error instanceof Error ? error.message : String(error)).slice(0, 600);
  if (error instanceof APIError && !(error instanceof APIConnectionError)) return sortAnswer(error, text);
  if (isUnparsableCall(error)) return { kind: "broken-call", message: text };
  if (isConnectionFault(error)) return transient(`The connection to the model failed: ${text}`, 5, unreachable, error);
  return { kind: "fatal", error: error instanceof Error ? error : new Error(text) };
}

function sortAnswer(error: APIError, text: string): Fault {
  const { status, type } = error;
  if (status === 429 || type === "rate_limit_error")
    return transient(`The model's rate limit is reached: ${text}`, retryAfter(error) ?? 30, limited, error);
  if (status === 529 || type === "overloaded_error")
    return transient(`The model is overloaded: ${text}`, retryAfter(error) ?? 20, overloaded, error);
  if (status === 408 || status === 409 || (status ?? 0) >= 500 || type === "api_error" || type === "timeout_error") {
    return transient(`The model's server failed: ${text}`, retryAfter(error) ?? 10, failing, error);
  }
  if (status === 413 || (status === 400 && isOverflow(text))) return { kind: "overflow", message: text };
  if (status === 400 && /thinking.{0,60}(cannot be modified|signature|invalid)|signature.{0,40}thinking/i.test(text)) {
    return { kind: "stale-thinking", message: text };
  }
  // An event `error` of a stream that has begun, of a kind that is not known.
  if (status === undefined) return transient(`The model's answer broke off: ${text}`, 10, unreachable, error);
  const { hint, ...forPeople } = refusalFor(status);
  return {
    kind: "fatal",
    error: new ModelRefusedError(`The model's provider refused the request: ${text}.${hint}`, forPeople, {
      cause: error,
    }),
  };
}

/** For the log, and for people. */
function refusalFor(status: number): ForPeople & { hint: string } {
  if (status === 401 || status === 403)
    return {
      hint: " Look at the credentials.",
      reason: "The model's provider did not accept Millwright's credentials.",
      advice: "Next: the operator has to renew the credentials of the model; then trigger the run again.",
    };
  if (status === 404)
    return {
      hint: " Look at the model's name and the base address.",
      reason: "The model's provider does not know the configured model.",
      advice: "Next: the operator has to look at the model's name and address; then trigger the run again.",
    };
  if (status >= 300 && status < 400)
    return {
      hint: " It redirects, which is not followed: the key and the code would go to another address. Look at the base address.",
      reason: "The model's address leads to another one, which is not followed.",
      advice: "Next: the operator has to set the model's right address; then trigger the run again.",
    };
  return {
    hint: "",
    reason: "The model's provider refused the request.",
    advice: "Next: the operator finds the provider's reason in the log; then trigger the run again.",
  };
}

/** The SDK's complaint about arguments that are not even the beginning of JSON. */
function isUnparsableCall(error: unknown): boolean {
  return error instanceof AnthropicError && /^Unable to parse tool parameter JSON/.test(error.message);
}

/** The wordings of the API, Bedrock and Vertex. There is no code for it. */
function isOverflow(text: string): boolean {
  return /prompt is too long|input is too long|exceeds? (the )?(model's )?(maximum )?context|context (window|limit|length)|too many (input )?tokens/i.test(
    text,
  );
}

function isConnectionFault(error: unknown): boolean {
  if (error instanceof APIConnectionError || error instanceof SyntaxError) return true;
  if (error instanceof StalledError || error instanceof OversizedError) return true;
  // The SDK's own complaints about an answer that is not whole, such as `terminated`.
  if (error instanceof AnthropicError) return true;
  // What fetch throws, and what the SDK stumbles over when an answer is no message, such as the page of a gateway.
  if (error instanceof TypeError) return true;
  if (!(error instanceof Error)) return false;
  const { code } = (error.cause ?? error) as NodeJS.ErrnoException;
  return typeof code === "string" && /^(E[A-Z]+|UND_ERR)/.test(code);
}

function transient(message: string, seconds: number, forPeople: ForPeople, cause: unknown): Fault {
  return { kind: "transient", error: new TransientModelError(message, seconds, forPeople, { cause }) };
}

/** Seconds from `retry-after-ms` or `retry-after` (seconds or a date), at most 15 minutes. */
function retryAfter(error: APIError): number | undefined {
  const ms = Number(error.headers?.get("retry-after-ms") ?? Number.NaN);
  const after = error.headers?.get("retry-after") ?? "";
  const seconds = Number.isFinite(ms) ? ms / 1000 : after === "" ? Number.NaN : Number(after);
  const parsed = Number.isFinite(seconds) ? seconds : (Date.parse(after) - Date.now()) / 1000;
  return Number.isFinite(parsed) ? Math.min(maxRetryAfterSeconds, Math.max(0, parsed)) : undefined;
}
