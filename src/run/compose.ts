import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import type { ProbotOctokit } from "probot";
import { createModel } from "../agent/create-model.ts";
import type { Model } from "../agent/model.ts";
import type { OperatorConfig } from "../config/operator.ts";
import type { Control } from "../engine/control.ts";
import type { RunningEngine } from "../engine/engine.ts";
import type { EngineEvent } from "../engine/execute-step.ts";
import { createLocalEngine } from "../engine/local/local-engine.ts";
import { TemporalUnreachable } from "../engine/temporal/connection.ts";
import { createTemporalEngine } from "../engine/temporal/temporal-engine.ts";
import { createGitHubApp, type GitHubApp } from "../github/client.ts";
import { createReceive, type Receive } from "../handlers/receive.ts";
import type { Deps } from "../pipeline/deps.ts";
import { pipelines } from "../pipeline/index.ts";
import type { Step } from "../pipeline/step.ts";
import { steps } from "../pipeline/steps/index.ts";
import { createRedactor, type Redactor } from "../policy/redact.ts";
import { createSandbox, type SandboxOptions } from "../sandbox/create-sandbox.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { createStatusProjector, type StatusProjector } from "../status/projector.ts";
import type { Bucket } from "../store/bucket.ts";
import { type OpenStore, openStore } from "../store/open-store.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createMetrics, type Metrics } from "../telemetry/metrics.ts";
import type { EnvironmentArchives } from "../workspace/environment-cache.ts";
import type { Workspaces } from "../workspace/workspace.ts";
import { createWorkspaces } from "../workspace/workspaces.ts";
import { createExecuteStep, type EffectFault } from "./execute-step.ts";
import { createHousekeeping, type Housekeeping } from "./housekeeping.ts";
import { measureModel, measureRuns } from "./measure.ts";
import { ownWords } from "./own-words.ts";

/** One worker process: everything that runs in it, put together. */
export interface Worker {
  operator: OperatorConfig;
  log: Logger;
  metrics: Metrics;
  redactor: Redactor;
  store: OpenStore;
  github: GitHubApp;
  engine: RunningEngine & Control;
  sandbox: Sandbox;
  workspaces: Workspaces;
  model: Model;
  receive: Receive;
  housekeeping: Housekeeping;
  /**
   * Ends in order within about `seconds`: what runs is put back for the next process, nothing is lost. `lastly` is done
   * right before the store closes. Safe to call twice.
   */
  stop(seconds: number, lastly?: () => Promise<void>): Promise<void>;
}

export interface ComposeOptions {
  operator: OperatorConfig;
  /** A client of the App itself, which mints the tokens of its installations. */
  authenticate: () => Promise<ProbotOctokit>;
  log?: Logger;
  redactor?: Redactor;
  /** What this process is for where runs are executed on Temporal: the local engine executes them in servers. */
  role?: "server" | "worker" | "both";
  /** Given by tests alone. */
  effectFault?: EffectFault;
  statusPeriodSeconds?: number;
}

/** The redactor that knows every secret of the configuration; made first, so that nothing is logged without it. */
export function redactorFor(operator: OperatorConfig): Redactor {
  const keyLines = operator.app.privateKey.split("\n").filter((line) => line.length > 20 && !line.startsWith("-----"));
  return createRedactor([
    ...operator.app.webhookSecrets.map((value) => ({ name: "webhook-secret", value })),
    { name: "private-key", value: operator.app.privateKey },
    ...keyLines.map((value) => ({ name: "private-key", value })),
    ...(operator.model.apiKey === undefined ? [] : [{ name: "model-key", value: operator.model.apiKey }]),
    ...(operator.databaseUrl === undefined ? [] : [{ name: "database-url", value: operator.databaseUrl }]),
  ]);
}

/** Puts a worker together and begins to execute runs. Throws when the database or the data directory cannot be used. */
export async function compose(options: ComposeOptions): Promise<Worker> {
  const { operator } = options;
  const redactor = options.redactor ?? redactorFor(operator);
  const log = options.log ?? createLogger({ level: operator.logLevel, redactor });
  const metrics = createMetrics();
  mkdirSync(operator.dataDirectory, { recursive: true, mode: 0o700 });
  const { databaseUrl, dataDirectory } = operator;
  const bucket = operator.bucket === undefined ? undefined : await openBucket(operator.bucket);
  const store = await openStore({ databaseUrl, dataDirectory, log, bucket: bucket?.blobs });
  try {
    const environmentArchives = bucket?.environments;
    return await composeOn(store, { ...options, redactor, log, metrics, environmentArchives });
  } catch (error) {
    // The embedded database is a process that would keep the data directory to itself.
    await store.close();
    throw error;
  }
}

