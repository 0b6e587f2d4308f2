import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { createModel, pricesOf } from "../agent/create-model.ts";
import { type Budget, type CallRecord, type Model, type Prompt, TransientModelError } from "../agent/model.ts";
import { priceOf } from "../agent/prices.ts";
import { type ModelConfig, modelsInUse } from "../config/models.ts";
import { modelsConfigOrExit } from "../config/operator.ts";
import { createRedactor } from "../policy/redact.ts";

const help = `Asks every configured model two tiny questions: one for a structured answer, one for the call of a tool.

  npx millwright models check              every model that is used
  npx millwright models check fast local   these of MILLWRIGHT_MODELS; the environment's own is \`default\`

Ends with 0 when all of them can do the work, with 1 when one cannot. It needs the settings of models alone.
`;

/** A model, what was found, and why it cannot be used where that is so. */
export interface ModelReport {
  name: string;
  id: string;
  ok: boolean;
  lines: [what: string, found: string][];
}

/** Longer than any answer to a question of one line. */
const patienceSeconds = 60;

const Answer = z.object({ word: z.enum(["ready"]), sum: z.number().int() });

/** Asks one model. Never throws for what the model or its settings do wrong: that is what the report is for. */
export async function checkModel(name: string, config: ModelConfig): Promise<ModelReport> {
  const redactor = createRedactor(config.apiKey === undefined ? [] : [{ name: "model-key", value: config.apiKey }]);
  const report: ModelReport = { name, id: `${config.provider}/${config.name}`, ok: false, lines: [] };
  const say = (what: string, found: string) => void report.lines.push([what, redactor.redact(found)]);
  const calls: CallRecord[] = [];
  const directory = mkdtempSync(join(tmpdir(), "millwright-models-"));
  try {
    const model = createModel(config, redactor);
    const asked: Asked = {
      budget: {
        ...{ turns: 1, inputTokens: 50_000, outputTokens: 8_000, costUsd: 1 },
        deadline: new Date(Date.now() + patienceSeconds * 1000),
      },
      signal: new AbortController().signal,
      record: async (call) => void calls.push(call),
    };
    const structured = await asksForObject(model, asked);
    say("answers", `yes, after ${((calls[0]?.durationMs ?? 0) / 1000).toFixed(1)} s`);
    const abilities = model.abilities?.();
    say("structured output", `${structured ?? "yes"}, ${abilities?.structuredOutput ?? "unknown how"}`);
    const tools = await asksForTool(model, directory, asked);
    say("tools", `${tools ?? "yes"}, ${model.abilities?.().tools ?? "unknown how"}`);
    say("prompt cache", abilities?.caching ?? "unknown");
    say("window", `${model.contextWindowTokens} tokens`);
    report.ok = structured === undefined && tools === undefined;
    for (const warning of model.warnings ?? []) say("note", warning);
  } catch (error) {
    const { forPeople, message } = error as { forPeople?: { reason: string }; message: string };
    say("answers", `no: ${forPeople?.reason ?? message}`);
    if (forPeople !== undefined) say("details", message);
    if (error instanceof TransientModelError) say("note", "this may pass: try it again later");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  say("cost", costOf(config, calls));
  return report;
}

interface Asked {
  budget: Budget;
  signal: AbortSignal;
  record(call: CallRecord): Promise<void>;
}

function promptOf(task: string): Prompt {
  const system = "stage: check-models\n\nYou check that a connection works. Be as brief as you can.";
  return { name: "check-models", version: "1", system, task, allowedModels: undefined };
}

/** Undefined when the answer was as it should be, else what was wrong with it. */
async function asksForObject(model: Model, asked: Asked): Promise<string | undefined> {
  const prompt = promptOf('Answer with the word "ready" and the sum of 2 and 3, as JSON with the keys word and sum.');
  const answer = await model.object({ prompt, schema: Answer, ...asked });
  if (answer.kind !== "answer") return `no (${answer.kind}: ${answer.message})`;
  return answer.value.sum === 5 ? undefined : `no (the sum of 2 and 3 is not ${answer.value.sum})`;
}

/** The same for the call of a tool: the work ends after one turn, whatever the model says then. */
async function asksForTool(model: Model, directory: string, asked: Asked): Promise<string | undefined> {
  let called = false;
  const result = await model.work({
    prompt: promptOf('Call the tool report with the word "ready" and the sum of 2 and 3.'),
    directory,
    tools: [
      {
        name: "report",
        description: "Says that you are ready.",
        input: Answer,
        run: async () => {
          called = true;
          return "thank you";
        },
      },
    ],
    ...asked,
    onTurn: async () => undefined,
  });
  if (called) return undefined;
  return `no (${result.kind === "done" ? "it answered in words" : result.kind})`;
}

function costOf(config: ModelConfig, calls: CallRecord[]): string {
  const usd = calls.reduce((sum, call) => sum + call.costUsd, 0);
  const tokens = calls.reduce((sum, call) => sum + call.inputTokens + call.outputTokens + call.cacheReadTokens, 0);
  const { price, known } = priceOf(config.name, pricesOf(config));
  return `$${usd.toFixed(5)} for ${tokens} tokens, at $${price.input} in and $${price.output} out per million${known ? "" : ", the dearest price that is known"}`;
}

/** A report as it is printed. */
export function reportText({ name, id, ok, lines }: ModelReport): string {
  const width = Math.max(...lines.map(([what]) => what.length));
  return [
    `${ok ? "ok    " : "FAILED"} ${name}: ${id}`,
    ...lines.map(([what, found]) => `  ${what.padEnd(width)}  ${found}`),
  ].join("\n");
}

/** `millwright models check`, and `npm run models:check`: the arguments are those behind it. */
export async function modelsCheck(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { help: { type: "boolean", default: false } },
  });
  if (values.help) return void process.stdout.write(help);
  if (existsSync(".env")) process.loadEnvFile(".env");
  const config = modelsConfigOrExit();
  const names = positionals.length > 0 ? positionals : modelsInUse(config);
  const unknown = names.find((name) => config.named[name] === undefined);
  if (unknown !== undefined) {
    process.stderr.write(`There is no model ${unknown}; there are: ${Object.keys(config.named).join(", ")}\n`);
    process.exitCode = 1;
    return;
  }
  for (const name of names) {
    const report = await checkModel(name, config.named[name]!);
    process.stdout.write(`${reportText(report)}\n`);
    if (!report.ok) process.exitCode = 1;
  }
}

if (import.meta.main) await modelsCheck(process.argv.slice(2));
