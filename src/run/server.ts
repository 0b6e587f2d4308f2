import { existsSync } from "node:fs";
import { Probot, Server } from "probot";
import { operatorConfigOrExit } from "../config/operator.ts";
import application from "../index.ts";
import { createLogger } from "../telemetry/logger.ts";
import { redactorFor } from "./parts.ts";

/** `npm start`: Probot's server with our settings, any API address, and a message that says which variable is missing. */
async function main(): Promise<void> {
  if (existsSync(".env")) process.loadEnvFile(".env");
  const operator = operatorConfigOrExit();
  const server = new Server({
    host: operator.server.host,
    port: operator.server.port,
    webhookPath: operator.server.webhookPath,
    webhookProxy: operator.server.webhookProxyUrl,
    log: createLogger({ level: operator.logLevel, redactor: redactorFor(operator) }) as never,
    Probot: Probot.defaults({
      appId: operator.app.id,
      privateKey: operator.app.privateKey,
      secret: operator.app.webhookSecrets[0],
      baseUrl: operator.github.apiUrl,
    }) as typeof Probot,
  });
  try {
    await server.load(application);
    await server.start();
  } catch (error) {
    // Without a stack: what an operator can do about it stands in the message (a port or a data directory that is in use).
    process.stderr.write(`Millwright cannot start:\n- ${(error as Error).message}\n`);
    process.exit(1);
  }
}

await main();
