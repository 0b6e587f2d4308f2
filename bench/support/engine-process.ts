// A process of an engine for bench/engine.ts: `node engine-process.ts '{"engine":…}'`. Says "ready" when it works.
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import type { ExecuteStep } from "../../src/engine/execute-step.ts";
import { createLocalEngine } from "../../src/engine/local/local-engine.ts";
import { createTemporalEngine } from "../../src/engine/temporal/temporal-engine.ts";
import { bundleWorkflow } from "../../src/engine/temporal/workers.ts";
import { openStore } from "../../src/store/open-store.ts";
import { benchStories } from "./engine-stories.ts";

/** What both engines of a measurement have in common. */
export interface EngineOrder {
  engine: "local" | "temporal";
  databaseUrl: string;
  /** Of Temporal. */
  address: string;
  /** Runs that a process executes at once. */
  concurrency: number;
}

/** An engine on which runs can be started; with `works`, it executes them too. */
export async function openEngine(order: EngineOrder, works: boolean) {
  const log = pino({ level: "warn" }, pino.destination(2));
  const store = await openStore({ databaseUrl: order.databaseUrl, dataDirectory: "unused", log });
  const executeStep: ExecuteStep = () => Promise.resolve({});
  const { concurrency } = order;
  const common = { store, log, executeStep, concurrency, perRepositoryConcurrency: 64 };
  const engine =
    order.engine === "local"
      ? createLocalEngine({ ...common, pipelines: benchStories, frontConcurrency: concurrency })
      : createTemporalEngine({
          ...common,
          settings: { address: order.address, namespace: "default", keys: [] },
          ...(works
            ? { workflowBundle: await bundleWorkflow(fileURLToPath(import.meta.resolve("./engine-workflow.ts"))) }
            : {}),
        });
  await engine.open();
  if (works) await engine.work();
  const stop = async () => {
    await engine.drain(5);
    await engine.close();
    await store.close();
  };
  return { engine, store, stop };
}

const [text] = process.argv.slice(2);
if (import.meta.main && text !== undefined) {
  const { stop } = await openEngine(JSON.parse(text) as EngineOrder, true);
  process.on("SIGTERM", () => void stop().finally(() => process.exit(0)));
  process.stdout.write("ready\n");
}
