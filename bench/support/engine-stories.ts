import type { Pipeline } from "../../src/pipeline/run.ts";

interface TrivialRun {
  step(name: string, input: object): Promise<unknown>;
  waitFor(signal: "decision", timeoutMinutes: number): Promise<unknown>;
}

const story = (tell: (run: TrivialRun) => Promise<void>) =>
  (async (run: TrivialRun) => {
    await run.step("authorise-trigger", {});
    await tell(run);
    return { kind: "ready", reason: "done" };
  }) as unknown as Pipeline;

/** What engines are measured with: their own work, around steps that do nothing. The pipeline's name chooses the story. */
export const benchStories: Readonly<Record<string, Pipeline>> = {
  "issue-to-pr": story(async (run) => void (await run.step("trivial", {}))),
  "iterate-pr": story(async (run) => {
    for (let n = 0; n < 20; n += 1) await run.step("trivial", {});
  }),
  "answer-command": story(async (run) => void (await run.waitFor("decision", 600))),
};
