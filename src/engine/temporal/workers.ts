import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  DefaultLogger,
  type LogEntry,
  NativeConnection,
  Runtime,
  Worker,
  type WorkerOptions,
  type WorkflowBundleWithSourceMap,
} from "@temporalio/worker";
import type { Logger } from "pino";
import { dataConverterOf, type TemporalSettings, tlsOf } from "./connection.ts";
import { sandboxQueueOf } from "./names.ts";

export interface WorkersOptions {
  settings: TemporalSettings;
  log: Logger;
  taskQueue: string;
  activities: object;
  takes: { ordinary: boolean; sandboxed: boolean };
  concurrency: number;
  cachedWorkflows: number | undefined;
  workflowBundle: WorkflowBundleWithSourceMap | undefined;
  buildId: string | undefined;
}

export interface RunningWorkers {
  /** Takes nothing more, waits for what runs, and disconnects, within about `seconds`. */
  stop(seconds: number): Promise<void>;
}

/** Slots for the short acts of runs besides their steps, which have `concurrency`. */
const shortActs = 16;
const restartSeconds = 5;
/** Half a megabyte each. A run that waits is told again from its history, of some hundred events, when it is woken. */
const defaultCachedWorkflows = 100;

/** Asks the queues of this process. What ends a worker, but for `stop`, starts it again. */
export async function startWorkers(options: WorkersOptions): Promise<RunningWorkers> {
  const { settings, log, taskQueue, takes, concurrency, buildId } = options;
  installRuntime(log);
  const workflowBundle = takes.ordinary ? (options.workflowBundle ?? (await bundleWorkflow())) : undefined;
  const connection = await NativeConnection.connect({ address: settings.address, tls: tlsOf(settings) });
  const common: Omit<WorkerOptions, "taskQueue"> = {
    connection,
    namespace: settings.namespace,
    dataConverter: dataConverterOf(settings, log),
    activities: options.activities,
    // Running steps are told to stop by us; this is for those that do not listen.
    shutdownGraceTime: "1s",
    shutdownForceTime: "8s",
    // A cancel arrives with a heartbeat's answer.
    maxHeartbeatThrottleInterval: "1s",
    // A worker that died is noticed by the workflows that were its own as soon as by its activities.
    stickyQueueScheduleToStartTimeout: "2s",
    maxCachedWorkflows: options.cachedWorkflows ?? defaultCachedWorkflows,
    ...(buildId === undefined
      ? {}
      : {
          workerDeploymentOptions: {
            useWorkerVersioning: true,
            version: { deploymentName: "millwright", buildId },
            defaultVersioningBehavior: "PINNED" as const,
          },
        }),
  };
  const wanted: WorkerOptions[] = [
    ...(workflowBundle === undefined
      ? []
      : [
          {
            ...common,
            taskQueue,
            workflowBundle,
            maxConcurrentActivityTaskExecutions: concurrency + shortActs,
            // A story that a deploy has changed cannot go on in its old history: the engine has it told anew from the store.
            workflowFailureErrorTypes: { "*": ["NondeterminismError" as const] },
          },
        ]),
    ...(takes.sandboxed
      ? [{ ...common, taskQueue: sandboxQueueOf(taskQueue), maxConcurrentActivityTaskExecutions: concurrency }]
      : []),
  ];
  let stopping = false;
  const running = new Set<Worker>();
  const keepRunning = async (worker: Worker, mine: WorkerOptions): Promise<void> => {
    for (let current = worker; ; ) {
      running.add(current);
      try {
        await current.run();
      } catch (error) {
        if (!stopping)
          log.error({ err: error, taskQueue: mine.taskQueue }, "a Temporal worker failed; it is started again");
      }
      running.delete(current);
      if (stopping) return;
      await new Promise((resolve) => setTimeout(resolve, restartSeconds * 1000));
      if (stopping) return;
      current = await Worker.create(mine);
    }
  };
  const ended = await Promise.all(
    wanted.map(async (mine) => {
      const worker = await Worker.create(mine);
      return { end: keepRunning(worker, mine) };
    }),
  );
  return {
    async stop(seconds) {
      stopping = true;
      for (const worker of running) if (worker.getState() === "RUNNING") worker.shutdown();
      const late = new Promise<void>((resolve) => setTimeout(resolve, seconds * 1000).unref());
      await Promise.race([Promise.all(ended.map(({ end }) => end)), late]);
      await connection.close().catch(() => undefined);
    },
  };
}

/**
 * The workflow and the stories as one script, for Temporal's own isolate. Bundled by a process of its own, because the
 * bundler would keep 115 MB for as long as the worker lives.
 */
export async function bundleWorkflow(
  workflowsPath: string = fileURLToPath(import.meta.resolve("./workflow.ts")),
): Promise<WorkflowBundleWithSourceMap> {
  const program = fileURLToPath(import.meta.resolve("./bundle-process.ts"));
  const { stdout } = await promisify(execFile)(process.execPath, [program, workflowsPath], {
    env: {},
    maxBuffer: longestBundleBytes,
  });
  return JSON.parse(stdout) as WorkflowBundleWithSourceMap;
}

const longestBundleBytes = 64 * 1024 * 1024;

let installed = false;

/** Once in a process: our log, and no signal handlers besides ours. */
export function installRuntime(log: Logger): void {
  if (installed) return;
  installed = true;
  const levels: Record<string, "debug" | "info" | "warn" | "error"> = {
    TRACE: "debug",
    DEBUG: "debug",
    INFO: "debug",
    WARN: "warn",
    ERROR: "error",
  };
  const child = log.child({ name: "temporal" });
  Runtime.install({
    shutdownSignals: [],
    logger: new DefaultLogger("INFO", ({ level, message, meta }: LogEntry) => {
      const { error: err, ...facts } = meta ?? {};
      // The queue of sandboxed steps has none on purpose.
      const expected = message.startsWith("No workflows registered");
      child[expected ? "debug" : (levels[level] ?? "debug")](err === undefined ? facts : { ...facts, err }, message);
    }),
    telemetryOptions: { logging: { forward: {}, filter: { core: "WARN", other: "ERROR" } } },
  });
}
