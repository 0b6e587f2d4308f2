import { answerCommand } from "./answer-command.ts";
import { applyFix } from "./apply-fix.ts";
import { fixCheck } from "./fix-check.ts";
import { forgetData } from "./forget-data.ts";
import type { PipelineName } from "./intent.ts";
import { issueToPr } from "./issue-to-pr.ts";
import { iteratePr } from "./iterate-pr.ts";
import { reviewPr } from "./review-pr.ts";
import type { Pipeline } from "./run.ts";

/** The only list of pipelines; every engine runs these. */
export const pipelines: Record<PipelineName, Pipeline> = {
  "issue-to-pr": issueToPr,
  "iterate-pr": iteratePr,
  "fix-check": fixCheck,
  "apply-fix": applyFix,
  "review-pr": reviewPr,
  "answer-command": answerCommand,
  "forget-data": forgetData,
};
