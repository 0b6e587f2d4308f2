import type { ApplicationFunctionOptions, Probot } from "probot";
import type { Receive } from "../handlers/receive.ts";
import { adoptLogger, createLogger } from "../telemetry/logger.ts";
import { appClient } from "./app-client.ts";
import { type ComposeOptions, compose, type Worker } from "./compose.ts";
import { type Health, startHealth } from "./health.ts";
import { createIntake } from "./intake.ts";
import { redactorFor } from "./parts.ts";

/** A worker behind a Probot app. */
export interface Attached {
  worker: Worker;
  health: Health;
  /** Ends in order within about `seconds`: what runs is put back for the next process, nothing is lost. Safe to call twice. */
  stop(seconds: number): Promise<void>;
}

/**
 * Composes a worker and attaches it to a Probot app, under `probot run` and `npm start` alike: our intake takes the
 * place of Probot's own webhook middleware, which reads bodies of any size (security.md M0), and our log that of
 * Probot's, whose request lines show every header.
 */
export async function attachToProbot(
  app: Probot,
  { addHandler }: ApplicationFunctionOptions,
  routes: (app: Probot, receive: Receive) => void,
  options: Omit<ComposeOptions, "authenticate">,
): Promise<Attached> {
  const { operator, redactor = redactorFor(operator) } = options;
  const log = options.log ?? createLogger({ level: operator.logLevel, redactor });
  if (options.log === undefined) adoptLogger(app.log, { redactor });
  const client = appClient(operator, log);
  const worker = await compose({ ...options, redactor, log, authenticate: () => Promise.resolve(client) });
  routes(app, worker.receive);
  const intake = createIntake({
    webhooks: app.webhooks,
    path: operator.server.webhookPath,
    secrets: operator.app.webhookSecrets,
    maxBodyBytes: operator.server.maxBodyBytes,
    log,
    metrics: worker.metrics,
  });
  app.getNodeMiddleware = (() => Promise.resolve(intake.handle)) as unknown as Probot["getNodeMiddleware"];
  const health = await startHealth(worker, client, addHandler);
  return {
    worker,
    health,
    async stop(seconds) {
      health.drain();
      // Deliveries are taken as long as they can be stored: GitHub does not send again what was refused.
      await worker.stop(seconds, () => intake.close());
      await health.close();
    },
  };
}

const drainSeconds = 8;
/** After this the process ends whatever is under way: the next start takes it up as after a crash. */
const overdueSeconds = 9.5;
/** npm passes on the Ctrl-C that the terminal has sent already: a signal so soon after the first is no second wish. */
const sameSignalMs = 1_000;

/**
 * SIGTERM and SIGINT end the process in order with code 0; nobody else handles them. A second one, more than a second
 * later, ends it at once.
 */
export function stopOnSignals(attached: Attached): void {
  const { log } = attached.worker;
  let firstAt: number | undefined;
  const stop = (signal: NodeJS.Signals) => {
    if (firstAt !== undefined) {
      if (performance.now() - firstAt > sameSignalMs) process.exit(1);
      return;
    }
    firstAt = performance.now();
    log.info({ signal }, "stopping: what runs is put back for the next start");
    setTimeout(() => {
      log.warn({ signal }, `not stopped after ${overdueSeconds} s; the next start takes up what was under way`);
      process.exit(1);
    }, overdueSeconds * 1000).unref();
    attached.stop(drainSeconds).then(
      () => {
        log.info({ signal, durationMs: Math.round(performance.now() - (firstAt ?? 0)) }, "stopped");
        process.exit(0);
      },
      (error: unknown) => {
        log.error({ err: error }, "the worker did not stop in order");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}
