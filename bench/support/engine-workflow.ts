import type { RunArguments } from "../../src/engine/temporal/names.ts";
import { tellOnTemporal } from "../../src/engine/temporal/tell-on-temporal.ts";
import { benchStories } from "./engine-stories.ts";

export async function millwrightRun(args: RunArguments): Promise<void> {
  await tellOnTemporal(args, benchStories);
}
