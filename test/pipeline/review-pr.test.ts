import { describe, expect, test } from "vitest";
import { reviewPr } from "../../src/pipeline/review-pr.ts";
import { scriptedRun } from "../support/scripted-run.ts";

const base = { kind: "read", baseSha: "b".repeat(40) };
const pull = { number: 3, headSha: "h".repeat(40) };
const reviewed = { kind: "reviewed", reason: "2 findings." };
const story = {
  "authorise-trigger": [{ kind: "authorised" }],
  "read-pull-request": [{ kind: "read", base, pull }],
  "plan-review": [{ kind: "review", waitMinutes: 0 }],
  "read-changes": [
    {
      kind: "changes",
      changesBlob: "c",
      groups: [
        { blob: "g1", weight: 10 },
        { blob: "g2", weight: 5 },
      ],
      reviewers: ["security", "quality"],
    },
  ],
  "review-group": [(input: Record<string, unknown>) => ({ kind: "reviewed", blob: name(input) })],
  "verify-findings": [{ kind: "verified", verifiedBlob: "v", shown: 2 }],
  "post-review": [reviewed],
};

function name({ reviewer, group }: Record<string, unknown>): string {
  return `${reviewer as string}-${(group as { blob: string }).blob}`;
}

describe("reviewPr", () => {
  test("reviewPr lets every reviewer look at every group, and the first one goes ahead for the cache", async () => {
    const { run, names, inputs } = scriptedRun(story);
    expect(await reviewPr(run)).toEqual(reviewed);
    expect(names).toEqual([
      ...["authorise-trigger", "read-pull-request", "plan-review", "read-changes"],
      ...["review-group", "review-group", "review-group", "review-group", "verify-findings", "post-review"],
    ]);
    const looked = inputs.filter((one) => one.name === "review-group").map(({ input }) => name(input));
    expect(looked).toEqual(["security-g1", "security-g2", "quality-g1", "quality-g2"]);
    const places = inputs.filter((one) => one.name === "review-group").map(({ input }) => input["place"]);
    expect(places).toEqual([0, 1, 0, 1].map((at) => ({ at, of: 2 })));
    expect(inputs.find((one) => one.name === "verify-findings")?.input).toMatchObject({ answers: looked, cuts: [] });
  });

  test("reviewPr waits until the head stands still, whatever wakes it", async () => {
    const { run, names } = scriptedRun({ ...story, "plan-review": [{ kind: "review", waitMinutes: 2 }] }, [
      { kind: "approve", actor: "somebody" },
    ]);
    expect(await reviewPr(run)).toEqual(reviewed);
    expect(names.slice(2, 5)).toEqual(["plan-review", "(wait)", "read-changes"]);
  });

  test("reviewPr answers a reply and reviews nothing", async () => {
    const answered = { kind: "answered", reason: "Answered." };
    const { run, names } = scriptedRun({ ...story, "plan-review": [{ kind: "reply" }], "answer-reply": [answered] });
    expect(await reviewPr(run)).toEqual(answered);
    expect(names.at(-1)).toBe("answer-reply");
  });

  test("reviewPr hands on why reviewers did not look at everything, each reason once", async () => {
    const cut = { kind: "cut", reason: "The budget is used up." };
    const { run, inputs } = scriptedRun({ ...story, "review-group": [{ kind: "reviewed", blob: "one" }, cut] });
    await reviewPr(run);
    expect(inputs.find((one) => one.name === "verify-findings")?.input).toMatchObject({
      answers: ["one"],
      cuts: ["The budget is used up."],
    });
  });

  test("reviewPr is cut where there is no reviewer, and posts what is known all the same", async () => {
    const [changes] = story["read-changes"];
    const { run, inputs } = scriptedRun({ ...story, "read-changes": [{ ...changes, reviewers: [] }] });
    await reviewPr(run);
    expect(inputs.find((one) => one.name === "verify-findings")?.input).toMatchObject({
      answers: [],
      cuts: ["No reviewer is configured."],
    });
  });

  test("reviewPr stops at the first step that found an ending", async () => {
    for (const step of ["authorise-trigger", "read-pull-request", "read-changes", "verify-findings", "post-review"]) {
      const outcome = { kind: "superseded", reason: `ended by ${step}` };
      const { run, names } = scriptedRun({ ...story, [step]: [{ kind: "ended", outcome }] });
      expect(await reviewPr(run)).toEqual(outcome);
      expect(names.at(-1)).toBe(step);
    }
  });
});
