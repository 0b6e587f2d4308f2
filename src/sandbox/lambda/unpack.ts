import { createHash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  constants,
  createReadStream,
  fchmodSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import type { Readable } from "node:stream";
import { createZstdDecompress, constants as zlib } from "node:zlib";
import { z } from "zod";
import { MAGIC, WINDOW_LOG } from "./pack.ts";
import { type Entry, placeOf, type Roots, type Snapshot, stampOf } from "./snapshot.ts";

export interface UnpackOptions {
  /** What is there already; the archive is read as changes of it. */
  before: Snapshot;
  maxBytes: number;
  maxEntries: number;
  maxFileBytes: number;
  /** With it, links to elsewhere, and below these roots everything called `.git`, are left out. */
  distrust?: { withoutGit: readonly string[]; linkTargets: readonly string[] };
  /** Reads the whole archive before anything is written. Always together with `distrust`. */
  checkFirst?: boolean;
  signal?: AbortSignal;
}

export interface Unpacked {
  snapshot: Snapshot;
  /** Paths that are not as the archive has them. */
  leftOut: string[];
}

/** Says what of an archive breaks a rule. */
export class BadArchive extends Error {
  override name = "BadArchive";
}

const MAX_HEADER_BYTES = 64 * 1024;
const MAX_PATH_BYTES = 4_000;
const MAX_NAME_BYTES = 255;

const Header = z.union([
  z.object({ end: z.number().int().nonnegative() }),
  z.object({
    path: z.string(),
    kind: z.literal("file"),
    mode: z.number().int().min(0).max(0o777),
    mtimeUs: z.number().int().min(0).max(8.64e15),
    size: z.number().int().nonnegative(),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    content: z.boolean(),
  }),
  z.object({ path: z.string(), kind: z.literal("directory"), mode: z.number().int().min(0).max(0o777) }),
  z.object({ path: z.string(), kind: z.literal("link"), target: z.string() }),
  z.object({ path: z.string(), kind: z.undefined().optional() }),
]);
type Record = Exclude<z.infer<typeof Header>, { end: number }>;

/**
 * Applies the archive `file` to the roots, and returns what is there then. Nothing is ever written through a link: every
 * folder above a path must be a folder by `before` and what the archive said until then. Throws BadArchive at the first
 * broken rule; with `checkFirst` before anything was touched.
 */
export async function unpack(file: string, roots: Roots, options: UnpackOptions): Promise<Unpacked> {
  if (options.checkFirst) await apply(file, roots, options, false);
  options.signal?.throwIfAborted();
  return await apply(file, roots, options, true);
}

async function apply(file: string, roots: Roots, options: UnpackOptions, write: boolean): Promise<Unpacked> {
  const { before, distrust, signal } = options;
  const snapshot: Snapshot = new Map(before);
  const children = childrenOf(snapshot);
  const leftOut: string[] = [];
  const input = createReadStream(file);
  const zstd = createZstdDecompress({ params: { [zlib.ZSTD_d_windowLogMax]: WINDOW_LOG } });
  input.on("error", (error) => zstd.destroy(error));
  const reader = new ByteReader(input.pipe(zstd), options.maxBytes);
  let entries = 0;
  try {
    if (!(await reader.take(MAGIC.length)).equals(MAGIC)) throw new BadArchive("it does not begin as an archive does");
    while (true) {
      // What was begun to be written is written to its end.
      if (!write) signal?.throwIfAborted();
      const header = await readHeader(reader);
      if ("end" in header) {
        if (header.end !== entries) throw new BadArchive(`it ends after ${entries} of ${header.end} entries`);
        await reader.requireEnd();
        return { snapshot, leftOut };
      }
      if (++entries > options.maxEntries) throw new BadArchive(`it has more than ${options.maxEntries} entries`);
      requirePath(header.path, roots);
      if (header.kind === "file") header.mode |= 0o600;
      if (header.kind === "directory") header.mode |= 0o700;
      await applyOne(header);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== undefined && /^Z(STD)?_/.test(code)) throw new BadArchive("it cannot be decompressed");
    throw error;
  } finally {
    input.destroy();
    zstd.destroy();
  }

  async function applyOne(record: Record): Promise<void> {
    const { path } = record;
    const place = placeOf(roots, path);
    if (record.kind === undefined) return forget(path, place);
    const hidden = distrust?.withoutGit.some((root) => path.startsWith(`${root}/`)) && isGit(path);
    const out = record.kind === "link" && distrust && !staysInside(path, record.target, distrust.linkTargets);
    if (hidden || out) {
      if (out || !isGit(path.slice(0, path.lastIndexOf("/")))) leftOut.push(path);
      if (out) forget(path, place);
      return void (await contentOf(record, undefined));
    }
    const parent = path.slice(0, path.lastIndexOf("/"));
    if (parent.includes("/") && snapshot.get(parent)?.entry.kind !== "directory") {
      throw new BadArchive(`the folder above "${path}" is none`);
    }
    const old = snapshot.get(path)?.entry;
    if (record.kind === "file" && !record.content) {
      if (old?.kind !== "file" || old.sha256 !== record.sha256) {
        throw new BadArchive(`"${path}" comes without its content`);
      }
      if (write) {
        chmodSync(place, record.mode);
        utimesSync(place, record.mtimeUs / 1e6, record.mtimeUs / 1e6);
      }
      return remember(record, place);
    }
    if (record.kind === "directory" && old?.kind === "directory") {
      if (write) chmodSync(place, record.mode);
      return remember(record, place);
    }
    forget(path, place);
    if (record.kind === "directory" && write) mkdirSync(place, record.mode);
    if (record.kind === "link") {
      if (Buffer.byteLength(record.target) > MAX_PATH_BYTES || record.target.includes("\0") || record.target === "") {
        throw new BadArchive(`the link "${path}" has a target that is none`);
      }
      if (write) symlinkSync(record.target, place);
    }
    await contentOf(record, write ? place : undefined);
    if (record.kind === "directory" && write) chmodSync(place, record.mode); // Whatever the process's umask is.
    remember(record, place);
  }

  /** Reads the bytes that follow a header, and writes them to a new file at `place`. */
  async function contentOf(record: Record, place: string | undefined): Promise<void> {
    if (record.kind !== "file" || !record.content) return;
    if (record.size > options.maxFileBytes) {
      throw new BadArchive(`"${record.path}" has ${record.size} bytes, more than ${options.maxFileBytes}`);
    }
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    const out = place === undefined ? undefined : openSync(place, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      const hash = createHash("sha256");
      for await (const chunk of reader.stream(record.size)) {
        hash.update(chunk);
        if (out !== undefined) for (let at = 0; at < chunk.length; ) at += writeSync(out, chunk, at);
      }
      if (hash.digest("hex") !== record.sha256)
        throw new BadArchive(`"${record.path}" has another content than it says`);
      if (out === undefined) return;
      fchmodSync(out, record.mode);
      futimesSync(out, record.mtimeUs / 1e6, record.mtimeUs / 1e6);
    } finally {
      if (out !== undefined) closeSync(out);
    }
  }

  function remember(record: Record, place: string): void {
    const { path, kind: _, ...rest } = record;
    const entry = { kind: record.kind, ...rest } as Entry & { content?: boolean };
    delete entry.content;
    const stamp = write ? stampOf(lstatSync(place, { bigint: true })) : "";
    if (!snapshot.has(path)) children.get(path.slice(0, path.lastIndexOf("/")))?.add(path);
    if (entry.kind === "directory" && !children.has(path)) children.set(path, new Set());
    snapshot.set(path, { entry, stamp });
  }

  /** Only what is known to be there is removed, so never through a link. */
  function forget(path: string, place: string): void {
    const old = snapshot.get(path);
    if (!old) return;
    const below = [path];
    for (const known of below) {
      below.push(...(children.get(known) ?? []));
      children.delete(known);
      snapshot.delete(known);
    }
    children.get(path.slice(0, path.lastIndexOf("/")))?.delete(path);
    if (!write) return;
    if (old.entry.kind === "directory") rmSync(place, { recursive: true, force: true });
    else unlinkSync(place);
  }
}

function childrenOf(snapshot: Snapshot): Map<string, Set<string>> {
  const children = new Map<string, Set<string>>();
  for (const [path, { entry }] of snapshot) {
    if (entry.kind === "directory") children.set(path, new Set());
    children.get(path.slice(0, path.lastIndexOf("/")))?.add(path);
  }
  return children;
}

async function readHeader(reader: ByteReader): Promise<z.infer<typeof Header>> {
  const length = (await reader.take(4)).readUInt32LE();
  if (length > MAX_HEADER_BYTES) throw new BadArchive(`a header has ${length} bytes`);
  const text = (await reader.take(length)).toString("utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BadArchive("a header is no JSON");
  }
  const parsed = Header.safeParse(value);
  if (!parsed.success) throw new BadArchive(`a header is none: ${text.slice(0, 200)}`);
  return parsed.data;
}

function requirePath(path: string, roots: Roots): void {
  const [root = "", ...names] = path.split("/");
  const wrong = (name: string) =>
    name === "" || name === "." || name === ".." || name.includes("\0") || Buffer.byteLength(name) > MAX_NAME_BYTES;
  if (
    !Object.hasOwn(roots, root) ||
    names.length === 0 ||
    names.some(wrong) ||
    Buffer.byteLength(path) > MAX_PATH_BYTES
  ) {
    throw new BadArchive(`the path ${JSON.stringify(path.slice(0, 300))} does not stay below its root`);
  }
}

function isGit(path: string): boolean {
  return path.toLowerCase().split("/").includes(".git");
}

/**
 * A relative target goes up first and then down, so that the folders it goes up through are real ones and a link that it
 * goes down through is one that was looked at too. An absolute one names a place that is the same for everybody.
 */
function staysInside(path: string, target: string, absolute: readonly string[]): boolean {
  const names = target.split("/").filter((name) => name !== "" && name !== ".");
  const ups = names.findIndex((name) => name !== "..");
  const up = ups < 0 ? names.length : ups;
  if (names.slice(up).includes("..")) return false;
  if (target.startsWith("/"))
    return up === 0 && absolute.some((place) => target === place || target.startsWith(`${place}/`));
  // The first name of a path is its root's, the last its own.
  return up <= path.split("/").length - 2;
}

/** Bytes of a stream, asked for by number. Throws BadArchive when there are too few, or more than `maxBytes` in all. */
class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #left: number;
  #held: Buffer = Buffer.alloc(0);

  constructor(stream: Readable, maxBytes: number) {
    this.#chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    this.#left = maxBytes;
  }

  /** A few bytes in one piece. */
  async take(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const part of this.stream(length)) parts.push(part);
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  async *stream(length: number): AsyncGenerator<Buffer> {
    this.#left -= length;
    if (this.#left < 0) throw new BadArchive("it holds more bytes than it may");
    for (let wanted = length; wanted > 0; ) {
      if (this.#held.length === 0) {
        const next = await this.#chunks.next();
        if (next.done) throw new BadArchive("it ends too early");
        this.#held = next.value;
      }
      const part = this.#held.subarray(0, wanted);
      this.#held = this.#held.subarray(part.length);
      wanted -= part.length;
      yield part;
    }
  }

  async requireEnd(): Promise<void> {
    if (this.#held.length > 0 || !(await this.#chunks.next()).done) throw new BadArchive("something follows its end");
  }
}
