import { WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from "@temporalio/client";
import type { WorkflowBundleWithSourceMap } from "@temporalio/worker";
import type { Logger } from "pino";
import type { Intent } from "../../pipeline/intent.ts";
import { backoffSecondsBefore, limitsOf } from "../../pipeline/limits.ts";
import { type PlatformRun, platformRuns, requestCancel, succeedExecution } from "../../store/executions.ts";
import type { OpenStore } from "../../store/open-store.ts";
import { grantableEverywhere, type TurnLimits } from "../../store/turns.ts";
import { type AttemptContext, Draining } from "../attempt.ts";
import { type Control, createControl, priorityOf } from "../control.ts";
import { createActs } from "../durable/acts.ts";
import { concealTexts } from "../durable/conceal.ts";
import type { RunningEngine } from "../engine.ts";
import type { EngineEvent, ExecuteStep } from "../execute-step.ts";
import { Intake } from "../local/intake.ts";
import { createUpkeep } from "../upkeep.ts";
import { createActivities } from "./activities.ts";
import { type Connected, connectTemporal, TemporalRefused, type TemporalSettings } from "./connection.ts";
import { type RunArguments, searchAttributes, wake as wakeSignal, workflowType } from "./names.ts";
import { type RunningWorkers, startWorkers } from "./workers.ts";

export interface TemporalEngineOptions {
  store: OpenStore;
  log: Logger;
  settings: TemporalSettings;
  executeStep: ExecuteStep;
  /** Must not throw; it is called between steps and not waited for. */
  onEvent?(event: EngineEvent): void;
  /** Whether a recorded output fits the step as it is today; one that does not is done again. */
  fits?(stepName: string, output: unknown): boolean;
  /** Words of our own that may be seen in a history; every other text stays in the store. */
  isOurs?(text: string): boolean;
  limits?: Pick<AttemptContext, "limitsOf" | "backoffSecondsBefore">;
  /** Which steps this process takes, asked when it begins to work; all unless given. */
  takes?(): Promise<{ ordinary: boolean; sandboxed: boolean }>;
  /** Steps of each kind that this process executes at once. */
  concurrency?: number;
  perRepositoryConcurrency?: number;
  leaseSeconds?: number;
  sweepSeconds?: number;
  /** How often Temporal is asked which runs it has. */
  lookSeconds?: number;
  taskQueue?: string;
  /** Workflows that are kept in memory between their tasks; the others are told again from their history. */
  cachedWorkflows?: number;
  /** The product's own workflow unless given. */
  workflowBundle?: WorkflowBundleWithSourceMap;
  /** The version that runs which begin here are pinned to; without it, every worker tells every run. */
  buildId?: string;
}

/** The port, and what its process needs. */
export interface TemporalEngine extends RunningEngine, Control {
  /**
   * Connects. While Temporal cannot be reached it goes on trying, or throws `TemporalUnreachable` where the first try
   * `mustConnect`; throws `TemporalRefused` when waiting does not help.
   */
  open(options?: { mustConnect?: boolean }): Promise<void>;
}

/** A workflow that was not begun by then is asked about; the server that filed its run starts it at once. */
const unstartedAfterSeconds = 5;
const retrySeconds = 5;
/** Priorities of Temporal go from 1, first, to 5. */
const priorityKeys: Record<string, number> = {
  "answer-command": 1,
  "apply-fix": 2,
  "iterate-pr": 2,
  "fix-check": 3,
  "review-pr": 4,
  "issue-to-pr": 5,
};

/**
 * Runs as Temporal workflows. The truth about a run is in the store, as on every engine; Temporal decides which worker does
 * the next act, waits durably, and repeats what a dead worker left. Intents are filed in the store, whose rows are started
 * as workflows, so that nothing is lost while Temporal is away.
 */
export function createTemporalEngine(options: TemporalEngineOptions): TemporalEngine {
  const { store, log, settings, onEvent = () => undefined } = options;
  const { db } = store.database;
  const { leaseSeconds = 30, sweepSeconds = 10, lookSeconds = 60, taskQueue = "millwright" } = options;
  const turnLimits: TurnLimits = { perRepositoryConcurrency: options.perRepositoryConcurrency ?? 2, leaseSeconds };
  const draining = new AbortController();
  const closing = new AbortController();
  const upkeep = createUpkeep(log, closing.signal);
  let connected: Connected | undefined;
  let trouble = "not connected yet";
  let workers: Promise<RunningWorkers> | undefined;
  let wanted = false;
  /** Runs whose workflow is known to be started. */
  const started = new Set<string>();

  const intake = new Intake(async (intents) => {
    const filed = await store.runs.file(intents, priorityOf, "temporal");
    filed.forEach(({ runKey, repeated }, index) => {
      if (!repeated) void start(describe(runKey, intents[index] as Intent), "REJECT_DUPLICATE");
    });
    return filed;
  }, log);

  function describe(runKey: string, { work, pipeline }: Pick<Intent, "work" | "pipeline">) {
    return { runKey, pipeline, repositoryId: work.repositoryId };
  }

  /** What fails here is started by a sweep. */
  async function start(
    { runKey, pipeline, repositoryId }: ReturnType<typeof describe>,
    workflowIdReusePolicy: "REJECT_DUPLICATE" | "ALLOW_DUPLICATE",
  ): Promise<void> {
    if (connected === undefined) return;
    const { client, searchable } = connected;
    const args: [RunArguments] = [{ runKey }];
    try {
      await client.workflow.start(workflowType, {
        workflowId: runKey,
        taskQueue,
        args,
        workflowIdReusePolicy,
        workflowIdConflictPolicy: "FAIL",
        priority: { priorityKey: priorityKeys[pipeline] ?? 3, fairnessKey: String(repositoryId) },
        ...(searchable
          ? {
              typedSearchAttributes: [
                { key: searchAttributes.repository, value: repositoryId },
                { key: searchAttributes.pipeline, value: pipeline },
              ],
            }
          : {}),
      });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) {
        log.warn({ runKey, err: error }, "a run could not be started on Temporal yet; it is tried again");
        return;
      }
    }
    if (started.size > 100_000) started.clear();
    started.add(runKey);
  }

  async function wake(runs: readonly { runKey: string; engine: string }[]): Promise<void> {
    const ours = runs.filter(({ engine }) => engine === "temporal");
    if (connected === undefined || ours.length === 0) return;
    const { client } = connected;
    await Promise.all(
      ours.map(({ runKey }) =>
        client.workflow
          .getHandle(runKey)
          .signal(wakeSignal)
          .catch((error: unknown) => {
            // A workflow that was not started yet, or has ended, misses nothing.
            if (!(error instanceof WorkflowNotFoundError))
              log.warn({ runKey, err: error }, "a run could not be woken yet; it is tried again");
          }),
      ),
    );
  }

  const control = createControl(store, wake);

  /** Starts what was not started, wakes whom a wake-up did not reach. */
  async function sweep(): Promise<void> {
    if (connected === undefined) return;
    const unended = await platformRuns(db, "temporal");
    for (const run of unended) {
      if (run.platformExecution !== null || run.ageSeconds < unstartedAfterSeconds || started.has(run.runKey)) continue;
      const row = await store.runs.get(run.runKey);
      if (row) await start(describe(run.runKey, row.intent), "REJECT_DUPLICATE");
    }
    const missed = unended.filter(({ news, held }) => news && !held);
    await wake(missed.map(({ runKey }) => ({ runKey, engine: "temporal" })));
    await wake(await grantableEverywhere(db, turnLimits));
  }

  /** Runs that have not ended although Temporal has no open workflow for them go on in another one. */
  async function look(): Promise<void> {
    if (connected === undefined) return;
    const { client } = connected;
    const suspects = (await platformRuns(db, "temporal")).filter(
      ({ platformExecution, ageSeconds }) => platformExecution !== null && ageSeconds > lookSeconds,
    );
    if (suspects.length === 0) return;
    const open = new Set<string>();
    const query = `WorkflowType = "${workflowType}" AND ExecutionStatus = "Running"`;
    for await (const { workflowId } of client.workflow.list({ query })) open.add(workflowId);
    for (const run of suspects) if (!open.has(run.runKey)) await inherit(run, connected);
  }

  async function inherit({ runKey, platformExecution }: PlatformRun, { client }: Connected): Promise<void> {
    let status = "UNKNOWN";
    try {
      const found = await client.workflow.getHandle(runKey).describe();
      status = found.status.name;
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
    if (status === "RUNNING") return;
    const row = await store.runs.get(runKey);
    if (row === undefined || row.state === "ended") return;
    if (status === "TERMINATED")
      await requestCancel(db, { runKey }, "It was terminated in Temporal.", { pipelines: [] });
    if (!(await succeedExecution(db, runKey, { dead: platformExecution, successor: null }))) return;
    log.error({ runKey, status }, "Temporal has no open workflow for a run that has not ended: it goes on in another");
    await start(describe(runKey, row.intent), "ALLOW_DUPLICATE");
  }

  /** Throws what waiting does not help against. */
  async function connect(): Promise<void> {
    try {
      connected = await connectTemporal(settings, log);
      if (closing.signal.aborted) return connected.connection.close();
      log.info({ address: settings.address, namespace: settings.namespace }, "connected to Temporal");
    } catch (error) {
      trouble = (error as Error).message;
      throw error;
    }
  }

  async function keepTrying(): Promise<void> {
    while (connected === undefined && !closing.signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, retrySeconds * 1000).unref());
      await connect().then(
        () => (wanted ? startHere() : undefined),
        () => log.warn(`${trouble}. Runs are kept in the database and start when it does.`),
      );
    }
  }

  async function startHere(): Promise<void> {
    if (connected === undefined) return;
    const acts = createActs({
      store,
      log,
      turnLimits,
      executeStep: options.executeStep,
      onEvent,
      wake,
      ...(options.fits ? { fits: options.fits } : {}),
      ...(options.limits ?? { limitsOf, backoffSecondsBefore }),
    });
    const activities = createActivities({
      doAct: concealTexts(acts, db, options.isOurs ?? (() => false)),
      requestCancel: async (runKey) => {
        await requestCancel(db, { runKey }, "It was cancelled in Temporal.", { pipelines: [] });
      },
      draining: draining.signal,
    });
    const takes = (await options.takes?.()) ?? { ordinary: true, sandboxed: true };
    workers ??= startWorkers({
      settings,
      log,
      taskQueue,
      activities,
      takes,
      concurrency: options.concurrency ?? 4,
      cachedWorkflows: options.cachedWorkflows,
      workflowBundle: options.workflowBundle,
      buildId: options.buildId,
    });
    await workers;
  }

  return {
    ...control,

    start: (intent) => intake.add(intent),

    async open({ mustConnect = false } = {}) {
      try {
        await connect();
      } catch (error) {
        if (mustConnect || error instanceof TemporalRefused) throw error;
        log.error(`${trouble}. Waiting for it: runs are kept in the database meanwhile.`);
        void keepTrying();
      }
      upkeep.every(sweepSeconds, sweep);
      upkeep.every(lookSeconds, look);
    },

    async work() {
      wanted = true;
      await startHere();
    },

    async drain(seconds) {
      wanted = false;
      upkeep.stop();
      draining.abort(new Draining());
      await (await workers?.catch(() => undefined))?.stop(seconds);
    },

    async close() {
      closing.abort();
      await intake.close();
      await connected?.connection.close();
    },

    async idle() {
      const active = async () =>
        (await store.runs.active()).filter(({ state }) => state === "queued" || state === "running").length;
      while ((await active()) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    },

    async health() {
      if (connected === undefined) return { ok: false, detail: `${trouble}; runs wait in the database` };
      const { connection } = connected;
      try {
        await connection.withDeadline(Date.now() + 4_000, () =>
          connection.workflowService.describeNamespace({ namespace: settings.namespace }),
        );
        return { ok: true, detail: `Temporal answers at ${settings.address}, namespace ${settings.namespace}` };
      } catch (error) {
        return {
          ok: false,
          detail: `Temporal does not answer at ${settings.address}: ${(error as Error).message}; runs wait`,
        };
      }
    },
  };
}
