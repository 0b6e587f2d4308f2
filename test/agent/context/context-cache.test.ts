import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { forgetContexts, loadContext, saveContext } from "../../../src/agent/context/context-cache.ts";
import { FactStore } from "../../../src/agent/context/fact-store.ts";
import { readFacts } from "../../../src/agent/context/file-facts.ts";

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "millwright-context-cache-"));
});

afterEach(async () => {
  forgetContexts();
  await rm(directory, { recursive: true, force: true });
});

const shaOf = (number: number) => number.toString(16).padStart(40, "0");

function storeOf(count: number): FactStore {
  const facts = new FactStore();
  for (let number = 1; number <= count; number++) {
    facts.add(shaOf(number), readFacts(Buffer.from(`import "./a${number}";\nfunction name${number}() {}`)));
  }
  return facts;
}

const plain = (facts: FactStore, sha: string) => {
  const one = facts.get(sha)!;
  return {
    ...one,
    words: [...one.words],
    counts: [...one.counts],
    definitions: [...one.definitions],
    imports: [...one.imports],
  };
};

test("loadContext gives what saveContext wrote, in a new process too", async () => {
  const facts = storeOf(3);
  const longName = "ab".repeat(32);
  facts.add(longName, readFacts(Buffer.from("binary\0")));
  await saveContext(directory, { facts, commitFiles: new Map([["c", ["a.ts", "b.ts"]]]) });
  forgetContexts();
  const loaded = await loadContext(directory);
  expect([...loaded.facts.keys()]).toEqual([...facts.keys()]);
  for (const sha of facts.keys()) expect(plain(loaded.facts, sha)).toEqual(plain(facts, sha));
  expect([...loaded.commitFiles]).toEqual([["c", ["a.ts", "b.ts"]]]);
  expect((await readdir(directory)).sort()).toEqual(["commits.json", "facts.bin"]);
});

test("loadContext takes a missing directory for an empty context", async () => {
  const loaded = await loadContext(join(directory, "none"));
  expect([loaded.facts.size, loaded.commitFiles.size]).toEqual([0, 0]);
});

test.each([
  ["cut short", (bytes: Buffer) => bytes.subarray(0, bytes.length - 4)],
  ["of another version", (bytes: Buffer) => Buffer.concat([Buffer.from("MWCTX000"), bytes.subarray(8)])],
  ["with a bit changed", (bytes: Buffer) => Buffer.concat([bytes.subarray(0, -1), Buffer.from([bytes.at(-1)! ^ 1])])],
  ["empty", () => Buffer.alloc(0)],
])("loadContext takes a file %s for an empty context", async (_, damage) => {
  await saveContext(directory, { facts: storeOf(3), commitFiles: new Map() });
  forgetContexts();
  const file = join(directory, "facts.bin");
  await writeFile(file, damage(await readFile(file)));
  await writeFile(join(directory, "commits.json"), "{");
  const loaded = await loadContext(directory);
  expect([loaded.facts.size, loaded.commitFiles.size]).toEqual([0, 0]);
});

test("saveContext keeps the contexts used last in memory, up to its limit", async () => {
  const big = () => {
    const facts = new FactStore();
    const words = new Int32Array(800_000);
    const record = { ...readFacts(Buffer.from("")), words, counts: new Uint8Array(words.length) };
    for (let number = 0; facts.bytes < 22 * 1024 * 1024; number++) facts.add(shaOf(number), record);
    return { facts, commitFiles: new Map() };
  };
  const contexts = [big(), big(), big()];
  const directories = contexts.map((_, index) => join(directory, String(index)));
  for (const [index, context] of contexts.entries()) await saveContext(directories[index]!, context);
  expect(await loadContext(directories[2])).toBe(contexts[2]);
  expect(await loadContext(directories[1])).toBe(contexts[1]);
  expect(await loadContext(directories[0])).not.toBe(contexts[0]);
});

test("FactStore keeps only the blobs asked for", () => {
  const facts = storeOf(5);
  const kept = facts.only([shaOf(2), shaOf(4), shaOf(9), shaOf(2)]);
  expect([...kept.keys()]).toEqual([shaOf(2), shaOf(4)]);
  expect(plain(kept, shaOf(4))).toEqual(plain(facts, shaOf(4)));
});
