import { statfs } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import type { ApplicationFunctionOptions, ProbotOctokit } from "probot";
import { type ModelConfig, modelsInUse, settingsOf } from "../config/models.ts";
import type { OperatorConfig } from "../config/operator.ts";
import type { Worker } from "./compose.ts";

export interface Health {
  /** From now on `/readyz` says no, so that no new webhooks are sent here. */
  drain(): void;
  close(): Promise<void>;
  /** Port of `/health` and `/metrics`; 0 when it could not be used. */
  port: number;
}

interface Probe {
  name: string;
  ok: boolean;
  /** In plain words: what was found, or what is wrong. */
  detail: string;
  durationMs: number;
}

/** So that frequent questions do not become load on the database, GitHub and the model. */
const cacheMs = 10_000;
const probeTimeoutMs = 5_000;
/** Whoever asks whether to send webhooks here waits for the answer. */
const readyTimeoutMs = 2_000;
const longWaitSeconds = 600;

/**
 * `/livez` and `/readyz` beside the webhooks, where there are some, which never fail because GitHub or a model is down;
 * `/health` with every detail, `/metrics` and the first two once more on an address of their own, loopback by default (P9).
 */
export async function startHealth(
  worker: Worker,
  client: ProbotOctokit,
  addHandler?: ApplicationFunctionOptions["addHandler"],
): Promise<Health> {
  let draining = false;
  const open = new Hono();
  open.get("/livez", (context) => context.json({ ok: true }));
  open.get("/readyz", async (context) => {
    // Why the database does not answer is nobody's business on the public port: /health says it.
    const { ok: database } = await probe("database", () => worker.store.ping().then(() => "answers"), readyTimeoutMs);
    const ok = database && !draining;
    return context.json({ ok, database, draining }, ok ? 200 : 503);
  });
  const listen = getRequestListener(open.fetch, { overrideGlobalObjects: false });
  addHandler?.(async (request: IncomingMessage, response: ServerResponse) => {
    if (!["/livez", "/readyz"].includes((request.url ?? "").split("?")[0] ?? "")) return false;
    await listen(request, response);
    return true;
  });

  const closed = new Hono().route("/", open);
  const details = cached(() => probes(worker, client));
  closed.get("/health", async (context) => {
    const found = await details();
    const wrong = found.filter((one) => !one.ok).map((one) => `${one.name}: ${one.detail}`);
    return context.json({ ok: wrong.length === 0, wrong, probes: found }, wrong.length === 0 ? 200 : 503);
  });
  closed.get("/metrics", async (context) => {
    const { registry, runsQueued } = worker.metrics;
    // While the database is away nobody knows: then the gauge is absent, and not what it was.
    runsQueued.remove();
    const count = async () => {
      runsQueued.set((await worker.store.runs.backlog()).queued);
      return "counted";
    };
    await probe("backlog", count, readyTimeoutMs);
    return context.text(await registry.metrics(), 200, { "content-type": registry.contentType });
  });
  const server = createServer(getRequestListener(closed.fetch, { overrideGlobalObjects: false }));
  const { host, port } = worker.operator.health;
  await new Promise<void>((resolve) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const reason = error.code === "EADDRINUSE" ? "the port is taken" : error.message;
      worker.log.error(
        { host, port },
        `/health and /metrics are not served on ${host}:${port}: ${reason}. Set MILLWRIGHT_HEALTH_PORT to a free port.`,
      );
      resolve();
    });
    server.listen(port, host, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    drain: () => {
      draining = true;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function probes(worker: Worker, client: ProbotOctokit): Promise<Probe[]> {
  const { operator } = worker;
  return Promise.all([
    probe("database", () =>
      worker.store.ping().then(() => (operator.databaseUrl === undefined ? "embedded, answers" : "answers")),
    ),
    probe("engine", async () => {
      const { ok, detail } = await worker.engine.health();
      if (!ok) throw new Error(detail);
      return detail;
    }),
    probe("queue", async () => {
      const { queued, oldestSeconds } = await worker.store.runs.backlog();
      if (oldestSeconds > longWaitSeconds)
        throw new Error(`the oldest of ${queued} queued runs has waited for ${Math.round(oldestSeconds)} s`);
      return `${queued} queued`;
    }),
    probe("sandbox", async () => {
      if (worker.sandbox.backend === "none") return worker.sandbox.describe();
      const test = await worker.sandbox.selfTest();
      if (!test.passed) throw new Error(test.advice ?? "the self-test failed");
      return worker.sandbox.describe();
    }),
    probe("disk", async () => {
      const { bavail, bsize } = await statfs(operator.dataDirectory);
      const free = bavail * bsize;
      if (free < operator.minFreeBytes)
        throw new Error(
          `${Math.round(free / 1e6)} MB free in ${operator.dataDirectory}, ${Math.round(operator.minFreeBytes / 1e6)} MB are needed (MILLWRIGHT_MIN_FREE_BYTES)`,
        );
      return `${Math.round(free / 1e6)} MB free`;
    }),
    probe("github", () => askGitHub(operator, client)),
    ...Object.entries(operator.models.named)
      .filter(([name]) => modelsInUse(operator.models).includes(name))
      .map(([name, model]) => probe(name === "default" ? "model" : `model ${name}`, () => askModel(model))),
  ]);
}

/** Asks who we are: so a wrong key is found as well as a network that is down. */
async function askGitHub(operator: OperatorConfig, client: ProbotOctokit): Promise<string> {
  const { apiUrl } = operator.github;
  try {
    const { data } = await client.request("GET /app", {
      request: { retries: 0, signal: AbortSignal.timeout(probeTimeoutMs) },
    });
    return `${apiUrl} answers, the App is ${data?.slug ?? operator.app.id}`;
  } catch (error) {
    const { status, message } = error as { status?: number; message: string };
    if (status === 401 || status === 404)
      throw new Error(`${apiUrl} refuses APP_ID ${operator.app.id} with PRIVATE_KEY (${status}: ${message})`);
    throw new Error(`${apiUrl} does not answer as it should: ${reasonOf(error)}`);
  }
}

const ownAddress: Partial<Record<ModelConfig["provider"], string>> = {
  anthropic: "https://api.anthropic.com",
  openai: "https://api.openai.com/v1",
};

/** Lists the models, which costs nothing; a compatible server that has no list is reached all the same. */
async function askModel(config: ModelConfig): Promise<string> {
  const { provider, apiKey, settings = settingsOf(provider) } = config;
  // Where no address is given, the cloud's own client decides.
  const address = config.baseUrl ?? ownAddress[provider];
  if (address === undefined) return `${provider}, reached by the cloud's own client: not asked`;
  const isOpenAi = provider === "openai" || provider === "openai-compatible";
  const headers = {
    "user-agent": "millwright",
    ...(isOpenAi ? {} : { "anthropic-version": "2023-06-01" }),
    ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
  };
  let status: number;
  try {
    const list = isOpenAi ? `${address}/models` : `${address}/v1/models`;
    status = (await fetch(list, { headers, signal: AbortSignal.timeout(probeTimeoutMs) })).status;
  } catch (error) {
    throw new Error(`${address} cannot be reached: ${reasonOf(error)}`);
  }
  if ((isOpenAi || provider === "anthropic") && (status === 401 || status === 403))
    throw new Error(`${address} refuses ${settings.key} (${status})`);
  if (status >= 500) throw new Error(`${address} answered ${status}`);
  return `${address} answers`;
}

/** What lies beneath "fetch failed". */
function reasonOf(error: unknown): string {
  const { message, cause } = error as { message: string; cause?: unknown };
  const deeper = cause instanceof AggregateError ? cause.errors[0] : cause;
  return deeper instanceof Error ? reasonOf(deeper) : message;
}

async function probe(name: string, ask: () => Promise<string>, timeoutMs = probeTimeoutMs + 1_000): Promise<Probe> {
  const startedAt = performance.now();
  const done = (ok: boolean, detail: string): Probe => ({
    name,
    ok,
    detail,
    durationMs: Math.round(performance.now() - startedAt),
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer after ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    return done(true, await Promise.race([ask(), late]));
  } catch (error) {
    return done(false, reasonOf(error));
  } finally {
    clearTimeout(timer);
  }
}

function cached<T>(make: () => Promise<T>): () => Promise<T> {
  let value: Promise<T> | undefined;
  let until = 0;
  return () => {
    if (value === undefined || Date.now() > until) {
      value = make();
      until = Date.now() + cacheMs;
    }
    return value;
  };
}
