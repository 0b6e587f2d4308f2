import type { RunArguments } from "../../src/engine/temporal/names.ts";
import { tellOnTemporal } from "../../src/engine/temporal/tell-on-temporal.ts";
import { stories } from "./stories.ts";

/** The stage puts the name of the story that a deploy brings here, in the bundled script. */
const story = "STORY_OF_THIS_DEPLOY" as keyof typeof stories;

export async function millwrightRun(args: RunArguments): Promise<void> {
  const told = { "issue-to-pr": stories[story], "iterate-pr": stories[story] };
  // A killed worker is noticed sooner than in production.
  await tellOnTemporal(args, told, { heartbeatSeconds: 3 });
}
