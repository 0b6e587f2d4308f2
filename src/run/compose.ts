import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import type { ProbotOctokit } from "probot";
import type { Model } from "../agent/model.ts";
import type { OperatorConfig } from "../config/operator.ts";
import type { Control } from "../engine/control.ts";
import type { RunningEngine } from "../engine/engine.ts";
import { createLocalEngine } from "../engine/local/local-engine.ts";
import { TemporalUnreachable } from "../engine/temporal/connection.ts";
import { createTemporalEngine } from "../engine/temporal/temporal-engine.ts";
import type { GitHubApp } from "../github/client.ts";
import { createReceive, type Receive } from "../handlers/receive.ts";
import { createChannels } from "../notify/create-channels.ts";
import { createNotifier } from "../notify/notifier.ts";
import { pipelines } from "../pipeline/index.ts";
import type { Redactor } from "../policy/redact.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { OpenStore } from "../store/open-store.ts";
import { createLogger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Workspaces } from "../workspace/workspace.ts";
import type { EffectFault } from "./execute-step.ts";
import { createHousekeeping, type Housekeeping } from "./housekeeping.ts";
import { ownWords } from "./own-words.ts";
import { openParts, type Parts, redactorFor } from "./parts.ts";

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

/** Puts a worker together and begins to execute runs. Throws when the database or the data directory cannot be used. */
export async function compose(options: ComposeOptions): Promise<Worker> {
  const { operator } = options;
  const redactor = options.redactor ?? redactorFor(operator);
  const log = options.log ?? createLogger({ level: operator.logLevel, redactor });
  mkdirSync(operator.dataDirectory, { recursive: true, mode: 0o700 });
  const parts = await openParts({ ...options, redactor, log });
  try {
    return await composeOf(parts, options.role);
  } catch (error) {
    await parts.store.close();
    throw error;
  }
}

async function composeOf(parts: Parts, role: ComposeOptions["role"]): Promise<Worker> {
  const { operator, redactor, log, metrics, store, github, sandbox, workspaces, model, status } = parts;
  const { engine, executesHere } = await openEngine(parts, role);
  const known = () => ({ operator, app: { id: operator.app.id, slug: github.known()?.slug } });
  const receive = createReceive({ engine, known, log });
  const channels = createChannels(operator.channels);
  const notifier = createNotifier({ store, channels, redactor, metrics, log });
  const housekeeping: Housekeeping = createHousekeeping({
    operator,
    store,
    workspaces,
    github,
    notifier,
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

/** Waits for work that may take longer than there is time; what it leaves undone is done after the next start. */
function unless(late: AbortSignal, work: Promise<void>): Promise<void> {
  const aborted = new Promise<void>((resolve) => {
    if (late.aborted) resolve();
    else late.addEventListener("abort", () => resolve(), { once: true });
  });
  return Promise.race([work, aborted]);
}

/** The engine that the configuration says, connected. `executesHere`: this process executes runs. */
async function openEngine(
  parts: Parts,
  role: ComposeOptions["role"] = "both",
): Promise<{ engine: RunningEngine & Control; executesHere: boolean }> {
  const { log, operator, sandbox, forEngine, use } = parts;
  const openLocal = async () => {
    const engine = createLocalEngine({
      ...forEngine,
      pipelines,
      spoolPath: operator.databaseUrl === undefined ? join(operator.dataDirectory, "intake.jsonl") : undefined,
    });
    use(engine);
    await engine.open();
    return { engine, executesHere: true };
  };
  const config = operator.engine;
  if (config.kind === "local") return openLocal();
  const fallsBack = config.fallback && role !== "worker";
  const engine = createTemporalEngine({
    ...forEngine,
    settings: config,
    takes: () => takesOf(config.takes, sandbox, log),
    isOurs: ownWords(),
    buildId: config.buildId,
  });
  use(engine);
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
