import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "@temporalio/worker";
import { describe, expect, test } from "vitest";
import { bundleWorkflow, installRuntime } from "../../src/engine/temporal/workers.ts";
import { historyFromJson } from "../support/temporal-history.ts";
import { silent } from "./local-stage.ts";

installRuntime(silent);
const root = "test/fixtures/histories";
/** Recorded by `npm run histories`, by each version that runs may have begun on. */
const recorded = readdirSync(root).flatMap((version) =>
  readdirSync(join(root, version)).map((file) => ({
    workflowId: `${version}/${file}`,
    history: historyFromJson(readFileSync(join(root, version, file), "utf8")),
  })),
);

/** The histories in which a story does not go on as it began. */
async function brokenBy(workflowsPath?: string): Promise<string[]> {
  const workflowBundle = await bundleWorkflow(workflowsPath);
  const broken: string[] = [];
  for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle }, recorded))
    if (error) broken.push(`${workflowId}: ${error.message}`);
  return broken;
}

describe("histories of runs that are under way", () => {
  test("of every pipeline are there", () => {
    const names = new Set(recorded.map(({ workflowId }) => workflowId.split("/")[1]));
    for (const name of ["issue-to-pr", "issue-to-pr-stopped", "iterate-pr", "answer-command"])
      expect(names).toContain(`${name}.json`);
  });

  test("go on with the stories of today: otherwise these need a new version (docs/operating.md)", async () => {
    expect(await brokenBy()).toEqual([]);
  });

  test("do not go on with a story that was changed at its beginning", async () => {
    const broken = await brokenBy(fileURLToPath(import.meta.resolve("./changed-workflow.ts")));
    expect(broken).toHaveLength(recorded.length);
    for (const one of broken) expect(one).toMatch(/nondeterminism/i);
  });
});
