import type { ModelSettings } from "../../config/models.ts";
import { type ForPeople, ModelRefusedError, TransientModelError } from "../model.ts";
import { NoModelError, OversizedError, StalledError } from "./watched-fetch.ts";

/** A `retry-after` beyond this is cut to it: a queue that looks again costs nothing. */
const maxRetryAfterSeconds = 15 * 60;

/** What became of a failed call: it can be tried again later, the prompt was too long, old thinking must be dropped, the model has to write its tool call anew, or it will never work. */
export type Fault =
  | { kind: "transient"; error: TransientModelError }
  | { kind: "overflow"; message: string }
  | { kind: "stale-thinking"; message: string }
  | { kind: "broken-call"; message: string }
  | { kind: "fatal"; error: Error };

/** What the SDKs of all providers say of an answer that is none. */
export interface FailedAnswer {
  status: number | undefined;
  /** The provider's names for the kind of error. */
  types: (string | null | undefined)[];
  headers: { get(name: string): string | null } | undefined;
  /** Redacted. */
  text: string;
  cause: unknown;
}

const settingAdvice = "Next: the operator has to set the model's right address; then trigger the run again.";
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

/** Sorts what a provider answered instead of a message. */
export function sortAnswer(answer: FailedAnswer, settings: ModelSettings): Fault {
  const { status, types, text, cause } = answer;
  const is = (...names: string[]) => types.some((type) => typeof type === "string" && names.includes(type));
  if (status === 402 || is("insufficient_quota", "billing_error", "billing_not_active") || isOutOfCredit(text))
    return refused(noCredit(settings), text, cause);
  if (status === 429 || is("rate_limit_error", "rate_limit_exceeded"))
    return transient(`The model's rate limit is reached: ${text}`, retryAfter(answer) ?? 30, limited, cause);
  if (status === 529 || is("overloaded_error"))
    return transient(`The model is overloaded: ${text}`, retryAfter(answer) ?? 20, overloaded, cause);
  if (
    status === 408 ||
    status === 409 ||
    (status ?? 0) >= 500 ||
    // In a stream there is no status. With one, it counts: Ollama calls a model that it does not have an `api_error`.
    (status === undefined && is("api_error", "timeout_error", "server_error", "internal_error"))
  ) {
    return transient(`The model's server failed: ${text}`, retryAfter(answer) ?? 10, failing, cause);
  }
  if (status === 413 || is("context_length_exceeded") || (status === 400 && isOverflow(text)))
    return { kind: "overflow", message: text };
  if (status === 400 && /thinking.{0,60}(cannot be modified|signature|invalid)|signature.{0,40}thinking/i.test(text)) {
    return { kind: "stale-thinking", message: text };
  }
  // An event `error` of a stream that has begun, of a kind that is not known.
  if (status === undefined) return transient(`The model's answer broke off: ${text}`, 10, unreachable, cause);
  return refused(refusalFor(status, text, settings), text, cause);
}

/** Sorts what is no answer at all; `isTheSdks` says whether the SDK itself complains about an answer that is not whole. */
export function sortBroken(
  error: unknown,
  text: string,
  settings: ModelSettings,
  isTheSdks: (error: Error) => boolean,
): Fault {
  if (error instanceof NoModelError) {
    const { hint, ...forPeople } = noModelThere(settings);
    return transient(`${text}.${hint}`, 5, forPeople, error);
  }
  if (isConnectionFault(error, isTheSdks))
    return transient(`The connection to the model failed: ${text}`, 5, unreachable, error);
  return { kind: "fatal", error: error instanceof Error ? error : new Error(text) };
}

/** The message of anything that was thrown, short and without secrets. */
export function faultText(error: unknown, redact: (text: string) => string): string {
  return redact(error instanceof Error ? error.message : String(error)).slice(0, 600);
}

/** A fault that might have passed, but did not: as one that stays. */
export function lasting({ message, forPeople, cause }: TransientModelError): ModelRefusedError {
  return new ModelRefusedError(message, { ...forPeople, advice: settingAdvice }, { cause });
}

type Refusal = ForPeople & { hint: string };

