import { existsSync, statSync } from "node:fs";
import { isAbsolute } from "node:path";
import { Refusal } from "./backend.ts";
import type { Command, Limits, Tree } from "./sandbox.ts";

/** One argument of a program may have 128 KiB on Linux (execve(2)). */
const MAX_RUN_BYTES = 120_000;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Throws a Refusal that names the rule and the value unless the command, its folders and its limits can be used. */
export function requireCommand(command: Command, at: Tree, limits: Limits): void {
  const bytes = Buffer.byteLength(command.run);
  if (bytes > MAX_RUN_BYTES || command.run.includes("\0")) {
    refuse(`its text must have at most ${MAX_RUN_BYTES} bytes and no NUL, it has ${bytes} bytes`);
  }
  requireInsideTree(command.directory);
  for (const [name, value] of Object.entries(command.env ?? {})) {
    if (!NAME.test(name) || value.includes("\0")) {
      refuse(`the name of a variable is a letter or _, then letters, digits and _, it is "${name}"`);
    }
  }
  for (const folder of [at.directory, at.temporary, ...(at.environment ? [at.environment.directory] : [])]) {
    if (!isAbsolute(folder) || !existsSync(folder) || !statSync(folder).isDirectory()) {
      refuse(`its folders must be absolute and exist, one is "${folder}"`);
    }
  }
  for (const [name, value] of Object.entries(limits)) {
    if (!(Number.isFinite(value) && value > 0)) refuse(`its limit ${name} must be a positive number, it is ${value}`);
  }
}

/** Links are resolved inside the sandbox, so only the text is looked at here. */
function requireInsideTree(directory: string | undefined): void {
  if (directory === undefined) return;
  if (isAbsolute(directory) || directory.includes("\0") || directory.split("/").includes("..")) {
    refuse(`its directory must be relative and stay in the tree, it is "${directory}"`);
  }
}

function refuse(why: string): never {
  throw new Refusal(`Cannot run a command: ${why}`);
}
