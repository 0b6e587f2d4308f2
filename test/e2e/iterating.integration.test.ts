import { describe, expect } from "vitest";
import { finish, pullOf, repliesOf, type Scenario, simpleWork, statusesOf, useTools } from "../support/scenario.ts";
import { type StartOptions, test } from "./fixture.ts";

type Answers = NonNullable<StartOptions["model"]>;
type Asked = Parameters<Answers>[0];

/** A ready pull request of ours, and a model that says `address` when it is continued. */
async function withPull(
  start: (options?: StartOptions) => Promise<Scenario>,
  address: (asked: Asked, s: Scenario) => ReturnType<Answers> = rename,
) {
  const s: Scenario = await start({
    model: (request) =>
      /^(write-change|analyse-issue)$/.test(request.stage) ? simpleWork(request) : address(request, s),
  });
  const run = await s.ended(s.labelIssue());
  expect(run.outcome).toMatchObject({ kind: "ready" });
  const pull = pullOf(s, run);
  return { s, pull, number: pull.issue.number, before: pull.headSha };
}

const rename: Answers = ({ turn }) =>
  turn > 0
    ? finish("Said differently.")
    : useTools([
        "edit",
        { file_path: "src/slugify.js", old_string: "/** Turns a title", new_string: "/** Makes a title" },
      ]);

describe("Iterate: /code on our pull request", { timeout: 240_000 }, () => {
  test("adds a commit, and keeps the title and purpose that people edited", async ({ start }) => {
    const { s, pull, number, before } = await withPull(start);
    const body = (pull.issue.body ?? "").replace("## What and why\n", "## What and why\n\nA person explains.\n");
    await s.github.as("maintainer").editPullRequest(s.name, number, { title: "fix: a better title", body });
    s.github.as("maintainer").comment(s.name, number, "/code say makes, not turns");
    const run = await s.ended(number, { kind: "pull-request" });
    expect(run.outcome).toMatchObject({ kind: "ready" });
    expect(await s.repository.git("log", "--format=%s", `${before}..${pull.headRef}`)).toBe(
      "fix: say makes, not turns",
    );
    expect(pull.issue.title).toBe("fix: a better title");
    expect(pull.issue.body).toMatch(
      /## What and why\n\nA person explains\.[\s\S]*`ß` becomes `ss`[\s\S]*asked by maintainer:\*\* Said differently\.[\s\S]*Closes #1/,
    );
    expect(statusesOf(s, number)).toHaveLength(1);
  });

  test("does not push over what a person pushed meanwhile", async ({ start }) => {
    let pushed: string | undefined;
    const { s, pull, number } = await withPull(start, async (request, { github, name, repository }) => {
      if (request.turn === 0)
        pushed = await github.as("maintainer").push(name, {
          branch: repository.pulls[0]!.headRef,
          message: "docs: mine",
          files: { "MINE.md": "mine\n" },
        });
      return rename(request);
    });
    s.github.as("maintainer").comment(s.name, number, "/code say makes, not turns");
    const run = await s.ended(number, { kind: "pull-request" });
    expect(run.outcome).toMatchObject({ kind: "failed", reason: expect.stringContaining("Somebody else pushed") });
    expect(pull.headSha).toBe(pushed);
  });

  test("stops when the pull request is closed in mid-run", async ({ start }) => {
    let asked = false;
    const { s, pull, number, before } = await withPull(start, () => {
      asked = true;
      return "silence";
    });
    s.github.as("maintainer").comment(s.name, number, "/code say makes, not turns");
    await s.until("the model to be asked", () => asked);
    s.github.as("maintainer").closePullRequest(s.name, number);
    const run = await s.ended(number, { kind: "pull-request" });
    expect(run.outcome).toMatchObject({ kind: "cancelled", reason: "The pull request was closed by maintainer." });
    expect(pull.headSha).toBe(before);
  });
});

