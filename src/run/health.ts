import { statfs } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import type { ApplicationFunctionOptions } from "probot";
import type { Worker } from "./compose.ts";
import type { OperatorConfig } from "../config/operator.ts";

export interface Health {
  /** From now on `/readyz` says no, so that no new webhooks are sent here. */
  drain(): void;
  close(): Promise<void>;
  /** Port of `/health` and `/metrics`. */
  port: number;
}

export interface Probe {
  name: string;
  ok: boolean;
  detail: string;
  durationMs: number;
}

const cacheMs = 10_000;
const probeTimeoutMs = 5_000;

/**
 * `/livez` and `/readyz` beside the webhooks, which never fail because GitHub or a model is down; `/health` with every
 * detail and `/metrics` on an address of their own, loopback by default (P9).
 */
export async function startHealth(worker: Worker, addHandler: ApplicationFunctionOptions["addHandler"]): Promise<Health> {
  let draining = false;
  const open = new Hono();
  open.get("/livez", (context) => context.json({ ok: true }));
  open.get("/readyz", async (context) => {
    const database = await probe("database", () => worker.store.ping().then(() => "answers"));
    const ok = database.ok && !draining;
    return context.json({ ok, database, draining }, ok ? 200 : 503);
  });
  const listen = getRequestListener(open.fetch, { overrideGlobalObjects: false });
  addHandler(async (request: IncomingMessage, response: ServerResponse) => {
    if (!["/livez", "/readyz"].includes((request.url ?? "").split("?")[0] ?? "")) return false;
    await listen(request, response);
    return true;
  });

  const closed = new Hono();
  const details = cached(() => probes(worker));
  closed.get("/health", async (context) => {
    const found = await details();
    const wrong = found.filter((one) => !one.ok).map((one) => `${one.name}: ${one.detail}`);
    return context.json({ ok: wrong.length === 0, wrong, probes: found }, wrong.length === 0 ? 200 : 503);
  });
  closed.get("/metrics", async (context) => context.text(await worker.metrics.registry.metrics(), 200, { "content-type": worker.metrics.registry.contentType }));
  const server = createServer(getRequestListener(closed.fetch, { overrideGlobalObjects: false }));
  const { host, port } = worker.operator.health;
  await new Promise<void>((resolve) => {
    server.once("error", (error) => {
      worker.log.warn({ err: error }, `/health and /metrics are not served: ${host}:${port} cannot be used`);
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
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function probes(worker: Worker): Promise<Probe[]> {
  const { operator } = worker;
  return Promise.all([
    probe("database", () => worker.store.ping().then(() => (operator.databaseUrl === undefined ? "embedded, answers" : "answers"))),
    probe("queue", async () => {
      const { queued, oldestSeconds } = await worker.store.runs.backlog();
      if (oldestSeconds > 600) throw new Error(`the oldest queued run waits for ${Math.round(oldestSeconds)} s`);
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
      if (free < operator.minFreeBytes) throw new Error(`${Math.round(free / 1e6)} MB free in ${operator.dataDirectory}, ${Math.round(operator.minFreeBytes / 1e6)} MB are needed`);
      return `${Math.round(free / 1e6)} MB free`;
    }),
    probe("github", () => reach(`${operator.github.apiUrl}/meta`)),
    probe("model", async () => {
      const address = modelAddress(operator.model);
      return address === undefined ? `${operator.model.provider}, reached by the cloud's client` : reach(address);
    }),
  ]);
}

/** Where the model is reached over HTTP; undefined where the cloud's own client decides. */
function modelAddress(config: OperatorConfig["model"]): string | undefined {
  return config.provider === "anthropic" ? (config.baseUrl ?? "https://api.anthropic.com") : config.baseUrl;
}

async function reach(url: string): Promise<string> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(probeTimeoutMs), headers: { "user-agent": "millwright" } });
  if (answer.status >= 500) throw new Error(`${url} answered ${answer.status}`);
  return `${url} answers`;
}

async function probe(name: string, ask: () => Promise<string>): Promise<Probe> {
  const startedAt = performance.now();
  const done = (ok: boolean, detail: string): Probe => ({ name, ok, detail, durationMs: Math.round(performance.now() - startedAt) });
  try {
    const timeout = AbortSignal.timeout(probeTimeoutMs + 1_000);
    const late = new Promise<never>((_resolve, reject) => timeout.addEventListener("abort", () => reject(new Error("no answer in time")), { once: true }));
    return done(true, await Promise.race([ask(), late]));
  } catch (error) {
    return done(false, (error as Error).message);
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
