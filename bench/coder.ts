/**
 * `coder.start`: from the beginning of the work to Claude Code's first request, warm, in bubblewrap and through the gateway,
 * against the same program started directly. `gateway.added`: what the gateway adds to a request, at the median.
 * `gateway.first-byte`: how much later the first byte of a stream comes. `coder.cached.*`: the share of the input of a
 * job of 20 turns that the provider reads from its cache, by the requests that each coder sends.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, Agent as HttpAgent, type RequestOptions, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAnthropicModel } from "../src/agent/anthropic/anthropic-model.ts";
import type { Budget } from "../src/agent/model.ts";
import { priceOf } from "../src/agent/prices.ts";
import { agentCoder } from "../src/coder/agent.ts";
import { claudeCodeCoder } from "../src/coder/claude-code.ts";
import type { Coder } from "../src/coder/coder.ts";
import { openGateway, type Upstream } from "../src/coder/gateway.ts";
import { settingsOf } from "../src/config/models.ts";
import { createSandbox } from "../src/sandbox/create-sandbox.ts";
import type { Sandbox, Tree } from "../src/sandbox/sandbox.ts";
import { claudeCodeMissing, claudeCodeProgram } from "../test/support/claude-code.ts";
import { finish, useTools } from "../test/support/model-replies.ts";
import { messageEvents, type RawReply, type RawRequest, startRawModel } from "../test/support/scripted-model.ts";
import { type Figure, median, say, scale, smallerIsBetter } from "./figure.ts";
import { cachedShare } from "./support/prompt-cache.ts";

const modelName = "claude-opus-5-5";
const starts = Math.max(2, Math.round(9 * scale()));
const requests = Math.max(20, Math.round(400 * scale()));
const turns = 20;
const prompt = {
  ...{ name: "write-change", version: "1", allowedModels: undefined },
  system: `stage: write-change\n\n${"You change the files of a repository with care. ".repeat(60)}`,
  repository: `The instructions of the repository.\n${"Write as the code around it is written. ".repeat(100)}`,
  task: "Write the files of the plan, one after the other.",
};

export async function coderFigures(): Promise<Figure[]> {
  const gateway = await gatewayFigures();
  if (!existsSync(claudeCodeProgram)) {
    say(`coder.start, coder.cached.claude-code: ${claudeCodeMissing}`);
    return gateway;
  }
  const root = await mkdtemp(join(tmpdir(), "coder-bench-"));
  await chmod(root, 0o755);
  const sandbox = await createSandbox({
    ...{ backend: "bubblewrap", slots: 1, dataDirectory: join(root, "data"), extraReadPaths: [claudeCodeProgram] },
    log: { info: () => {}, warn: say },
  });
  try {
    if (!(await sandbox.selfTest()).passed) throw new Error("coder.start needs bubblewrap with socat");
    return [await startFigure(root, sandbox), ...gateway, ...(await cachedFigures(root, sandbox))];
  } finally {
    await sandbox.close();
    await rm(root, { recursive: true, force: true });
  }
}

async function startFigure(root: string, sandbox: Sandbox): Promise<Figure> {
  const seconds: number[] = [];
  const direct: number[] = [];
  let began = 0;
  let first: number | undefined;
  const model = await startRawModel(() => {
    first ??= performance.now() - began;
    return finish("Nothing to do.");
  });
  const coder = claudeCode(sandbox, model.url);
  // The first round warms the disk's cache, and asks the program for its version once.
  for (let round = 0; round <= starts; round += 1) {
    const at = await treeIn(root, `start-${round}`);
    began = performance.now();
    first = undefined;
    await work(coder, at);
    if (round > 0 && first !== undefined) seconds.push(first);
    began = performance.now();
    first = undefined;
    await plainly(model.url, at);
    if (round > 0 && first !== undefined) direct.push(first);
  }
  await model.close();
  return smallerIsBetter("coder.start", median(seconds), "ms", { baseline: median(direct), limit: 3_000 });
}

/** The program as a person would start it. */
async function plainly(url: string, at: Tree): Promise<void> {
  const child = spawn(claudeCodeProgram, ["-p", "--model", modelName, "Nothing to do."], {
    cwd: at.directory,
    env: {
      ...{
        PATH: "/usr/local/bin:/usr/bin:/bin",
        HOME: at.temporary,
        ANTHROPIC_BASE_URL: url,
        ANTHROPIC_API_KEY: "any",
      },
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    },
    stdio: "ignore",
  });
  await new Promise((resolve) => child.once("exit", resolve));
}

