import type { ProbotOctokit } from "probot";
import { approveCiAction } from "../policy/markers.ts";

const checkName = "Millwright";

/** Find-or-create by name and commit: the check run that carries the button *Run CI*, or says that CI was approved. */
export async function putCiCheck(
  octokit: ProbotOctokit,
  appId: number,
  place: { owner: string; repo: string; sha: string },
  state: "waits" | "approved",
): Promise<void> {
  const { owner, repo, sha } = place;
  const { data } = await octokit.rest.checks.listForRef({
    owner,
    repo,
    ref: sha,
    check_name: checkName,
    app_id: appId,
    filter: "latest",
  });
  const text =
    state === "waits"
      ? {
          title: "CI waits for a person",
          summary:
            "What CI runs here was written by a model. A person with write access starts it with the button *Run CI*, or with `/millwright approve`.",
        }
      : { title: "CI was approved", summary: "CI runs on the same tree." };
  const fields = {
    owner,
    repo,
    status: "completed" as const,
    conclusion: state === "waits" ? ("neutral" as const) : ("success" as const),
    output: text,
    actions:
      state === "waits"
        ? [{ label: "Run CI", description: "Let CI run on this change.", identifier: approveCiAction }]
        : [],
  };
  const [existing] = data.check_runs;
  if (existing === undefined) await octokit.rest.checks.create({ ...fields, name: checkName, head_sha: sha });
  else await octokit.rest.checks.update({ ...fields, check_run_id: existing.id });
}
