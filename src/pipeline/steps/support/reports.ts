import { constants } from "node:fs";
import { glob, open, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import type { ReportKind } from "../../../checks/check-report.ts";
import type { ReportFile } from "../../../checks/commands.ts";

const maxReports = 200;
const maxReportBytes = 8_000_000;

/**
 * The report files that a command left. They were written by code that nobody trusts: links are not followed, nothing
 * outside the directory is read, and size and number are capped.
 */
export async function readReports(reports: ReportFile, reportsDirectory: string, treeDirectory: string): Promise<{ kind: ReportKind; text: string }[]> {
  const directory = await realpath(reports.from === "reports" ? reportsDirectory : treeDirectory).catch(() => undefined);
  if (directory === undefined) return [];
  const found: { kind: ReportKind; text: string }[] = [];
  for await (const path of glob(reports.path, { cwd: directory })) {
    if (found.length >= maxReports) break;
    const text = await readInside(directory, path);
    if (text !== undefined) found.push({ kind: reports.kind, text });
  }
  return found;
}

async function readInside(directory: string, path: string): Promise<string | undefined> {
  const full = join(directory, path);
  const real = await realpath(full).catch(() => undefined);
  if (real === undefined || !real.startsWith(directory + sep)) return undefined;
  const file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const facts = await file.stat();
    if (!facts.isFile() || facts.size > maxReportBytes) return undefined;
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}
