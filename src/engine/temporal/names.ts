import { defineSearchAttributeKey } from "@temporalio/common";
import { defineSignal } from "@temporalio/workflow";

/** What a workflow is started with, and all that Temporal is told of a run: the rest is in the store under this key. */
export interface RunArguments {
  runKey: string;
}

/** The one workflow; it tells any pipeline. */
export const workflowType = "millwrightRun";

/** Says that something happened to a run that it should look at; what it was is in the store. */
export const wake = defineSignal("wake");

/** How runs are found in Temporal's UI and by `temporal workflow list --query`. */
export const searchAttributes = {
  repository: defineSearchAttributeKey("MillwrightRepository", "INT"),
  pipeline: defineSearchAttributeKey("MillwrightPipeline", "KEYWORD"),
  ending: defineSearchAttributeKey("MillwrightEnding", "KEYWORD"),
};

/** Activities that are no steps. The others have their step's name, so that Temporal's UI shows the story. */
export const activityTypes = {
  begin: "begin-run",
  wait: "wait-for-decision",
  finish: "report-outcome",
  requestCancel: "request-cancel",
} as const;

/** Sandboxed steps wait in a queue of their own, which only machines with a sandbox ask. */
export function sandboxQueueOf(taskQueue: string): string {
  return `${taskQueue}-sandbox`;
}
