import type { Analysis } from "../../../agent/schemas.ts";

const boxText = "Approve this plan";

export function approveBox(ticked: boolean): string {
  return `- [${ticked ? "x" : " "}] ${boxText}`;
}

/** The plan as people read and edit it. */
export function planText(analysis: Analysis): string {
  return [
    analysis.summary,
    "",
    "**Done when**",
    ...analysis.acceptanceCriteria.map((criterion) => `- ${criterion}`),
    "",
    "**Steps**",
    ...analysis.plan.map((step, index) => `${index + 1}. ${step}`),
    "",
    "**Files**",
    ...analysis.relevantFiles.map((file) => `- \`${file.path.replaceAll("`", "'")}\`: ${file.reason}`),
    "",
    `**Size** ${analysis.size} · **Risk** ${analysis.risk}: ${analysis.riskReason}`,
  ].join("\n");
}

/** What a person's edit of the plan comment means. `posted` is the plan as it was posted. */
export function readPlanEdit(
  comment: string,
  posted: string,
): { kind: "approve" } | { kind: "edit"; plan: string } | { kind: "nothing" } {
  const text = comment.replaceAll("\r\n", "\n");
  const ticked = /^- \[[xX]\] Approve this plan\s*$/m.test(text);
  const start = text.indexOf("\n", text.indexOf("### "));
  const end = text.search(/^- \[[ xX]\] Approve this plan\s*$/m);
  const plan = text.slice(Math.max(0, start), end === -1 ? undefined : end).trim();
  if (plan !== posted.trim()) return { kind: "edit", plan };
  return ticked ? { kind: "approve" } : { kind: "nothing" };
}
