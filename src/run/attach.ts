import type { ApplicationFunctionOptions, Probot } from "probot";
import { ConfigurationError, readOperatorConfig } from "../config/operator.ts";
import type { Receive } from "../index.ts";
import { compose, type Worker } from "./compose.ts";
import { startHealth } from "./health.ts";
import { createIntake } from "./intake.ts";

const drainSeconds = 9;

/**
 * Composes a worker and attaches it to a Probot app, under `probot run` and `npm start` alike: our intake takes the
 * place of Probot's own webhook middleware, which reads bodies of any size (tested: security.md M0).
 */
export async function attachToProbot(
  app: Probot,
  { addHandler }: ApplicationFunctionOptions,
  routes: (app: Probot, receive: Receive) => void,
): Promise<Worker> {
  const operator = readConfigOrExplain();
  const worker = await compose({ operator, authenticate: () => app.auth() });
  routes(app, worker.receive as Receive);
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
  const stop = () => {
    health.drain();
    worker
      .stop(drainSeconds)
      .then(() => health.close())
      .then(() => process.exit(0))
      .catch((error: unknown) => {
        worker.log.error({ err: error }, "the worker did not stop in order");
        process.exit(1);
      });
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  return worker;
}

/** A missing variable is explained in plain words, without a stack. */
function readConfigOrExplain() {
  try {
    return readOperatorConfig();
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}