function refused({ hint, ...forPeople }: Refusal, text: string, cause: unknown): Fault {
  return {
    kind: "fatal",
    error: new ModelRefusedError(`The model's provider refused the request: ${text}.${hint}`, forPeople, { cause }),
  };
}

/** For the log, and for people: both name the setting, because the provider does not know its name. */
function refusalFor(status: number, text: string, { key, model, baseUrl }: ModelSettings): Refusal {
  if (status === 401 || status === 403)
    return {
      hint: ` Look at the credentials (${key}).`,
      reason: `The model's provider did not accept Millwright's credentials (${key}).`,
      advice: "Next: the operator has to renew the credentials of the model; then trigger the run again.",
    };
  if (status === 404 || (status === 400 && isUnknownModel(text)))
    return {
      hint: ` Look at the model's name and the base address (${model}, ${baseUrl}).`,
      reason: `The model's provider does not know the configured model (${model}).`,
      advice: "Next: the operator has to look at the model's name and address; then trigger the run again.",
    };
  if (status >= 300 && status < 400)
    return {
      hint: ` It redirects, which is not followed: the key and the code would go to another address. Look at the base address (${baseUrl}).`,
      reason: `The model's address leads to another one, which is not followed (${baseUrl}).`,
      advice: settingAdvice,
    };
  return {
    hint: "",
    reason: "The model's provider refused the request.",
    advice: "Next: the operator finds the provider's reason in the log; then trigger the run again.",
  };
}

function noCredit({ key }: ModelSettings): Refusal {
  return {
    hint: ` The credit of the account behind ${key} is used up.`,
    reason: `The credit at the model's provider is used up (${key}).`,
    advice: "Next: the operator has to add credit at the provider; then trigger the run again.",
  };
}

function noModelThere({ baseUrl }: ModelSettings): Refusal {
  return {
    hint: ` Look at the base address (${baseUrl}).`,
    reason: `At the model's address a web page answers and no model (${baseUrl}).`,
    advice: settingAdvice,
  };
}

/** The wordings of the API, Bedrock, Vertex, OpenAI, vLLM, Ollama and LM Studio. Most have no code for it. */
function isOverflow(text: string): boolean {
  return /prompt is too long|input is too long|exceeds? (the )?(model's )?(maximum )?(available )?context|context (window|limit|length|size)|too many (input )?tokens|maximum context/i.test(
    text,
  );
}

function isOutOfCredit(text: string): boolean {
  return /credit balance is too low|exceeded your current quota|insufficient[ _](credit|quota|balance|fund)|more credits/i.test(
    text,
  );
}

function isUnknownModel(text: string): boolean {
  return /(model|deployment)\b.{0,80}(not found|does not exist|not exist|is not a valid model|unknown)|(unknown|invalid|no such|unsupported) model\b|not a valid model|model identifier is invalid/i.test(
    text,
  );
}

function isConnectionFault(error: unknown, isTheSdks: (error: Error) => boolean): boolean {
  if (error instanceof SyntaxError) return true;
  if (error instanceof StalledError || error instanceof OversizedError) return true;
  // What fetch throws, and what the SDK stumbles over when an answer is no message, such as the page of a gateway.
  if (error instanceof TypeError) return true;
  if (!(error instanceof Error)) return false;
  if (isTheSdks(error)) return true;
  const { code } = (error.cause ?? error) as NodeJS.ErrnoException;
  return typeof code === "string" && /^(E[A-Z]+|UND_ERR)/.test(code);
}

function transient(message: string, seconds: number, forPeople: ForPeople, cause: unknown): Fault {
  return { kind: "transient", error: new TransientModelError(message, seconds, forPeople, { cause }) };
}

/** Seconds from `retry-after-ms` or `retry-after` (seconds or a date), at most 15 minutes. */
function retryAfter({ headers }: FailedAnswer): number | undefined {
  const ms = Number(headers?.get("retry-after-ms") ?? Number.NaN);
  const after = headers?.get("retry-after") ?? "";
  const seconds = Number.isFinite(ms) ? ms / 1000 : after === "" ? Number.NaN : Number(after);
  const parsed = Number.isFinite(seconds) ? seconds : (Date.parse(after) - Date.now()) / 1000;
  return Number.isFinite(parsed) ? Math.min(maxRetryAfterSeconds, Math.max(0, parsed)) : undefined;
}
