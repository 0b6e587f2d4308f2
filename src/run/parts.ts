import { existsSync } from "node:fs";
import { isAbsolute } from "node:path";
import type { Logger } from "pino";
import type { ProbotOctokit } from "probot";
import type { Model } from "../agent/model.ts";
import { createModels, type Models, type Place, unknownPlace } from "../agent/models.ts";
import { createCoder } from "../coder/create-coder.ts";
import { secretsOf } from "../config/channels.ts";
import type { OperatorConfig } from "../config/operator.ts";
import type { Engine } from "../engine/engine.ts";
import type { EngineEvent, ExecuteStep } from "../engine/execute-step.ts";
import { createGitHubApp, type GitHubApp } from "../github/client.ts";
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
import { createMetrics, type Metrics } from "../telemetry/metrics.ts";
import type { EnvironmentArchives } from "../workspace/environment-cache.ts";
import { createWorkspaces, type LocalWorkspaces } from "../workspace/workspaces.ts";
import { createExecuteStep, type EffectFault } from "./execute-step.ts";
import { measureCoder, measureModel, measureRuns } from "./measure.ts";

/** What steps work with in one process, whichever engine calls them. */
export interface Parts {
  operator: OperatorConfig;
  redactor: Redactor;
  log: Logger;
  metrics: Metrics;
  store: OpenStore;
  github: GitHubApp;
  sandbox: Sandbox;
  workspaces: LocalWorkspaces;
  model: Model;
  status: StatusProjector;
  /** What every engine is given. */
  forEngine: {
    store: OpenStore;
    log: Logger;
    executeStep: ExecuteStep;
    fits(stepName: string, output: unknown): boolean;
    onEvent(event: EngineEvent): void;
    concurrency: number;
    perRepositoryConcurrency: number;
  };
  /** The engine by which steps reach other runs. */
  use(engine: Engine): void;
}

export interface PartsOptions {
  operator: OperatorConfig;
  redactor: Redactor;
  log: Logger;
  /** A client of the App itself, which mints the tokens of its installations. */
  authenticate: () => Promise<ProbotOctokit>;
  /** Connections to PostgreSQL, and how long one is waited for. */
  connections?: { max: number; connectSeconds: number };
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
    ...Object.values(operator.models.named).flatMap(({ apiKey }) =>
      apiKey === undefined ? [] : [{ name: "model-key", value: apiKey }],
    ),
    ...Object.entries(operator.channels).flatMap(([name, channel]) =>
      secretsOf(channel).map((value) => ({ name: `channel-${name}`, value })),
    ),
    ...(operator.databaseUrl === undefined ? [] : [{ name: "database-url", value: operator.databaseUrl }]),
  ]);
}

/** Opens the store and puts together what steps work with. Throws when the database or a folder cannot be used. */
export async function openParts(options: PartsOptions): Promise<Parts> {
  const { operator, log, connections } = options;
  const { databaseUrl, dataDirectory } = operator;
  const bucket = operator.bucket === undefined ? undefined : await openBucket(operator.bucket);
  const store = await openStore({
    databaseUrl,
    dataDirectory,
    log,
    bucket: bucket?.blobs,
    maxConnections: connections?.max,
    connectSeconds: connections?.connectSeconds,
  });
  try {
    return await openOn(store, options, bucket?.environments);
  } catch (error) {
    // The embedded database is a process that would keep the data directory to itself.
    await store.close();
    throw error;
  }
}

