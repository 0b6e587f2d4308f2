import { describe, expect, test } from "vitest";
import { issueToPr } from "../../src/pipeline/issue-to-pr.ts";
import { scriptedRun } from "../support/scripted-run.ts";

const base = {
  kind: "read",
  baseSha: "b".repeat(40),
  plan: "auto",
  planTimeoutMinutes: 60,
  openAt: "finish",
  maxAttempts: 3,
};
const plan = { kind: "plan", taskBlob: "t", title: "do it", commitType: "feat", risk: "low" };
const change = (sha: string, failure?: string) => ({
  sha,
  attempts: 1,
  checks: {
    commands: [],
    testsRan: 1,
    sandbox: "none",
    failure: failure === undefined ? undefined : { signature: failure, blob: "f", summary: failure },
  },
});
const ready = { kind: "ready", reason: "done" };
const story = {
  "authorise-trigger": [{ kind: "authorised" }],
  "read-repository": [base],
  "read-issue": [{ kind: "read", issueBlob: "i" }],
  "select-context": [{ contextBlob: "c", files: 3 }],
  "analyse-issue": [plan],
  "prepare-environment": [{ kind: "none" }],
  "write-change": [{ kind: "written", change: { sha: "1", attempts: 1 } }],
  "run-checks": [{ kind: "checked", change: change("1") }],
  "guard-change": [{ kind: "judged", decision: "pass", findings: [] }],
  "publish-change": [{ kind: "published", sha: "p", ciWaits: false }],
  "open-pull-request": [ready],
};

describe("issueToPr", () => {
  test("issueToPr tells the story in order when everything passes at once", async () => {
    const { run, names } = scriptedRun(story);
    expect(await issueToPr(run)).toEqual(ready);
    expect(names).toEqual(Object.keys(story));
  });

  test("issueToPr stops at the first step that found an ending", async () => {
    for (const [index, name] of [
      "authorise-trigger",
      "read-repository",
      "read-issue",
      "analyse-issue",
      "write-change",
      "run-checks",
      "guard-change",
      "publish-change",
    ].entries()) {
      const outcome = { kind: "failed", reason: `ended by ${name} (${index})` };
      const { run, names } = scriptedRun({ ...story, [name]: [{ kind: "ended", outcome }] });
      expect(await issueToPr(run)).toEqual(outcome);
      expect(names.at(-1)).toBe(name);
    }
  });

  test("issueToPr refines after failed checks and stops when they pass", async () => {
    const { run, names, inputs } = scriptedRun({
      ...story,
      "write-change": [
        { kind: "written", change: { sha: "1" } },
        { kind: "written", change: { sha: "2" } },
        { kind: "written", change: { sha: "3" } },
      ],
      "run-checks": [
        { kind: "checked", change: change("1", "one") },
        { kind: "checked", change: change("2", "two") },
        { kind: "checked", change: change("3") },
      ],
    });
    await issueToPr(run);
    expect(names.filter((name) => name === "write-change")).toHaveLength(3);
    const attempts = inputs.filter(({ name }) => name === "write-change").map(({ input }) => input["attempt"]);
    expect(attempts).toEqual([1, 2, 3]);
  });

  test("issueToPr stops early when an attempt fails the same way twice or changes nothing", async () => {
    const same = scriptedRun({
      ...story,
      "write-change": [
        { kind: "written", change: { sha: "1" } },
        { kind: "written", change: { sha: "2" } },
      ],
      "run-checks": [
        { kind: "checked", change: change("1", "one") },
        { kind: "checked", change: change("2", "one") },
      ],
    });
    await issueToPr(same.run);
    expect(same.names.filter((name) => name === "run-checks")).toHaveLength(2);
    const idle = scriptedRun({
      ...story,
      "run-checks": [
        { kind: "checked", change: change("1", "one") },
        { kind: "checked", change: change("1", "two") },
      ],
    });
    await issueToPr(idle.run);
    expect(idle.names.filter((name) => name === "run-checks")).toHaveLength(2);
  });

  test("issueToPr gives up after the configured attempts and goes on to a draft", async () => {
    let count = 0;
    const next = () => {
      count += 1;
      return { kind: "checked", change: change(String(count), `failure ${count}`) };
    };
    const { run, names } = scriptedRun({
      ...story,
      "read-repository": [{ ...base, maxAttempts: 2 }],
      "run-checks": [next],
    });
    await issueToPr(run);
    expect(names.filter((name) => name === "write-change")).toHaveLength(2);
    expect(names.at(-1)).toBe("open-pull-request");
  });

  test("issueToPr calls write-change again while a slice is unfinished", async () => {
    const { run, names } = scriptedRun({
      ...story,
      "write-change": [
        { kind: "unfinished", change: { sha: "0" } },
        { kind: "unfinished", change: { sha: "0" } },
        { kind: "written", change: { sha: "1" } },
      ],
    });
    await issueToPr(run);
    expect(names.filter((name) => name === "write-change")).toHaveLength(3);
    expect(names.filter((name) => name === "run-checks")).toHaveLength(1);
  });

  test("issueToPr goes on with what was written when the writing fails for good", async () => {
    const failing = (error: Error) => ({
      ...story,
      "write-change": [
        { kind: "unfinished", change: { sha: "0", attempts: 1 } },
        () => {
          throw error;
        },
      ],
    });
    const told = Object.assign(new Error("The model is overloaded."), { name: "UserFacingError" });
    const kept = scriptedRun({
      ...failing(told),
      "keep-written": [{ kind: "written", change: { sha: "0", attempts: 1, stopped: "…" } }],
    });
    expect(await issueToPr(kept.run)).toEqual(ready);
    expect(kept.names.slice(6, 10)).toEqual(["write-change", "write-change", "keep-written", "run-checks"]);
    const input = kept.inputs.find(({ name }) => name === "keep-written")?.input;
    expect(input).toMatchObject({ attempt: 1, change: { sha: "0" }, failure: "The model is overloaded." });

    const nothing = scriptedRun({ ...failing(new Error("boom")), "keep-written": [{ kind: "nothing" }] });
    await expect(issueToPr(nothing.run)).rejects.toThrow("boom");
    expect(nothing.inputs.at(-1)?.input["failure"]).toBeUndefined();
  });

  test("issueToPr waits for the plan where it is asked for, and plans anew after an edit", async () => {
    const { run, names, inputs } = scriptedRun(
      {
        ...story,
        "read-repository": [{ ...base, plan: "ask" }],
        "ask-plan": [{ commentId: 1 }],
        "settle-plan": [{ kind: "replan", planBlob: "edited" }, { kind: "approved" }],
      },
      [
        { kind: "edit", actor: "alice", blob: "edited" },
        { kind: "approve", actor: "alice" },
      ],
    );
    await issueToPr(run);
    expect(names.slice(4, 12)).toEqual([
      "analyse-issue",
      "ask-plan",
      "(wait)",
      "settle-plan",
      "analyse-issue",
      "ask-plan",
      "(wait)",
      "settle-plan",
    ]);
    expect(inputs.filter(({ name }) => name === "analyse-issue")[1]?.input["planBlob"]).toBe("edited");
  });

  test("issueToPr opens a draft before it writes when that is configured, and publishes on top of it", async () => {
    const { run, names, inputs } = scriptedRun({
      ...story,
      "read-repository": [{ ...base, openAt: "start" }],
      "open-draft": [{ sha: "empty" }],
    });
    await issueToPr(run);
    expect(names.indexOf("open-draft")).toBeLessThan(names.indexOf("write-change"));
    expect(inputs.find(({ name }) => name === "publish-change")?.input["ontoSha"]).toBe("empty");
  });
});
