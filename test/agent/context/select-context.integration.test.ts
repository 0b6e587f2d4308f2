import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { forgetContexts } from "../../../src/agent/context/context-cache.ts";
import { rankFiles } from "../../../src/agent/context/rank-files.ts";
import { selectContext } from "../../../src/agent/context/select-context.ts";
import { openSourceTree, type SourceTree } from "../../../src/workspace/source-tree.ts";
import { TestRepository } from "./repository.ts";

let repository: TestRepository;
let start: string;

const files = {
  "src/server/body-parser.ts":
    'import { limits } from "../config/limits.ts";\nexport function parseBody(request) {\n  return read(request, limits.body);\n}\n',
  "src/server/router.ts":
    'import { parseBody } from "./body-parser.ts";\nexport function route(request) {\n  return parseBody(request);\n}\n',
  "src/server/cookie.ts": "export function readCookie(header) {\n  return header.split(';');\n}\n",
  "src/config/limits.ts": "export const limits = { body: 1000 };\n",
  "src/log/format.ts": "export function formatLine(level, text) {\n  return level + text;\n}\n",
  "test/server/body-parser.test.ts": "parseBody({});\n",
  "docs/body.md": "parseBody parses the body of a request. parseBody parseBody\n",
  "logo.png": Buffer.from("PNG\0"),
};

beforeEach(() => {
  repository = new TestRepository();
  start = repository.commit("begin", files);
});

afterEach(() => {
  forgetContexts();
  repository[Symbol.dispose]();
});

const tree = (commit: string) => openSourceTree(repository.gitDir, commit);
const paths = (ranked: readonly { path: string }[]) => ranked.map(({ path }) => path);

/** Counts what is read of a tree. */
function watched(commit: string): { tree: SourceTree; blobs: string[] } {
  const blobs: string[] = [];
  const original = tree(commit);
  const readBlobs: SourceTree["readBlobs"] = async function* (...args) {
    for await (const blob of original.readBlobs(...args)) {
      blobs.push(blob.content.toString("utf8"));
      yield blob;
    }
  };
  return { tree: { ...original, readBlobs }, blobs };
}

test("selectContext ranks the file that defines what the issue names first, before the docs that repeat it", async () => {
  const ranked = await selectContext({
    tree: tree(start),
    issue: { title: "parseBody loses the last byte", body: "" },
  });
  expect(ranked[0]).toMatchObject({
    path: "src/server/body-parser.ts",
    kind: "source",
    words: expect.arrayContaining(["parseBody"]),
  });
  expect(ranked[0]!.reasons).toContain("defines what the issue names");
  expect(paths(ranked)).toContain("docs/body.md");
});

test("selectContext finds a file that is named by a path or in a stack trace", async () => {
  const body =
    "It throws:\n\n    TypeError: level is undefined\n        at Object.<anonymous> (/app/node_modules/x/src/log/format.ts:2:10)\n";
  const ranked = await selectContext({ tree: tree(start), issue: { title: "Crash on start", body } });
  expect(ranked[0]).toMatchObject({ path: "src/log/format.ts" });
  expect(ranked[0]!.reasons).toContain("named in the issue");
});

test("selectContext reads the comments too", async () => {
  const issue = { title: "It is broken", body: "", comments: ["I think it is readCookie"] };
  expect(paths(await selectContext({ tree: tree(start), issue }))[0]).toBe("src/server/cookie.ts");
});

test("selectContext finds what earlier commits with the issue's words changed", async () => {
  const commit = repository.commit("fix: session expires at midnight", {
    "src/server/cookie.ts": `${files["src/server/cookie.ts"]}// 2\n`,
  });
  const ranked = await selectContext({ tree: tree(commit), issue: { title: "Session expires too early", body: "" } });
  expect(ranked[0]!.path).toBe("src/server/cookie.ts");
  expect(ranked[0]!.reasons.join()).toContain('"fix: session expires at midnight"');
});

test("selectContext knows nothing of commits that come later", async () => {
  const issue = { title: "Session expires too early", body: "" };
  const before = await selectContext({ tree: tree(start), issue, cacheDirectory: join(repository.directory, "cache") });
  const later = repository.commit("fix: session expires at midnight", {
    "src/server/cookie.ts": "// session expires\n",
  });
  await selectContext({ tree: tree(later), issue, cacheDirectory: join(repository.directory, "cache") });
  const again = await selectContext({ tree: tree(start), issue, cacheDirectory: join(repository.directory, "cache") });
  expect(again).toEqual(before);
});

test("selectContext brings the tests and the neighbours of what it found", async () => {
  const ranked = await selectContext({
    tree: tree(start),
    issue: { title: "parseBody loses the last byte", body: "" },
  });
  expect(ranked[0]!.tests).toEqual(["test/server/body-parser.test.ts"]);
  const found = ranked.find(({ path }) => path === "src/config/limits.ts");
  expect(found?.reasons).toContain("one import away from files above");
});

test("selectContext lifts a test that no word of the issue leads to", async () => {
  const commit = repository.commit("tests", { "test/server/cookie.test.ts": "check();\n" });
  const ranked = await selectContext({
    tree: tree(commit),
    issue: { title: "readCookie drops the last header", body: "" },
  });
  expect(ranked.find(({ path }) => path === "test/server/cookie.test.ts")?.reasons[0]).toBe(
    "tests src/server/cookie.ts",
  );
});