async function openOn(
  store: OpenStore,
  options: PartsOptions,
  environmentArchives: EnvironmentArchives | undefined,
): Promise<Parts> {
  const { operator, redactor, log, effectFault, statusPeriodSeconds: periodSeconds } = options;
  const metrics = createMetrics();
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
    environmentArchives,
    log,
  });
  const models = openModels(operator, redactor, metrics, log);
  const model = models.of({ pipeline: "", step: "" });
  const status = createStatusProjector({ store, operator, github, log, periodSeconds, effectFault });
  const coder = measureCoder(createCoder(operator, model, sandbox), metrics);
  const deps = { operator, store, workspaces, sandbox, model, models, coder, redactor, app: github } as Omit<
    Deps,
    "engine"
  > as Deps;
  const byName: Record<string, Step<never, unknown>> = steps as unknown as Record<string, Step<never, unknown>>;
  // Millwright's own agent works by the model of the step that it is asked in.
  const forStep = (place: Place) => {
    const own = models.of(place);
    const isAgent = operator.coder.name === "agent" && own !== model;
    return { model: own, coder: isAgent ? measureCoder(createCoder(operator, own, sandbox), metrics) : coder };
  };
  const executeStep = createExecuteStep({ deps, forStep, steps: byName, github, status, metrics, log, effectFault });
  return {
    ...{ operator, redactor, log, metrics, store, github, sandbox, workspaces, model, status },
    forEngine: {
      store,
      log,
      executeStep: measureRuns(executeStep, metrics),
      fits: outputFits,
      concurrency: operator.concurrency.worker,
      perRepositoryConcurrency: operator.concurrency.repository,
      onEvent: listener(store, status, metrics, log),
    },
    use(engine) {
      deps.engine = engine;
    },
  };
}

/** The models as the operator wants them, counted. Throws when one of them cannot be used as it is configured. */
function openModels(operator: OperatorConfig, redactor: Redactor, metrics: Metrics, log: Logger): Models {
  const known = { pipelines: Object.keys(pipelines), steps: Object.keys(steps) };
  const mistaken = unknownPlace(operator.models, known);
  if (mistaken !== undefined) throw new Error(mistaken);
  const models = createModels(operator.models, {
    redactor,
    pipelines: known.pipelines,
    wrap: (model) => measureModel(model, metrics),
  });
  for (const warning of models.warnings) log.warn(`${warning} (MILLWRIGHT_MODELS, docs/models.md)`);
  return models;
}

/** The sandbox as the operator wants it. */
function sandboxOptions(operator: OperatorConfig): Omit<SandboxOptions, "log"> {
  const { backend, image, readPaths, sandboxFunction, setupFunction, egressProxy } = operator.sandbox;
  return {
    ...{ backend, image, dataDirectory: operator.dataDirectory },
    extraReadPaths: [...readPaths, ...coderPaths(operator.coder)],
    slots: operator.concurrency.worker + 1,
    lambda:
      sandboxFunction === undefined || operator.bucket === undefined
        ? undefined
        : { sandboxFunction, setupFunction, egressProxy, bucket: operator.bucket },
  };
}

/** The coder's program, where it is a file of this machine: commands see nothing else of its folder. */
function coderPaths({ name, claudeCode }: OperatorConfig["coder"]): string[] {
  return name === "claude-code" && isAbsolute(claudeCode) && existsSync(claudeCode) ? [claudeCode] : [];
}

/** What lies in a bucket instead of the database and the disk. Loaded where it is used: others need nothing of AWS. */
async function openBucket(name: string): Promise<{ blobs: Bucket; environments: EnvironmentArchives }> {
  const [{ S3Client }, { createBucket }, { createEnvironmentArchives }] = await Promise.all([
    import("@aws-sdk/client-s3"),
    import("../store/bucket.ts"),
    import("../sandbox/lambda/environment-archives.ts"),
  ]);
  // Region, credentials and endpoint are the environment's: https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html
  const s3 = new S3Client();
  return { blobs: createBucket({ s3, name }), environments: createEnvironmentArchives({ s3, bucket: name }) };
}

/**
 * Whether a recorded output is one of today's schema; if not, the step is done again. What has no schema, such as a
 * wait's decision, always fits.
 */
export function outputFits(name: string, output: unknown): boolean {
  const step = (steps as Record<string, { output: { safeParse(value: unknown): { success: boolean } } }>)[name];
  return step === undefined || step.output.safeParse(output).success;
}

/** The status comment follows what an engine tells, and each end is one line of the log. */
function listener(store: OpenStore, status: StatusProjector, metrics: Metrics, log: Logger) {
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
  return (event: EngineEvent): void => {
    if (event.kind !== "run") return;
    if (event.state === "ended") {
      metrics.runsEnded.inc({ pipeline: event.pipeline, outcome: event.outcome?.kind ?? "unknown" });
      void logEnded(event.runKey);
    } else status.touch(event.runKey, event.place);
  };
}
