import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { type Client, Connection, Client as TemporalClient } from "@temporalio/client";
import type { WorkflowBundleWithSourceMap } from "@temporalio/worker";
import type { TemporalSettings } from "../../src/engine/temporal/connection.ts";
import {
  createTemporalEngine,
  type TemporalEngine,
  type TemporalEngineOptions,
} from "../../src/engine/temporal/temporal-engine.ts";
import { bundleWorkflow } from "../../src/engine/temporal/workers.ts";
import type { Pipeline } from "../../src/pipeline/run.ts";
import { type Database, openDatabase } from "../../src/store/database.ts";
import { createStore, type OpenStore } from "../../src/store/open-store.ts";
import type { TemporalServer } from "../support/temporal.ts";
import type { Deploy, EngineProcess, Stage } from "./engine.testsuite.ts";
import { empty, openRelay, silent } from "./local-stage.ts";
import { until } from "./scripted.ts";
import { stories } from "./stories.ts";

export interface TemporalProcess extends EngineProcess {
  engine: TemporalEngine;
  store: OpenStore;
}

export interface TemporalStage extends Stage {
  boot(deploy: Deploy, over?: Partial<TemporalEngineOptions>): Promise<TemporalProcess>;
  database: Database;
  client: Client;
  taskQueue: string;
  /** Those of a process, with what a test wants different. */
  settings(over: Partial<TemporalSettings>): TemporalSettings;
}

/** Processes on one Temporal server and one PostgreSQL database; each reaches both through relays that can be cut. */
export async function openTemporalStages(
  server: TemporalServer,
  databaseUrl: string,
): Promise<{ openStage: () => Promise<TemporalStage>; close(): Promise<void> }> {
  const database = await openDatabase({ databaseUrl, dataDirectory: "unused", log: silent });
  const connection = await Connection.connect({ address: server.address });
  const client = new TemporalClient({ connection });
  const bundle = await bundleWorkflow(fileURLToPath(import.meta.resolve("./temporal-workflow.ts")));
  return {
    openStage: async () => {
      await empty(database.db);
      const newQueue = () => `stage-${randomBytes(4).toString("hex")}`;
      const taskQueue = newQueue();
      return {
        deploys: "retold",
        database,
        client,
        taskQueue,
        settings: (over) => ({ address: server.address, namespace: "default", keys: [], ...over }),
        boot: (deploy, over = {}) => boot({ server, databaseUrl, bundle, taskQueue }, deploy, over),
        beside: () => {
          const on = { server, databaseUrl, bundle, taskQueue: newQueue() };
          return { boot: (deploy) => boot(on, deploy, {}) };
        },
        forget: async () => {
          for await (const { workflowId, status } of client.workflow.list()) {
            if (status.name === "RUNNING") continue;
            const execution = { workflowId };
            await client.workflowService.deleteWorkflowExecution({
              namespace: "default",
              workflowExecution: execution,
            });
            await until("the server has forgotten a run", () =>
              client.workflow
                .getHandle(workflowId)
                .describe()
                .then(
                  () => false,
                  () => true,
                ),
            );
          }
        },
        close: () => Promise.resolve(),
      };
    },
    close: async () => {
      await connection.close();
      await database.close();
    },
  };
}

async function boot(
  on: { server: TemporalServer; databaseUrl: string; bundle: WorkflowBundleWithSourceMap; taskQueue: string },
  deploy: Deploy,
  over: Partial<TemporalEngineOptions>,
): Promise<TemporalProcess> {
  const line = await openRelay(on.databaseUrl);
  const temporal = await openRelay(`http://${on.server.address}`);
  const database = await openDatabase({ databaseUrl: line.url, dataDirectory: "unused", log: silent });
  const store = createStore(database);
  const engine = createTemporalEngine({
    store,
    log: silent,
    settings: { address: new URL(temporal.url).host, namespace: "default", keys: [] },
    taskQueue: on.taskQueue,
    workflowBundle: withStory(on.bundle, deploy.pipelines["issue-to-pr"]),
    takes: () => Promise.resolve({ ordinary: true, sandboxed: false }),
    // Each task tells its story again from the history, as after the death of a worker.
    cachedWorkflows: 0,
    sweepSeconds: 0.5,
    lookSeconds: 1,
    executeStep: deploy.executeStep,
    ...(deploy.onEvent ? { onEvent: deploy.onEvent } : {}),
    ...over,
  });
  await engine.open();
  await engine.work();
  let ended: Promise<void> | undefined;
  const end = (seconds: number) => {
    ended ??= (async () => {
      await engine.drain(seconds).catch(() => undefined);
      await engine.close().catch(() => undefined);
      await database.close().catch(() => undefined);
      line.cut();
      temporal.cut();
    })();
    return ended;
  };
  return {
    engine,
    store,
    kill: () => {
      line.cut();
      temporal.cut();
      void end(0);
    },
    end: () => end(10),
  };
}

function withStory(bundle: WorkflowBundleWithSourceMap, story: Pipeline | undefined): WorkflowBundleWithSourceMap {
  const [name] = Object.entries(stories).find(([, one]) => one === story) ?? [];
  if (name === undefined) throw new Error("Temporal tells the stories of stories.ts alone: they are bundled");
  return { ...bundle, code: bundle.code.replace("STORY_OF_THIS_DEPLOY", name) };
}