async function composeOn(
  store: OpenStore,
  options: ComposeOptions & {
    redactor: Redactor;
    log: Logger;
    metrics: Metrics;
    environmentArchives: EnvironmentArchives | undefined;
  },
): Promise<Worker> {
  const { operator, redactor, log, metrics } = options;
  const github = createGitHubApp({
    appId: operator.app.id,
    apiUrl: operator.github.apiUrl,
    authenticate: options.authenticate,
    redactor,
    log,
  });
  const sandbox = await createSandbox({ ...sandboxOptions(operator), log });
  const workspaces = createWorkspaces({
    dataDirectory: operator.dataDirectory,
    gitBaseUrl: operator.github.gitUrl,
    diskWatermarkBytes: operator.minFreeBytes,
    maxRepositoryBytes: operator.maxRepositoryBytes,
    environmentArchives: options.environmentArchives,
    log,
  });
  const model = measureModel(createModel(operator.model, redactor), metrics);
  const { statusPeriodSeconds: periodSeconds, effectFault } = options;
  const status = createStatusProjector({ store, operator, github, log, periodSeconds, effectFault });
  const deps: Omit<Deps, "engine"> = { operator, store, workspaces, sandbox, model, redactor, app: github };
  const { engine, executesHere } = await openEngine({ ...options, deps, store, github, status, metrics, log });
  const known = () => ({ operator, app: { id: operator.app.id, slug: github.known()?.slug } });
  const receive = createReceive({ engine, known, log });
  const housekeeping: Housekeeping = createHousekeeping({
    operator,
    store,
    workspaces,
    github,
    engine,
    metrics,
    log,
  });
  if (executesHere) await engine.work();
  // At start, so that an operator learns at once what to install; commands wait for it, and are refused if it fails.
  if (executesHere && sandbox.backend !== "none") {
    void sandbox.selfTest().then((test) => {
      if (!test.passed)
        log.error({ advice: test.advice }, "the sandbox failed its self-test: repository code is refused");
    });
  }
  await housekeeping.start();
  // Asked in the background: intake works while GitHub cannot be reached.
  github.identity().catch((error: unknown) => log.warn({ err: error }, "the App's identity is not known yet"));

  let stopping: Promise<void> | undefined;
  return {
    operator,
    log,
    metrics,
    redactor,
    store,
    github,
    engine,
    sandbox,
    workspaces,
    model,
    receive,
    housekeeping,
    stop(seconds, lastly) {
      stopping ??= (async () => {
        const late = AbortSignal.timeout(seconds * 1000);
        await Promise.all([unless(late, housekeeping.stop()), engine.drain(seconds)]);
        await unless(late, status.close());
        await sandbox.close();
        await lastly?.();
        await engine.close();
        await store.close();
      })();
      return stopping;
    },
  };
}

/** The sandbox as the operator wants it. */
export function sandboxOptions(operator: OperatorConfig): Omit<SandboxOptions, "log"> {
  const { backend, image, readPaths, sandboxFunction, setupFunction, egressProxy } = operator.sandbox;
  return {
    ...{ backend, image, extraReadPaths: readPaths, dataDirectory: operator.dataDirectory },
    slots: operator.concurrency.worker + 1,
    lambda:
      sandboxFunction === undefined || operator.bucket === undefined
        ? undefined
        : { sandboxFunction, setupFunction, egressProxy, bucket: operator.bucket },
  };
}

/** What lies in a bucket instead of the database and the disk. Loaded where it is used: others need nothing of AWS. */
export async function openBucket(name: string): Promise<{ blobs: Bucket; environments: EnvironmentArchives }> {
  const [{ S3Client }, { createBucket }, { createEnvironmentArchives }] = await Promise.all([
    import("@aws-sdk/client-s3"),
    import("../store/bucket.ts"),
    import("../sandbox/lambda/environment-archives.ts"),
  ]);
  // Region, credentials and endpoint are the environment's: https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html
  const s3 = new S3Client();
  return { blobs: createBucket({ s3, name }), environments: createEnvironmentArchives({ s3, bucket: name }) };
}

/** Waits for work that may take longer than there is time; what it leaves undone is done after the next start. */
function unless(late: AbortSignal, work: Promise<void>): Promise<void> {
  const aborted = new Promise<void>((resolve) => {
    if (late.aborted) resolve();
    else late.addEventListener("abort", () => resolve(), { once: true });
  });
  return Promise.race([work, aborted]);
}

