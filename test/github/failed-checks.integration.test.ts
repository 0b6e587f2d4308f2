import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { insideEffect } from "../../src/github/effect-scope.ts";
import { checkOn, failedChecks, pullsOfCommit, readsChecks } from "../../src/github/failed-checks.ts";
import { rerunFailed, rerunsChecks } from "../../src/github/rerun.ts";
import { appId, type InstalledGitHub, privateKey, startInstalledGitHub } from "../support/installed-github.ts";
import type { WorkflowRunInput } from "../support/local-github/domain/actions.ts";
import type { Person } from "../support/local-github/people.ts";
import type { App } from "../support/local-github/types.ts";

let installed: InstalledGitHub;
let person: Person;
let scanner: App;
const place = { owner: "acme", repo: "shop" };

beforeAll(async () => {
  installed = await startInstalledGitHub();
  const { github } = installed;
  person = github.as("maintainer");
  scanner = github.createApp({ id: 5, slug: "scanner", name: "Scanner", privateKey, webhookSecret: "s" });
});
afterAll(() => installed.close());

const failing = (sha: string) => failedChecks(installed.client(readsChecks), { ...place, sha, appId });
const actionsRun = (headSha: string, jobs: WorkflowRunInput["jobs"], name = "CI") =>
  person.workflowRun("acme/shop", { headBranch: "work", headSha, jobs, name });
const again = (check: Parameters<typeof rerunFailed>[2], options?: { wholeRun: boolean }) =>
  insideEffect("rerun", () => rerunFailed(installed.client(rerunsChecks), place, check, options));

describe("failedChecks", () => {
  test("failedChecks lists failed jobs, check runs of other Apps and statuses, in two requests", async () => {
    const sha = await installed.commit("all");
    const run = actionsRun(sha, [
      { name: "test", conclusion: "failure", log: "x" },
      { name: "slow", conclusion: "timed_out" },
      { name: "lint", conclusion: "success" },
      { name: "deploy", conclusion: "skipped" },
      { name: "stopped", conclusion: "cancelled" },
      { name: "asked", conclusion: "action_required" },
    ]);
    const { github } = installed;
    github.asApp(scanner).checkRun("acme/shop", { name: "scan", headSha: sha, conclusion: "failure" });
    github.asApp(scanner).checkRun("acme/shop", { name: "notes", headSha: sha, conclusion: "neutral" });
    github.asApp(scanner).checkRun("acme/shop", { name: "running", headSha: sha });
    github.asApp(github.app).checkRun("acme/shop", { name: "Millwright fix", headSha: sha, conclusion: "failure" });
    const status = { sha, context: "ci/outside", targetUrl: "https://ci.example.com/1" };
    await person.status("acme/shop", { ...status, state: "error", description: "Build 1 failed" });
    await person.status("acme/shop", { sha, context: "ci/mended", state: "failure" });
    await person.status("acme/shop", { sha, context: "ci/mended", state: "success" });
    await person.status("acme/shop", { sha, context: "ci/waits", state: "pending" });
    installed.requests();
    const found = await failing(sha);
    expect(installed.requests()).toBe(2);
    expect(found.map(({ kind, name, appSlug, conclusion }) => `${kind} ${name} ${appSlug} ${conclusion}`)).toEqual([
      "job test github-actions failure",
      "job slow github-actions timed_out",
      "check scan scanner failure",
      "status ci/outside maintainer error",
    ]);
    expect(found[0]).toMatchObject({ id: run.jobs[0]?.id, workflowRunId: run.id });
    expect(found[3]).toMatchObject({ url: "https://ci.example.com/1", description: "Build 1 failed" });
    for (const { completedAt } of found) expect(completedAt).toMatch(/^\d{4}-\d\d-\d\dT/);
  });

  test("failedChecks takes the newest attempt of a check alone", async () => {
    const sha = await installed.commit("attempts");
    const run = actionsRun(sha, [{ name: "test", conclusion: "failure" }]);
    const [first] = await failing(sha);
    person.rerun(run);
    expect(await failing(sha)).toEqual([]);
    person.completeRun(run, { conclusion: "failure" });
    const [second, ...more] = await failing(sha);
    expect(more).toEqual([]);
    expect(second?.id).toBeGreaterThan(first?.id as number);
    person.rerun(run);
    person.completeRun(run, { conclusion: "success" });
    expect(await failing(sha)).toEqual([]);
  });

  test("failedChecks takes a run that began after the other's end for a later attempt, and others for checks of their own", async () => {
    const sha = await installed.commit("suites");
    const at = (minute: number) => new Date(Date.UTC(2026, 0, 1, 12, minute));
    const check = (startedAt: Date, completedAt: Date, conclusion: string) => {
      const made = installed.github
        .asApp(scanner)
        .checkRun("acme/shop", { name: "build", headSha: sha, conclusion, startedAt, completedAt });
      // Each in a suite of its own, as those of two workflow runs are.
      made.suiteId = made.id;
      return made;
    };
    const beside = check(at(0), at(10), "failure");
    check(at(1), at(9), "success");
    expect((await failing(sha)).map(({ id }) => id)).toEqual([beside.id]);
    check(at(10), at(20), "success");
    expect(await failing(sha)).toEqual([]);
  });

  test("failedChecks reads further pages, and finds nothing on a commit without checks", async () => {
    const sha = await installed.commit("many");
    expect(await failing(sha)).toEqual([]);
    actionsRun(
      sha,
      Array.from({ length: 130 }, (_, at) => ({
        name: `job ${at}`,
        conclusion: at === 0 || at === 129 ? "failure" : "success",
      })),
    );
    expect((await failing(sha)).map(({ name }) => name)).toEqual(["job 0", "job 129"]);
  });
});

