import { analyseIssue } from "./analyse-issue.ts";
import { askPlan } from "./ask-plan.ts";
import { authoriseTrigger } from "./authorise-trigger.ts";
import { carryOutCommand } from "./carry-out-command.ts";
import { deleteData } from "./delete-data.ts";
import { guardChange } from "./guard-change.ts";
import { keepWritten } from "./keep-written.ts";
import { mergeBase } from "./merge-base.ts";
import { openDraft } from "./open-draft.ts";
import { openPullRequest } from "./open-pull-request.ts";
import { prepareEnvironment } from "./prepare-environment.ts";
import { publishChange } from "./publish-change.ts";
import { readIssue } from "./read-issue.ts";
import { readPullRequest } from "./read-pull-request.ts";
import { readRepository } from "./read-repository.ts";
import { readReview } from "./read-review.ts";
import { replyThreads } from "./reply-threads.ts";
import { reportOutcome } from "./report-outcome.ts";
import { runChecks } from "./run-checks.ts";
import { selectContext } from "./select-context.ts";
import { settlePlan } from "./settle-plan.ts";
import { writeChange } from "./write-change.ts";

/** The only list of steps; a step's file has its name. */
export const steps = {
  "analyse-issue": analyseIssue,
  "ask-plan": askPlan,
  "authorise-trigger": authoriseTrigger,
  "carry-out-command": carryOutCommand,
  "delete-data": deleteData,
  "guard-change": guardChange,
  "keep-written": keepWritten,
  "merge-base": mergeBase,
  "open-draft": openDraft,
  "open-pull-request": openPullRequest,
  "prepare-environment": prepareEnvironment,
  "publish-change": publishChange,
  "read-issue": readIssue,
  "read-pull-request": readPullRequest,
  "read-repository": readRepository,
  "read-review": readReview,
  "reply-threads": replyThreads,
  "report-outcome": reportOutcome,
  "run-checks": runChecks,
  "select-context": selectContext,
  "settle-plan": settlePlan,
  "write-change": writeChange,
};

export type Steps = typeof steps;
