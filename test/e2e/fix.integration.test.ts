import { describe, expect } from "vitest";
import type { WorkflowRun } from "../support/local-github/types.ts";
import { finish, repliesOf, type Scenario, useTools } from "../support/scenario.ts";
import { type StartOptions, test } from "./fixture.ts";

type Answers = NonNullable<StartOptions["model"]>;
type Files = Record<string, string>;

const on = "fix:\n  enabled: true\n";

/** An analysis of a failure, with what the test wants different. */
function failureAnalysis(change: Record<string, unknown> = {}) {
  return finish(
    JSON.stringify({
      category: "test",
      rootCause: "slugify joins with an underscore.",
      evidence: ["hello_world"],
      confidence: 95,
      fixable: true,
      strategy: "Join with a dash.",
      complexity: "trivial",
      files: ["src/slugify.js"],
      title: "join words with a dash",
      ...change,
    }),
  );
}

/** The model reads the failure as given, and then edits as given. */
function fixing(edits: Parameters<typeof useTools>, analysed: Record<string, unknown> = {}): Answers {
  return ({ stage, turn }) => {
    if (stage === "analyse-failure") return failureAnalysis(analysed);
    return turn === 0 ? useTools(...edits) : finish("Words are joined with a dash again.");
  };
}

/** A pull request by the maintainer whose CI failed with this log. */
async function failedPull(
  s: Scenario,
  change: { files: Files; log: string; job?: string; branch?: string },
): Promise<{ number: number; headSha: string; branch: string; run: WorkflowRun }> {
  const branch = change.branch ?? "feature";
  const maintainer = s.github.as("maintainer");
  const headSha = await maintainer.push(s.name, { branch, message: "feat: mine", files: change.files });
  const pull = await maintainer.openPullRequest(s.name, { title: "Mine", head: branch });
  const run = maintainer.workflowRun(s.name, {
    ...{ headBranch: branch, headSha, event: "pull_request" },
    jobs: [{ name: change.job ?? "test", conclusion: "failure", log: change.log }],
  });
  return { number: pull.issue.number, headSha, branch, run };
}

/** As GitHub Actions prints it: a group with the script, its output with times, and the error at the end. */
function actionsLog(script: string, output: string, exitCode = 1): string {
  const lines = [
    `##[group]Run ${script}`,
    script,
    "shell: /usr/bin/bash -e {0}",
    "##[endgroup]",
    ...output.split("\n"),
  ];
  lines.push(`##[error]Process completed with exit code ${exitCode}.`);
  return lines.map((line, at) => `2026-11-20T10:00:${String(at % 60).padStart(2, "0")}.1234567Z ${line}`).join("\n");
}

function checkOf(s: Scenario, sha: string) {
  const mine = s.repository.entity.checkRuns.filter((run) => run.app === s.github.app && run.headSha === sha);
  return mine.find(({ name }) => name === "Millwright fix");
}

const underscored: Files = {
  "src/slugify.js":
    'export function slugify(title) {\n  return title\n    .toLowerCase()\n    .replaceAll(/[^a-z0-9]+/g, "_")\n    .replaceAll(/^_|_$/g, "");\n}\n',
};
const testLog = actionsLog(
  "npm test",
  "not ok 1 - slugify joins words with dashes\n  error: |-\n    Expected values to be strictly equal:\n    'hello_world' !== 'hello-world'\n  code: 'ERR_ASSERTION'",
);
const dashed: Parameters<typeof useTools> = [
  ["edit", { file_path: "src/slugify.js", old_string: '+/g, "_")', new_string: '+/g, "-")' }],
  ["edit", { file_path: "src/slugify.js", old_string: "/^_|_$/", new_string: "/^-|-$/" }],
];

describe("Fix: a failed check of a pull request", { timeout: 240_000 }, () => {
  test("a failing test is reproduced, mended and pushed to the pull request's branch", async ({ start }) => {
    const s = await start({ config: on, model: fixing(dashed) });
    const { number, headSha, branch } = await failedPull(s, { files: underscored, log: testLog });
    const run = await s.ended(number, { kind: "pull-request" });
    expect(run.outcome).toMatchObject({ kind: "fixed" });
    const pull = s.repository.pull(number);
    expect(pull.headSha).not.toBe(headSha);
    expect(await s.repository.git("log", "--format=%s", `${headSha}..${branch}`)).toBe("fix: join words with a dash");
    expect(await s.repository.file("src/slugify.js", branch)).toContain('+/g, "-")');
    const [comment, ...others] = repliesOf(s, number);
    expect(others).toEqual([]);
    expect(comment).toMatch(/Fixed[\s\S]*`npm test`: red before, passed/);
    expect(checkOf(s, headSha)).toMatchObject({ status: "completed", conclusion: "success" });
  });
});
