import { existsSync } from "node:fs";
import { operatorConfigOrExit } from "../config/operator.ts";
import { createLogger } from "../telemetry/logger.ts";
import { appClient } from "./app-client.ts";
import { stopOnSignals } from "./attach.ts";
import { compose } from "./compose.ts";
import { startHealth } from "./health.ts";
import { redactorFor } from "./parts.ts";

/** `npm run worker`: executes runs and takes no webhooks. Any number of them, beside servers on the same database and Temporal. */
async function main(): Promise<void> {
  if (existsSync(".env")) process.loadEnvFile(".env");
  const operator = operatorConfigOrExit();
  const redactor = redactorFor(operator);
  const log = createLogger({ level: operator.logLevel, redactor });
  const client = appClient(operator, log);
  try {
    const authenticate = () => Promise.resolve(client);
    const worker = await compose({ operator, redactor, log, authenticate, role: "worker" });
    const health = await startHealth(worker, client);
    stopOnSignals({
      worker,
      health,
      async stop(seconds) {
        health.drain();
        await worker.stop(seconds);
        await health.close();
      },
    });
    log.info({ engine: operator.engine.kind }, "the worker executes runs");
  } catch (error) {
    process.stderr.write(`Millwright cannot start:\n- ${(error as Error).message}\n`);
    process.exit(1);
  }
}

await main();
