import { constants } from "node:fs";
import { lstat, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import picomatch from "picomatch";
import type { ReportKind } from "./check-report.ts";
import type { ReportFile } from "./commands.ts";

export interface ReportPlaces {
  /** The directory that MILLWRIGHT_REPORTS named. */
  reportsDirectory: string;
  /** The directory on disk in which the command ran. */
  commandDirectory: string;
  /** When the command started: older files in the tree are of another run. */
  startedAt: Date;
}

const maxFiles = 500;
const maxFileBytes = 8_000_000;
const maxTotalBytes = 32_000_000;
const maxEntries = 50_000;
const maxDepth = 12;

/**
 * Reads the report files that a command left, once it has ended: at most 500 files and 32 MB, sorted by path. Untrusted
 * code wrote them, so no symbolic link is followed and only regular files are read, those above 8 MB left out.
 * Returns [] where there are none.
 */
export async function readReports(
  report: ReportFile,
  places: ReportPlaces,
): Promise<{ kind: ReportKind; text: string }[]> {
  const base = report.from === "reports" ? places.reportsDirectory : places.commandDirectory;
  // The directory of a command can have been replaced by a link as well.
  if (!(await lstat(base).catch(() => undefined))?.isDirectory()) return [];
  const paths = await matching(base, picomatch(report.path, { dot: false }));
  const texts: { kind: ReportKind; text: string }[] = [];
  let left = maxTotalBytes;
  for (const path of paths.sort().slice(0, maxFiles)) {
    const text = await readRegularFile(join(base, path), Math.min(maxFileBytes, left), places.startedAt);
    if (text === undefined) continue;
    left -= Buffer.byteLength(text);
    texts.push({ kind: report.kind, text });
  }
  return texts;
}

async function matching(base: string, matches: (path: string) => boolean): Promise<string[]> {
  const found: string[] = [];
  const folders = [{ path: "", depth: 0 }];
  let entries = 0;
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    // An entry that is a link is neither a directory nor a file here, so links are not followed.
    for (const entry of await readdir(join(base, folder.path), { withFileTypes: true }).catch(() => [])) {
      if (++entries > maxEntries) return found;
      const path = folder.path === "" ? entry.name : `${folder.path}/${entry.name}`;
      if (entry.isFile() && matches(path)) found.push(path);
      if (
        entry.isDirectory() &&
        folder.depth < maxDepth &&
        entry.name !== "node_modules" &&
        !entry.name.startsWith(".")
      ) {
        folders.push({ path, depth: folder.depth + 1 });
      }
    }
  }
  return found;
}

async function readRegularFile(path: string, maxBytes: number, startedAt: Date): Promise<string | undefined> {
  // O_NONBLOCK: a pipe in the file's place must not block the worker.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const stats = await file.stat();
    const { size, mtimeMs } = stats;
    // A second name of a file could be one of a file elsewhere.
    const isRegular = stats.isFile() && stats.nlink === 1;
    // File systems keep whole seconds at worst.
    if (!isRegular || size > maxBytes || mtimeMs < startedAt.getTime() - 1000) return undefined;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, 0);
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}
