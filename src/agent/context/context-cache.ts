import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { FactStore } from "./fact-store.ts";

/** What earlier selections of one repository left: both never change by name. */
export interface CachedContext {
  facts: FactStore;
  /** Commit → the paths it changed. */
  commitFiles: ReadonlyMap<string, readonly string[]>;
}

/** All repositories together keep at most this in memory; ten jobs of one worker must not cost more than 250 MB. */
const maxMemoryBytes = 64 * 1024 * 1024;

/** By directory, the one used longest ago first. */
const inMemory = new Map<string, CachedContext>();

/** The context kept in `directory`, from memory or disk; a missing, older or damaged file is an empty context. */
export async function loadContext(directory: string | undefined): Promise<CachedContext> {
  if (directory === undefined) return { facts: new FactStore(), commitFiles: new Map() };
  const known = inMemory.get(directory);
  if (known) {
    keepInMemory(directory, known);
    return known;
  }
  const [facts, commitFiles] = await Promise.all([
    readFactsFile(join(directory, factsName)),
    readCommitsFile(join(directory, commitsName)),
  ]);
  const context = { facts, commitFiles };
  if (facts.size > 0) keepInMemory(directory, context);
  return context;
}

/** Replaces what is kept in `directory`. Processes may write at once: each replaces whole files, the later one stays. */
export async function saveContext(directory: string, context: CachedContext): Promise<void> {
  keepInMemory(directory, context);
  await mkdir(directory, { recursive: true });
  const parts = [...context.facts.parts()].map((part) => Buffer.from(part.buffer, part.byteOffset, part.byteLength));
  await Promise.all([
    replaceFile(join(directory, factsName), [header(parts), ...parts]),
    replaceFile(join(directory, commitsName), [Buffer.from(JSON.stringify([...context.commitFiles]))]),
  ]);
}

/** Drops what is held in memory; files stay. For a process that needs its memory, and to measure what a new one does. */
export function forgetContexts(): void {
  inMemory.clear();
}

function keepInMemory(directory: string, context: CachedContext): void {
  inMemory.delete(directory);
  inMemory.set(directory, context);
  let bytes = 0;
  for (const one of inMemory.values()) bytes += one.facts.bytes;
  for (const [oldest, one] of inMemory) {
    if (bytes <= maxMemoryBytes) return;
    inMemory.delete(oldest);
    bytes -= one.facts.bytes;
  }
}

const factsName = "facts.bin";
const commitsName = "commits.json";

/** Says how records are laid out and what is in them; another version's file is not read. */
const format = Buffer.from("MWCTX003");

function header(parts: readonly Buffer[]): Buffer {
  const bytes = Buffer.alloc(16);
  format.copy(bytes);
  bytes.writeUInt32LE(
    parts.reduce((sum, part) => crc32(part, sum), 0),
    8,
  );
  return bytes;
}

async function readFactsFile(file: string): Promise<FactStore> {
  const empty = new FactStore();
  const bytes = await readFile(file).catch(() => undefined);
  if (!bytes || bytes.length < 16 || !bytes.subarray(0, 8).equals(format)) return empty;
  const body = bytes.subarray(16);
  if (body.length % 4 !== 0 || crc32(body) !== bytes.readUInt32LE(8)) return empty;
  const facts = new FactStore();
  try {
    facts.restore(new Int32Array(body.buffer, body.byteOffset, body.length / 4));
  } catch {
    return empty;
  }
  return facts;
}

async function readCommitsFile(file: string): Promise<Map<string, readonly string[]>> {
  try {
    const entries: unknown = JSON.parse(await readFile(file, "utf8"));
    if (!Array.isArray(entries)) return new Map();
    return new Map(entries as [string, readonly string[]][]);
  } catch {
    return new Map();
  }
}

async function replaceFile(file: string, parts: readonly Buffer[]): Promise<void> {
  const temporary = `${file}.${process.pid}.${crypto.randomUUID()}`;
  try {
    await writeFile(temporary, parts);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
