import { APIConnectionError, APIError, OpenAIError } from "openai";
import type { ModelSettings } from "../../config/models.ts";
import { type Fault, faultText, sortAnswer, sortBroken } from "../loop/faults.ts";
import { NoModelError } from "../loop/watched-fetch.ts";

/** An answer that the provider itself says has failed, in the middle of a stream. */
export class FailedAnswerError extends Error {
  override name = "FailedAnswerError";
  readonly code: string | undefined;
  constructor(message: string, code: string | undefined) {
    super(message);
    this.code = code;
  }
}

/** Sorts what the SDK threw, by the rules that all providers share. */
export function sortFault(error: unknown, redact: (text: string) => string, settings: ModelSettings): Fault {
  const text = faultText(error, redact);
  if (error instanceof FailedAnswerError)
    return sortAnswer({ status: undefined, types: [error.code], headers: undefined, text, cause: error }, settings);
  if (error instanceof APIError && !(error instanceof APIConnectionError)) {
    const { status, code, type, headers } = error as APIError;
    return sortAnswer({ status, types: [code, type], headers, text, cause: error }, settings);
  }
  // What our own `fetch` throws reaches us as the cause of a lost connection.
  const { cause } = (error ?? {}) as { cause?: unknown };
  const thrown = cause instanceof NoModelError ? cause : error;
  return sortBroken(thrown, faultText(thrown, redact), settings, (one) => one instanceof OpenAIError);
}
