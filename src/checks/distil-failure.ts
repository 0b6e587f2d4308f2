import type { CheckReport } from "./check-report.ts";
import { type DistilledLog, distilLog } from "./distil/distil-log.ts";

export interface FailedCommand {
  /** The command's name, such as "npm test". */
  name: string;
  exitCode: number | null;
  timedOut: boolean;
  stdout: string;
  stderr: string;
  /** The parsed output of a test command. */
  report?: CheckReport;
}

/**
 * Returns what the output of a failed command says, and what is worth reading of it in at most `maxTokens`.
 *
 * @throws RangeError when maxTokens is below 100
 */
export function distilFailure(command: FailedCommand, maxTokens: number): DistilledLog {
  const { name, stdout, stderr, report } = command;
  const output = [stdout, stderr].filter((text) => text !== "").join("\n");
  return distilLog(output, { maxTokens, command: { name: name.slice(0, 100), ending: endingOf(command) }, report });
}

function endingOf({ exitCode, timedOut }: FailedCommand): string {
  if (timedOut) return "did not end within its time limit";
  return exitCode === null ? "was killed" : `exit code ${exitCode}`;
}
