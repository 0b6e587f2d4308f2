import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { RepositoryInput } from "../../support/local-github/index.ts";
import { analysis, finish, useTools } from "../../support/scenario.ts";
import type { RawReply } from "../../support/scripted-model.ts";
import type { ChaosOptions, ChaosScenario, Findings } from "../chaos.ts";
import { type CraftedEntry, craftRepository } from "../support/crafted-repository.ts";
import { type ProgramWatch, watchPrograms } from "../support/executed-programs.ts";
import { type Asked, type HostileStage, startHostileStage, targetName } from "../support/hostile-stage.ts";
import type { Outbound } from "../support/outbound.ts";

/** security.md figure 9, and M2. */
export const hostileTree: ChaosScenario = {
  name: "hostile-tree",
  about:
    "Repositories crafted against git, in the base and by the agent's commands, on whole runs: 0 programs executed by the trusted process but git itself (figure 9).",
  databases: ["pglite"],
  needs: { program: "bwrap", reason: "the agent plants repositories from the real sandbox" },
  run,
};

/** Commands with which the agent plants something, or nothing for a change on a base that is hostile already. */
interface Attack {
  name: string;
  repository: string;
  command?: string;
  /** Whether a pull request must come of it all the same: what is hostile there is not the change. */
  harmless?: boolean;
}

async function run({ scale, seed, say }: ChaosOptions): Promise<Findings> {
  const watch = await watchPrograms();
  const outside = join(watch.directory, "outside");
  await mkdir(outside, { mode: 0o777 });
  let stage: HostileStage | undefined;
  try {
    const home = { ".gitconfig": hostileConfig(watch) };
    const naive = await tryNaively(watch, home[".gitconfig"]);
    // The short version has a third of each, by the seed, and always the base without a command.
    const some = <T>(all: readonly T[]) => all.filter((_, index) => scale === "long" || (index + seed) % 3 === 0);
    const names = some(gitNames).slice(0, scale === "long" ? undefined : 2);
    const [onBase, ...planted] = agentAttacks(watch, outside);
    const attacks = [onBase!, ...some(planted), ...names.map(asAttack)];
    stage = await startHostileStage({
      database: "pglite",
      target: await crafted(watch, "target", hostileBase(watch, outside)),
      more: await Promise.all(
        names.map((name, index) =>
          crafted(watch, `names-${index}`, { [`${name}/config`]: hostileConfig(watch), ...plain }),
        ),
      ),
      programs: watch.programs,
      preload: watch.preload,
      homeFiles: home,
      environment: {
        ...hostileEnvironment(watch),
        MILLWRIGHT_RUN_ATTEMPTS: "1",
        MILLWRIGHT_REPOSITORY_DAY_RUNS: "1000",
      },
      answer: (asked) => answerOf(attacks, asked),
    });
    const issues = attacks.map(({ name, repository }) => stage!.attack(name, repository));
    for (const [index, issue] of issues.entries()) await stage.ended([issue], attacks[index]!.repository);
    const marks = await watch.marks();
    const { violations, pieces } = await stage.searched();
    const executed = await watch.executed();
    const strange = [
      ...new Set(executed.filter((one) => !isOwn(one)).map(({ by, program }) => `${by} executed ${program}`)),
    ];
    const gits = executed.filter(({ program }) => /(?:^|\/)git$/.test(program)).length;
    say(`${attacks.length} runs, ${executed.length} programs, of them git ${gits} times`);
    return {
      tries: attacks.length,
      lost: 0,
      duplicated: 0,
      violations: [
        ...violations,
        ...naive,
        ...marks.map((name) => `the program that ${name} names was executed`),
        ...strange,
        ...(gits < 10 * attacks.length ? [`git was seen ${gits} times only: not everything was watched`] : []),
        ...(await readdir(outside)).map((name) => `${name} was written outside of the tree`),
        ...attacks.flatMap((attack, index) => withoutPullRequest(stage!, attack, issues[index]!)),
        ...attacks.flatMap((attack, index) => withoutCommand(stage!, pieces, attack, issues[index]!)),
      ],
    };
  } finally {
    await stage?.close();
    await watch.close();
  }
}

/**
 * What the trusted process may start: git, files of its own, and for the sandbox the way into it, its pipes and the
 * programs that hand a tree over to its user. None is named by anything in a repository.
 */
