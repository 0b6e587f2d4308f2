import type { RawReply } from "./scripted-model.ts";

/** A structured answer of the analysis, with what the test wants different. */
export function analysis(change: Record<string, unknown> = {}): RawReply {
  return finish(analysisText(change));
}

/** The same as the words that the model says. */
export function analysisText(change: Record<string, unknown> = {}): string {
  return JSON.stringify({
    summary: "The issue asks for a change.",
    acceptanceCriteria: ["It works."],
    relevantFiles: [{ path: "src/slugify.js", reason: "the function" }],
    plan: ["Change it.", "Test it."],
    commitType: "fix",
    title: "change it",
    size: "small",
    risk: "low",
    riskReason: "Small.",
    openQuestions: [],
    doable: "yes",
    ...change,
  });
}

let calls = 0;

/** A turn that calls tools. */
export function useTools(...uses: [name: string, input: Record<string, unknown>][]): RawReply {
  const content = uses.map(([name, input]) => {
    calls += 1;
    return { type: "tool_use", id: `toolu_${calls}`, name, input };
  });
  return { message: { content } };
}

/** The last words of a piece of work. */
export function finish(text = "Done."): RawReply {
  return { message: { content: text } };
}
