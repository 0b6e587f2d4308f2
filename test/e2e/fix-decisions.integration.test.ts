import { describe, expect } from "vitest";
import { finish, repliesOf, type Scenario, useTools } from "../support/scenario.ts";
import {
  actionsLog,
  eachAnswerLostOnce,
  failedPull,
  failureAnalysis,
  fixCheckRun,
  fixEnded,
  fixes,
  fixing,
  pushedOn,
  underscores,
  writes,
} from "./failed-checks.ts";
import { test } from "./fixture.ts";

async function commandsEnded(s: Scenario, number: number, runs: number): Promise<void> {
  await s.until(`${runs} commands to end`, async () => {
    const all = await s.app.worker.store.runs.ofSubject(s.repository.entity.id, "pull-request", number);
    const commands = all.filter(({ pipeline }) => pipeline === "answer-command");
    return commands.length >= runs && commands.every(({ state }) => state === "ended");
  });
}

describe("Fix: whose fault it is", { timeout: 240_000 }, () => {
  test("a check that fails on the base commit too is not this pull request's fault", async ({ start }) => {
    const s = await start({ config: fixes(), model: () => finish("not asked") });
    const [main] = [await s.repository.git("rev-parse", "main")].map((sha) => sha.trim());
    s.github.as("maintainer").workflowRun(s.name, {
      ...{ headBranch: "main", headSha: main ?? "" },
      jobs: [{ name: "test", conclusion: "failure", log: underscores.log }],
    });
    const failed = await failedPull(s, { files: { "NOTES.md": "mine\n" }, log: underscores.log });
    const run = await fixEnded(s, failed.number);
    expect(run.outcome).toMatchObject({
      kind: "no-change-needed",
      reason: expect.stringContaining("on the base commit"),
    });
    expect(fixCheckRun(s, failed.headSha)).toMatchObject({ conclusion: "neutral" });
    expect([await pushedOn(s, failed), repliesOf(s, failed.number), s.modelRequests()]).toEqual(["", [], 0]);
  });

  test("a check that failed and passed on one commit runs again, once, and then a person is asked", async ({
    start,
  }) => {
    const s = await start({
      config: fixes(),
      model: fixing([["read", { file_path: "src/slugify.js" }]], { category: "flaky", fixable: false }),
      effectFault: eachAnswerLostOnce(),
    });
    const maintainer = s.github.as("maintainer");
    const headSha = await maintainer.push(s.name, {
      branch: "feature",
      message: "feat: mine",
      files: { "NOTES.md": "mine\n" },
    });
    const { issue } = await maintainer.openPullRequest(s.name, { title: "Mine", head: "feature" });
    const log = underscores.log;
    const run = maintainer.workflowRun(s.name, {
      ...{ headBranch: "feature", headSha, event: "pull_request" },
      jobs: [{ name: "test", conclusion: "success", log: "fine" }],
    });
    maintainer.rerun(run, "all");
    maintainer.completeRun(run, { conclusion: "failure", log });
    const first = await fixEnded(s, issue.number);
    expect(first.outcome).toMatchObject({
      kind: "no-change-needed",
      reason: expect.stringContaining("was started again"),
    });
    expect(run.attempt).toBe(3);
    maintainer.completeRun(run, { conclusion: "failure", log });
    const second = await fixEnded(s, issue.number, 2);
    expect(second.outcome).toMatchObject({ kind: "escalated" });
    expect(run.attempt).toBe(3);
    expect(await pushedOn(s, { number: issue.number, headSha, branch: "feature", run })).toBe("");
    expect(repliesOf(s, issue.number)).toHaveLength(1);
  });
});

