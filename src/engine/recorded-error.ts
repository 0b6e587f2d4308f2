import type { Outcome } from "../pipeline/outcome.ts";
import { UserFacingError } from "../pipeline/step.ts";

/** What is kept of a thrown error, so that it replays as the same typed error. */
export interface RecordedError {
  name: string;
  message: string;
  userFacing: boolean;
  transient: boolean;
  advice?: string;
}

/** What is kept of an error that a step threw. One with `forPeople` is told to people in those words. */
export function recordError(error: unknown): RecordedError {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  const { forPeople } = (error ?? {}) as { forPeople?: { reason: string; advice: string } };
  if (forPeople !== undefined) {
    const { reason, advice } = forPeople;
    return { name, message: shortened(reason), userFacing: true, transient: false, advice: shortened(advice) };
  }
  const userFacing = error instanceof UserFacingError;
  return {
    name,
    message: shortened(message),
    userFacing,
    transient: userFacing && error.transient,
    ...(userFacing && error.advice !== undefined ? { advice: shortened(error.advice) } : {}),
  };
}

/** The typed error that the pipeline gets, when the step fails and on every replay. */
export function replayError(recorded: RecordedError): Error {
  if (recorded.userFacing) {
    return new UserFacingError(recorded.message, { transient: recorded.transient, advice: recorded.advice });
  }
  const error = new Error(recorded.message);
  error.name = recorded.name;
  return error;
}

/** How a run ends whose pipeline threw this: in its words where they are for people, else in one neutral line. */
export function failedOutcome(runKey: string, error: RecordedError): Outcome {
  if (error.userFacing) return { kind: "failed", reason: error.message, detail: error.advice };
  return { kind: "failed", reason: `Something went wrong that is not about your request (run ${runKey}).` };
}

function shortened(text: string): string {
  const limit = 8_000;
  return text.length > limit ? `${text.slice(0, limit)}… (${text.length - limit} more characters)` : text;
}