/**
 * Whether a recorded output is one of today's schema; if not, the step is done again. What has no schema, such as a
 * wait's decision, always fits.
 */
export function outputFits(name: string, output: unknown): boolean {
  const step = (steps as Record<string, { output: { safeParse(value: unknown): { success: boolean } } }>)[name];
  return step === undefined || step.output.safeParse(output).success;
}

interface EngineParts {
  operator: OperatorConfig;
  role?: ComposeOptions["role"];
  deps: Omit<Deps, "engine">;
  store: OpenStore;
  github: GitHubApp;
  status: StatusProjector;
  metrics: Metrics;
  log: Logger;
  effectFault?: EffectFault;
}

/** The engine that the configuration says, connected. `executesHere`: this process executes runs. */
async function openEngine(parts: EngineParts): Promise<{ engine: RunningEngine & Control; executesHere: boolean }> {
  const { log, role = "both" } = parts;
  const deps = { ...parts.deps } as Deps;
  const common = commonOf(parts, deps);
  const openLocal = async () => {
    const { operator } = parts;
    const engine = createLocalEngine({
      ...common,
      pipelines,
      spoolPath: operator.databaseUrl === undefined ? join(operator.dataDirectory, "intake.jsonl") : undefined,
    });
    deps.engine = engine;
    await engine.open();
    return { engine, executesHere: true };
  };
  const config = parts.operator.engine;
  if (config.kind === "local") return openLocal();
  const fallsBack = config.fallback && role !== "worker";
  const engine = createTemporalEngine({
    ...common,
    settings: config,
    takes: () => takesOf(config.takes, parts.deps.sandbox, log),
    isOurs: ownWords(),
    buildId: config.buildId,
  });
  deps.engine = engine;
  try {
    await engine.open({ mustConnect: fallsBack });
    return { engine, executesHere: role !== "server" };
  } catch (error) {
    await engine.close();
    if (!fallsBack || !(error instanceof TemporalUnreachable)) throw error;
    const detail = `local instead of temporal, because MILLWRIGHT_ENGINE_FALLBACK is local and Temporal could not be reached at start: ${error.message}`;
    log.error(
      `The engine is ${detail}. New runs are executed here until this server is started again; runs that Temporal has wait for it.`,
    );
    const local = await openLocal();
    return { ...local, engine: { ...local.engine, health: () => Promise.resolve({ ok: false, detail }) } };
  }
}

/** Steps that need a sandbox are left to others where its self-test fails. */
async function takesOf(
  wanted: { ordinary: boolean; sandboxed: boolean },
  sandbox: Sandbox,
  log: Logger,
): Promise<{ ordinary: boolean; sandboxed: boolean }> {
  if (!wanted.sandboxed || sandbox.backend === "none") return wanted;
  const { passed } = await sandbox.selfTest();
  if (!passed) log.error("this worker takes no sandboxed steps, because its sandbox failed its self-test");
  return { ...wanted, sandboxed: passed };
}

/** What every engine is given. */
function commonOf(parts: EngineParts, deps: Deps) {
  const { operator, store, status, metrics, log } = parts;
  const byName: Record<string, Step<never, unknown>> = steps as unknown as Record<string, Step<never, unknown>>;
  const logEnded = async (runKey: string) => {
    const run = await store.runs.get(runKey).catch(() => undefined);
    const { kind, reason, pullRequest } = run?.outcome ?? {};
    const facts = {
      runKey,
      deliveryId: run?.intent.deliveryId,
      pipeline: run?.pipeline,
      outcome: kind,
      reason,
      pullRequest: pullRequest?.number,
    };
    log.info(facts, "run ended");
  };
  return {
    store,
    log,
    executeStep: measureRuns(
      createExecuteStep({
        deps,
        steps: byName,
        github: parts.github,
        status,
        metrics,
        log,
        effectFault: parts.effectFault,
      }),
      metrics,
    ),
    fits: outputFits,
    concurrency: operator.concurrency.worker,
    perRepositoryConcurrency: operator.concurrency.repository,
    onEvent(event: EngineEvent) {
      if (event.kind !== "run") return;
      if (event.state === "ended") {
        metrics.runsEnded.inc({ pipeline: event.pipeline, outcome: event.outcome?.kind ?? "unknown" });
        void logEnded(event.runKey);
      } else status.touch(event.runKey, event.place);
    },
  };
}
