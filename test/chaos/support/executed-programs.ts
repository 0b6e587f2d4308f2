import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** A program that the worker or one of its gits started. */
export interface Executed {
  by: "the worker" | "git";
  /** The program, and its first argument where that says which program it is. */
  program: string;
}

/** Sees every program that the worker starts and every one that its git starts. */
export interface ProgramWatch {
  directory: string;
  /** First on the worker's PATH: a git that writes down what it starts. */
  programs: string;
  /** A module for the worker that writes down what it starts. */
  preload: string;
  /** A program that nobody may execute: it leaves a mark with the name in its first argument. */
  evil: string;
  /** Names of the marks so far; they are taken away. */
  marks(): Promise<string[]>;
  executed(): Promise<Executed[]>;
  close(): Promise<void>;
}

export async function watchPrograms(): Promise<ProgramWatch> {
  const directory = await mkdtemp(join(tmpdir(), "millwright-programs-"));
  await chmod(directory, 0o755);
  const place = (name: string) => join(directory, name);
  const [programs, traces, marks] = [place("bin"), place("traces"), place("marks")];
  for (const folder of [programs, traces, marks]) await mkdir(folder, { mode: 0o777 });
  await chmod(marks, 0o777);
  const { stdout: git } = await promisify(execFile)("sh", ["-c", "command -v git"]);
  // https://git-scm.com/docs/api-trace2: one file for each process of git, with a line for each child that it starts.
  await writeFile(join(programs, "git"), `#!/bin/sh\nGIT_TRACE2_EVENT=${traces} exec ${git.trim()} "$@"\n`, {
    mode: 0o755,
  });
  const evil = place("evil");
  await writeFile(evil, `#!/bin/sh\necho "$@" >> ${marks}/"\${1:-unnamed}"\ncat 2>/dev/null\nexit 0\n`, {
    mode: 0o755,
  });
  const started = place("started");
  await writeFile(started, "");
  const preload = place("watch.mjs");
  await writeFile(
    preload,
    `import { ChildProcess } from "node:child_process";
import { appendFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
const { spawn } = ChildProcess.prototype;
ChildProcess.prototype.spawn = function (options) {
  if (isMainThread) appendFileSync(${JSON.stringify(started)}, JSON.stringify(options.args ?? [options.file]) + "\\n");
  return spawn.call(this, options);
};
`,
  );
  return {
    ...{ directory, programs, preload, evil },
    async marks() {
      const names = await readdir(marks);
      for (const name of names) await rm(join(marks, name));
      return names;
    },
    async executed() {
      const byWorker = linesOf(await readFile(started, "utf8")).map((words) => ({
        by: "the worker" as const,
        program: named(words as string[]),
      }));
      const files = await readdir(traces);
      const events = await Promise.all(files.map(async (name) => linesOf(await readFile(join(traces, name), "utf8"))));
      const byGit = (events.flat() as { event: string; argv?: string[]; child_class?: string }[])
        .filter(({ event }) => event === "child_start" || event === "exec")
        .map(({ argv = [], child_class }) => ({
          by: "git" as const,
          program: `${child_class === "hook" ? "hook " : ""}${named(argv)}`,
        }));
      return [...byWorker, ...byGit];
    },
    close: () => rm(directory, { recursive: true, force: true }),
  };
}

function linesOf(text: string): unknown[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as unknown);
}

/** Node is what it runs: a file of its own. */
function named([program = "", ...args]: string[]): string {
  return program === process.execPath ? `node ${args.find((arg) => !arg.startsWith("-")) ?? ""}` : program;
}
