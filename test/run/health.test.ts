import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { pino } from "pino";
import type { ProbotOctokit } from "probot";
import { afterEach, expect, test } from "vitest";
import type { Worker } from "../../src/run/compose.ts";
import { type Health, startHealth } from "../../src/run/health.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";

let server: Server | undefined;
let health: Health | undefined;

afterEach(async () => {
  await health?.close();
  server?.close();
});

/** The public port with the health handlers alone, over a store that answers as the test says. */
async function start(
  ping: () => Promise<void>,
  backlog: () => Promise<{ queued: number }> = async () => ({ queued: 0 }),
): Promise<string> {
  const handlers: ((request: never, response: never) => boolean | undefined | Promise<boolean | undefined>)[] = [];
  const worker = {
    store: { ping, runs: { backlog } },
    metrics: createMetrics(),
    log: pino({ level: "silent" }),
    operator: { health: { host: "127.0.0.1", port: 0 } },
  } as unknown as Worker;
  health = await startHealth(worker, {} as ProbotOctokit, (handler) => void handlers.push(handler as never));
  server = createServer(async (request, response) => {
    for (const handler of handlers) if (await handler(request as never, response as never)) return;
    response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function ask(url: string): Promise<[status: number, answer: unknown]> {
  const answer = await fetch(url, { headers: { connection: "close" } });
  return [answer.status, await answer.json()];
}

test("startHealth is not ready while the process drains, but alive", async () => {
  const url = await start(async () => undefined);
  expect(await ask(`${url}/readyz`)).toEqual([200, { ok: true, database: true, draining: false }]);
  health?.drain();
  expect(await ask(`${url}/readyz`)).toEqual([503, { ok: false, database: true, draining: true }]);
  expect(await ask(`${url}/livez`)).toEqual([200, { ok: true }]);
});

test("startHealth says on the public port that the database is away, and no more", async () => {
  const url = await start(() => Promise.reject(new Error("password of 10.0.0.7")));
  expect(await ask(`${url}/readyz`)).toEqual([503, { ok: false, database: false, draining: false }]);
});

test("startHealth is not ready when the database does not answer in time", { timeout: 10_000 }, async () => {
  const url = await start(() => new Promise(() => undefined));
  expect((await ask(`${url}/readyz`))[0]).toBe(503);
});

test("startHealth asks the list of every model that is used, each in its provider's way", async () => {
  const asked: string[] = [];
  const models = createServer((request, response) => {
    asked.push(`${request.url} ${request.headers.authorization} ${request.headers["anthropic-version"] ?? "-"}`);
    response.writeHead(request.headers.authorization === "Bearer bad" ? 401 : 200).end();
  });
  await new Promise<void>((resolve) => models.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(models.address() as AddressInfo).port}`;
  const model = (provider: string, apiKey: string, baseUrl: string) => ({ provider, name: "m", apiKey, baseUrl });
  const named = {
    default: model("anthropic", "good", url),
    mine: model("openai-compatible", "bad", `${url}/v1`),
  };
  const worker = {
    store: { ping: async () => undefined, runs: { backlog: async () => ({ queued: 0, oldestSeconds: 0 }) } },
    engine: { health: async () => ({ ok: true, detail: "ok" }) },
    sandbox: { backend: "none", describe: () => "none" },
    metrics: createMetrics(),
    log: pino({ level: "silent" }),
    operator: {
      health: { host: "127.0.0.1", port: 0 },
      github: { apiUrl: "http://127.0.0.1:9" },
      dataDirectory: ".",
      minFreeBytes: 0,
      models: { named, use: {} },
    },
  } as unknown as Worker;
  health = await startHealth(worker, { request: async () => ({ data: { slug: "m" } }) } as unknown as ProbotOctokit);
  const [status, answer] = await ask(`http://127.0.0.1:${health.port}/health`);
  models.close();
  expect(status).toBe(503);
  expect((answer as { wrong: string[] }).wrong).toEqual([`model mine: ${url}/v1 refuses OPENAI_API_KEY (401)`]);
  expect(asked.sort()).toEqual(["/v1/models Bearer bad -", "/v1/models Bearer good 2023-06-01"]);
});

test("startHealth says on /metrics how many runs are queued, and nothing of them while the database is away", async () => {
  const answers = [{ queued: 3 }, undefined];
  await start(
    async () => undefined,
    async () => answers.shift() ?? Promise.reject(new Error("the database is away")),
  );
  const metrics = async () => (await fetch(`http://127.0.0.1:${health?.port}/metrics`)).text();
  expect(await metrics()).toMatch(/^millwright_runs_queued 3$/m);
  expect(await metrics()).not.toMatch(/^millwright_runs_queued /m);
});
