import { mkdirSync } from "node:fs";
import { LambdaClient } from "@aws-sdk/client-lambda";
import { ConfigurationError, readOperatorConfig } from "../../config/operator.ts";
import { createLambdaEngine, type LambdaEngine } from "../../engine/lambda/lambda-engine.ts";
import { pipelines } from "../../pipeline/index.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { appClient } from "../app-client.ts";
import { ownWords } from "../own-words.ts";
import { openParts, type Parts, redactorFor } from "../parts.ts";
import { loadParameters } from "./parameters.ts";

/** What a function that executes runs, or looks after them, is made of. */
export interface ComposedFunction extends Parts {
  engine: LambdaEngine;
  /** Writes what is waiting and gives the database's connections back, because the process will be frozen. */
  rest(): Promise<void>;
}

/** An environment executes one invocation at a time: a step, its effects and what looks after them. */
const connections = { max: 2, connectSeconds: 10 };
/** History that is on its way is waited for so long: what a frozen process was sent meanwhile is lost. */
const settleSeconds = 10;

/**
 * Puts a function together at its cold start. Throws `ConfigurationError` with the names of settings that are missing, and
 * any other error when AWS or the database could not be asked: then it may work the next time.
 */
export async function composeFunction(): Promise<ComposedFunction> {
  const environment = await loadParameters();
  requireSettings(environment);
  const operator = readOperatorConfig(environment);
  const redactor = redactorFor(operator);
  const log = createLogger({ level: operator.logLevel, redactor });
  mkdirSync(operator.dataDirectory, { recursive: true, mode: 0o700 });
  const client = appClient(operator, log);
  const authenticate = () => Promise.resolve(client);
  const parts = await openParts({ operator, redactor, log, authenticate, connections });
  const { store, status, workspaces } = parts;
  const rest = async () => {
    await within(settleSeconds, Promise.all([status.flush(), workspaces.settled()]));
    await store.database.rest();
  };
  const engine = createLambdaEngine({
    ...parts.forEngine,
    pipelines,
    isOurs: ownWords(),
    lambda: new LambdaClient({ maxAttempts: 5, requestHandler: { connectionTimeout: 2_000, requestTimeout: 10_000 } }),
    functionName: environment["MILLWRIGHT_WORKER_FUNCTION"] ?? "",
    flush: rest,
  });
  parts.use(engine);
  // No connection is kept for the time until the first invocation.
  await store.database.rest();
  return { ...parts, engine, rest };
}

/** What servers do without. Commands may not run beside the worker's secrets here: nothing isolates them. */
function requireSettings(environment: Record<string, string | undefined>): void {
  const needed = {
    DATABASE_URL: "budgets and runs are kept in a PostgreSQL database",
    MILLWRIGHT_BUCKET: "work in progress lies in a bucket",
    MILLWRIGHT_WORKER_FUNCTION: "runs are started as executions of the durable function, named with its alias",
  };
  const problems = Object.entries(needed)
    .filter(([name]) => (environment[name] ?? "") === "")
    .map(([name, why]) => `- ${name} is not set: ${why}.`);
  const { MILLWRIGHT_SANDBOX: sandbox } = environment;
  if (sandbox !== "lambda" && sandbox !== "none") problems.push("- MILLWRIGHT_SANDBOX must be lambda (or none).");
  if (problems.length > 0) throw new ConfigurationError(`Millwright cannot start:\n${problems.join("\n")}`);
}

async function within(seconds: number, work: Promise<unknown>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, seconds * 1000);
  try {
    await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
