import { describe, expect, test } from "vitest";
import type { Analysis } from "../../src/agent/schemas.ts";
import { approveBox, planText, readPlanEdit } from "../../src/pipeline/steps/support/plan.ts";

const analysis: Analysis = {
  summary: "The issue asks for a change.",
  acceptanceCriteria: ["It works."],
  relevantFiles: [{ path: "src/a.js", reason: "the function" }],
  plan: ["Change it.", "Test it."],
  commitType: "fix",
  title: "change it",
  size: "small",
  risk: "low",
  riskReason: "Small.",
  openQuestions: [],
  doable: "yes",
};
const posted = planText(analysis);
const comment = (plan: string, ticked: boolean) =>
  [
    "### ✋ Plan: may this be built?",
    "",
    plan,
    "",
    approveBox(ticked),
    "",
    "<sub>Tick the box.</sub>",
    "",
    "<!-- mark -->",
  ].join("\n");

describe("readPlanEdit", () => {
  test("readPlanEdit approves when the box alone was ticked, whatever the line ends", () => {
    expect(readPlanEdit(comment(posted, true), posted)).toEqual({ kind: "approve" });
    expect(readPlanEdit(comment(posted, true).replaceAll("\n", "\r\n"), posted)).toEqual({ kind: "approve" });
  });

  test("readPlanEdit finds nothing in an edit that changes neither box nor plan", () => {
    expect(readPlanEdit(comment(posted, false), posted)).toEqual({ kind: "nothing" });
  });

  test("readPlanEdit takes another text as a new plan, also when the box was ticked with it", () => {
    const edited = posted.replace("Change it.", "Change it carefully.");
    expect(readPlanEdit(comment(edited, false), posted)).toEqual({ kind: "edit", plan: edited });
    expect(readPlanEdit(comment(edited, true), posted)).toEqual({ kind: "edit", plan: edited });
  });
});
