import type { IncomingHttpHeaders } from "node:http";
import { type Fault, sortAnswer, sortBroken } from "../agent/loop/faults.ts";
import { NoModelError } from "../agent/loop/watched-fetch.ts";
import type { ModelSettings } from "../config/models.ts";

/** What a coder is told instead of the server's own words. */
export interface Shown {
  status: number;
  type: string;
  message: string;
}

const maxTextCharacters = 600;

/** Sorts an answer that is no message; `text` is its body without secrets. */
export function faultOf(status: number, headers: IncomingHttpHeaders, text: string, settings: ModelSettings): Fault {
  const answer = {
    status,
    types: [typeOf(text)],
    headers: { get: (name: string) => (headers[name] === undefined ? null : `${headers[name]}`) },
    text: `${status} ${text}`.slice(0, maxTextCharacters),
    cause: undefined,
  };
  return sortAnswer(answer, settings);
}

/** An answer of the right status that is neither JSON nor a stream, such as the page of a company's proxy. */
export function pageInstead(contentType: string, settings: ModelSettings): Fault {
  const error = new NoModelError(`The model's server answered with ${contentType || "something"} and no message`);
  return sortBroken(error, error.message, settings, () => false);
}

export function connectionFault(error: Error, settings: ModelSettings): Fault {
  return sortBroken(error, error.message.slice(0, maxTextCharacters), settings, () => true);
}

/** A refusal may name accounts and addresses, and is for the operator: a coder learns only that there is one. */
export function shownOf(fault: Fault): Shown | undefined {
  if (fault.kind !== "fatal") return undefined;
  return { status: 403, type: "permission_error", message: "The model's provider refused the request." };
}

/** The protocol's name for the kind of error. */
function typeOf(text: string): string | undefined {
  try {
    const type: unknown = JSON.parse(text)?.error?.type;
    return typeof type === "string" ? type : undefined;
  } catch {
    return undefined;
  }
}
