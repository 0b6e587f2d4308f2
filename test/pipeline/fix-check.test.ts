import { describe, expect, test } from "vitest";
import { applyFix } from "../../src/pipeline/apply-fix.ts";
import { fixCheck } from "../../src/pipeline/fix-check.ts";
import { scriptedRun } from "../support/scripted-run.ts";

const base = { kind: "read", baseSha: "b".repeat(40), maxAttempts: 3 };
const pull = { number: 3, headSha: "h".repeat(40) };
const checks = [{ kind: "job", id: 1, name: "test" }];
const plan = { kind: "plan", taskBlob: "t", title: "mend it", commitType: "fix", risk: "low" };
const analysed = { kind: "analysed", plan, category: "test", confidence: 90, evidenceHolds: true };
const red = { kind: "reproduced", setup: false, commands: [{ name: "npm test", run: "npm test" }], summary: "red" };
const verdict = { kind: "judged", decision: "pass", findings: [] };
const fixed = { kind: "fixed", reason: "mended" };
const handedOver = { kind: "escalated", reason: "a person" };
const story = {
  "authorise-trigger": [{ kind: "authorised" }],
  "read-pull-request": [{ kind: "read", base, pull }],
  "read-failure": [{ kind: "failed", checks, failureBlob: "f", issueBlob: "i", hash: "x", commands: ["npm test"] }],
  "look-for-origin": [{ kind: "ours", checks }],
  "select-context": [{ contextBlob: "c", files: 3 }],
  "analyse-failure": [analysed],
  "prepare-environment": [{ kind: "none" }],
  "reproduce-failure": [red],
  "write-change": [{ kind: "written", change: { sha: "1", attempts: 1 } }],
  "run-checks": [{ kind: "checked", change: { sha: "1", attempts: 1, checks: { commands: [] } } }],
  "guard-change": [verdict],
  "settle-fix": [{ kind: "publish" }],
  "publish-change": [{ kind: "published", sha: "p", ciWaits: false }],
  "report-fix": [fixed],
};
type Script = Parameters<typeof scriptedRun>[0];
const others: Script = { "hand-over": [handedOver], "offer-fix": [{ kind: "offered", reason: "look at it" }] };
const ended = (kind: string, reason = "why", detail?: string) => ({ kind: "ended", outcome: { kind, reason, detail } });

function toldTo(last: string): string[] {
  const names = Object.keys(story);
  return names.slice(0, names.indexOf(last) + 1);
}

describe("fixCheck", () => {
  test("fixCheck tells the story in order when the fix turns the check green at once", async () => {
    const { run, names, inputs } = scriptedRun({ ...story, ...others });
    expect(await fixCheck(run)).toEqual(fixed);
    expect(names).toEqual(Object.keys(story));
    const of = (name: string) => inputs.find((one) => one.name === name)?.input;
    // It is written on the head, checked against what was red there, and pushed onto it.
    expect(of("run-checks")).toMatchObject({ startSha: pull.headSha, target: red });
    expect(of("guard-change")).toMatchObject({ fromSha: pull.headSha });
    expect(of("publish-change")).toMatchObject({ ontoSha: pull.headSha });
  });

  test.each(["authorise-trigger", "read-pull-request", "read-failure", "look-for-origin"])(
    "fixCheck ends without a word where %s found an ending",
    async (name) => {
      const { run, names } = scriptedRun({ ...story, ...others, [name]: [ended("refused")] });
      expect(await fixCheck(run)).toMatchObject({ kind: "refused", reason: "why" });
      expect(names).toEqual(toldTo(name));
    },
  );

  test.each<[string, Script, string, Record<string, unknown>]>([
    [
      "no fix is worth trying",
      { "analyse-failure": [{ ...analysed, escalate: "It is flaky." }] },
      "reproduce-failure",
      { reason: "It is flaky." },
    ],
    [
      "nothing could be written",
      { "write-change": [ended("failed", "No budget.", "how")] },
      "write-change",
      { tried: "how" },
    ],
    ["nothing was to be changed", { "write-change": [ended("no-change-needed")] }, "write-change", { reason: "why" }],
    [
      "the guard blocks the fix",
      { "guard-change": [ended("failed", "The guard.", "rule")] },
      "guard-change",
      { tried: "rule" },
    ],
    ["the fix stays red", { "settle-fix": [{ kind: "hand-over", reason: "Red." }] }, "settle-fix", { reason: "Red." }],
    [
      "GitHub refuses the push",
      { "publish-change": [ended("failed", "Refused.")] },
      "publish-change",
      { reason: "Refused." },
    ],
  ])("fixCheck hands over where %s", async (_why, change, last, said) => {
    const { run, names, inputs } = scriptedRun({ ...story, ...others, ...change });
    expect(await fixCheck(run)).toEqual(handedOver);
    expect(names).toEqual([...toldTo(last), "hand-over"]);
    expect(inputs.at(-1)?.input).toMatchObject({ checks, plan, evidenceHolds: true, ...said });
  });

  test("fixCheck offers what is not to be pushed, and nothing is published", async () => {
    const { run, names } = scriptedRun({ ...story, ...others, "settle-fix": [{ kind: "offer", reason: "A fork." }] });
    expect(await fixCheck(run)).toMatchObject({ kind: "offered" });
    expect(names).toEqual([...toldTo("settle-fix"), "offer-fix"]);
  });

  test.each<[string, string, string]>([
    ["the model gave no analysis", "analyse-failure", "failed"],
    ["it was stopped", "write-change", "cancelled"],
    ["the head moved on", "publish-change", "superseded"],
  ])("fixCheck asks nobody where %s", async (_why, name, kind) => {
    const { run, names } = scriptedRun({ ...story, ...others, [name]: [ended(kind)] });
    expect(await fixCheck(run)).toMatchObject({ kind });
    expect(names).not.toContain("hand-over");
    expect(names).not.toContain("report-fix");
  });

  test("fixCheck passes on no more of the guard's findings than are shown", async () => {
    const findings = Array.from({ length: 60 }, (_, at) => ({ rule: "size", severity: "note", message: `${at}` }));
    const { run, inputs } = scriptedRun({ ...story, ...others, "guard-change": [{ ...verdict, findings }] });
    await fixCheck(run);
    const { verdict: judged } = inputs.at(-1)!.input as { verdict: typeof verdict };
    expect(judged.findings).toEqual(findings.slice(0, 10));
  });
});

describe("applyFix", () => {
  const offer = { base, plan, change: { sha: "1" }, checks, verdict, reproduction: red };
  const applied = {
    "authorise-trigger": story["authorise-trigger"],
    "read-pull-request": story["read-pull-request"],
    "take-offer": [{ kind: "taken", offer }],
    "publish-change": story["publish-change"],
    "report-fix": [fixed],
  };

  test("applyFix pushes what was offered onto the head that it was made for", async () => {
    const { run, names, inputs } = scriptedRun(applied);
    expect(await applyFix(run)).toEqual(fixed);
    expect(names).toEqual(Object.keys(applied));
    expect(inputs[3]?.input).toMatchObject({ change: offer.change, ontoSha: pull.headSha });
  });

  test.each(["authorise-trigger", "read-pull-request", "take-offer", "publish-change"])(
    "applyFix ends where %s found an ending",
    async (name) => {
      const { run, names } = scriptedRun({ ...applied, [name]: [ended("refused")] });
      expect(await applyFix(run)).toMatchObject({ kind: "refused" });
      expect(names.at(-1)).toBe(name);
    },
  );
});
