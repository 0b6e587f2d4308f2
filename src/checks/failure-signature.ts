import { createHash } from "node:crypto";
import type { CheckReport } from "./check-report.ts";
import { errorLines } from "./error-lines.ts";
import { plainText } from "./plain-text.ts";

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

const maxOutputLength = 2_000_000;
const maxFailures = 200;

/**
 * Returns a name, SHA-256 in hex, for the way in which commands failed: which tests with which message, or which errors
 * where no test is named. Numbers, times, addresses, temporary paths and the order do not change it, so a second
 * attempt with the same signature "fails the same way twice" (product.md B12).
 */
export function failureSignature(commands: readonly FailedCommand[]): string {
  const parts = commands.map((command) => {
    const failed = command.report?.tests.filter((test) => test.status === "failed") ?? [];
    const failures =
      failed.length > 0
        ? failed.map((test) =>
            [normalised(test.suite ?? ""), test.name, normalised(firstLine(test.message))].join(" | "),
          )
        : errorLines(
            plainText(`${command.stdout.slice(-maxOutputLength)}\n${command.stderr.slice(-maxOutputLength)}`),
          ).map(normalised);
    const ending = command.timedOut ? "timed out" : command.exitCode === null ? "killed" : "failed";
    return JSON.stringify([command.name, ending, [...new Set(failures)].sort().slice(0, maxFailures)]);
  });
  return createHash("sha256").update(parts.sort().join("\n")).digest("hex");
}

/** Returns text without what differs between two runs that fail for the same reason. */
function normalised(text: string): string {
  return (
    text
      .slice(0, 500)
      .replace(/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?[\d.,]*(?:Z|[+-]\d\d:?\d\d)?/g, "<time>")
      .replace(/\b0x[0-9a-f]{4,}\b/gi, "<address>")
      .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, "<id>")
      // Of an absolute path only the last two parts say something about the repository.
      .replace(/(?:file:\/\/)?(?:\/[\w.@+-]+){3,}/g, (path) => `<path>/${path.split("/").slice(-2).join("/")}`)
      .replace(/\b\d+(?:\.\d+)? ?(?:ms|s|sec|seconds|µs|ns|m|min)\b/g, "<duration>")
      .replace(/\d+/g, "<n>")
      .replace(/\s+/g, " ")
      .trim()
  );
}

function firstLine(message: string | undefined): string {
  return message?.split("\n").find((line) => line.trim() !== "") ?? "";
}
