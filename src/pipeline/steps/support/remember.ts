import type { OwnPullRequest } from "../../../github/pull-request.ts";
import type { Deps } from "../../deps.ts";
import type { StepContext } from "../../step.ts";
import type { Base } from "../shapes.ts";

/** Keeps what we opened and pushed last, by which later runs of the same work find it again. */
export function rememberPullRequest(
  deps: Deps,
  ctx: StepContext,
  base: Base,
  pull: OwnPullRequest,
  headSha: string,
  ciWaits: boolean,
): Promise<void> {
  return deps.store.pullRequests.put({
    repositoryId: ctx.intent.work.repositoryId,
    number: pull.number,
    workKey: ctx.workKey,
    issueNumber: base.issueNumber,
    branch: base.branch,
    headSha,
    baseRef: base.baseRef,
    nodeId: pull.nodeId,
    url: pull.url,
    ciWaits,
    state: "open",
  });
}
