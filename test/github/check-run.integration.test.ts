import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CheckRunState, putCheckRun } from "../../src/github/check-run.ts";
import { putCiCheck } from "../../src/github/ci-check.ts";
import { insideEffect } from "../../src/github/effect-scope.ts";
import { appId, type InstalledGitHub, privateKey, startInstalledGitHub } from "../support/installed-github.ts";

let installed: InstalledGitHub;

beforeAll(async () => {
  installed = await startInstalledGitHub();
});
afterAll(() => installed.close());

const place = { owner: "acme", repo: "shop" };
const put = (sha: string, state: CheckRunState, name = "Millwright fix") =>
  insideEffect("check", () =>
    putCheckRun(installed.client({ checks: "write" }), appId, { ...place, sha, name }, state),
  );
const checksAt = (sha: string) => installed.repository.entity.checkRuns.filter(({ headSha }) => headSha === sha);
const done = { conclusion: "neutral", title: "Done", summary: "All done." } as const;

describe("putCheckRun", () => {
  test("putCheckRun creates one check run, and finds it from then on", async () => {
    const sha = await installed.commit("one");
    installed.requests();
    const first = await put(sha, { status: "in_progress", title: "Reading", summary: "…", externalId: "run-1" });
    expect(installed.requests()).toBe(3);
    const actions = [{ label: "Apply", description: "Push the fix.", identifier: "fix-apply" }];
    const second = await put(sha, { ...done, actions, detailsUrl: "https://example.com/run", text: "Details" });
    expect(installed.requests()).toBe(2);
    expect(second).toEqual(first);
    expect(checksAt(sha)).toMatchObject([
      {
        id: first.id,
        name: "Millwright fix",
        status: "completed",
        conclusion: "neutral",
        externalId: "run-1",
        detailsUrl: "https://example.com/run",
        output: { title: "Done", summary: "All done.", text: "Details" },
        actions,
      },
    ]);
    await put(sha, { status: "in_progress", title: "Again", summary: "…" });
    expect(checksAt(sha)).toMatchObject([{ status: "in_progress", conclusion: null, actions: [] }]);
  });

  test("putCheckRun takes no check run of another App, name or commit for its own", async () => {
    const [sha, elsewhere] = [await installed.commit("two"), await installed.commit("two-more")];
    const { github } = installed;
    const { app } = github;
    const other = github.createApp({
      id: 5,
      slug: "other",
      name: "Other",
      privateKey,
      webhookSecret: "s",
    });
    github.asApp(other).checkRun("acme/shop", { name: "Millwright fix", headSha: sha, conclusion: "failure" });
    github.asApp(app).checkRun("acme/shop", { name: "Millwright", headSha: sha, conclusion: "failure" });
    github.asApp(app).checkRun("acme/shop", { name: "Millwright fix", headSha: elsewhere, conclusion: "failure" });
    await put(sha, done);
    expect(checksAt(sha).map(({ conclusion }) => conclusion)).toEqual(["failure", "failure", "neutral"]);
    expect(checksAt(elsewhere)).toMatchObject([{ conclusion: "failure" }]);
  });

  test("putCheckRun keeps the newest of two that were created at once, and ends the other", async () => {
    const sha = await installed.commit("three");
    const { github } = installed;
    // Somebody's create that was not in the list yet when ours looked.
    const stop = github.onRequest(({ method, path }) => {
      if (method !== "POST" || !path.endsWith("/check-runs")) return;
      stop();
      github.asApp(github.app).checkRun("acme/shop", { name: "Millwright fix", headSha: sha });
    });
    const { id } = await put(sha, done);
    expect(checksAt(sha).map((run) => [run.id === id, run.conclusion])).toEqual([
      [false, "skipped"],
      [true, "neutral"],
    ]);
    expect((await put(sha, done)).id).toBe(id);
  });

  test("putCheckRun sends annotations fifty at a time, each once", async () => {
    const sha = await installed.commit("four");
    const annotations = Array.from({ length: 120 }, (_, at) => ({
      path: "README.md",
      startLine: at + 1,
      endLine: at + 1,
      level: "warning" as const,
      message: `Message ${at}`,
    }));
    const state = { ...done, annotations };
    installed.github.faults.add({ method: "PATCH", path: /check-runs/, status: 502, times: 1 });
    await expect(put(sha, state)).rejects.toThrow();
    expect(checksAt(sha)[0]?.annotations).toHaveLength(50);
    await put(sha, state);
    await put(sha, state);
    const lines = checksAt(sha)[0]?.annotations.map((annotation) => annotation["start_line"]);
    expect(lines).toEqual(annotations.map(({ startLine }) => startLine));
  });

  test("putCheckRun cuts what GitHub would refuse", async () => {
    const sha = await installed.commit("five");
    const long = `\`\`\`\n${"😀 line\n".repeat(20_000)}\`\`\`\n`;
    await put(sha, { ...done, title: "😀".repeat(300), summary: long, text: long });
    const { title, summary, text } = checksAt(sha)[0]!.output;
    expect([...title!]).toHaveLength(255);
    for (const part of [summary!, text!]) {
      expect([...part].length).toBeLessThanOrEqual(65_535);
      expect([...part].length).toBeGreaterThan(65_000);
      expect(part).toMatch(/\n```\n\n\*\d+ more characters were left out\.\*$/);
    }
  });

  test.each([
    [
      "a fourth button",
      Array.from({ length: 4 }, (_, at) => ({ label: `${at}`, description: "d", identifier: `${at}` })),
    ],
    ["a label of 21 characters", [{ label: "x".repeat(21), description: "d", identifier: "i" }]],
    ["a description of 41 characters", [{ label: "l", description: "x".repeat(41), identifier: "i" }]],
    ["an identifier of 21 characters", [{ label: "l", description: "d", identifier: "x".repeat(21) }]],
    ["an empty label", [{ label: "", description: "d", identifier: "i" }]],
  ])("putCheckRun refuses %s before anything is sent", async (_what, actions) => {
    installed.requests();
    await expect(put("0".repeat(40), { ...done, actions })).rejects.toThrow(/check run('s button)? has/);
    expect(installed.requests()).toBe(0);
  });
});

test("putCiCheck offers the button, and takes it away once CI was approved", async () => {
  const sha = await installed.commit("ci");
  const octokit = installed.client({ checks: "write" });
  const say = (state: "waits" | "approved") =>
    insideEffect("ci-check", () => putCiCheck(octokit, appId, { ...place, sha }, state));
  await say("waits");
  expect(checksAt(sha)).toMatchObject([{ conclusion: "neutral", actions: [{ identifier: "approve-ci" }] }]);
  await say("approved");
  expect(checksAt(sha)).toMatchObject([{ conclusion: "success", actions: [] }]);
});
