import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";
import pino from "pino";
import { bundleSandboxHandler, bundleWebhook } from "../../deploy/lambda/bundle.ts";
import { type OpenStore, openStore } from "../../src/store/open-store.ts";
import { appId, privateKey, webhookSecret } from "./local-app.ts";
import { startEnvironment } from "./local-aws/execution-environment.ts";
import { type LocalAws, startLocalAws } from "./local-aws/local-aws.ts";
import type { LocalGitHub } from "./local-github/index.ts";

export interface LambdaApp {
  aws: LocalAws;
  /** The tests' own look at the database. */
  store: OpenStore;
  /** What deliveries were answered, oldest first. */
  answers: number[];
  /** Whether deliveries arrive. */
  hears(on: boolean): void;
  /** Starts the worker's process with further settings and returns what its start failed with. */
  coldStart(environment?: Record<string, string>): Promise<string>;
  /** Invokes the scheduled function and returns what it answers. */
  reconcile(): Promise<unknown>;
  close(): Promise<void>;
}

/**
 * The App on AWS as it is deployed, each function in processes of its own: the packaged webhook behind an address as of a
 * function URL, the files of the worker's image, and the packaged sandbox, which runs isolated. Only AWS itself is a stand-in.
 */
export async function startLambdaApp(options: {
  github: LocalGitHub;
  modelUrl: string;
  databaseUrl: string;
  environment?: Record<string, string>;
  /** Further parameters of SSM. */
  parameters?: Record<string, string>;
  /** Runs the worker in a process of one's own, such as its image; the files of the image in one of the stand-in's unless given. */
  startWorker?(environment: Record<string, string>): (event: unknown) => Promise<unknown>;
}): Promise<LambdaApp> {
  const { github, databaseUrl } = options;
  const folder = await mkdtemp(join(tmpdir(), "lambda-app-"));
  const aws = await startLocalAws();
  const lambda = new LambdaClient({ ...aws.client, maxAttempts: 1 });
  const bundles = { webhook: join(folder, "webhook", "webhook.mjs"), sandbox: join(folder, "sandbox", "sandbox.mjs") };
  await Promise.all([bundleWebhook(bundles.webhook), bundleSandboxHandler(bundles.sandbox)]);
  const parameters = {
    "/millwright/private-key": privateKey,
    "/millwright/webhook-secret": webhookSecret,
    "/millwright/model-key": "a-model-key-for-tests",
    ...options.parameters,
  };
  for (const [name, value] of Object.entries(parameters)) aws.held.parameters.set(name, value);
  aws.held.secrets.set("millwright/database-url", databaseUrl);
  aws.s3.bucket("work");
  const settings = {
    ...aws.environment,
    APP_ID: String(appId),
    MILLWRIGHT_WORKER_FUNCTION: "worker:durable",
    MILLWRIGHT_WEBHOOK_SECRET_PARAMETER: "/millwright/webhook-secret",
  };
  const workerSettings = {
    ...settings,
    MILLWRIGHT_PRIVATE_KEY_PARAMETER: "/millwright/private-key",
    MILLWRIGHT_ANTHROPIC_API_KEY_PARAMETER: "/millwright/model-key",
    MILLWRIGHT_DATABASE_URL_SECRET: "millwright/database-url",
    MILLWRIGHT_DATA: join(folder, "data"),
    MILLWRIGHT_SANDBOX: "lambda",
    MILLWRIGHT_SANDBOX_FUNCTION: "sandbox",
    MILLWRIGHT_BUCKET: "work",
    MILLWRIGHT_MIN_FREE_BYTES: "0",
    GITHUB_API_URL: github.url,
    GITHUB_SERVER_URL: github.gitUrl,
    ANTHROPIC_BASE_URL: options.modelUrl,
    LOG_LEVEL: "warn",
    ...options.environment,
  };
  const webhookSettings = { ...settings, MILLWRIGHT_APP_SLUG: "millwright" };
  aws.lambda.functions.set("webhook", { bundle: bundles.webhook, environment: webhookSettings, timeoutSeconds: 15 });
  // The image holds the sources.
  const source = (file: string) => resolve("src/run/lambda", file);
  aws.lambda.functions.set("worker", {
    ...(options.startWorker
      ? { handler: options.startWorker(workerSettings) }
      : { bundle: source("worker.ts"), environment: workerSettings }),
    durable: true,
    checkpoints: true,
    timeoutSeconds: 900,
  });
  aws.lambda.functions.set("reconcile", {
    bundle: source("reconcile.ts"),
    environment: workerSettings,
    timeoutSeconds: 600,
  });
  const isolated = { bundle: bundles.sandbox, isolated: true, tenantIsolation: true, timeoutSeconds: 900 };
  aws.lambda.functions.set("sandbox", isolated);

  const answers: number[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const parts: Buffer[] = [];
    for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
    const event = {
      version: "2.0",
      rawPath: request.url,
      headers: request.headers,
      requestContext: { http: { method: request.method, path: request.url } },
      body: Buffer.concat(parts).toString("base64"),
      isBase64Encoded: true,
    };
    const invoked = await lambda.send(new InvokeCommand({ FunctionName: "webhook", Payload: JSON.stringify(event) }));
    const reply = JSON.parse(Buffer.from(invoked.Payload ?? []).toString()) as { statusCode?: number; body?: string };
    answers.push(reply.statusCode ?? 502);
    response.writeHead(reply.statusCode ?? 502).end(reply.body);
  };
  // As a function URL does, which says 502 for an invocation that failed.
  const answering = new Set<Promise<void>>();
  const address = createServer((request, response) => {
    const answered = answer(request, response)
      .catch(() => {
        answers.push(502);
        response.writeHead(502).end();
      })
      .finally(() => answering.delete(answered));
    answering.add(answered);
  });
  await new Promise<void>((listening) => address.listen(0, "127.0.0.1", listening));
  const deliveries = `http://127.0.0.1:${(address.address() as AddressInfo).port}/api/github/webhooks`;
  github.setWebhookUrl(deliveries);
  const store = await openStore({ databaseUrl, dataDirectory: "unused", log: pino({ level: "silent" }) });
  return {
    aws,
    store,
    answers,
    hears: (on) => github.setWebhookUrl(on ? deliveries : undefined),
    async coldStart(environment = {}) {
      const settings = { ...workerSettings, ...environment };
      try {
        const started = await startEnvironment("worker", undefined, { bundle: source("worker.ts") }, settings, 0);
        await started.close();
        return "it started";
      } catch (error) {
        return (error as Error).message;
      }
    },
    async reconcile() {
      const invoked = await lambda.send(new InvokeCommand({ FunctionName: "reconcile", Payload: "{}" }));
      const answer = JSON.parse(Buffer.from(invoked.Payload ?? []).toString());
      if (invoked.FunctionError !== undefined) throw new Error(`reconcile failed: ${JSON.stringify(answer)}`);
      return answer;
    },
    async close() {
      github.setWebhookUrl(undefined);
      await Promise.all(answering);
      address.closeAllConnections();
      await new Promise((closed) => address.close(closed));
      await aws.close();
      lambda.destroy();
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
