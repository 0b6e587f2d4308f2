import { spawn } from "node:child_process";
import { access, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { UserFacingError } from "../../src/pipeline/step.ts";
import { gitEnvironment } from "../../src/workspace/git-environment.ts";
import type { Job } from "../../src/workspace/workspace.ts";
import { credential, makeWorld, own, person, plainGit, plainGitAt, token, type World } from "./world.ts";

// Each attack is first shown to work against git as a person runs it: a test whose attack cannot succeed proves nothing.

let world: World;
let canary: string;
const environment = { ...process.env };
beforeEach(async () => {
  world = await makeWorld();
  canary = join(world.directory, "canary");
});
afterEach(async () => {
  for (const name of ["HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_PARAMETERS", "GIT_EXTERNAL_DIFF", "GIT_DIR", "PATH"]) {
    if (environment[name] === undefined) delete process.env[name];
    else process.env[name] = environment[name];
  }
  await world.end();
});

/** A program that says that it ran. */
async function makeProgram(name = "evil"): Promise<string> {
  const path = join(world.directory, name);
  await writeFile(path, `#!/bin/sh\necho ran >> ${canary}\ncat 2>/dev/null\nexit 0\n`, { mode: 0o755 });
  return path;
}

async function hasRun(): Promise<boolean> {
  const ran = await access(canary).then(
    () => true,
    () => false,
  );
  await rm(canary, { force: true });
  return ran;
}

/** A repository inside of the tree whose configuration names a program. */
async function plantNested(directory: string, program: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await plainGit(directory, "init", "--quiet");
  await plainGit(directory, "commit", "--quiet", "--allow-empty", "--message", "nested");
  await plainGit(directory, "config", "core.fsmonitor", program);
}

/** Everything that a run does with a job after commands ran in its tree. */
async function wholeRun(job: Job): Promise<void> {
  await job.dirty();
  const { baseSha } = job;
  const sha = (await job.commit("mine", person, person)) ?? baseSha;
  await job.changes(baseSha, sha);
  await job.diff(baseSha, sha, 100_000);
  await (await job.source(sha)).files();
  await job.bundle(sha);
  const main = await world.commitUpstream({ [`upstream-${Math.random()}.txt`]: "x" });
  await world.workspaces.fetch(own, ["main"], credential, world.signal);
  await job.merge(main);
  await job.reset(sha);
  await world.push(job, "millwright/x", await job.squash(baseSha, "squashed", person, person));
}

test("commit, dirty, merge and open refuse or remove a nested repository whose fsmonitor is a program", async () => {
  const job = await world.openMain();
  const nested = join(job.tree, "vendor", "sub");
  await plantNested(nested, await makeProgram());
  const naive = join(world.directory, "naive.git");
  await plainGit(world.directory, "init", "--quiet", "--bare", naive);
  for (const command of [["add", "--all"], ["add", "--all"], ["status"]]) {
    await plainGit(world.directory, "--git-dir", naive, "--work-tree", job.tree, "-c", "core.bare=false", ...command);
  }
  expect(await hasRun()).toBe(true);

  for (const attempt of [() => job.commit("mine", person, person), () => job.dirty(), () => job.merge(job.baseSha)]) {
    await expect(attempt()).rejects.toThrow("`vendor/sub/.git`");
    await expect(attempt()).rejects.toBeInstanceOf(UserFacingError);
  }
  await world.openMain();
  expect(await hasRun()).toBe(false);
  await expect(access(nested)).rejects.toThrow();
});

test("commit refuses nested repositories of any shape and leaves them where git never looks", async () => {
  await world.commitUpstream({ ".gitignore": "ignored/\n" });
  const job = await world.openMain();
  const program = await makeProgram();
  await plantNested(join(job.tree, "ignored", "deep", "sub"), program);
  await job.commit("mine", person, person);
  await job.dirty();
  expect(await hasRun()).toBe(false);

  await mkdir(join(job.tree, "pointer"));
  await writeFile(join(job.tree, "pointer", ".git"), `gitdir: ${join(job.tree, "ignored/deep/sub/.git")}\n`);
  await expect(job.commit("mine", person, person)).rejects.toThrow("`pointer/.git`");
  await rm(join(job.tree, "pointer"), { recursive: true });
  await mkdir(join(job.tree, "other", ".GIT"), { recursive: true });
  await expect(job.commit("mine", person, person)).rejects.toThrow("`other/.GIT`");
  await rm(join(job.tree, "other"), { recursive: true });
  await plantNested(job.tree, program);
  await expect(job.commit("mine", person, person)).rejects.toThrow("`.git`");
  await job.reset(job.baseSha);
  expect(await readdir(job.tree)).not.toContain(".git");
  expect(await hasRun()).toBe(false);
});

test("commit does not look at a nested repository in the directory of a submodule that is ignored", async () => {
  const checkout = join(world.directory, "checkout");
  await mkdir(join(checkout, "lib"));
  await plainGit(join(checkout, "lib"), "init", "--quiet");
  await plainGit(join(checkout, "lib"), "commit", "--quiet", "--allow-empty", "--message", "lib");
  await world.commitUpstream({ "x.txt": "x" });
  await world.commitUpstream({ ".gitignore": "lib/\n" });
  const job = await world.openMain();
  await plantNested(join(job.tree, "lib"), await makeProgram());
  await writeFile(join(job.tree, "x.txt"), "changed");
  await job.dirty().catch(() => {});
  await job.commit("mine", person, person).catch(() => {});
  expect(await hasRun()).toBe(false);
});

test("no hook runs, not even one in the job's own git dir", async () => {
  const job = await world.openMain();
  const program = await makeProgram();
  const hooks = [
    "pre-commit",
    "commit-msg",
    "post-commit",
    "post-checkout",
    "post-index-change",
    "pre-push",
    "reference-transaction",
    "pre-merge-commit",
  ];
  const gitDir = join(job.tree, "..", "git");
  await mkdir(join(gitDir, "hooks"), { recursive: true });
  for (const hook of hooks) await writeFile(join(gitDir, "hooks", hook), await readFile(program), { mode: 0o755 });
  await writeFile(join(job.tree, "src/a.txt"), "naive");
  await plainGit(
    world.directory,
    "--git-dir",
    gitDir,
    "--work-tree",
    job.tree,
    "commit",
    "--quiet",
    "--all",
    "--message",
    "naive",
  );
  expect(await hasRun()).toBe(true);

  await writeFile(join(job.tree, "src/a.txt"), "mine");
  await wholeRun(job);
  expect(await hasRun()).toBe(false);
});

test("no filter, diff, textconv or merge driver that attributes name runs, whatever the machine's configuration says", async () => {
  const program = await makeProgram();
  const home = join(world.directory, "home");
  await mkdir(home);
  await writeFile(
    join(home, ".gitconfig"),
    `[filter "evil"]
	clean = ${program}
	smudge = ${program}
[filter "lfs"]
	clean = ${program}
	smudge = ${program}
	process = ${program}
[diff "evil"]
	command = ${program}
	textconv = ${program}
[diff]
	external = ${program}
[merge "evil"]
	driver = ${program} %A
[core]
	fsmonitor = ${program}
	hooksPath = ${world.directory}
	sshCommand = ${program}
	pager = ${program}
[credential]
	helper = ${program}
[url "ext::${program}"]
	insteadOf = http://
[safe]
	directory = *
`,
  );
  await world.commitUpstream({ ".gitattributes": "* filter=evil diff=evil merge=evil\n*.bin filter=lfs\n" });
  const copy = join(world.directory, "copy");
  await plainGit(world.directory, "clone", "--quiet", join(world.directory, "served/octo/sample.git"), copy);
  await writeFile(join(copy, "src/a.txt"), "naive");
  await plainGitAt({ cwd: copy, home }, "-c", "core.fsmonitor=false", "add", "--all");
  expect(await hasRun()).toBe(true);

  process.env.HOME = home;
  process.env.XDG_CONFIG_HOME = home;
  process.env.GIT_EXTERNAL_DIFF = program;
  process.env.GIT_CONFIG_PARAMETERS = `'core.fsmonitor=${program}'`;
  const job = await world.openMain();
  await writeFile(join(job.tree, "src/a.txt"), "one\nmine\nthree\n");
  await writeFile(join(job.tree, "x.bin"), "binary\0");
  await wholeRun(job);
  const before = await job.commit("mine", person, person);
  expect(before).toBeUndefined();
  const main = await world.commitUpstream({ "src/a.txt": "one\ntheirs\nthree\n" });
  await world.workspaces.fetch(own, ["main"], credential, world.signal);
  expect((await job.merge(main)).kind).toBe("conflict");
  expect(await hasRun()).toBe(false);
});

test("no attributes or ignore file in the tree can configure a driver", async () => {
  const program = await makeProgram();
  const job = await world.openMain();
  const planted = {
    ".gitattributes": "* filter=evil diff=evil merge=evil\n",
    ".gitconfig": `[filter "evil"]\n\tclean = ${program}\n\tsmudge = ${program}\n[include]\n\tpath = .gitconfig\n`,
    ".gitmodules": `[submodule "sub"]\n\tpath = sub\n\turl = ext::${program}\n\tupdate = !${program}\n`,
    ".lfsconfig": `[lfs]\n\turl = ext::${program}\n[lfs "customtransfer.evil"]\n\tpath = ${program}\n`,
    config: `[core]\n\tbare = true\n\tfsmonitor = ${program}\n`,
    HEAD: "ref: refs/heads/main\n",
    "objects/keep": "",
    "refs/keep": "",
  };
  for (const [path, content] of Object.entries(planted)) {
    await mkdir(join(job.tree, path, ".."), { recursive: true });
    await writeFile(join(job.tree, path), content);
  }
  await wholeRun(job);
  expect(await hasRun()).toBe(false);
});

test("gitEnvironment allows no transport that runs a program", async () => {
  const url = `ext::sh -c touch% ${canary}`;
  await runWith({ PATH: process.env.PATH ?? "", GIT_ALLOW_PROTOCOL: "ext" }, ["ls-remote", url]);
  expect(await hasRun()).toBe(true);
  for (const extra of [[], [["protocol.http.allow", "always"]] as const]) {
    expect(await runWith(gitEnvironment(extra), ["ls-remote", url])).toMatch(/transport 'ext' not allowed/);
    expect(
      await runWith(gitEnvironment(extra), ["ls-remote", join(world.directory, "served/octo/sample.git")]),
    ).toMatch(/transport 'file' not allowed/);
  }
  expect(await hasRun()).toBe(false);
});

test("the token is in no argument, no file and no error", async () => {
  const log = join(world.directory, "arguments");
  const bin = join(world.directory, "bin");
  await mkdir(bin);
  const real = (environment.PATH ?? "").split(":");
  await writeFile(
    join(bin, "git"),
    `#!/bin/sh\nprintf '%s\\n' "$@" >> ${log}\nPATH='${real.join(":")}' exec git "$@"\n`,
    { mode: 0o755 },
  );
  process.env.PATH = `${bin}:${environment.PATH}`;
  const job = await world.openMain();
  await writeFile(join(job.tree, "src/a.txt"), "mine");
  await wholeRun(job);
  const refused = await Promise.allSettled([
    world.workspaces.fetch({ ...own, repo: "missing" }, ["main"], credential, world.signal),
    world.workspaces.fetch(own, ["2".repeat(40)], credential, world.signal),
    world.push(job, "millwright/y", "3".repeat(40)),
    world.more({ gitBaseUrl: "http://127.0.0.1:1" }).fetch(own, ["main"], credential, world.signal),
  ]);
  const errors = refused.map((result) =>
    result.status === "rejected" ? inspect(result.reason, { depth: 10 }) : "none",
  );
  expect(errors).not.toContain("none");

  const secrets = [token, Buffer.from(`x-access-token:${token}`).toString("base64")];
  const said = await readFile(log, "utf8");
  expect(said).toContain("fetch");
  expect(said).toContain("push");
  for (const secret of secrets) {
    expect(said).not.toContain(secret);
    expect(errors.join("\n")).not.toContain(secret);
    expect(inspect(world.warnings, { depth: 10 })).not.toContain(secret);
    expect(await runWith({ PATH: environment.PATH ?? "" }, ["--version"])).toContain("git version");
    expect(await filesWith(world.dataDirectory, secret)).toEqual([]);
  }
  expect(await filesWith(world.dataDirectory, "one\\|mine")).not.toEqual([]);
});

test("a link in the tree is not followed by commit, reset or clean", async () => {
  const outside = join(world.directory, "outside");
  await mkdir(outside);
  await writeFile(join(outside, "secret.txt"), "secret");
  const job = await world.openMain();
  await rm(join(job.tree, "src"), { recursive: true });
  const { symlink } = await import("node:fs/promises");
  await symlink(outside, join(job.tree, "src"));
  await symlink(outside, join(job.tree, "another"));
  const sha = await job.commit("mine", person, person);
  const files = await (await job.source(sha!)).files();
  expect(files.map(({ path, mode }) => [path, mode])).toEqual([
    ["README.md", "100644"],
    ["another", "120000"],
    ["src", "120000"],
  ]);
  await job.reset(job.baseSha);
  expect(await readdir(outside)).toEqual(["secret.txt"]);
  expect(await readFile(join(job.tree, "src/a.txt"), "utf8")).toBe("one\ntwo\nthree\n");
});

/** What git says on both streams with exactly this environment. */
async function runWith(env: Record<string, string>, args: string[]): Promise<string> {
  const child = spawn("git", args, { env, cwd: world.directory, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
    });
  }
  await new Promise((resolve) => child.once("close", resolve));
  return text;
}

async function filesWith(directory: string, pattern: string): Promise<string[]> {
  const child = spawn("grep", ["-rla", pattern, directory], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    text += chunk;
  });
  await new Promise((resolve) => child.once("close", resolve));
  return text.split("\n").filter((line) => line !== "");
}
