import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { CallRecord } from "../../src/agent/model.ts";
import { priceOf } from "../../src/agent/prices.ts";
import { type ClaudeCodeOptions, claudeCodeCoder } from "../../src/coder/claude-code.ts";
import type { CodeRequest, Coder } from "../../src/coder/coder.ts";
import type { Upstream } from "../../src/coder/gateway.ts";
import { settingsOf } from "../../src/config/models.ts";
import { createSandbox } from "../../src/sandbox/create-sandbox.ts";
import type { Sandbox, Tree } from "../../src/sandbox/sandbox.ts";
import { budget, prompt } from "../agent/support.ts";
import { makeTree } from "../sandbox/trees.ts";
import { claudeCodeProgram } from "../support/claude-code.ts";

export const realKey = "sk-ant-the-real-key-of-the-worker";

/** A sandbox and folders of jobs, for one test file. */
export interface Workshop {
  root: string;
  sandbox: Sandbox;
  /** A job's folders with these files in its tree. */
  job(files?: Record<string, string>): Promise<Tree & { environment: { directory: string } }>;
  close(): Promise<void>;
}

export async function openWorkshop(): Promise<Workshop> {
  const root = await mkdtemp(join(tmpdir(), "millwright-coder-"));
  await chmod(root, 0o755);
  const sandbox = await createSandbox({
    backend: "bubblewrap",
    slots: 3,
    dataDirectory: join(root, "data"),
    searchPath: process.env.PATH,
    extraReadPaths: [claudeCodeProgram].filter(existsSync),
    log: { info: () => {}, warn: () => {} },
  });
  let jobs = 0;
  return {
    root,
    sandbox,
    async job(files = {}) {
      jobs += 1;
      const at = await makeTree(root, `job-${jobs}`);
      for (const [path, content] of Object.entries(files)) {
        await mkdir(dirname(join(at.directory, path)), { recursive: true });
        await writeFile(join(at.directory, path), content, { mode: 0o755 });
      }
      return at;
    },
    async close() {
      await sandbox.close();
      await rm(root, { recursive: true, force: true });
    },
  };
}

export function upstreamAt(baseUrl: string, part: Partial<Upstream> = {}): Upstream {
  return {
    provider: "anthropic",
    baseUrl,
    apiKey: realKey,
    models: ["claude-opus-5-5"],
    price: priceOf("claude-opus-5-5").price,
    maxOutputTokens: 16_000,
    settings: settingsOf("anthropic"),
    ...part,
  };
}

export function claudeCodeAt(sandbox: Sandbox, baseUrl: string, part: Partial<ClaudeCodeOptions> = {}): Coder {
  return claudeCodeCoder({
    ...{ sandbox, program: claudeCodeProgram, upstream: upstreamAt(baseUrl), graceSeconds: 2 },
    ...part,
  });
}

type Turn = Parameters<CodeRequest["onTurn"]>[0];

export interface Watched extends CodeRequest {
  turns: Turn[];
  told: string[];
  calls: CallRecord[];
}

/** A request that keeps what was handed out and recorded. */
export function codeRequest(at: Tree, part: Partial<CodeRequest> = {}): Watched {
  const turns: Turn[] = [];
  const told: string[] = [];
  const calls: CallRecord[] = [];
  return {
    ...{ prompt, at, tools: [], budget: budget(), signal: new AbortController().signal },
    onTurn: async (turn) => void turns.push(turn),
    onTool: (call) => void told.push(call),
    record: async (call) => void calls.push(call),
    ...part,
    ...{ turns, told, calls },
  };
}
