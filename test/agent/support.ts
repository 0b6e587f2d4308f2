import { mkdtempSync, realpathSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createAnthropicModel } from "../../src/agent/anthropic/anthropic-model.ts";
import type { AnthropicConfig } from "../../src/agent/anthropic/config.ts";
import type { Budget, CallRecord, Model, Prompt, WorkRequest } from "../../src/agent/model.ts";
import type { RawBlock } from "../support/scripted-model.ts";

export const prompt: Prompt = {
  name: "write-change",
  version: "1",
  system: "stage: write-change\n\nYou write code.",
  task: "Fix a.txt.",
  allowedModels: undefined,
};

export function budget(part: Partial<Budget> = {}): Budget {
  return {
    turns: 20,
    inputTokens: 1_000_000,
    outputTokens: 1_000_000,
    costUsd: 100,
    deadline: new Date(Date.now() + 60_000),
    ...part,
  };
}

export function modelAt(baseUrl: string, part: Partial<AnthropicConfig> = {}): Model {
  return createAnthropicModel({
    provider: "anthropic",
    model: "claude-opus-5-5",
    baseUrl,
    apiKey: "test-key",
    maxOutputTokens: 16_000,
    ...part,
  });
}

/** A directory with these files. */
export async function treeOf(files: Record<string, string>): Promise<string> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "millwright-agent-")));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
  return root;
}

type Turn = Parameters<WorkRequest["onTurn"]>[0];

export interface Watched extends WorkRequest {
  turns: Turn[];
  calls: CallRecord[];
}

/** A request that keeps what was handed out and recorded. */
export function workRequest(directory: string, part: Partial<WorkRequest> = {}): Watched {
  const turns: Turn[] = [];
  const calls: CallRecord[] = [];
  return {
    prompt,
    directory,
    tools: [],
    budget: budget(),
    signal: new AbortController().signal,
    onTurn: async (turn) => void turns.push(turn),
    record: async (call) => void calls.push(call),
    ...part,
    turns,
    calls,
  };
}

let lastId = 0;

export function toolUse(name: string, input: unknown, id?: string): RawBlock {
  lastId += 1;
  return { type: "tool_use", id: id ?? `toolu_${lastId}`, name, input };
}
