import type { RunRow } from "../../src/store/store.ts";
import type { CheckRun, WorkflowRun } from "../support/local-github/types.ts";
import { finish, type Scenario, useTools } from "../support/scenario.ts";
import type { StartOptions } from "./fixture.ts";

type Answers = NonNullable<StartOptions["model"]>;
export type Files = Record<string, string | null>;

/** A configuration that switches fixes on, with further lines of the section. */
export function fixes(...lines: string[]): string {
  return ["fix:", "  enabled: true", ...lines.map((line) => `  ${line}`), ""].join("\n");
}

/** An analysis of a failure, with what the test wants different. */
export function failureAnalysis(change: Record<string, unknown> = {}) {
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

/** The model analyses as given, and then edits as given. */
export function fixing(edits: Parameters<typeof useTools>, analysed: Record<string, unknown> = {}): Answers {
  return ({ stage, turn }) => {
    if (stage === "analyse-failure") return failureAnalysis(analysed);
    return turn === 0 ? useTools(...edits) : finish("It is mended.");
  };
}

export interface FailedPull {
  number: number;
  headSha: string;
  branch: string;
  run: WorkflowRun;
}

/** A pull request by the maintainer on which a workflow ends with this log. */
export async function failedPull(
  s: Scenario,
  change: { files: Files; log: string; job?: string; branch?: string; title?: string },
): Promise<FailedPull> {
  const { branch = "feature", job = "test", title = "Mine", log, files } = change;
  const maintainer = s.github.as("maintainer");
  const headSha = await maintainer.push(s.name, { branch, message: "feat: mine", files });
  const pull = await maintainer.openPullRequest(s.name, { title, head: branch });
  const run = maintainer.workflowRun(s.name, {
    ...{ headBranch: branch, headSha, event: "pull_request" },
    jobs: [{ name: job, conclusion: "failure", log }],
  });
  return { number: pull.issue.number, headSha, branch, run };
}

/** A job's log as GitHub Actions keeps it: a group with the script, its output with times, and the error at the end. */
export function actionsLog(script: string, output: string, exitCode = 1): string {
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

/** The newest run about a fix once so many have ended. */
export function fixEnded(s: Scenario, number: number, runs = 1): Promise<RunRow> {
  return s.until(
    `fix run ${runs} of pull request ${number} to end`,
    async () => {
      const all = await s.app.worker.store.runs.ofSubject(s.repository.entity.id, "pull-request", number);
      const found = all.filter(({ pipeline }) => pipeline === "fix-check" || pipeline === "apply-fix");
      return found.length >= runs && found.every(({ state }) => state === "ended") && found[0];
    },
    150,
  );
}

/** Our check run about fixes on a commit. */
export function fixCheckRun(s: Scenario, sha: string): CheckRun {
  const mine = s.repository.entity.checkRuns.filter((run) => run.app === s.github.app && run.headSha === sha);
  const found = mine.findLast(({ name }) => name === "Millwright fix");
  if (found === undefined) throw new Error(`There is no check run about fixes on ${sha}`);
  return found;
}

/** Subjects of the commits that were pushed on a head since. */
export async function pushedOn(s: Scenario, { headSha, branch }: FailedPull): Promise<string> {
  return s.repository.git("log", "--format=%s", `${headSha}..${branch}`);
}

/** The answer to each effect of each run is lost once, so that its step is done again. */
export function eachAnswerLostOnce(): NonNullable<StartOptions>["effectFault"] {
  const lost = new Set<string>();
  return ({ name, runKey, when }) => {
    const effect = `${runKey} ${name}`;
    if (when === "before" || lost.has(effect)) return;
    lost.add(effect);
    throw new Error(`The answer to ${name} was lost`);
  };
}

/** Writes of the App to GitHub, apart from tokens. */
export function writes({ github }: Scenario): string[] {
  return github.requests
    .filter(({ method, path }) => method !== "GET" && !/access_tokens|graphql|git-upload-pack/.test(path))
    .map(({ method, path }) => `${method} ${path}`);
}

/** `slugify` with underscores, which its test does not like, the log that says so, and the edit that mends it. */
export const underscores = {
  files: {
    "src/slugify.js":
      'export function slugify(title) {\n  return title\n    .toLowerCase()\n    .replaceAll(/[^a-z0-9]+/g, "_")\n    .replaceAll(/^_|_$/g, "");\n}\n',
  } as Files,
  log: actionsLog(
    "npm test",
    "not ok 1 - slugify joins words with dashes\n  error: |-\n    Expected values to be strictly equal:\n    'hello_world' !== 'hello-world'\n  code: 'ERR_ASSERTION'",
  ),
  mended: [
    ["edit", { file_path: "src/slugify.js", old_string: '+/g, "_")', new_string: '+/g, "-")' }],
    ["edit", { file_path: "src/slugify.js", old_string: "/^_|_$/", new_string: "/^-|-$/" }],
  ] as Parameters<typeof useTools>,
};