describe("Fix: what is not pushed", { timeout: 240_000 }, () => {
  test("a wrong fix that does not go green is handed over to the code's owners, with what was tried", async ({
    start,
  }) => {
    const s = await start({
      config: fixes("reviewers: [maintainer]"),
      repository: {
        files: {
          ".github/millwright.yml": fixes("reviewers: [maintainer]"),
          ".github/CODEOWNERS": "* @acme/everyone\n/src/ @acme/writers @maintainer\n",
        },
      },
      model: fixing([["edit", { file_path: "src/slugify.js", old_string: '+/g, "_")', new_string: '+/g, "~")' }]]),
    });
    const failed = await failedPull(s, underscores);
    const run = await fixEnded(s, failed.number);
    expect(run.outcome).toMatchObject({
      kind: "escalated",
      reason: expect.stringContaining("does not make the checks pass"),
    });
    expect(await pushedOn(s, failed)).toBe("");
    const [comment, ...others] = repliesOf(s, failed.number);
    expect(others).toEqual([]);
    expect(comment).toMatch(/needs a person[\s\S]*Cause[\s\S]*hello_world[\s\S]*Asked: @maintainer @acme\/writers/);
    expect(fixCheckRun(s, failed.headSha)).toMatchObject({ conclusion: "neutral" });
  });

  test("what no change of files can mend is handed over, and the analysis is asked for once for the same failure", async ({
    start,
  }) => {
    const s = await start({
      config: fixes(),
      model: ({ stage }) =>
        stage === "analyse-failure"
          ? failureAnalysis({
              category: "infrastructure",
              fixable: false,
              evidence: ["getaddrinfo ENOTFOUND registry"],
            })
          : finish("not asked"),
    });
    const log = (port: number) =>
      actionsLog(
        "npm run deploy",
        `npm error code ENOTFOUND\nnpm error getaddrinfo ENOTFOUND registry, from port ${port}`,
      );
    const one = await failedPull(s, {
      ...{ files: { "A.md": "a\n" }, branch: "one", job: "deploy" },
      log: log(40_123),
    });
    expect((await fixEnded(s, one.number)).outcome).toMatchObject({ kind: "escalated" });
    const asked = s.modelRequests();
    const two = await failedPull(s, {
      ...{ files: { "B.md": "b\n" }, branch: "two", job: "deploy" },
      log: log(51_877),
    });
    expect((await fixEnded(s, two.number)).outcome).toMatchObject({ kind: "escalated" });
    expect([asked, s.modelRequests()]).toEqual([1, 1]);
  });

  test("an analysis that quotes what the log does not say is asked for once more, and its fix is offered", async ({
    start,
  }) => {
    const notes: string[] = [];
    const s = await start({
      config: fixes(),
      model: ({ stage, turn, request }) => {
        if (stage !== "analyse-failure") return turn === 0 ? useTools(...underscores.mended) : finish("It is mended.");
        notes.push(/Your last answer quoted[^\n]*/.exec(JSON.stringify(request.body.messages))?.[0] ?? "");
        return failureAnalysis({ evidence: ["Segmentation fault"] });
      },
    });
    const failed = await failedPull(s, underscores);
    const run = await fixEnded(s, failed.number);
    expect(run.outcome).toMatchObject({ kind: "offered", reason: "The analysis quotes what the log does not say." });
    expect([notes.length, notes[0], notes[1]]).toEqual([2, "", expect.stringContaining("Segmentation fault")]);
    expect(await pushedOn(s, failed)).toBe("");
  });

  test("a head that somebody moved while the fix was written is left as it is", async ({ start }) => {
    let push = async () => "";
    const mend = fixing(underscores.mended);
    const s = await start({
      config: fixes(),
      model: async (asked) => {
        if (asked.stage !== "analyse-failure" && asked.turn === 0) await push();
        return mend(asked);
      },
    });
    push = () =>
      s.github.as("maintainer").push(s.name, { branch: "feature", message: "feat: more", files: { "MORE.md": "" } });
    const failed = await failedPull(s, underscores);
    const run = await fixEnded(s, failed.number);
    expect(run.outcome).toMatchObject({ kind: "superseded" });
    expect(await pushedOn(s, failed)).toBe("feat: more");
    expect(repliesOf(s, failed.number)).toEqual([]);
    expect(fixCheckRun(s, failed.headSha)).toMatchObject({ conclusion: "neutral", actions: [] });
  });

  test("a fork's pull request gets the fix as a patch, and nothing is pushed or run again", async ({ start }) => {
    const s = await start({ config: fixes("authors: all"), model: fixing(underscores.mended) });
    const fork = await s.github.createRepository({ owner: "stranger", name: "text-tools", forkOf: s.name });
    const stranger = s.github.as("stranger");
    const headSha = await stranger.push("stranger/text-tools", {
      ...{ branch: "feature", message: "feat: mine" },
      files: underscores.files,
    });
    const pull = await stranger.openPullRequest(s.name, { title: "Mine", head: "stranger:feature" });
    const maintainer = s.github.as("maintainer");
    const workflow = maintainer.workflowRun(s.name, {
      ...{ headBranch: "feature", headSha, event: "pull_request" },
      jobs: [{ name: "test", conclusion: "success", log: "fine" }],
    });
    // It failed and passed on one commit, so that it would be run again for a member.
    maintainer.rerun(workflow, "all");
    maintainer.completeRun(workflow, { conclusion: "failure", log: underscores.log });
    const run = await fixEnded(s, pull.issue.number);
    expect(run.outcome).toMatchObject({ kind: "offered", reason: expect.stringContaining("failed and passed") });
    expect(workflow.attempt).toBe(2);
    const [comment] = repliesOf(s, pull.issue.number);
    expect(comment).toMatch(/-\s+\.replaceAll\(\/\[\^a-z0-9\]\+\/g, "_"\)[\s\S]*git apply/);
    // GitHub tells no pull request of a fork with what is pressed.
    expect(fixCheckRun(s, headSha).actions).toEqual([]);
    expect((await fork.branches())["feature"]).toBe(headSha);
  });
});

