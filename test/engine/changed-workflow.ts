import type { RunArguments } from "../../src/engine/temporal/names.ts";
import { tellOnTemporal } from "../../src/engine/temporal/tell-on-temporal.ts";
import { pipelines } from "../../src/pipeline/index.ts";
import type { Pipeline } from "../../src/pipeline/run.ts";

/** The product's stories as a careless deploy would change them: each begins with a step that it did not have. */
const changed = Object.fromEntries(
  Object.entries(pipelines).map(([name, story]): [string, Pipeline] => [
    name,
    async (run) => {
      await run.step("select-context", { base: {}, issueBlob: "" } as never);
      return story(run);
    },
  ]),
);

export async function millwrightRun(args: RunArguments): Promise<void> {
  await tellOnTemporal(args, changed);
}