describe("checkOn", () => {
  const on = (sha: string, check: Parameters<typeof checkOn>[3]) =>
    checkOn(installed.client(readsChecks), place, sha, check);
  const job = (name: string) => ({ kind: "job" as const, name, appSlug: "github-actions" });

  test("checkOn says how the same check ended on another commit", async () => {
    const sha = await installed.commit("base");
    actionsRun(sha, [
      { name: "test", conclusion: "failure" },
      { name: "lint", conclusion: "success" },
      { name: "stopped", conclusion: "cancelled" },
      { name: "runs", conclusion: null },
    ]);
    installed.github.asApp(scanner).checkRun("acme/shop", { name: "test", headSha: sha, conclusion: "success" });
    installed.requests();
    expect(await on(sha, job("test"))).toMatchObject({ state: "failed", flaky: false });
    expect(installed.requests()).toBe(2);
    expect((await on(sha, job("lint"))).state).toBe("passed");
    expect((await on(sha, { kind: "check", name: "test", appSlug: "scanner" })).state).toBe("passed");
    expect(await on(sha, job("stopped"))).toMatchObject({ state: "none", attempts: [{ conclusion: "cancelled" }] });
    expect(await on(sha, job("runs"))).toEqual({ state: "none", attempts: [], flaky: false });
    expect(await on(sha, job("unknown"))).toEqual({ state: "none", attempts: [], flaky: false });
  });

  test("checkOn has all attempts on one commit, and calls what failed and passed there flaky", async () => {
    const sha = await installed.commit("flaky");
    const run = actionsRun(sha, [{ name: "test", conclusion: "failure" }]);
    person.rerun(run);
    expect(await on(sha, job("test"))).toMatchObject({ state: "none", flaky: false });
    person.completeRun(run, { conclusion: "success" });
    const history = await on(sha, job("test"));
    expect(history).toMatchObject({ state: "passed", flaky: true });
    expect(history.attempts.map(({ conclusion }) => conclusion)).toEqual(["failure", "success"]);
    expect(new Set(history.attempts.map(({ group }) => group))).toEqual(new Set([`run:${run.id}`]));
  });

  test("checkOn finds the attempts that only the workflow run still lists", async () => {
    const sha = await installed.commit("forgotten");
    const run = actionsRun(sha, [{ name: "test", conclusion: "failure" }]);
    person.rerun(run);
    person.completeRun(run, { conclusion: "success" });
    const { entity } = installed.repository;
    entity.checkRuns = entity.checkRuns.filter(({ id }) => id !== run.jobs[0]?.id);
    expect((await on(sha, job("test"))).attempts.map(({ id }) => id)).toEqual(run.jobs.map(({ id }) => id));
  });

  test("checkOn does not take two workflows that have a job of one name for attempts of one check", async () => {
    const sha = await installed.commit("namesakes");
    actionsRun(sha, [{ name: "build", conclusion: "failure" }], "A");
    actionsRun(sha, [{ name: "build", conclusion: "success" }], "B");
    const history = await on(sha, job("build"));
    expect(history).toMatchObject({ state: "none", flaky: false });
    expect(history.attempts).toHaveLength(2);
  });

  test("checkOn reads the states of a status' context", async () => {
    const sha = await installed.commit("status");
    const set = (state: "failure" | "pending" | "success") => person.status("acme/shop", { sha, context: "ci", state });
    const check = { kind: "status" as const, name: "ci", appSlug: "maintainer" };
    await set("pending");
    expect((await on(sha, check)).state).toBe("none");
    await set("failure");
    expect(await on(sha, check)).toMatchObject({ state: "failed", flaky: false });
    await set("pending");
    await set("success");
    const history = await on(sha, check);
    expect(history).toMatchObject({ state: "passed", flaky: true });
    expect(history.attempts.map(({ conclusion }) => conclusion)).toEqual(["failure", "success"]);
  });
});

