import { analyseFailure } from "./analyse-failure.ts";
import { analyseIssue } from "./analyse-issue.ts";
import { answerReply } from "./answer-reply.ts";
import { askPlan } from "./ask-plan.ts";
import { authoriseTrigger } from "./authorise-trigger.ts";
import { carryOutCommand } from "./carry-out-command.ts";
import { deleteData } from "./delete-data.ts";
import { guardChange } from "./guard-change.ts";
import { handOver } from "./hand-over.ts";
import { keepWritten } from "./keep-written.ts";
import { lookForOrigin } from "./look-for-origin.ts";
import { mergeBase } from "./merge-base.ts";
import { offerFix } from "./offer-fix.ts";
import { openDraft } from "./open-draft.ts";
import { openPullRequest } from "./open-pull-request.ts";
import { planReview } from "./plan-review.ts";
import { postReview } from "./post-review.ts";
import { prepareEnvironment } from "./prepare-environment.ts";
import { publishChange } from "./publish-change.ts";
import { readChanges } from "./read-changes.ts";
import { readFailure } from "./read-failure.ts";
import { readIssue } from "./read-issue.ts";
import { readPullRequest } from "./read-pull-request.ts";
import { readRepository } from "./read-repository.ts";
import { readReview } from "./read-review.ts";
import { replyThreads } from "./reply-threads.ts";
import { reportFix } from "./report-fix.ts";
import { reportOutcome } from "./report-outcome.ts";
import { reproduceFailure } from "./reproduce-failure.ts";
import { reviewGroup } from "./review-group.ts";
import { runChecks } from "./run-checks.ts";
import { selectContext } from "./select-context.ts";
import { settleFix } from "./settle-fix.ts";
import { settlePlan } from "./settle-plan.ts";
import { takeOffer } from "./take-offer.ts";
import { verifyFindings } from "./verify-findings.ts";
import { writeChange } from "./write-change.ts";

/** The only list of steps; a step's file has its name. */
export const steps = {
  "analyse-failure": analyseFailure,
  "analyse-issue": analyseIssue,
  "answer-reply": answerReply,
  "ask-plan": askPlan,
  "authorise-trigger": authoriseTrigger,
  "carry-out-command": carryOutCommand,
  "delete-data": deleteData,
  "guard-change": guardChange,
  "hand-over": handOver,
  "keep-written": keepWritten,
  "look-for-origin": lookForOrigin,
  "merge-base": mergeBase,
  "offer-fix": offerFix,
  "open-draft": openDraft,
  "open-pull-request": openPullRequest,
  "plan-review": planReview,
  "post-review": postReview,
  "prepare-environment": prepareEnvironment,
  "publish-change": publishChange,
  "read-changes": readChanges,
  "read-failure": readFailure,
  "read-issue": readIssue,
  "read-pull-request": readPullRequest,
  "read-repository": readRepository,
  "read-review": readReview,
  "reply-threads": replyThreads,
  "report-fix": reportFix,
  "report-outcome": reportOutcome,
  "reproduce-failure": reproduceFailure,
  "review-group": reviewGroup,
  "run-checks": runChecks,
  "select-context": selectContext,
  "settle-fix": settleFix,
  "settle-plan": settlePlan,
  "take-offer": takeOffer,
  "verify-findings": verifyFindings,
  "write-change": writeChange,
};

export type Steps = typeof steps;
