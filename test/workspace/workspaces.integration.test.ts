import { execFile } from "node:child_process";
import {
  access,
  chmod,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { UserFacingError } from "../../src/pipeline/step.ts";
import { credential, makeWorld, own, person, plainGit, type World } from "./world.ts";

let world: World;
beforeEach(async () => {
  world = await makeWorld();
});
afterEach(() => world.end());

test("fetch returns the commits of branches, full names and object names, and undefined for what is not there", async () => {
  const sha = await world.upstream("rev-parse", "HEAD");
  const refs = ["main", "refs/heads/main", "HEAD", sha, "gone"];
  const found = await world.workspaces.fetch(own, refs, credential, world.signal);
  expect(found).toEqual({ main: sha, "refs/heads/main": sha, HEAD: sha, [sha]: sha, gone: undefined });
});

test("fetch finds nothing in a repository without commits", async () => {
  await plainGit(world.directory, "init", "--quiet", "--bare", "served/octo/empty.git");
  const empty = { ...own, repositoryId: 43, repo: "empty" };
  expect(await world.workspaces.fetch(empty, ["main", "HEAD"], credential, world.signal)).toEqual({
    main: undefined,
    HEAD: undefined,
  });
});

test("fetch asks for objects only when a commit is new", async () => {
  await world.workspaces.fetch(own, ["main"], credential, world.signal);
  await world.workspaces
    .source(own, await world.upstream("rev-parse", "HEAD"))
    .then((source) => source.history({ maxCommits: 1, timeoutMilliseconds: 5_000 }));
  const posts = () => world.server.requests.filter((line) => line.startsWith("POST")).length;
  const before = posts();
  await world.workspaces.fetch(own, ["main"], credential, world.signal);
  const listing = posts() - before;
  const sha = await world.commitUpstream({ "src/a.txt": "changed\n" });
  const found = await world.workspaces.fetch(own, ["main"], credential, world.signal);
  expect(found["main"]).toBe(sha);
  expect(listing).toBe(1);
  expect(await world.workspaces.readFile(own, sha, "src/a.txt")).toBe("changed\n");
});

test("fetch refuses a name that git would take for something else", async () => {
  for (const ref of ["--upload-pack=touch", "a..b", "a b", "a:b", ""]) {
    await expect(world.workspaces.fetch(own, [ref], credential, world.signal)).rejects.toThrow(
      /not the name of a branch/,
    );
  }
});

test("fetch gives people a sentence for a wrong token, a missing repository and a full disk", async () => {
  const wrong = world.workspaces.fetch(own, ["main"], async () => "wrong", world.signal);
  await expect(wrong).rejects.toThrow("GitHub does not let this App read octo/sample.");
  await expect(wrong).rejects.toBeInstanceOf(UserFacingError);
  const missing = world.workspaces.fetch({ ...own, repo: "nothing" }, ["main"], credential, world.signal);
  await expect(missing).rejects.toThrow("octo/nothing was not found on the git server.");
  const full = world
    .more({ diskWatermarkBytes: Number.MAX_SAFE_INTEGER })
    .fetch(own, ["main"], credential, world.signal);
  await expect(full).rejects.toThrow(/disk is nearly full \([\d,]+ MB free, [\d,]+ MB needed\)/);
  await expect(full).rejects.toMatchObject({ transient: true });
});

test("open refuses a new tree above the disk watermark but keeps one that is there", async () => {
  const job = await world.openMain();
  const full = world.more({ diskWatermarkBytes: Number.MAX_SAFE_INTEGER });
  const commit = { baseSha: job.baseSha, sha: job.baseSha };
  await expect(full.open(own, "run-2", commit, world.signal)).rejects.toThrow(/disk is nearly full/);
  expect((await full.open(own, "run-1", commit, world.signal)).tree).toBe(job.tree);
});

test("makeRoom removes what can be had again while little is free, and nothing else", async () => {
  const job = await world.openMain();
  await world.workspaces.settled();
  await world.workspaces.makeRoom();
  expect(await readFile(join(job.tree, "README.md"), "utf8")).toBe("# Sample\n");
  await world.more({ diskWatermarkBytes: Number.MAX_SAFE_INTEGER }).makeRoom();
  expect(await readdir(world.dataDirectory)).not.toContain("jobs");
  const again = await world.openMain();
  expect(await readFile(join(again.tree, "README.md"), "utf8")).toBe("# Sample\n");
});

test("fetch and open refuse a repository that is larger than allowed, packed or unpacked", async () => {
  const noise = Array.from({ length: 40_000 }, () => Math.random().toString(36)).join("");
  await world.commitUpstream({ "noise.txt": noise });
  const packed = world.more({ maxRepositoryBytes: 100_000 }).fetch(own, ["main"], credential, world.signal);
  await expect(packed).rejects.toThrow(/octo\/sample is larger than the 0 MB that this installation works on/);
  const sha = await world.commitUpstream({ "noise.txt": "0".repeat(3_000_000) });
  const small = world.more({ maxRepositoryBytes: 1_000_000, dataDirectory: join(world.directory, "other") });
  await small.fetch(own, ["main"], credential, world.signal);
  await expect(small.open(own, "run", { baseSha: sha, sha }, world.signal)).rejects.toThrow(/larger than the 1 MB/);
});

test("facts counts files and bytes and names LFS files", async () => {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"a".repeat(64)}\nsize 12345\n`;
  const sha = await world.commitUpstream({
    ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
    "big.bin": pointer,
    "docs/spec.md": "version https\n",
  });
  await world.workspaces.fetch(own, ["main"], credential, world.signal);
  const facts = await world.workspaces.facts(own, sha);
  expect(facts).toEqual({
    baseSha: sha,
    empty: false,
    files: 5,
    bytes: expect.any(Number),
    submodules: [],
    lfs: ["big.bin"],
  });
  expect(facts.bytes).toBe(9 + 14 + 42 + pointer.length + 14);
});

test("open makes a tree without .git, finds it again, and puts it right when something changed it", async () => {
  const job = await world.openMain();
  expect((await readdir(job.tree)).toSorted()).toEqual(["README.md", "src"]);
  const before = await stat(join(job.tree, "README.md"));
  await writeFile(join(job.temporary, "mine"), "x");
  const again = await world.openMain();
  const after = await stat(join(again.tree, "README.md"));
  expect(after.ino).toBe(before.ino);
  expect(await readFile(join(again.temporary, "mine"), "utf8")).toBe("x");
  await writeFile(join(job.tree, "README.md"), "spoilt");
  await writeFile(join(job.tree, "left-over"), "spoilt");
  const clean = await world.openMain();
  expect(await clean.dirty()).toEqual([]);
  expect(await readdir(clean.tree)).not.toContain("left-over");
});

test("open makes a half-made tree and a tree with a killed git's locks again", async () => {
  const job = await world.openMain();
  await writeFile(join(job.tree, "..", "git", "index.lock"), "");
  await writeFile(join(job.tree, "README.md"), "spoilt");
  expect(await (await world.openMain()).dirty()).toEqual([]);
  await rm(join(job.tree, "..", "job.json"));
  await rm(join(job.tree, "..", "git", "index"));
  expect(await (await world.openMain()).dirty()).toEqual([]);
  await writeFile(join(job.tree, "..", "git", "index"), "no index at all");
  expect(await (await world.openMain()).dirty()).toEqual([]);
});

test("open says which commit is not on this disk", async () => {
  const job = await world.openMain();
  const sha = "1".repeat(40);
  const opened = world.workspaces.open(own, "run-2", { baseSha: job.baseSha, sha }, world.signal);
  await expect(opened).rejects.toThrow(
    `Cannot open ${sha} of octo/sample: it is not on this disk, and there is no bundle`,
  );
});

test("open serves ten jobs at once, each with a tree of its own", async () => {
  const { main } = await world.workspaces.fetch(own, ["main"], credential, world.signal);
  const commit = { baseSha: main!, sha: main! };
  const jobs = await Promise.all(
    Array.from({ length: 10 }, (_, at) => world.workspaces.open(own, `run-${at}`, commit, world.signal)),
  );
  await Promise.all(jobs.map((job, at) => writeFile(join(job.tree, "mine.txt"), `job ${at}`)));
  const shas = await Promise.all(jobs.map((job) => job.commit("mine", person, person)));
  expect(new Set(shas).size).toBe(10);
  expect(await jobs[3]!.readFile(shas[3]!, "mine.txt")).toBe("job 3");
});

test("fetch serves many callers at once, in two processes' worth of workspaces", async () => {
  const sha = await world.upstream("rev-parse", "HEAD");
  const other = world.more();
  const calls = Array.from({ length: 10 }, (_, at) =>
    (at % 2 === 0 ? world.workspaces : other).fetch(own, ["main"], credential, world.signal),
  );
  expect((await Promise.all(calls)).map((found) => found["main"])).toEqual(Array(10).fill(sha));
  expect(world.warnings).toEqual([]);
});

test("fetch stops when its signal aborts, and the next one works", async () => {
  const reason = new Error("cancelled");
  const controller = new AbortController();
  const fetching = world.workspaces.fetch(own, ["main"], credential, controller.signal);
  controller.abort(reason);
  await expect(fetching).rejects.toBe(reason);
  expect((await world.workspaces.fetch(own, ["main"], credential, world.signal))["main"]).toMatch(/^[0-9a-f]{40}$/);
});

test("fetch makes a damaged mirror anew", async () => {
  await world.openMain();
  const mirror = join(world.dataDirectory, "mirrors", "7", "42", "own");
  await writeFile(join(mirror, "tree.git", "shallow"), "not a commit\n");
  const sha = await world.commitUpstream({ "src/b.txt": "new\n" });
  await world.workspaces.fetch(own, ["main"], credential, world.signal);
  expect(await world.workspaces.readFile(own, sha, "src/b.txt")).toBe("new\n");
  expect(world.warnings.length).toBe(1);
});

test("open with a credential fetches a mirror anew whose objects are damaged", async () => {
  const { main } = await world.workspaces.fetch(own, ["main"], credential, world.signal);
  const packs = join(world.dataDirectory, "mirrors", "7", "42", "own", "tree.git", "objects", "pack");
  for (const name of await readdir(packs)) {
    await chmod(join(packs, name), 0o644);
    await truncate(join(packs, name), 40);
  }
  const commit = { baseSha: main!, sha: main! };
  await expect(world.workspaces.open(own, "run", commit, world.signal)).rejects.toThrow();
  const job = await world.workspaces.open(own, "run", { ...commit, credential }, world.signal);
  expect(await readFile(join(job.tree, "src/a.txt"), "utf8")).toBe("one\ntwo\nthree\n");
});

test("source sees the history that came beside the shallow tree", async () => {
  await world.commitUpstream({ "src/b.txt": "b\n" });
  const sha = await world.commitUpstream({ "src/c.txt": "c\n" });
  const job = await world.openMain();
  const bounds = { maxCommits: 10, timeoutMilliseconds: 10_000 };
  const history = await (await world.workspaces.source(own, sha)).history(bounds);
  expect(history.map((commit) => commit.files)).toEqual([["src/c.txt"], ["src/b.txt"], ["README.md", "src/a.txt"]]);
  await writeFile(join(job.tree, "src/d.txt"), "d\n");
  const mine = await job.commit("mine", person, person);
  const after = await (await job.source(mine!)).history(bounds);
  expect(after.map((commit) => commit.files[0])).toEqual(["src/d.txt", "src/c.txt", "src/b.txt", "README.md"]);
});

test("commit returns undefined when nothing changed and keeps message, people, modes, links and odd names", async () => {
  const job = await world.openMain();
  expect(await job.commit("nothing", person, person)).toBeUndefined();
  const names = [
    "new\nline.txt",
    "-leading",
    "Case.txt",
    "case.txt",
    "ünï ☃.txt",
    'quote".txt',
    "[glob]*?.txt",
    ":(top)magic",
    "tab\t.txt",
    " spaces ",
  ];
  for (const name of names) await writeFile(join(job.tree, name), name);
  await writeFile(join(job.tree, "run.sh"), "#!/bin/sh\n", { mode: 0o755 });
  await symlink("/etc/passwd", join(job.tree, "link"));
  expect((await job.dirty()).toSorted()).toEqual([...names, "run.sh", "link"].toSorted());
  const sha = await job.commit("# a title\n\nbody\n\n\nend", person, { name: "Com Mitter", email: "c@example.com" });
  expect(await job.head()).toBe(sha);
  expect(await job.dirty()).toEqual([]);
  const changes = await job.changes(job.baseSha, sha!);
  expect(changes.map(({ path }) => path).toSorted()).toEqual([...names, "run.sh", "link"].toSorted());
  expect(changes.find(({ path }) => path === "new\nline.txt")).toMatchObject({
    status: "added",
    kind: "file",
    newMode: "100644",
    newText: "new\nline.txt",
  });
  expect(changes.find(({ path }) => path === "run.sh")?.newMode).toBe("100755");
  expect(changes.find(({ path }) => path === "link")).toEqual({
    path: "link",
    status: "added",
    kind: "symlink",
    newMode: "120000",
    sizeBytes: 11,
    symlinkTarget: "/etc/passwd",
  });
  expect(await job.readFile(sha!, ":(top)magic")).toBe(":(top)magic");
  expect(await job.readFile(sha!, "link")).toBeUndefined();
  expect(await job.readFile(sha!, "missing")).toBeUndefined();
  const pushed = await job.squash(
    job.baseSha,
    "# a title\n\nbody",
    person,
    person,
    [],
    new Date("2026-01-02T03:04:05Z"),
  );
  expect(await world.push(job, "millwright/x", pushed)).toEqual({ kind: "pushed" });
  await world.upstream("fetch", "--quiet", "origin", "millwright/x");
  expect(await world.upstream("log", "-1", "--format=%an|%ae|%cI|%B", "FETCH_HEAD")).toBe(
    "Test Person|person@example.com|2026-01-02T03:04:05+00:00|# a title\n\nbody",
  );
});

test("commit respects .gitignore and leaves out what is never committed", async () => {
  await world.commitUpstream({ ".gitignore": "*.log\n" });
  const { main } = await world.workspaces.fetch(own, ["main"], credential, world.signal);
  const neverCommit = ["node_modules", "odd [name]*"];
  const job = await world.workspaces.open(own, "run", { baseSha: main!, sha: main!, neverCommit }, world.signal);
  for (const path of [
    "node_modules/a/index.js",
    "odd [name]*/x",
    "out.log",
    "odd n1/kept",
    "sub/node_modules/kept.js",
  ]) {
    await mkdir(join(job.tree, path, ".."), { recursive: true });
    await writeFile(join(job.tree, path), "x");
  }
  const sha = await job.commit("mine", person, person);
  expect((await job.changes(main!, sha!)).map(({ path }) => path)).toEqual(["odd n1/kept", "sub/node_modules/kept.js"]);
  await job.reset(main!);
  expect(await readFile(join(job.tree, "node_modules/a/index.js"), "utf8")).toBe("x");
});

test("commit keeps submodules as they are, whatever happens in their directory", async () => {
  const head = await world.upstream("rev-parse", "HEAD");
  await mkdir(join(world.directory, "checkout", "lib"));
  await plainGit(join(world.directory, "checkout", "lib"), "init", "--quiet");
  await plainGit(join(world.directory, "checkout", "lib"), "commit", "--quiet", "--allow-empty", "--message", "lib");
  const base = await world.commitUpstream({ "x.txt": "x" });
  expect(head).not.toBe(base);
  const job = await world.openMain();
  expect((await world.workspaces.facts(own, base)).submodules).toEqual(["lib"]);
  await writeFile(join(job.tree, "lib", "planted.txt"), "x");
  expect(await job.commit("planted", person, person)).toBeUndefined();
  await rm(join(job.tree, "lib"), { recursive: true });
  await writeFile(join(job.tree, "x.txt"), "changed");
  const sha = await job.commit("removed", person, person);
  expect((await job.changes(base, sha!)).map(({ path }) => path)).toEqual(["x.txt"]);
});

test("changes detects renames and leaves out binary and over-large text", async () => {
  const lines = Array.from({ length: 50 }, (_, at) => `line ${at}`).join("\n");
  await world.commitUpstream({ "old/name.txt": lines });
  const job = await world.openMain();
  await mkdir(join(job.tree, "new"));
  await rename(join(job.tree, "old/name.txt"), join(job.tree, "new/name.txt"));
  await writeFile(join(job.tree, "binary"), Buffer.from([1, 0, 2]));
  await writeFile(join(job.tree, "large.txt"), "x".repeat(1_000_001));
  await rm(join(job.tree, "README.md"));
  const sha = await job.commit("mine", person, person);
  const byPath = Object.fromEntries((await job.changes(job.baseSha, sha!)).map((change) => [change.path, change]));
  expect(byPath["new/name.txt"]).toMatchObject({
    status: "renamed",
    previousPath: "old/name.txt",
    oldText: lines,
    newText: lines,
  });
  expect(byPath["binary"]).toEqual({ path: "binary", status: "added", kind: "file", newMode: "100644", sizeBytes: 3 });
  expect(byPath["large.txt"]).toEqual({
    path: "large.txt",
    status: "added",
    kind: "file",
    newMode: "100644",
    sizeBytes: 1_000_001,
  });
  expect(byPath["README.md"]).toEqual({
    path: "README.md",
    status: "deleted",
    kind: "file",
    oldMode: "100644",
    oldText: "# Sample\n",
    sizeBytes: 9,
  });
});

test("diff is cut at the end of a line", async () => {
  const job = await world.openMain();
  await writeFile(join(job.tree, "src/a.txt"), "one\n2\nthree\n");
  const sha = await job.commit("mine", person, person);
  const whole = await job.diff(job.baseSha, sha!, 10_000);
  expect(whole.truncated).toBe(false);
  expect(whole.text).toMatch(/^-two\n\+2$/m);
  const part = await job.diff(job.baseSha, sha!, 100);
  expect(part.truncated).toBe(true);
  expect(whole.text.startsWith(part.text) && part.text.endsWith("\n") && part.text.length > 0).toBe(true);
});

test("diff of two fetched commits needs no tree, follows a rename and names every file where it is cut", async () => {
  const text = Array.from({ length: 20 }, (_, line) => `line ${line}`).join("\n");
  const from = await world.commitUpstream({ "src/long.txt": `${text}\n` });
  const to = await world.commitUpstream({
    "src/long.txt": undefined,
    "src/renamed.txt": `${text}\nmore\n`,
    "z.txt": "new\n",
  });
  await world.workspaces.fetch(own, [from, to], credential, world.signal);
  const whole = await world.workspaces.diff(own, from, to, 10_000, world.signal);
  expect(whole).toMatchObject({ truncated: false, paths: ["src/renamed.txt", "z.txt"] });
  expect(whole.text).toMatch(/^rename from src\/long\.txt$/m);
  expect(whole.text).toMatch(/^\+more$/m);
  const part = await world.workspaces.diff(own, from, to, 120, world.signal);
  expect(part).toMatchObject({ truncated: true, paths: whole.paths });
  expect(part.text).not.toContain("z.txt");
});

test("squash makes the same commit again when it is given a date", async () => {
  const job = await world.openMain();
  await writeFile(join(job.tree, "src/a.txt"), "first\n");
  await job.commit("wip 1", person, person);
  await writeFile(join(job.tree, "src/a.txt"), "second\n");
  const head = await job.commit("wip 2", person, person);
  const date = new Date("2026-05-06T07:08:09Z");
  const sha = await job.squash(job.baseSha, "feat: one\n", person, person, [], date);
  expect(await job.squash(job.baseSha, "feat: one\n", person, person, [], date)).toBe(sha);
  expect(await job.head()).toBe(head);
  expect(await job.diff(head!, sha, 1_000)).toEqual({ text: "", truncated: false });
  expect(await world.push(job, "millwright/one", sha)).toEqual({ kind: "pushed" });
  await world.upstream("fetch", "--quiet", "origin", "millwright/one");
  expect(await world.upstream("rev-list", "--count", `${job.baseSha}..FETCH_HEAD`)).toBe("1");
});

test("push moves a branch only from the commit it is expected at", async () => {
  const job = await world.openMain();
  const shas: string[] = [];
  for (const text of ["1", "2", "3"]) {
    await writeFile(join(job.tree, "src/a.txt"), text);
    await job.commit(text, person, person);
    shas.push(await job.squash(job.baseSha, text, person, person));
  }
  const [first, second, third] = shas as [string, string, string];
  const branch = "millwright/issue-1-abc";
  expect(await world.push(job, branch, first)).toEqual({ kind: "pushed" });
  expect(await world.push(job, branch, first)).toEqual({ kind: "already-there" });
  expect(await world.push(job, branch, second)).toEqual({ kind: "moved", actualSha: first });
  expect(await world.push(job, branch, second, first)).toEqual({ kind: "pushed" });
  expect(await world.push(job, branch, third, first)).toEqual({ kind: "moved", actualSha: second });
  expect(await world.push(job, "millwright/gone", third, first)).toEqual({ kind: "moved", actualSha: undefined });
});

test("push throws outside of an effect, for no name of a branch, and where it would make or rewrite somebody's branch", async () => {
  const job = await world.openMain();
  await expect(job.push("millwright/x", job.baseSha, undefined, credential)).rejects.toThrow(
    "git push outside ctx.effect",
  );
  for (const branch of ["millwright/", "millwright/../main", "millwright/a b", "--force", "a.lock", "a@{1}"]) {
    await expect(world.push(job, branch, job.baseSha)).rejects.toThrow(/not a name/);
  }
  await expect(world.push(job, "xmillwright/a", job.baseSha)).rejects.toThrow(
    /only branches below millwright\/ are made/,
  );
  await writeFile(join(job.tree, "src/a.txt"), "mine");
  const sha = (await job.commit("mine", person, person)) ?? "";
  await expect(world.push(job, "feature", job.baseSha, sha)).rejects.toThrow(/only moved forward/);
});

test("push moves somebody's branch forward from where it is, and not when it is elsewhere", async () => {
  const job = await world.openMain();
  await world.push(job, "millwright/x", job.baseSha);
  await writeFile(join(job.tree, "src/a.txt"), "mine");
  const sha = (await job.commit("mine", person, person)) ?? "";
  expect(await world.push(job, "main", sha, job.baseSha)).toEqual({ kind: "pushed" });
  expect(await world.push(job, "main", sha, job.baseSha)).toEqual({ kind: "already-there" });
  await writeFile(join(job.tree, "src/a.txt"), "other");
  const other = (await job.squash(job.baseSha, "other", person, person)) ?? "";
  expect(await world.push(job, "main", other, job.baseSha)).toEqual({ kind: "moved", actualSha: sha });
});

test("push tells the server's words when it refuses", async () => {
  const hook = join(world.directory, "served/octo/sample.git/hooks/update");
  await writeFile(hook, "#!/bin/sh\necho 'GH006: Protected branch update failed.' >&2\nexit 1\n", { mode: 0o755 });
  const job = await world.openMain();
  await writeFile(join(job.tree, "src/a.txt"), "mine");
  const sha = await job.commit("mine", person, person);
  expect(await world.push(job, "millwright/x", sha!)).toEqual({
    kind: "refused",
    message: expect.stringContaining("GH006: Protected branch update failed."),
  });
});

test("push sends only what is new when the base branch has moved on", async () => {
  const noise = () => Array.from({ length: 40_000 }, () => Math.random().toString(36)).join("");
  await world.commitUpstream({ "noise.txt": noise() });
  const job = await world.openMain();
  await world.commitUpstream({ "noise.txt": noise() });
  await writeFile(join(job.tree, "src/a.txt"), "mine");
  const sha = await job.commit("mine", person, person);
  const before = world.server.received();
  expect(await world.push(job, "millwright/x", sha!)).toEqual({ kind: "pushed" });
  expect(world.server.received() - before).toBeLessThan(20_000);
});

test("merge merges, fast-forwards, knows when there is nothing to do, and marks conflicts", async () => {
  const job = await world.openMain();
  const { baseSha } = job;
  const away = await world.commitUpstream({ "src/b.txt": "theirs\n" });
  await world.workspaces.fetch(own, ["main"], credential, world.signal);
  expect(await job.merge(away)).toEqual({ kind: "merged", sha: away });
  expect(await job.merge(baseSha)).toEqual({ kind: "up-to-date" });

  await writeFile(join(job.tree, "src/mine.txt"), "mine\n");
  await job.commit("mine", person, person);
  const further = await world.commitUpstream({ "src/b.txt": "theirs again\n" });
  await world.workspaces.fetch(own, ["main"], credential, world.signal);
  const merged = await job.merge(further);
  expect(merged.kind).toBe("merged");
  expect(await job.dirty()).toEqual([]);
  expect(await readFile(join(job.tree, "src/b.txt"), "utf8")).toBe("theirs again\n");
  expect(await readFile(join(job.tree, "src/mine.txt"), "utf8")).toBe("mine\n");

  await writeFile(join(job.tree, "src/a.txt"), "one\nmine\nthree\n");
  const before = await job.commit("conflicting", person, person);
  const conflicting = await world.commitUpstream({ "src/a.txt": "one\ntheirs\nthree\n" });
  await world.workspaces.fetch(own, ["main"], credential, world.signal);
  expect(await job.merge(conflicting)).toEqual({ kind: "conflict", paths: ["src/a.txt"] });
  expect(await job.head()).toBe(before);
  expect(await readFile(join(job.tree, "src/a.txt"), "utf8")).toMatch(/<<<<<<< .*\nmine\n=======\ntheirs\n>>>>>>> /);
  await writeFile(join(job.tree, "src/a.txt"), "one\nboth\nthree\n");
  await job.commit("resolved", person, person);
  const sha = await job.squash(before!, "merge", person, person, [conflicting]);
  expect(await world.push(job, "millwright/merged", sha)).toEqual({ kind: "pushed" });
  await world.upstream("fetch", "--quiet", "origin", "millwright/merged");
  expect(await world.upstream("merge-base", "FETCH_HEAD", "main")).toBe(conflicting);
});

test("merge with a credential works on a machine that has neither history nor the common ancestor", async () => {
  const start = await world.upstream("rev-parse", "HEAD");
  const branch = await world.commitUpstream({ "src/mine.txt": "mine\n" }, "millwright/one");
  await world.upstream("reset", "--quiet", "--hard", start);
  await world.commitUpstream({ "src/b.txt": "b\n" });
  const main = await world.commitUpstream({ "src/a.txt": "theirs\n" });
  await world.workspaces.fetch(own, ["main", "millwright/one"], credential, world.signal);
  await world.workspaces.fetchHistory(own, [main, branch], credential, world.signal);
  await rm(join(world.dataDirectory, "mirrors/7/42/own/history.git"), { recursive: true });
  await plainGit(
    world.directory,
    "init",
    "--quiet",
    "--bare",
    join(world.dataDirectory, "mirrors/7/42/own/history.git"),
  );
  const fresh = world.more();
  const job = await fresh.open(own, "run", { baseSha: main, sha: branch }, world.signal);
  await expect(job.merge(main)).rejects.toThrow(/no common ancestor is known on this disk/);
  expect((await job.merge(main, credential)).kind).toBe("merged");
  expect(await readFile(join(job.tree, "src/mine.txt"), "utf8")).toBe("mine\n");
  expect(await readFile(join(job.tree, "src/a.txt"), "utf8")).toBe("theirs\n");
});

test("bundle brings work in progress back after the disk was lost", async () => {
  const job = await world.openMain();
  expect(await job.bundle(job.baseSha)).toEqual(Buffer.alloc(0));
  await writeFile(join(job.tree, "src/a.txt"), "mine\n");
  await job.commit("wip 1", person, person);
  await writeFile(join(job.tree, "src/b.txt"), "more\n");
  const sha = await job.commit("wip 2", person, person);
  const bundle = await job.bundle(sha!);
  await rm(world.dataDirectory, { recursive: true });
  const elsewhere = world.more();
  const commit = { baseSha: job.baseSha, sha: sha!, bundle: async () => bundle };
  await expect(elsewhere.open(own, "run-1", commit, world.signal)).rejects.toThrow();
  const again = await elsewhere.open(own, "run-1", { ...commit, credential }, world.signal);
  expect(await again.head()).toBe(sha);
  expect(await readFile(join(again.tree, "src/b.txt"), "utf8")).toBe("more\n");
  const squashed = await again.squash(job.baseSha, "feat: one", person, person);
  expect(await world.push(again, "millwright/one", squashed)).toEqual({ kind: "pushed" });
});

test("bundle holds a merge of a commit that the next machine does not have", async () => {
  const start = await world.upstream("rev-parse", "HEAD");
  const branch = await world.commitUpstream({ "src/mine.txt": "mine\n" }, "millwright/one");
  await world.upstream("reset", "--quiet", "--hard", start);
  const main = await world.commitUpstream({ "src/b.txt": "b\n" });
  await world.workspaces.fetch(own, ["main", "millwright/one"], credential, world.signal);
  const job = await world.workspaces.open(own, "run", { baseSha: main, sha: branch }, world.signal);
  const merged = await job.merge(main, credential);
  if (merged.kind !== "merged") throw new Error(merged.kind);
  const bundle = await job.bundle(merged.sha);
  const elsewhere = world.more({ dataDirectory: join(world.directory, "elsewhere") });
  const again = await elsewhere.open(
    own,
    "run",
    { baseSha: main, sha: merged.sha, bundle: async () => bundle, credential },
    world.signal,
  );
  expect((await again.changes(main, merged.sha)).map(({ path }) => path)).toEqual(["src/mine.txt"]);
  expect(await readFile(join(again.tree, "src/b.txt"), "utf8")).toBe("b\n");
});

test("reset makes tree and head equal to a commit", async () => {
  const job = await world.openMain();
  await writeFile(join(job.tree, "src/a.txt"), "mine\n");
  const sha = await job.commit("mine", person, person);
  await writeFile(join(job.tree, "src/a.txt"), "spoilt\n");
  await mkdir(join(job.tree, "left/over"), { recursive: true });
  await writeFile(join(job.tree, "left/over/file"), "x");
  await job.reset(job.baseSha);
  expect(await job.dirty()).toEqual([]);
  expect(await job.head()).toBe(job.baseSha);
  expect(await readdir(job.tree)).not.toContain("left");
  await job.reset(sha!);
  expect(await readFile(join(job.tree, "src/a.txt"), "utf8")).toBe("mine\n");
});

test("a fork's objects are kept apart from the repository's own", async () => {
  const { main } = await world.workspaces.fetch({ ...own, trust: "fork" }, ["main"], credential, world.signal);
  await expect(world.workspaces.readFile(own, main!, "README.md")).rejects.toThrow();
  expect(await world.workspaces.readFile({ ...own, trust: "fork" }, main!, "README.md")).toBe("# Sample\n");
});

test("remove deletes a tree and is harmless without one", async () => {
  const job = await world.openMain();
  await world.workspaces.remove("run-1");
  await world.workspaces.remove("run-1");
  await expect(access(job.tree)).rejects.toThrow();
});

test("a run key that is no file name stays below the jobs directory", async () => {
  const { main } = await world.workspaces.fetch(own, ["main"], credential, world.signal);
  const job = await world.workspaces.open(own, "../../escape/$(x)", { baseSha: main!, sha: main! }, world.signal);
  expect(job.tree.startsWith(join(world.dataDirectory, "jobs", "/"))).toBe(true);
});

test("sweep removes what was not used for a day and keeps the rest", async () => {
  const kept = await world.openMain("kept");
  const old = await world.openMain("old");
  const half = join(world.dataDirectory, "jobs", "half");
  await mkdir(half);
  const yesterday = new Date(Date.now() - 25 * 3_600_000);
  await utimes(join(old.tree, "..", "job.json"), yesterday, yesterday);
  await utimes(half, yesterday, yesterday);
  expect(await world.workspaces.sweep()).toBe(2);
  expect(await readdir(join(world.dataDirectory, "jobs"))).toEqual(["kept"]);
  expect(await kept.dirty()).toEqual([]);
});

test("sweep removes mirrors that nobody used for a month, and packs the others without losing a job's objects", async () => {
  const job = await world.openMain();
  const mirror = join(world.dataDirectory, "mirrors/7/42/own");
  for (let at = 0; at < 22; at++) {
    await world.commitUpstream({ "src/a.txt": `${at}` });
    await world.workspaces.fetch(own, ["main"], credential, world.signal);
  }
  const packs = async () =>
    (await readdir(join(mirror, "tree.git/objects/pack"))).filter((name) => name.endsWith(".pack")).length;
  expect(await packs()).toBeGreaterThan(20);
  await world.workspaces.sweep();
  expect(await packs()).toBe(1);
  await writeFile(join(job.tree, "README.md"), "changed");
  expect(await job.commit("still works", person, person)).toMatch(/^[0-9a-f]{40}$/);
  const longAgo = new Date(Date.now() - 31 * 24 * 3_600_000);
  await utimes(mirror, longAgo, longAgo);
  await world.workspaces.sweep();
  await expect(access(mirror)).rejects.toThrow();
});

test("forget deletes mirror, trees and environments of one repository alone", async () => {
  const job = await world.openMain("mine");
  await mkdir(join(job.tree, "node_modules"));
  await world.workspaces.environments.save("key", job, { tree: ["node_modules"], home: [] }, own.repositoryId);
  const other = { ...own, repositoryId: 43 };
  const { main } = await world.workspaces.fetch(other, ["main"], credential, world.signal);
  const kept = await world.workspaces.open(other, "other", { baseSha: main!, sha: main! }, world.signal);
  await world.workspaces.forget(own.repositoryId);
  const { stdout } = await promisify(execFile)("find", [world.dataDirectory, "-path", "*42*"]);
  expect(stdout.split("\n").filter((line) => line.endsWith("/42"))).toEqual([]);
  await expect(access(job.tree)).rejects.toThrow();
  expect(await kept.dirty()).toEqual([]);
});

test("open takes the tree that was made when the last job ended, never one in which commands ran", async () => {
  const first = await world.openMain("first");
  await writeFile(join(first.tree, "README.md"), "planted");
  await writeFile(join(first.home, "planted"), "x");
  await world.workspaces.remove("first");
  await world.workspaces.settled();
  const spare = await stat(join(world.dataDirectory, "mirrors/7/42/own/spare/tree"));
  const sha = await world.commitUpstream({ "src/a.txt": "newer\n", "README.md": undefined });
  const [second, third] = await Promise.all([world.openMain("second"), world.openMain("third")]);
  const inodes = await Promise.all([second, third].map(async (job) => (await stat(job.tree)).ino));
  expect(inodes.filter((inode) => inode === spare.ino)).toHaveLength(1);
  for (const job of [second, third]) {
    expect(await job.head()).toBe(sha);
    expect(await job.dirty()).toEqual([]);
    expect(await readdir(job.tree)).toEqual(["src"]);
    expect(await readdir(job.home)).toEqual([]);
    expect(await readFile(join(job.tree, "src/a.txt"), "utf8")).toBe("newer\n");
  }
});

test("open goes on without a spare tree that is damaged", async () => {
  await world.openMain("first");
  await world.workspaces.remove("first");
  await world.workspaces.settled();
  await writeFile(join(world.dataDirectory, "mirrors/7/42/own/spare/git/index"), "no index at all");
  await world.commitUpstream({ "src/a.txt": "newer\n" });
  expect(await (await world.openMain("second")).dirty()).toEqual([]);
});

test("forget leaves no spare tree behind", async () => {
  await world.openMain("first");
  await world.workspaces.remove("first");
  await world.workspaces.forget(own.repositoryId);
  await world.workspaces.settled();
  await expect(access(join(world.dataDirectory, "mirrors/7/42"))).rejects.toThrow();
});
