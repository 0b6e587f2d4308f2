import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";

/** The version that `.ci/claude-code` installs. */
const version = "2.1.197";
const directory = join(homedir(), `.cache/millwright/claude-code-${version}`);
/** Brought by `.ci/claude-code`. */
export const claudeCodeProgram = process.env.CLAUDE_CODE_CLI ?? join(directory, "node_modules/.bin/claude");
/** What sandboxed commands have to see of the disk, so that the program is there. */
export const claudeCodeFolder =
  process.env.CLAUDE_CODE_CLI === undefined ? directory : resolve(dirname(claudeCodeProgram));

/** Whether the program can be had here. CI brings it, and may still be at it. */
export const claudeCodeAvailable = existsSync(claudeCodeProgram) || process.env.CI === "true";
export const claudeCodeMissing = `needs ${claudeCodeProgram}: run .ci/claude-code, or set CLAUDE_CODE_CLI`;
