import type {
  ChatCompletionChunk,
  ChatCompletionCreateParamsStreaming,
  ChatCompletionMessageParam,
} from "openai/resources/chat/completions";
import { type ModelSettings, settingsOf } from "../../config/models.ts";
import { estimateTokens } from "../../policy/tokens.ts";
import { effortFor, type ModelFacts } from "../known-models.ts";
import { strictSchema } from "../loop/answer-schema.ts";
import { argumentsProblem, blocksOf, type Turn } from "../loop/transcript.ts";
import { textOfResult } from "../loop/whole-files.ts";
import type { Attempt, Reply, Wire, WireRequest } from "../loop/wire.ts";
import { createAdapting } from "./adapting.ts";
import { createClient } from "./client.ts";
import type { OpenAiConfig } from "./config.ts";
import { sortFault } from "./errors.ts";
import { instructionsOf, toolsOf } from "./request.ts";
import { usageFrom } from "./usage.ts";

const optional = [
  "temperature",
  "reasoning_effort",
  "response_format",
  "stream_options",
  "max_completion_tokens",
  "max_tokens",
];

/** Chat Completions, which every compatible server has, always streamed: so a silence is noticed and a cancel is heard. */
export function createChatWire(config: OpenAiConfig, facts: ModelFacts): Wire {
  const client = createClient(config);
  const settings: ModelSettings = config.settings ?? settingsOf(config.provider);
  const adapting = createAdapting(optional);
  const effort = effortFor(facts, config.effort);
  const parameters = (
    request: WireRequest,
    isRefused: (name: string) => boolean,
  ): ChatCompletionCreateParamsStreaming => {
    const sendsFormat =
      request.schema !== undefined && facts.structuredOutput === true && !isRefused("response_format");
    const limit = limitName(config, isRefused);
    return {
      model: config.model,
      messages: [
        {
          role: "system",
          content: instructionsOf(request, facts.structuredOutput === true && !sendsFormat),
        },
        ...request.messages.flatMap(messagesOf),
      ],
      stream: true,
      ...(isRefused("stream_options") ? {} : { stream_options: { include_usage: true } }),
      ...(limit === undefined ? {} : { [limit]: request.maxTokens }),
      ...(facts.acceptsTemperature && !isRefused("temperature") ? { temperature: config.temperature ?? 0 } : {}),
      ...(effort === undefined || isRefused("reasoning_effort") ? {} : { reasoning_effort: effort }),
      ...(request.tools === undefined
        ? {}
        : { tools: toolsOf(request.tools).map((tool) => ({ type: "function" as const, function: tool })) }),
      ...(sendsFormat
        ? {
            response_format: {
              type: "json_schema" as const,
              json_schema: { name: "answer", strict: true, schema: strictSchema(request.schema!) },
            },
          }
        : {}),
    };
  };
  return {
    send: (request, signal, attempt) =>
      adapting.send(
        (isRefused) => parameters(request, isRefused),
        async (given) => readStream(await client.chat.completions.create(given, { signal }), attempt),
      ),
    // There is nothing to ask for it that all servers have: the estimate is the safe side.
    countTokens: async () => undefined,
    abilities: () => ({
      structuredOutput: facts.structuredOutput === true && !adapting.isRefused("response_format"),
      tools: true,
    }),
    sortFault: (error, redact) => sortFault(error, redact, settings),
  };
}

/** OpenAI's newer models take the one name alone, many servers the other one. */
function limitName(config: OpenAiConfig, isRefused: (name: string) => boolean): string | undefined {
  const names = ["max_completion_tokens", "max_tokens"];
  if (config.provider === "openai-compatible") names.reverse();
  return names.find((name) => !isRefused(name));
}

/** One turn of the conversation as the protocol's messages: each result of a tool is a message of its own. */
function messagesOf(turn: Turn): ChatCompletionMessageParam[] {
  const blocks = blocksOf(turn);
  const text = blocks.flatMap((block) => (block.type === "text" ? [block.text] : [])).join("\n");
  if (turn.role === "assistant") {
    const calls = blocks.flatMap((block) => (block.type === "tool_use" ? [block] : []));
    const toolCalls = calls.map(({ id, name, input }) => ({
      id,
      type: "function" as const,
      function: { name, arguments: JSON.stringify(input ?? {}) },
    }));
    return [{ role: "assistant", content: text, ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls }) }];
  }
  const results = blocks.flatMap((block) =>
    block.type === "tool_result"
      ? [{ role: "tool" as const, tool_call_id: block.tool_use_id, content: textOfResult(block.content) }]
      : [],
  );
  return text === "" && results.length > 0 ? results : [...results, { role: "user", content: text }];
}

