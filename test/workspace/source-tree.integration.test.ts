import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { gitEnvironment } from "../../src/workspace/git-environment.ts";
import { openSourceTree } from "../../src/workspace/source-tree.ts";
import { TestRepository } from "../agent/context/repository.ts";

let repository: TestRepository;

beforeEach(() => {
  repository = new TestRepository();
});

afterEach(() => {
  repository[Symbol.dispose]();
});

const bounds = { maxCommits: 100, timeoutMilliseconds: 10_000 };

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

async function contents(gitDir: string, commit: string, blobShas: Iterable<string>): Promise<string[]> {
  const found: string[] = [];
  for await (const { content } of openSourceTree(gitDir, commit).readBlobs(blobShas))
    found.push(content.toString("utf8"));
  return found;
}

function clone(name: string, ...args: string[]): string {
  const gitDir = join(repository.directory, name);
  repository.git("config", "uploadpack.allowFilter", "true");
  const env = gitEnvironment([["protocol.file.allow", "always"]]);
  execFileSync("git", ["clone", "--quiet", "--bare", ...args, `file://${repository.work}`, gitDir], { env });
  return gitDir;
}

test("openSourceTree lists every entry with name, mode, blob and size", async () => {
  repository.link("link", "a.txt");
  const commit = repository.commit("first", { "a.txt": "four", "dir with space/ü\n\tname.ts": "x", empty: "" });
  const files = await openSourceTree(repository.gitDir, commit).files();
  expect(files.map(({ path, mode, sizeBytes }) => [path, mode, sizeBytes])).toEqual([
    ["a.txt", "100644", 4],
    ["dir with space/ü\n\tname.ts", "100644", 1],
    ["empty", "100644", 0],
    ["link", "120000", 5],
  ]);
  const names = await openSourceTree(repository.gitDir, commit).files({ withSizes: false });
  expect(names).toEqual(files.map((file) => ({ ...file, sizeBytes: 0 })));
});

test("openSourceTree lists for the others when one of those who asked at once aborts", async () => {
  const tree = openSourceTree(repository.gitDir, repository.commit("first", { "a.txt": "four" }));
  const controller = new AbortController();
  const stopped = tree.files({ signal: controller.signal });
  const other = tree.files();
  const reason = new Error("cancelled");
  controller.abort(reason);
  await expect(stopped).rejects.toBe(reason);
  expect(await other).toHaveLength(1);
  expect(await tree.files()).toHaveLength(1);
});

test("openSourceTree reads blobs in the order asked for, larger than a pipe's buffer, and leaves out missing ones", async () => {
  const large = "0123456789\n".repeat(100_000);
  const commit = repository.commit("first", { large, small: "small", empty: "" });
  const files = await openSourceTree(repository.gitDir, commit).files();
  const sha = (path: string) => files.find((file) => file.path === path)!.blobSha;
  const asked = [sha("small"), "1".repeat(40), sha("large"), sha("empty"), sha("small")];
  expect(await contents(repository.gitDir, commit, asked)).toEqual(["small", large, "", "small"]);
});

test("openSourceTree reads blobs no further than they are wanted", async () => {
  const commit = repository.commit("first", { a: "a".repeat(300_000), b: "b".repeat(300_000) });
  const tree = openSourceTree(repository.gitDir, commit);
  const shas = (await tree.files()).map(({ blobSha }) => blobSha);
  for await (const { content } of tree.readBlobs(shas)) {
    expect(content.length).toBe(300_000);
    break;
  }
});

test("openSourceTree fails when the names of blobs cannot be had", async () => {
  const commit = repository.commit("first", { a: "a" });
  const names = (async function* () {
    yield "1".repeat(40);
    throw new Error("no more names");
  })();
  const reading = collect(openSourceTree(repository.gitDir, commit).readBlobs(names));
  await expect(reading).rejects.toThrow("no more names");
});

