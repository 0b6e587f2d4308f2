import { AnthropicError, APIConnectionError, APIError } from "@anthropic-ai/sdk";
import type { ModelSettings } from "../../config/models.ts";
import { type Fault, faultText, sortAnswer, sortBroken } from "../loop/faults.ts";
import { NoModelError } from "../loop/watched-fetch.ts";

/**
 * Sorts what the SDK threw. Rate limits, overload, server errors, lost connections, stalled or cut streams and garbled
 * answers are transient; a request that the provider refuses is fatal, with a sentence on what to look at.
 */
export function sortFault(error: unknown, redact: (text: string) => string, settings: ModelSettings): Fault {
  const text = faultText(error, redact);
  if (error instanceof APIError && !(error instanceof APIConnectionError)) {
    const { status, type, headers } = error;
    return sortAnswer({ status, types: [type], headers, text, cause: error }, settings);
  }
  if (isUnparsableCall(error)) return { kind: "broken-call", message: text };
  // What our own `fetch` throws reaches us as the cause of a lost connection.
  const { cause } = (error ?? {}) as { cause?: unknown };
  const thrown = cause instanceof NoModelError ? cause : error;
  // The SDK's own complaints about an answer that is not whole, such as `terminated`.
  return sortBroken(thrown, faultText(thrown, redact), settings, (one) => one instanceof AnthropicError);
}

/** The SDK's complaint about arguments that are not even the beginning of JSON. */
function isUnparsableCall(error: unknown): boolean {
  return error instanceof AnthropicError && /^Unable to parse tool parameter JSON/.test(error.message);
}
