import type { ApplicationFunctionOptions, Probot } from "probot";
import type { Receive } from "../handlers/receive.ts";
import { type ComposeOptions, compose, type Worker } from "./compose.ts";
import { type Health, startHealth } from "./health.ts";
import { createIntake } from "./intake.ts";

/** A worker behind a Probot app. */
export interface Attached {
  worker: Worker;
  health: Health;
  /** Ends in order within about `seconds`: no new webhooks, running work is put back, nothing is lost. */
  stop(seconds: number): Promise<void>;
}

/**
 * Composes a worker and attaches it to a Probot app, under `probot run` and `npm start` alike: our intake takes the
 * place of Probot's own webhook middleware, which reads bodies of any size (security.md M0).
 */
export async function attachToProbot(
  app: Probot,
  { addHandler }: ApplicationFunctionOptions,
  routes: (app: Probot, receive: Receive) => void,
  options: Omit<ComposeOptions, "authenticate">,
): Promise<Attached> {
  const worker = await compose({ ...options, authenticate: () => app.auth() });
  routes(app, worker.receive);
  const { operator } = options;
  const intake = createIntake({
    webhooks: app.webhooks,
    path: operator.server.webhookPath,
    secrets: operator.app.webhookSecrets,
    maxBodyBytes: operator.server.maxBodyBytes,
    log: worker.log,
    metrics: worker.metrics,
  });
  app.getNodeMiddleware = (() => Promise.resolve(intake)) as unknown as Probot["getNodeMiddleware"];
  const health = await startHealth(worker, addHandler);
  return {
    worker,
    health,
    async stop(seconds) {
      health.drain();
      await worker.stop(seconds);
      await health.close();
    },
  };
}

const drainSeconds = 9;

/** SIGTERM and SIGINT end the process in order; nobody else handles them. */
export function stopOnSignals(attached: Attached): void {
  const stop = () => {
    attached.stop(drainSeconds).then(
      () => process.exit(0),
      (error: unknown) => {
        attached.worker.log.error({ err: error }, "the worker did not stop in order");
        process.exit(1);
      },
    );
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
}
