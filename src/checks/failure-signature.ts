import { createHash } from "node:crypto";
import { distilFailure, type FailedCommand } from "./distil-failure.ts";

/**
 * Returns a name, SHA-256 in hex, for the way in which commands failed: which tests with which message, and which errors.
 * Numbers, times, addresses, temporary paths and the order do not change it, so a second attempt with the same signature
 * "fails the same way twice" (product.md B12).
 */
export function failureSignature(commands: readonly FailedCommand[]): string {
  const parts = commands.map((command) => {
    const ending = command.timedOut ? "timed out" : command.exitCode === null ? "killed" : "failed";
    return JSON.stringify([command.name, ending, distilFailure(command, 100).hash]);
  });
  return createHash("sha256").update(parts.sort().join("\n")).digest("hex");
}
