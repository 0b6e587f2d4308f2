import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Probot, Server } from "probot";
import { type OperatorConfig, readOperatorConfig } from "../../src/config/operator.ts";
import { routes } from "../../src/index.ts";
import { type Attached, attachToProbot } from "../../src/run/attach.ts";
import type { ComposeOptions } from "../../src/run/compose.ts";
import { redactorFor } from "../../src/run/parts.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { copyDatabaseTemplate } from "./database-template.ts";
import { type LocalGitHub, startLocalGitHub } from "./local-github/index.ts";

/** The App's credentials in tests and in the demo; the key is made anew for each process. */
export const appId = 4242;
export const webhookSecret = "a-webhook-secret-for-tests";
export const privateKey = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  privateKeyEncoding: { type: "pkcs1", format: "pem" },
  publicKeyEncoding: { type: "pkcs1", format: "pem" },
}).privateKey;

/** The permissions and events of app.yml, on a local GitHub. */
export async function startGitHub(
  directory = mkdtempSync(join(tmpdir(), "millwright-github-")),
  options: Partial<Parameters<typeof startLocalGitHub>[0]> = {},
): Promise<LocalGitHub> {
  const github = await startLocalGitHub({
    dataDir: directory,
    app: {
      id: appId,
      slug: "millwright",
      name: "Millwright",
      privateKey,
      webhookSecret,
      owner: "acme",
      permissions: {
        contents: "write",
        issues: "write",
        pull_requests: "write",
        checks: "write",
        actions: "write",
        statuses: "read",
        metadata: "read",
      },
    },
    ...options,
  });
  return github;
}

export interface LocalApp extends Attached {
  url: string;
  operator: OperatorConfig;
  dataDirectory: string;
  close(seconds?: number): Promise<void>;
}

/** The real App in this process: Probot's server, our intake, engine, sandbox and store; only GitHub and the model are stand-ins. */
export async function startApp(options: {
  github: LocalGitHub;
  modelUrl: string;
  environment?: Record<string, string>;
  dataDirectory?: string;
  log?: ComposeOptions["log"];
  effectFault?: ComposeOptions["effectFault"];
  statusPeriodSeconds?: number;
}): Promise<LocalApp> {
  const dataDirectory = options.dataDirectory ?? mkdtempSync(join(tmpdir(), "millwright-data-"));
  const operator = readOperatorConfig({
    APP_ID: String(appId),
    PRIVATE_KEY: privateKey,
    WEBHOOK_SECRET: webhookSecret,
    GITHUB_API_URL: options.github.url,
    GITHUB_SERVER_URL: options.github.gitUrl,
    ANTHROPIC_API_KEY: "a-model-key-for-tests",
    ANTHROPIC_BASE_URL: options.modelUrl,
    MILLWRIGHT_DATA: dataDirectory,
    MILLWRIGHT_HEALTH_PORT: "0",
    MILLWRIGHT_SANDBOX: "none",
    MILLWRIGHT_MIN_FREE_BYTES: "0",
    // Tests that are about it call housekeeping.sweep() or set a period: others count requests.
    MILLWRIGHT_RECONCILE_MINUTES: "0",
    LOG_LEVEL: process.env["LOG_LEVEL"] ?? "silent",
    PORT: "0",
    ...options.environment,
  });
  if (operator.databaseUrl === undefined) await copyDatabaseTemplate(dataDirectory);
  const log = options.log ?? createLogger({ level: operator.logLevel, redactor: redactorFor(operator) });
  const server = new Server({
    host: operator.server.host,
    port: await freePort(),
    webhookPath: operator.server.webhookPath,
    log: log as never,
    Probot: Probot.defaults({
      appId,
      privateKey,
      secret: webhookSecret,
      baseUrl: operator.github.apiUrl,
    }) as typeof Probot,
  });
  let attached: Attached | undefined;
  await server.load(async (app, applicationOptions) => {
    attached = await attachToProbot(app, applicationOptions, routes, {
      operator,
      log,
      effectFault: options.effectFault,
      statusPeriodSeconds: options.statusPeriodSeconds ?? 1,
    });
  });
  await server.start();
  const url = `http://127.0.0.1:${server.port}`;
  options.github.setWebhookUrl(`${url}${operator.server.webhookPath}`);
  return {
    ...attached!,
    url,
    operator,
    dataDirectory,
    async close(seconds = 5) {
      await attached!.stop(seconds);
      await server.stop();
    },
  };
}

/** Probot's server takes port 0 for "not given". */
async function freePort(): Promise<number> {
  const { createServer } = await import("node:net");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return typeof address === "object" && address !== null ? address.port : 0;
}