function isOwn({ by, program }: { by: string; program: string }): boolean {
  if (by === "git") return /^(?:\/\S*\/git-core\/)?git(?:-remote-https?)?$/.test(program);
  return (
    ["git", "/usr/bin/bwrap", "/usr/bin/mkfifo", "chown", "chmod"].includes(program) ||
    program.startsWith(`node ${resolve("src")}/`)
  );
}

/** Names that some file system takes for `.git`. */
const gitNames = [
  ".git",
  ".g\u200cit",
  "sub/.GIT",
  ".GIT",
  "git~1",
  ".git ",
  ".git.",
  ".git::$INDEX_ALLOCATION",
  "sub/.git",
  "..git/.git",
];

function asAttack(_name: string, index: number): Attack {
  return { name: `names-${index}`, repository: `acme/names-${index}` };
}

const plain = {
  "README.md": "# Sample\n",
  "src/index.js": "export const one = 1;\n",
  ".github/millwright.yml": JSON.stringify({
    checks: { setup: "none", format: "none", lint: "none", build: "none", test: ["ls"] },
  }),
};

/** Every setting that names a program. */
function hostileConfig({ evil, directory }: ProgramWatch): string {
  return `[core]
	fsmonitor = ${evil} core.fsmonitor
	hooksPath = ${directory}/hooks
	sshCommand = ${evil} core.sshCommand
	editor = ${evil} core.editor
	pager = ${evil} core.pager
	gitProxy = ${evil}
	askPass = ${evil}
	alternateRefsCommand = ${evil} core.alternateRefsCommand
[filter "evil"]
	clean = ${evil} filter.clean
	smudge = ${evil} filter.smudge
[filter "lfs"]
	clean = ${evil} lfs.clean
	smudge = ${evil} lfs.smudge
	process = ${evil} lfs.process
[diff]
	external = ${evil} diff.external
[diff "evil"]
	command = ${evil} diff.command
	textconv = ${evil} diff.textconv
[merge "evil"]
	driver = ${evil} merge.driver
[credential]
	helper = "!${evil} credential.helper"
[gpg]
	program = ${evil}
[commit]
	gpgSign = true
[alias]
	status = "!${evil} alias"
[uploadpack]
	packObjectsHook = ${evil} uploadpack.packObjectsHook
[protocol]
	allow = always
[url "ext::${evil} url.insteadOf %S"]
	insteadOf = http://
[safe]
	directory = *
`;
}

/** The same by the environment, as it may be set on an operator's machine. */
function hostileEnvironment({ evil, directory }: ProgramWatch): Record<string, string> {
  return {
    GIT_EXTERNAL_DIFF: `${evil} GIT_EXTERNAL_DIFF`,
    GIT_SSH_COMMAND: `${evil} GIT_SSH_COMMAND`,
    GIT_ASKPASS: evil,
    GIT_EDITOR: `${evil} GIT_EDITOR`,
    GIT_PAGER: `${evil} GIT_PAGER`,
    GIT_CONFIG_PARAMETERS: `'core.fsmonitor=${evil} GIT_CONFIG_PARAMETERS'`,
    GIT_TEMPLATE_DIR: `${directory}/template`,
    GIT_ALLOW_PROTOCOL: "ext:file:http:https",
  };
}

/** Shows that the traps work: whoever runs git as people do executes them. Returns what did not. */
async function tryNaively(watch: ProgramWatch, config: string): Promise<string[]> {
  const { evil, directory } = watch;
  const home = join(directory, "naive-home");
  const tree = join(directory, "naive");
  await mkdir(join(directory, "hooks"));
  await mkdir(join(tree, "vendor"), { recursive: true });
  await mkdir(home);
  for (const hook of allHooks)
    await writeFile(join(directory, "hooks", hook), `#!/bin/sh\nexec ${evil} hook.${hook}\n`, { mode: 0o755 });
  await writeFile(join(home, ".gitconfig"), config.replace("gpgSign = true", "gpgSign = false"));
  await writeFile(join(tree, ".gitattributes"), hostileAttributes);
  const person = { GIT_AUTHOR_NAME: "a", GIT_AUTHOR_EMAIL: "a@b", GIT_COMMITTER_NAME: "a", GIT_COMMITTER_EMAIL: "a@b" };
  const env = { PATH: process.env["PATH"], HOME: home, GIT_CONFIG_NOSYSTEM: "1", ...person };
  const run = async (...args: string[]) => {
    await once(spawn("git", args, { cwd: tree, env, stdio: "ignore", timeout: 20_000 }), "close");
  };
  await run("init", "--quiet");
  await run("add", "--all");
  await run("commit", "--quiet", "--message", "naive");
  await writeFile(join(tree, ".gitattributes"), `${hostileAttributes}\n`);
  await run("diff");
  await run("ls-remote", "http://127.0.0.1:1/x.git");
  const worked = await watch.marks();
  return ["core.fsmonitor", "filter.clean", "hook.pre-commit", "diff.command", "url.insteadOf"]
    .filter((name) => !worked.includes(name))
    .map((name) => `the trap ${name} does not even catch a git that is run naively (${worked.join(", ")})`);
}