describe("rerunFailed", () => {
  test("rerunFailed runs one job again, once however often it is asked", async () => {
    const sha = await installed.commit("again");
    const run = actionsRun(sha, [
      { name: "test", conclusion: "failure" },
      { name: "lint", conclusion: "failure" },
    ]);
    const [check] = await failing(sha);
    expect(await again(check!)).toEqual({ kind: "asked", repeated: false });
    expect(await again(check!)).toEqual({ kind: "asked", repeated: true });
    person.completeRun(run, { conclusion: "success" });
    expect(await again(check!)).toEqual({ kind: "asked", repeated: true });
    expect(run.attempt).toBe(2);
    expect(run.jobs.map(({ name, attempt }) => `${name} ${attempt}`)).toEqual(["test 1", "lint 1", "test 2"]);
  });

  test("rerunFailed runs all jobs of a run that failed", async () => {
    const sha = await installed.commit("whole");
    const run = actionsRun(sha, [
      { name: "test", conclusion: "failure" },
      { name: "lint", conclusion: "failure" },
      { name: "docs", conclusion: "success" },
    ]);
    const [check] = await failing(sha);
    expect(await again(check!, { wholeRun: true })).toEqual({ kind: "asked", repeated: false });
    expect(run.jobs.filter(({ attempt }) => attempt === 2).map(({ name }) => name)).toEqual(["test", "lint"]);
  });

  test("rerunFailed takes GitHub's answer that it runs already for a yes", async () => {
    const sha = await installed.commit("race");
    const run = actionsRun(sha, [{ name: "test", conclusion: "failure" }]);
    const [check] = await failing(sha);
    const stop = installed.github.onRequest(({ method }) => {
      if (method !== "POST") return;
      stop();
      person.rerun(run);
    });
    expect(await again(check!)).toEqual({ kind: "asked", repeated: true });
    expect(run.attempt).toBe(2);
  });

  test("rerunFailed says where it is not possible", async () => {
    const sha = await installed.commit("impossible");
    const scan = installed.github
      .asApp(scanner)
      .checkRun("acme/shop", { name: "scan", headSha: sha, conclusion: "failure" });
    expect(await again({ kind: "check", id: scan.id })).toMatchObject({
      kind: "impossible",
      why: expect.stringMatching(/only the App/),
    });
    expect(await again({ kind: "status", id: 1 })).toMatchObject({
      kind: "impossible",
      why: expect.stringMatching(/commit status/),
    });
    expect(await again({ kind: "job", id: 1, workflowRunId: 1 })).toMatchObject({
      kind: "impossible",
      why: expect.stringMatching(/any more/),
    });
  });

  test("rerunFailed throws what is no refusal", async () => {
    const sha = await installed.commit("broken");
    actionsRun(sha, [{ name: "test", conclusion: "failure" }]);
    const [check] = await failing(sha);
    installed.github.faults.add({ method: "POST", path: /rerun$/, status: 502, times: 1 });
    await expect(again(check!)).rejects.toThrow();
    installed.github.faults.add({ method: "POST", path: /rerun$/, status: 403, retryAfter: 7, times: 1 });
    await expect(again(check!)).rejects.toMatchObject({ name: "RateLimited", retryAfterSeconds: 7 });
  });
});

describe("pullsOfCommit", () => {
  const pulls = (sha: string) => pullsOfCommit(installed.client({ pull_requests: "read" }), place, sha);

  test("pullsOfCommit finds open pull requests by their head alone", async () => {
    const older = await installed.commit("pull", { pull: true });
    const head = await person.push("acme/shop", { branch: "pull", message: "More", files: { "more.txt": "more" } });
    expect(await pulls(older)).toEqual([]);
    const [found] = await pulls(head);
    expect(found).toMatchObject({ fork: false, author: "maintainer", headRef: "pull", draft: false });
    person.closePullRequest("acme/shop", found!.number);
    expect(await pulls(head)).toEqual([]);
  });

  test("pullsOfCommit finds a fork's pull request", async () => {
    const { github } = installed;
    github.createUser("stranger");
    await github.createRepository({ owner: "stranger", name: "shop", forkOf: "acme/shop" });
    const sha = await github
      .as("stranger")
      .push("stranger/shop", { branch: "mine", message: "Mine", files: { "mine.txt": "mine" } });
    await github.as("stranger").openPullRequest("acme/shop", { title: "Mine", head: "stranger:mine" });
    expect(await pulls(sha)).toMatchObject([{ fork: true, author: "stranger", headRef: "mine" }]);
  });
});