interface ToolCall {
  id: string;
  name: string;
  json: string[];
}

/** Puts the chunks together. A server may send anything: whatever is of no known form is left out. */
async function readStream(stream: AsyncIterable<ChatCompletionChunk>, attempt: Attempt): Promise<Reply> {
  const words: string[] = [];
  const calls: ToolCall[] = [];
  let refusal = false;
  let finish: string | null = null;
  let usage: object | undefined;
  let begun = false;
  let tokens = 0;
  attempt.watched = {
    // An answer that has begun is paid for, whether its end says how much or not.
    usage: () => usage ?? (begun ? {} : undefined),
    outputTokens: () => tokens,
    problem: () => calls.map(({ json }) => argumentsProblem(json.join(""))).find((problem) => problem !== undefined),
  };
  for await (const chunk of stream) {
    if (typeof chunk !== "object" || chunk === null) continue;
    begun = true;
    usage = usageOf(chunk.usage) ?? usage;
    const choice = Array.isArray(chunk.choices) ? chunk.choices[0] : undefined;
    if (choice === undefined) continue;
    if (typeof choice.finish_reason === "string") finish = choice.finish_reason;
    // Servers of thinking models say what they think by one of two names of their own.
    const delta = (choice.delta ?? {}) as typeof choice.delta & { reasoning?: unknown; reasoning_content?: unknown };
    for (const thought of [delta.reasoning, delta.reasoning_content])
      if (typeof thought === "string") tokens += estimateTokens(thought);
    if (typeof delta.content === "string") {
      words.push(delta.content);
      tokens += estimateTokens(delta.content);
    }
    if (typeof delta.refusal === "string" && delta.refusal !== "") refusal = true;
    for (const part of Array.isArray(delta.tool_calls) ? delta.tool_calls : []) tokens += addCall(calls, part);
  }
  return {
    content: [
      ...(words.length === 0 ? [] : [{ type: "text", text: words.join("") }]),
      ...calls.map(({ id, name, json }) => ({ type: "tool_use", id, name, input: inputOf(json.join("")) })),
    ],
    stop_reason: refusal ? "refusal" : endingOf(finish),
    usage,
  };
}

/** Adds a part of a call; returns its tokens. Some servers count no calls, and send each as a whole. */
function addCall(calls: ToolCall[], part: ChatCompletionChunk.Choice.Delta.ToolCall): number {
  const { name, arguments: json } = part.function ?? {};
  const at = typeof part.index === "number" ? calls[part.index] : undefined;
  const isNew = typeof part.id === "string" && part.id !== "" && part.id !== at?.id;
  let call = isNew ? undefined : (at ?? calls.at(-1));
  if (call === undefined) {
    call = { id: part.id ?? "", name: "", json: [] };
    calls.push(call);
  }
  if (typeof name === "string" && call.name === "") call.name = name;
  if (typeof json !== "string") return 0;
  call.json.push(json);
  return estimateTokens(json);
}

/** Arguments that are no JSON are told to the model by `problem`, and never run. */
export function inputOf(json: string): unknown {
  try {
    return json === "" ? {} : JSON.parse(json);
  } catch {
    return {};
  }
}

function endingOf(finish: string | null): string | null {
  switch (finish) {
    case "stop":
      return "end_turn";
    case "tool_calls":
    case "function_call":
      return "tool_use";
    case "length":
      return "max_tokens";
    case "content_filter":
      return "refusal";
    default:
      // Gateways end an answer that broke off with `error`.
      return finish === "error" ? null : finish;
  }
}

function usageOf(usage: ChatCompletionChunk["usage"]): object | undefined {
  if (typeof usage !== "object" || usage === null) return undefined;
  const details = usage.prompt_tokens_details;
  return usageFrom({
    prompt: usage.prompt_tokens,
    output: usage.completion_tokens,
    cached: details?.cached_tokens,
    written: details?.cache_write_tokens,
  });
}
