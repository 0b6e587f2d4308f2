/**
 * How long, how often and with which pauses a step is tried; read by every engine. No step has more than 10 minutes: an
 * invocation on AWS Lambda has 15, in which it is also begun, stopped and recorded, and a repository shall not pass on one
 * engine and time out on another.
 */
export interface StepLimits {
  minutes: number;
  attempts: number;
  /** Pause before the next attempt; doubles, at most 60 s. */
  backoffSeconds: number;
}

const standard: StepLimits = { minutes: 3, attempts: 4, backoffSeconds: 1 };

const table: Record<string, StepLimits> = {
  "prepare-workspace": { minutes: 10, attempts: 3, backoffSeconds: 2 },
  "prepare-environment": { minutes: 10, attempts: 2, backoffSeconds: 2 },
  "analyse-issue": { minutes: 10, attempts: 4, backoffSeconds: 5 },
  "write-change": { minutes: 10, attempts: 4, backoffSeconds: 5 },
  "keep-written": { minutes: 10, attempts: 4, backoffSeconds: 5 },
  "run-checks": { minutes: 10, attempts: 2, backoffSeconds: 2 },
  "read-failure": { minutes: 10, attempts: 4, backoffSeconds: 2 },
  "analyse-failure": { minutes: 10, attempts: 4, backoffSeconds: 5 },
  "reproduce-failure": { minutes: 10, attempts: 2, backoffSeconds: 2 },
  "read-changes": { minutes: 10, attempts: 4, backoffSeconds: 2 },
  "review-group": { minutes: 10, attempts: 3, backoffSeconds: 5 },
  "verify-findings": { minutes: 10, attempts: 3, backoffSeconds: 5 },
  "answer-reply": { minutes: 10, attempts: 3, backoffSeconds: 5 },
  "report-outcome": { minutes: 3, attempts: 8, backoffSeconds: 1 },
};

/** Steps that run commands of the repository: only a machine with a sandbox can do them. */
export const sandboxedSteps: ReadonlySet<string> = new Set([
  "prepare-environment",
  "reproduce-failure",
  "run-checks",
  "write-change",
]);

export function limitsOf(stepName: string): StepLimits {
  return table[stepName] ?? standard;
}

/** Seconds to wait before `attempt` (2 is the first retry). */
export function backoffSecondsBefore(stepName: string, attempt: number): number {
  return Math.min(60, limitsOf(stepName).backoffSeconds * 2 ** Math.max(0, attempt - 2));
}

/** Transient trouble of a step, which uses up no attempt, lasts at most this long. */
export const longestTroubleMinutes = 30;

/**
 * Seconds to wait before a step is tried again that has met nothing but transient trouble for `troubleSeconds`: as long as
 * it was asked for, and as long as the trouble has lasted, so that pauses double from 1 s to 60 s. A server may say
 * `retry-after: 0` for ever, and would be asked ten times a second for half an hour.
 */
export function pauseSecondsInTrouble(askedSeconds: number, troubleSeconds: number): number {
  return Math.min(600, Math.max(askedSeconds, 1, Math.min(60, troubleSeconds)));
}
