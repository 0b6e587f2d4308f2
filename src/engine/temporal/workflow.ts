import { pipelines } from "../../pipeline/index.ts";
import type { RunArguments } from "./names.ts";
import { tellOnTemporal } from "./tell-on-temporal.ts";

/** The workflow, as workers bundle it: nothing but the language, the stories and Temporal's own calls. */
export async function millwrightRun(args: RunArguments): Promise<void> {
  await tellOnTemporal(args, pipelines);
}
