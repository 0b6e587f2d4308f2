import type { EmitterWebhookEvent, EmitterWebhookEventName } from "@octokit/webhooks";
import type { ApplicationFunction, Probot } from "probot";
import { operatorConfigOrExit } from "./config/operator.ts";
import { installationRemoved, repositoriesRemoved, repositoryDeleted } from "./handlers/access-removed.ts";
import { buttonPressed } from "./handlers/button-pressed.ts";
import { checkRunCompleted, statusFailed, workflowRunCompleted } from "./handlers/check-completed.ts";
import { commentEdited } from "./handlers/comment-edited.ts";
import type { Known, Verdict } from "./handlers/handler.ts";
import { issueClosed } from "./handlers/issue-closed.ts";
import { issueCommented } from "./handlers/issue-commented.ts";
import { issueLabeled } from "./handlers/issue-labeled.ts";
import { pullRequestChanged } from "./handlers/pull-request-changed.ts";
import { pullRequestClosed } from "./handlers/pull-request-closed.ts";
import type { Receive } from "./handlers/receive.ts";
import { reviewCommented } from "./handlers/review-commented.ts";
import { reviewSubmitted } from "./handlers/review-submitted.ts";
import { attachToProbot, stopOnSignals } from "./run/attach.ts";

/** GitHub event → handler. A handler decides from the payload alone; what it starts is queued before GitHub gets its answer. */
export function routes(app: Probot, receive: Receive): void {
  const on = <N extends EmitterWebhookEventName>(
    names: N | N[],
    handler: (event: EmitterWebhookEvent<N>, known: Known) => Verdict,
  ) => app.on(names, (context) => receive(context as unknown as EmitterWebhookEvent<N>, handler));

  on("issues.labeled", issueLabeled);
  on("issue_comment.created", issueCommented);
  on("issue_comment.edited", commentEdited);
  on(["issues.unlabeled", "issues.closed", "issues.deleted", "issues.transferred"], issueClosed);
  on("pull_request_review.submitted", reviewSubmitted);
  on(
    ["pull_request.opened", "pull_request.reopened", "pull_request.ready_for_review", "pull_request.synchronize"],
    pullRequestChanged,
  );
  on("pull_request_review_comment.created", reviewCommented);
  on("pull_request.closed", pullRequestClosed);
  on("check_run.completed", checkRunCompleted);
  on("workflow_run.completed", workflowRunCompleted);
  on("status", statusFailed);
  on("check_run.requested_action", buttonPressed);
  on(["installation.deleted", "installation.suspend"], installationRemoved);
  on("installation_repositories.removed", repositoriesRemoved);
  on("repository.deleted", repositoryDeleted);
}

/** The Probot application: `probot run ./src/index.ts`, and `npm start` with a main of its own. */
const application: ApplicationFunction = async (app, options) => {
  stopOnSignals(await attachToProbot(app, options, routes, { operator: operatorConfigOrExit(), role: "server" }));
};

export default application;