/** A model's server of its own, which answers at once; the same requests to it, and through the gateway, in turn. */
async function gatewayFigures(): Promise<Figure[]> {
  const events = messageEvents({ content: "word ".repeat(200) });
  const half = Math.floor(events.length / 2);
  const server = createServer((incoming, answer) => {
    incoming.resume();
    incoming.once("end", () => {
      answer.writeHead(200, { "content-type": "text/event-stream" });
      answer.write(events.slice(0, half));
      setTimeout(() => answer.end(events.slice(half)), 5);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const gateway = await openGateway({
    ...{ prompt, budget: plenty(), upstream: upstreamAt(`http://127.0.0.1:${port}`) },
    record: async () => {},
  });
  const agent = new HttpAgent({ keepAlive: true });
  const body = JSON.stringify({
    ...{ model: modelName, max_tokens: 16_000, stream: true, system: prompt.system },
    messages: [{ role: "user", content: "code ".repeat(20_000) }],
  });
  const headers = { "content-type": "application/json", "x-api-key": gateway.token };
  const ways: Record<"direct" | "through", RequestOptions> = {
    direct: { host: "127.0.0.1", port },
    through: { socketPath: gateway.socket },
  };
  const times = { direct: [] as Times[], through: [] as Times[] };
  for (let round = 0; round < requests + 10; round += 1) {
    for (const way of ["direct", "through"] as const) {
      const taken = await timeOf({ ...ways[way], agent, headers, path: "/v1/messages", method: "POST" }, body);
      if (round >= 10) times[way].push(taken);
    }
  }
  agent.destroy();
  await gateway.close();
  server.close();
  const of = (way: "direct" | "through", what: keyof Times) => median(times[way].map((one) => one[what]));
  const figure = (name: string, what: keyof Times, limit: number) => ({
    ...smallerIsBetter(name, of("through", what) - of("direct", what), "ms", { limit }),
    // What is added stands beside what it is added to.
    baseline: Math.round(of("direct", what) * 1_000) / 1_000,
  });
  return [figure("gateway.added", "whole", 10), figure("gateway.first-byte", "first", 5)];
}

interface Times {
  first: number;
  whole: number;
}

function timeOf(options: RequestOptions, body: string): Promise<Times> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    let first = 0;
    const outgoing = request(options, (response) => {
      response.once("data", () => {
        first = performance.now() - began;
      });
      response.on("data", () => {});
      response.once("end", () => resolve({ first, whole: performance.now() - began }));
      response.once("error", reject);
    });
    outgoing.once("error", reject);
    outgoing.end(body);
  });
}

/** The same 20 turns, each of which writes a file of 2 KB, by both coders. */
async function cachedFigures(root: string, sandbox: Sandbox): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const name of ["agent", "claude-code"] as const) {
    const write = (index: number): RawReply =>
      name === "agent"
        ? useTools(["write", { file_path: `file-${index}.txt`, content: "line of text\n".repeat(160) }])
        : useTools(["Write", { file_path: `/workspace/file-${index}.txt`, content: "line of text\n".repeat(160) }]);
    const asked: RawRequest[] = [];
    const model = await startRawModel((one) => {
      if (one.path.includes("count_tokens")) return { status: 200, body: { input_tokens: 1_000 } };
      asked.push(one);
      return asked.length < turns ? write(asked.length) : finish("All is written.");
    });
    const coder = name === "agent" ? agentCoder(agentAt(model.url)) : claudeCode(sandbox, model.url);
    await work(coder, await treeIn(root, `cached-${name}`));
    await model.close();
    if (asked.length !== turns) throw new Error(`${name} made ${asked.length} requests instead of ${turns}`);
    const share = cachedShare(asked.map(({ body }) => body));
    figures.push({ ...smallerIsBetter(`coder.cached.${name}`, share, "share", {}), limit: 0.8, ok: share >= 0.8 });
  }
  return figures;
}

async function work(coder: Coder, at: Tree): Promise<void> {
  const result = await coder.code({
    ...{ prompt, at, tools: [], budget: plenty(), signal: new AbortController().signal },
    onTurn: async () => {},
    onTool: () => {},
    record: async () => {},
  });
  if (result.kind !== "done") throw new Error(`${coder.name} ended as ${JSON.stringify(result)}`);
}

function claudeCode(sandbox: Sandbox, url: string): Coder {
  return claudeCodeCoder({ sandbox, program: claudeCodeProgram, upstream: upstreamAt(url) });
}

function agentAt(baseUrl: string) {
  return createAnthropicModel({
    ...{ provider: "anthropic", model: modelName, baseUrl, apiKey: "any", maxOutputTokens: 16_000 },
  });
}

function upstreamAt(baseUrl: string): Upstream {
  return {
    ...{ provider: "anthropic", baseUrl, apiKey: "any", models: [modelName], maxOutputTokens: 16_000 },
    ...{ price: priceOf(modelName).price, settings: settingsOf("anthropic") },
  };
}

function plenty(): Budget {
  const deadline = new Date(Date.now() + 10 * 60_000);
  return { turns: 1_000_000, inputTokens: 1e12, outputTokens: 1e12, costUsd: 1e9, deadline };
}

async function treeIn(root: string, name: string): Promise<Tree> {
  const at = {
    directory: join(root, name, "tree"),
    temporary: join(root, name, "tmp"),
    environment: { directory: join(root, name, "home") },
  };
  for (const directory of [at.directory, at.temporary, at.environment.directory])
    await mkdir(directory, { recursive: true });
  await writeFile(join(at.directory, "README.md"), "# A repository\n");
  return at;
}
