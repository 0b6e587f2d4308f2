import type { FileChange, Finding } from "./change.ts";

/** Lockfiles and generated lists are read by nobody: their lines do not count. */
const uncounted =
  /(?:^|\/)(?:package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lockb?|Cargo\.lock|poetry\.lock|uv\.lock|pdm\.lock|Pipfile\.lock|Gemfile\.lock|composer\.lock|go\.sum|gradle\.lockfile|packages\.lock\.json)$|\.snap$/i;

/** Lines added and removed; a line that stands in both sides is not counted, wherever it stands. Undefined texts count nothing. */
export function changedLines(file: FileChange): number {
  if (uncounted.test(file.path)) return 0;
  const rest = new Map<string, number>();
  let changed = 0;
  for (const line of linesOf(file.oldText)) rest.set(line, (rest.get(line) ?? 0) + 1);
  for (const line of linesOf(file.newText)) {
    const count = rest.get(line) ?? 0;
    if (count > 0) rest.set(line, count - 1);
    else changed++;
  }
  for (const count of rest.values()) changed += count;
  return changed;
}

/** Whether a person can still review the change (`guard.maxFiles`, `guard.maxLines`); more makes a draft. */
export function findSize(
  files: readonly FileChange[],
  { maxFiles, maxLines }: { maxFiles: number; maxLines: number },
): Finding[] {
  const findings: Finding[] = [];
  const lines = files.reduce((sum, file) => sum + changedLines(file), 0);
  if (files.length > maxFiles)
    findings.push({
      rule: "size-files",
      severity: "draft",
      message: `${files.length} files are changed; the limit is ${maxFiles} (guard.maxFiles)`,
    });
  if (lines > maxLines)
    findings.push({
      rule: "size-lines",
      severity: "draft",
      message: `${lines} lines are changed; the limit is ${maxLines} (guard.maxLines)`,
    });
  return findings;
}

function linesOf(text: string | undefined): string[] {
  if (text === undefined || text === "") return [];
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}
