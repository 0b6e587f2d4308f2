import type { ProbotOctokit } from "probot";
import { approveCiAction } from "../policy/markers.ts";
import { putCheckRun } from "./check-run.ts";

/** The check run that carries the button *Run CI*, or says that CI was approved. Call inside `ctx.effect`. */
export async function putCiCheck(
  octokit: ProbotOctokit,
  appId: number,
  place: { owner: string; repo: string; sha: string },
  state: "waits" | "approved",
): Promise<void> {
  const at = { ...place, name: "Millwright" };
  if (state === "approved") {
    await putCheckRun(octokit, appId, at, {
      conclusion: "success",
      title: "CI was approved",
      summary: "CI runs on the same tree.",
    });
    return;
  }
  await putCheckRun(octokit, appId, at, {
    conclusion: "neutral",
    title: "CI waits for a person",
    summary:
      "What CI runs here was written by a model. A person with write access starts it with the button *Run CI*, or with `/millwright approve`.",
    actions: [{ label: "Run CI", description: "Let CI run on this change.", identifier: approveCiAction }],
  });
}