const allHooks = [
  ...["applypatch-msg", "commit-msg", "fsmonitor-watchman", "post-checkout", "post-commit", "post-index-change"],
  ...["post-merge", "post-rewrite", "pre-auto-gc", "pre-commit", "pre-merge-commit", "pre-push", "prepare-commit-msg"],
  ...["proc-receive", "push-to-checkout", "reference-transaction", "sendemail-validate", "update"],
];

const hostileAttributes =
  "* filter=evil diff=evil merge=evil\n*.bin filter=lfs diff=lfs merge=lfs -text\n*.js export-subst ident\n";

/** A base that names programs wherever a tree can, and holds every awkward name that can be checked out. */
function hostileBase(watch: ProgramWatch, outside: string): Record<string, CraftedEntry> {
  const { evil } = watch;
  const config = hostileConfig(watch);
  const long = Array.from({ length: 25 }, (_, index) => `${index}-${"d".repeat(60)}`).join("/");
  return {
    ...plain,
    ".gitattributes": hostileAttributes,
    "sub/.gitattributes": hostileAttributes,
    ".gitconfig": config,
    ".lfsconfig": `[lfs]\n\turl = ext::${evil}\n[lfs "customtransfer.evil"]\n\tpath = ${evil}\n`,
    ".gitmodules": [
      `[submodule "../../evil"]\n\tpath = module\n\turl = ext::${evil} module\n\tupdate = !${evil} update\n`,
      `[submodule "-c"]\n\tpath = -c\n\turl = --upload-pack=${evil}\n`,
      `[submodule "a\u200bb"]\n\tpath = sub/linked\n\turl = ./.git\n\tignore = none\n\tfetchRecurseSubmodules = true\n`,
    ].join(""),
    module: { submodule: "1".repeat(40) },
    "-c": { submodule: "2".repeat(40) },
    ".gitignore": "ignored/\n",
    ".mailmap": "Evil <evil@example.com>\n",
    "data.bin": "\0binary",
    // What a bare repository looks like, at the root and below.
    ...Object.fromEntries(
      ["", "bare/"].flatMap((at) => [
        [`${at}HEAD`, "ref: refs/heads/main\n"],
        [`${at}config`, `[core]\n\tbare = true\n\trepositoryformatversion = 0\n${config}`],
        [`${at}objects/info/keep`, ""],
        [`${at}refs/heads/keep`, ""],
        [`${at}hooks/pre-commit`, `#!/bin/sh\nexec ${evil} bare.hook\n`],
      ]),
    ),
    // Files that are called like options.
    [`--upload-pack=${"evil"}`]: "x\n",
    "--exec=evil": "x\n",
    "--output=evil": "x\n",
    "-o": "x\n",
    "src/--help": "x\n",
    // Names that have to be quoted, or that some file systems take for one another.
    "new\nline": "x\n",
    'quote"and\\back': "x\n",
    " leading and trailing ": "x\n",
    ":(exclude)magic": "x\n",
    "Readme.md": "# The other\n",
    "caf\u00e9.txt": "composed\n",
    "cafe\u0301.txt": "decomposed\n",
    [`${long}/deep.txt`]: "x\n",
    // Links out of the tree, to a folder and in a circle.
    "links/passwords": { link: "/etc/passwd" },
    "links/up": { link: "../../../../../.." },
    "links/outside": { link: outside },
    "links/circle": { link: "circle" },
    "links/git": { link: "../.git" },
  };
}

