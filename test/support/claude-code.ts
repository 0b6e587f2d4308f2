import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { FixtureFileEntry } from "@copilotkit/aimock";

/** The version that `.ci/claude-code` installs. */
const version = "2.1.197";
/** Brought by `.ci/claude-code`. */
export const claudeCodeProgram =
  process.env.CLAUDE_CODE_CLI ?? join(homedir(), `.cache/millwright/claude-code-${version}/node_modules/.bin/claude`);

/** Whether the program can be had here; CI brings it before it tests. */
export const claudeCodeAvailable = existsSync(claudeCodeProgram);
export const claudeCodeMissing = `needs ${claudeCodeProgram}: run .ci/claude-code, or set CLAUDE_CODE_CLI`;

/**
 * What the model says in a file of fixtures, said with the tools of Claude Code. There all stages of the writing are one
 * conversation, so that the turns of a later one are counted on.
 */
export function fixturesForClaudeCode(path: string): FixtureFileEntry[] {
  const { fixtures } = JSON.parse(readFileSync(path, "utf8")) as { fixtures: FixtureFileEntry[] };
  const stageOf = ({ match }: FixtureFileEntry) => `${match.systemMessage}`;
  const written = fixtures.filter((entry) => stageOf(entry) === "stage: write-change").length;
  return fixtures.map((entry) => {
    const { match, response } = entry;
    const { toolCalls } = response as { toolCalls?: { name: string }[] };
    const isLater = stageOf(entry) === "stage: fix-checks";
    return {
      match: isLater ? { ...match, turnIndex: (match.turnIndex ?? 0) + written } : match,
      response: {
        ...response,
        ...(toolCalls && {
          toolCalls: toolCalls.map((call) => ({ ...call, name: call.name[0]!.toUpperCase() + call.name.slice(1) })),
        }),
      } as FixtureFileEntry["response"],
    };
  });
}