test("openSourceTree tells history newest first, without merges and later commits, a rename under both names", async () => {
  const first = repository.commit("first", { "a.ts": "a", "b.ts": "b" });
  repository.git("checkout", "--quiet", "-b", "side");
  const side = repository.commit("on the side\n\nwith a body", { "c.ts": "c" });
  repository.git("checkout", "--quiet", "-");
  const renamed = repository.commit("renamed", { "a.ts": undefined, "z.ts": "a" });
  repository.git("merge", "--quiet", "--no-edit", "side");
  const merge = repository.git("rev-parse", "HEAD");
  repository.commit("later", { "later.ts": "" });
  const history = await openSourceTree(repository.gitDir, merge).history(bounds);
  expect(history.map(({ sha, files }) => [sha, files])).toEqual([
    [renamed, ["a.ts", "z.ts"]],
    [side, ["c.ts"]],
    [first, ["a.ts", "b.ts"]],
  ]);
  expect(history[1]!.message).toBe("on the side\n\nwith a body\n");
  expect(history[1]!.atSeconds).toBe(1_700_000_120);
});

test("openSourceTree keeps history within its bounds and takes known files from the caller", async () => {
  repository.commit("first", { a: "1" });
  const second = repository.commit("second", { a: "2" });
  const third = repository.commit("empty");
  const tree = openSourceTree(repository.gitDir, third);
  const history = await tree.history({ ...bounds, maxCommits: 2, known: new Map([[second, ["told"]]]) });
  expect(history.map(({ sha, files }) => [sha, files])).toEqual([
    [third, []],
    [second, ["told"]],
  ]);
});

test("openSourceTree stops history when its signal is aborted", async () => {
  const commit = repository.commit("first", { a: "1" });
  const reading = openSourceTree(repository.gitDir, commit).history({
    ...bounds,
    signal: AbortSignal.abort(new Error("cancelled")),
  });
  await expect(reading).rejects.toThrow("cancelled");
});

test("openSourceTree reads what a shallow clone has", async () => {
  repository.commit("first", { a: "1" });
  const second = repository.commit("second", { a: "2" });
  const gitDir = clone("shallow.git", "--depth", "1");
  const history = await openSourceTree(gitDir, second).history(bounds);
  expect(history.map(({ sha }) => sha)).toEqual([second]);
});

test("openSourceTree fetches nothing into a blobless clone", async () => {
  repository.commit("first", { a: "old" });
  const second = repository.commit("second", { a: "new", b: "b" });
  const gitDir = clone("blobless.git", "--filter=blob:none");
  const tree = openSourceTree(gitDir, second);
  const shas = (await tree.files({ withSizes: false })).map(({ blobSha }) => blobSha);
  expect(shas).toHaveLength(2);
  expect(await collect(tree.sizes(shas))).toEqual([]);
  await expect(contents(gitDir, second, shas)).rejects.toThrow("lazy fetching disabled");
  expect((await tree.history(bounds)).map(({ files }) => files)).toEqual([["a", "b"], ["a"]]);
});

test("openSourceTree runs no program that the repository's configuration names", async () => {
  const commit = repository.commit("first", { "a.txt": "a", ".gitattributes": "* diff=evil filter=evil\n" });
  const proof = join(repository.directory, "executed");
  const script = join(repository.directory, "evil.sh");
  repository.write("../evil.sh", `#!/bin/sh\ntouch ${proof}\n`);
  execFileSync("chmod", ["+x", script]);
  for (const key of ["core.fsmonitor", "diff.external", "diff.evil.textconv", "filter.evil.smudge", "core.pager"]) {
    repository.git("config", key, script);
  }
  const tree = openSourceTree(repository.gitDir, commit);
  const files = await tree.files();
  await contents(
    repository.gitDir,
    commit,
    files.map(({ blobSha }) => blobSha),
  );
  await tree.history(bounds);
  expect(existsSync(proof)).toBe(false);
});

test("openSourceTree says which commit it cannot read", async () => {
  repository.commit("first", { a: "1" });
  expect(() => openSourceTree(repository.gitDir, "main")).toThrow("the commit must be a full object name, but is main");
  const unknown = openSourceTree(repository.gitDir, "1".repeat(40));
  await expect(unknown.files()).rejects.toThrow(/Cannot read .*: git ls-tree ended with 128/);
  await expect(unknown.history(bounds)).rejects.toThrow(/git log ended with 128/);
});