/** What commands in the sandbox can leave in the tree. */
function agentAttacks(watch: ProgramWatch, outside: string): Attack[] {
  const { evil } = watch;
  const nest = (at: string) =>
    `mkdir -p '${at}' && git init -q '${at}' && git -C '${at}' -c user.name=a -c user.email=a@b commit -q --allow-empty -m x; git -C '${at}' config core.fsmonitor '${evil} nested'; git -C '${at}' config filter.evil.clean '${evil} nested'; printf '#!/bin/sh\\nexec ${evil} nested.hook\\n' > '${at}/.git/hooks/pre-commit'; chmod +x '${at}/.git/hooks/pre-commit'`;
  const commands: Record<string, string> = {
    nested: nest("vendor/sub"),
    "root-git": nest("."),
    ignored: `${nest("ignored/deep")}; touch ignored/x`,
    pointer: `${nest("ignored/deep")}; mkdir pointer && echo 'gitdir: ../ignored/deep/.git' > pointer/.git`,
    "linked-git": `${nest("ignored/deep")}; mkdir linked && ln -s ../ignored/deep/.git linked/.git`,
    "other-case": `${nest("upper")}; mv upper/.git upper/.GIT; ${nest("short")}; mv short/.git short/git~1`,
    module: nest("module"),
    attributes: `printf '* filter=evil diff=evil merge=evil\\n' | tee a.gitattributes .gitattributes sub/.gitattributes > /dev/null; printf '[core]\\n\\tfsmonitor = ${evil} written\\n' | tee .gitconfig config config.worktree > /dev/null; echo changed > data.bin`,
    names: `touch -- '--upload-pack=${"x"}' '-c core.fsmonitor=x' $'a\\nb' ':(attr:filter=evil)x' '*'; ln src/index.js hard.js; ln -s /etc passwd; ln -s '${outside}' there`,
    "tree-by-link": `mv src other; ln -s '${outside}' src; rm -rf links; ln -s '${outside}' links; rm README.md; ln -s '${outside}/readme' README.md`,
  };
  return [
    { name: "base", repository: targetName, harmless: true },
    ...Object.entries(commands).map(([name, command]) => ({ name, repository: targetName, command })),
  ];
}

function answerOf(attacks: readonly Attack[], { attack: name, stage, turn }: Asked): RawReply {
  const attack = attacks.find((one) => one.name === name);
  if (stage === "analyse-issue") return analysis({ relevantFiles: [] });
  // Once more after the command: git looks into a nested repository when it meets it for the second time.
  if (turn === 0 || turn === 2)
    return useTools(["write", { file_path: "more.js", content: `export const more = ${turn};\n` }]);
  if (turn === 1 && attack?.command !== undefined) return useTools(["run", { command: attack.command }]);
  return finish("Done.");
}

async function crafted(
  watch: ProgramWatch,
  name: string,
  entries: Record<string, CraftedEntry>,
): Promise<RepositoryInput> {
  const gitDir = join(watch.directory, `${name}.git`);
  await craftRepository(gitDir, entries);
  return { owner: "acme", name, private: true, collaborators: { maintainer: "write" }, fromGit: gitDir };
}

function withoutPullRequest({ github }: HostileStage, { name, repository, harmless }: Attack, issue: number): string[] {
  const { pulls } = github.repository(repository);
  const opened = pulls.some(({ headRef }) => headRef.startsWith(`millwright/issue-${issue}-`));
  if (harmless !== true || opened) return [];
  const said = github.repository(repository).issue(issue).comments.at(-1)?.body;
  return [`attack ${name} came to no pull request, although its change is harmless: ${said}`];
}

/**
 * A command that did not do what it should has planted nothing: either the model saw it succeed, or the run ended with
 * the refusal of what it planted.
 */
function withoutCommand(stage: HostileStage, pieces: readonly Outbound[], attack: Attack, issue: number): string[] {
  const { name, repository, command } = attack;
  const succeeded = pieces.some(
    ({ channel, content }) =>
      channel === "a request to the model" && content.includes(`attack-${name}\\"`) && content.includes("exit code 0"),
  );
  const said = stage.github
    .repository(repository)
    .issue(issue)
    .comments.map(({ body }) => body);
  const refused = said.some((body) => body.includes("has a git repository inside of it"));
  return command === undefined || succeeded || refused
    ? []
    : [`the command of attack ${name} planted nothing: ${said}`];
}