describe("Fix: what people decide", { timeout: 240_000 }, () => {
  test("Explain posts the analysis, a stranger's Apply is refused, and Reject ends the offer", async ({ start }) => {
    const s = await start({ config: fixes("apply: ask"), model: fixing(underscores.mended) });
    const failed = await failedPull(s, underscores);
    expect((await fixEnded(s, failed.number)).outcome).toMatchObject({ kind: "offered" });
    // What fails besides leaves the offer and its buttons alone.
    s.github.as("maintainer").workflowRun(s.name, {
      ...{ headBranch: failed.branch, headSha: failed.headSha, event: "pull_request" },
      jobs: [{ name: "lint", conclusion: "failure", log: "nothing" }],
    });
    const besides = await fixEnded(s, failed.number, 2);
    expect(besides.outcome).toMatchObject({ reason: "A fix for this head waits for a decision." });
    const check = fixCheckRun(s, failed.headSha);
    const press = (login: string, button: string) => s.github.as(login).pressButton(check, button);
    press("maintainer", "explain-check");
    await commandsEnded(s, failed.number, 1);
    expect(repliesOf(s, failed.number).at(-1)).toMatch(/\*\*Cause\*\* \(test, confidence 95 of 100\)/);
    press("stranger", "apply-fix");
    const refused = await fixEnded(s, failed.number, 3);
    expect(refused.outcome).toMatchObject({ kind: "refused", reason: expect.stringContaining("write access") });
    press("maintainer", "reject-fix");
    await commandsEnded(s, failed.number, 2);
    expect(fixCheckRun(s, failed.headSha)).toMatchObject({ conclusion: "neutral", actions: [] });
    expect(await pushedOn(s, failed)).toBe("");
  });

  test("nothing is said or fetched where fixes are off, and /fix says how to switch them on", async ({ start }) => {
    const s = await start({ model: fixing(underscores.mended) });
    const failed = await failedPull(s, underscores);
    expect((await fixEnded(s, failed.number)).outcome).toMatchObject({ kind: "refused" });
    expect(writes(s)).toEqual([]);
    s.github.as("maintainer").comment(s.name, failed.number, "/fix");
    await fixEnded(s, failed.number, 2);
    expect(repliesOf(s, failed.number)).toEqual([expect.stringContaining("`fix.enabled: true`")]);
  });

  test("a failure is looked into when it happened often enough, as often as it may be, and /fix does not wait", async ({
    start,
  }) => {
    const s = await start({
      config: fixes("threshold: 2", "attemptsPerHead: 1"),
      model: fixing(underscores.mended),
    });
    const failed = await failedPull(s, underscores);
    expect((await fixEnded(s, failed.number)).outcome).toMatchObject({ kind: "no-change-needed" });
    s.github.as("maintainer").comment(s.name, failed.number, "/fix please");
    const fixed = await fixEnded(s, failed.number, 2);
    expect(fixed.outcome).toMatchObject({ kind: "fixed" });
    // It fails on what we pushed: the attempts at the head before count for this one.
    const { headSha } = s.repository.pull(failed.number);
    s.github.as("maintainer").workflowRun(s.name, {
      ...{ headBranch: failed.branch, headSha, event: "pull_request" },
      jobs: [{ name: "test", conclusion: "failure", log: underscores.log }],
    });
    await fixEnded(s, failed.number, 3);
    s.github.as("maintainer").comment(s.name, failed.number, "/fix");
    expect((await fixEnded(s, failed.number, 4)).outcome).toMatchObject({
      ...{ kind: "escalated", reason: "This check was worked on 1 time on this head already." },
    });
  });
});