test("rankFiles gives the same with a cache, from disk, and without one", async () => {
  const request = { issue: { title: "parseBody loses the last byte", body: "see router" } };
  const cacheDirectory = join(repository.directory, "cache");
  const without = await rankFiles(tree(start), request);
  expect(await rankFiles(tree(start), { ...request, cacheDirectory })).toEqual(without);
  forgetContexts();
  const unread = watched(start);
  expect(await rankFiles(unread.tree, { ...request, cacheDirectory })).toEqual(without);
  expect(unread.blobs).toEqual([]);
});

test("rankFiles reads only the blobs that a new commit brought", async () => {
  const cacheDirectory = join(repository.directory, "cache");
  const issue = { title: "parseBody", body: "" };
  await rankFiles(tree(start), { issue, cacheDirectory });
  const commit = repository.commit("new", { "src/new.ts": "export const brandNew = 1;\n" });
  const unread = watched(commit);
  await rankFiles(unread.tree, { issue, cacheDirectory });
  expect(unread.blobs).toEqual(["export const brandNew = 1;\n"]);
});

test("selectContext gives at most as many files as asked for, in falling order", async () => {
  const issue = { title: "parseBody request limits", body: "" };
  const all = await selectContext({ tree: tree(start), issue });
  expect(all.map(({ score }) => score)).toEqual(all.map(({ score }) => score).sort((a, b) => b - a));
  expect(paths(await selectContext({ tree: tree(start), issue, limit: 2 }))).toEqual(paths(all).slice(0, 2));
});

test("selectContext leaves out links and submodules", async () => {
  repository.link("src/parse-body-link.ts", "server/body-parser.ts");
  repository.git("update-index", "--add", "--cacheinfo", `160000,${start},parseBody`);
  repository.git("commit", "--quiet", "--allow-empty", "--message", "odd entries");
  repository.git("add", "src/parse-body-link.ts");
  repository.git("commit", "--quiet", "--message", "a link");
  const ranked = await selectContext({
    tree: tree(repository.git("rev-parse", "HEAD")),
    issue: { title: "parseBody link", body: "" },
  });
  expect(paths(ranked)).not.toContain("parseBody");
  expect(paths(ranked)).not.toContain("src/parse-body-link.ts");
  expect(paths(ranked)).toContain("src/server/body-parser.ts");
});

test("selectContext does not start when its signal is aborted already", async () => {
  const reason = new Error("cancelled");
  const running = selectContext({
    tree: tree(start),
    issue: { title: "parseBody", body: "" },
    signal: AbortSignal.abort(reason),
  });
  await expect(running).rejects.toBe(reason);
});

test("rankFiles puts what the program does before what maintains the repository", async () => {
  const text = "export function publishRelease(version) {\n  return upload(version);\n}\n";
  const commit = repository.commit("release", { "scripts/publish.ts": text, "src/server/publish.ts": text });
  const ranked = await rankFiles(tree(commit), { issue: { title: "publishRelease uploads twice", body: "" } });
  expect(paths(ranked).slice(0, 2)).toEqual(["src/server/publish.ts", "scripts/publish.ts"]);
});

test("selectContext stops when its signal is aborted, and others go on", async () => {
  const controller = new AbortController();
  const issue = { title: "parseBody", body: "" };
  const stopped = selectContext({ tree: tree(start), issue, signal: controller.signal });
  const other = selectContext({ tree: tree(start), issue });
  const reason = new Error("cancelled");
  controller.abort(reason);
  await expect(stopped).rejects.toBe(reason);
  expect(paths(await other)).toContain("src/server/body-parser.ts");
});

test("rankFiles stops reading when its signal is aborted", async () => {
  const controller = new AbortController();
  const original = tree(start);
  const readBlobs: SourceTree["readBlobs"] = async function* (...args) {
    for await (const blob of original.readBlobs(...args)) {
      controller.abort(new Error("cancelled"));
      yield blob;
    }
  };
  const issue = { title: "parseBody", body: "" };
  await expect(rankFiles({ ...original, readBlobs }, { issue }, controller.signal)).rejects.toThrow();
});

test("selectContext says in git's words what it cannot read, and selects again after it", async () => {
  const issue = { title: "parseBody", body: "" };
  await expect(selectContext({ tree: tree("0".repeat(40)), issue })).rejects.toThrow(/Cannot read .*: git /);
  expect(paths(await selectContext({ tree: tree(start), issue }))).toContain("src/server/body-parser.ts");
});

test("selectContext answers for a tree without any file", async () => {
  const commit = repository.commit("empty", Object.fromEntries(Object.keys(files).map((path) => [path, undefined])));
  expect(await selectContext({ tree: tree(commit), issue: { title: "parseBody", body: "" } })).toEqual([]);
});

test("selectContext ranks the one file that defines a name first among thousands, and leaves this thread free", async () => {
  const words = Array.from({ length: 40 }, (_, index) => `topic${index}`);
  const many = Object.fromEntries(
    Array.from({ length: 2500 }, (_, index) => [`lib/part${index}.ts`, `// ${index}\n${words.join("\n")}\n`]),
  );
  const commit = repository.commit("many", {
    ...many,
    "lib/zebra.ts": `${words.join("\n")}\nexport function drainQueue() {}\n`,
  });
  const [all, here] = [process.cpuUsage(), process.threadCpuUsage()];
  const ranked = await selectContext({ tree: tree(commit), issue: { title: "drainQueue", body: words.join(" ") } });
  const [allUsed, hereUsed] = [process.cpuUsage(all), process.threadCpuUsage(here)];
  expect(ranked[0]!.path).toBe("lib/zebra.ts");
  expect(hereUsed.user).toBeLessThan(allUsed.user / 4);
});
