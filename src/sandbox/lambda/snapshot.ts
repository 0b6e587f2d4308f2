import { createHash } from "node:crypto";
import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from "node:fs";
import { setImmediate as turn } from "node:timers/promises";

/** What a path is. Modes are permission bits; the owner may always read and write, so that everything can be moved. */
export type Entry =
  | { kind: "file"; mode: number; mtimeUs: number; size: number; sha256: string }
  | { kind: "directory"; mode: number }
  | { kind: "link"; target: string };

/** An entry, and by what a later look knows that it is still the same without reading it. */
export interface Seen {
  entry: Entry;
  stamp: string;
}

/** By path: the root's name, then names with slashes between. A directory comes before what is in it. */
export type Snapshot = Map<string, Seen>;

/** Absolute folders by the name that paths begin with. */
export type Roots = Readonly<Record<string, string>>;

/** One difference; `entry` is missing where a path is gone. `content`: the bytes are others, or of a new file. */
export interface Change {
  path: string;
  entry: Entry | undefined;
  content: boolean;
}

const CHUNK_BYTES = 256 * 1024;
/** File calls are synchronous, which is many times faster for many small files; others get their turn in between. */
const ENTRIES_PER_TURN = 200;

/**
 * Looks at everything below the roots without following a link. Files whose stamp is that of `before` are not read again.
 * What is neither file, folder nor link, and names that are not UTF-8, are left out. Throws as the signal says.
 */
export async function takeSnapshot(
  roots: Roots,
  before: Snapshot = new Map(),
  signal?: AbortSignal,
): Promise<Snapshot> {
  const found: Snapshot = new Map();
  let looked = 0;
  for (const [name, directory] of Object.entries(roots)) await walk(directory, name);
  return found;

  async function walk(directory: string, path: string): Promise<void> {
    for (const name of readdirSync(directory).toSorted()) {
      if (looked++ % ENTRIES_PER_TURN === 0) {
        await turn();
        signal?.throwIfAborted();
      }
      const place = `${directory}/${name}`;
      const seen = look(place, before.get(`${path}/${name}`));
      if (!seen) continue;
      found.set(`${path}/${name}`, seen);
      if (seen.entry.kind === "directory") await walk(place, `${path}/${name}`);
    }
  }
}

/** Undefined for what is gone, or is nothing that can be moved. */
function look(place: string, before: Seen | undefined): Seen | undefined {
  let stats: BigIntStats | undefined;
  try {
    stats = lstatSync(place, { bigint: true, throwIfNoEntry: false });
    if (!stats) return undefined;
    const stamp = stampOf(stats);
    if (before?.stamp === stamp) return before;
    const bits = Number(stats.mode) & 0o777;
    if (stats.isSymbolicLink()) return { entry: { kind: "link", target: readlinkSync(place) }, stamp };
    if (stats.isDirectory()) {
      if ((bits & 0o700) !== 0o700) chmodSync(place, bits | 0o700);
      return { entry: { kind: "directory", mode: bits | 0o700 }, stamp };
    }
    if (!stats.isFile()) return undefined;
    if ((bits & 0o600) !== 0o600) chmodSync(place, bits | 0o600);
    return seenFile(place, bits | 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function seenFile(place: string, mode: number): Seen {
  const file = openSync(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const hash = createHash("sha256");
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    let size = 0;
    for (let length = readSync(file, buffer); length > 0; length = readSync(file, buffer)) {
      hash.update(buffer.subarray(0, length));
      size += length;
    }
    const stats = fstatSync(file, { bigint: true });
    const mtimeUs = Number(stats.mtimeNs / 1_000n);
    return { entry: { kind: "file", mode, mtimeUs, size, sha256: hash.digest("hex") }, stamp: stampOf(stats) };
  } finally {
    closeSync(file);
  }
}

/** Nobody without privileges can set a file's change time, so a change of content always shows. */
export function stampOf(stats: BigIntStats): string {
  return `${stats.mode}:${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`;
}

/** What turns `before` into `after`: first what is gone (the folder alone, not what was in it), then the rest in order. */
export function changesBetween(before: Snapshot, after: Snapshot): Change[] {
  const gone: Change[] = [];
  let above = "\0";
  for (const [path, { entry }] of before) {
    if (path.startsWith(above)) continue;
    const now = after.get(path)?.entry;
    if (now !== undefined && (now.kind === "directory") === (entry.kind === "directory")) continue;
    gone.push({ path, entry: undefined, content: false });
    if (entry.kind === "directory") above = `${path}/`;
  }
  const removed = new Set(gone.map(({ path }) => path));
  const changed: Change[] = [];
  for (const [path, { entry }] of after) {
    const old = removed.has(path) ? undefined : before.get(path)?.entry;
    if (old !== undefined && isSame(old, entry)) continue;
    changed.push({
      path,
      entry,
      content: entry.kind === "file" && !(old?.kind === "file" && old.sha256 === entry.sha256),
    });
  }
  return [...gone, ...changed];
}

function isSame(a: Entry, b: Entry): boolean {
  if (a.kind === "link" || b.kind === "link")
    return a.kind === b.kind && "target" in a && a.target === (b as typeof a).target;
  if (a.mode !== b.mode) return false;
  if (a.kind === "directory" || b.kind === "directory") return a.kind === b.kind;
  return a.sha256 === b.sha256 && a.mtimeUs === b.mtimeUs;
}

/** The path on this machine. */
export function placeOf(roots: Roots, path: string): string {
  const slash = path.indexOf("/");
  return `${roots[path.slice(0, slash)]}/${path.slice(slash + 1)}`;
}