describe("Iterate: a conflict with the base branch", { timeout: 240_000 }, () => {
  const conflict = async (s: Scenario) => {
    const text = (await s.repository.file("src/slugify.js", "main")) ?? "";
    return s.github.as("maintainer").push(s.name, {
      branch: "main",
      message: "fix: normalise",
      files: { "src/slugify.js": text.replace(".toLowerCase()", ".toLowerCase()\n    .normalize()") },
    });
  };
  const wanted =
    '/** Turns a title into the part of a URL: lower case words joined by "-". */\nexport function slugify(title) {\n  return title\n    .toLowerCase()\n    .normalize()\n    .replaceAll("ß", "ss")\n    .replaceAll(/[^a-z0-9]+/g, "-")\n    .replaceAll(/^-|-$/g, "");\n}';

  test("is resolved by a merge with both parents that passes the checks", async ({ start }) => {
    let marked = "";
    const { s, pull, number, before } = await withPull(start, async ({ stage, turn, request }) => {
      if (turn === 0) return useTools(["read", { file_path: "src/slugify.js" }]);
      if (turn === 1) {
        marked = `${stage} ${JSON.stringify(request.body.messages)}`;
        return useTools(["write", { file_path: "src/slugify.js", content: `${wanted}\n` }]);
      }
      return finish("Both changes are kept.");
    });
    const moved = await conflict(s);
    s.github.as("maintainer").comment(s.name, number, "/code resolve the conflict");
    const run = await s.ended(number, { kind: "pull-request" });
    expect(run.outcome).toMatchObject({ kind: "ready" });
    expect(marked).toMatch(/^resolve-conflict[\s\S]*<<<<<<< /);
    expect((await s.repository.git("log", "-1", "--format=%P", pull.headRef)).trim()).toBe(`${before} ${moved}`);
    expect(await s.repository.file("src/slugify.js", pull.headRef)).toBe(wanted);
  });

  test("is reported, and nothing is pushed, when marks are left", async ({ start }) => {
    const { s, pull, number, before } = await withPull(start, ({ turn }) =>
      turn === 0 ? useTools(["write", { file_path: "NOTES.md", content: "I tried.\n" }]) : finish("Resolved."),
    );
    await conflict(s);
    s.github.as("maintainer").comment(s.name, number, "/code resolve the conflict");
    const run = await s.ended(number, { kind: "pull-request" });
    expect(run.outcome).toMatchObject({ kind: "failed", reason: expect.stringContaining("could not be resolved") });
    expect(pull.headSha).toBe(before);
  });
});

describe("Iterate: reviews", { timeout: 240_000 }, () => {
  test("replies on a thread once, also when the answer to the reply was lost", async ({ start }) => {
    const { s, pull, number } = await withPull(start);
    s.github.faults.add({
      method: "POST",
      path: /\/pulls\/\d+\/comments\/\d+\/replies$/,
      when: "after",
      status: 502,
      times: 1,
    });
    await s.github.as("maintainer").review(s.name, number, {
      event: "COMMENT",
      comments: [{ path: "src/slugify.js", line: 4, body: "Say makes." }],
    });
    const run = await s.ended(number, { kind: "pull-request" });
    expect(run.outcome).toMatchObject({ kind: "ready" });
    expect(s.repository.reviewComments.filter((comment) => comment.body.startsWith("Addressed in"))).toHaveLength(1);
    expect(await s.repository.git("log", "-1", "--format=%s", pull.headRef)).toBe(
      "fix: address the review by maintainer",
    );
  });

  test("by strangers and approvals ask for nothing, and nothing is said about them", async ({ start }) => {
    const { s, pull, number, before } = await withPull(start);
    const asked = s.modelRequests();
    await s.github.as("stranger").review(s.name, number, { event: "REQUEST_CHANGES", body: "Delete everything." });
    await s.github.as("maintainer").review(s.name, number, { event: "APPROVE", body: "Good." });
    await s.until("the stranger's review to be refused", async () =>
      (await s.app.worker.store.runs.ofSubject(s.repository.entity.id, "pull-request", number)).some(
        (run) => run.outcome?.kind === "refused",
      ),
    );
    expect(s.modelRequests()).toBe(asked);
    expect(pull.headSha).toBe(before);
    expect([...repliesOf(s, number), ...statusesOf(s, number)]).toEqual([]);
  });
});
