import type {
  Response,
  ResponseCreateParamsStreaming,
  ResponseInputItem,
  ResponseStreamEvent,
} from "openai/resources/responses/responses";
import { type ModelSettings, settingsOf } from "../../config/models.ts";
import { estimateTokens } from "../../policy/tokens.ts";
import { effortFor, type ModelFacts } from "../known-models.ts";
import { strictSchema } from "../loop/answer-schema.ts";
import { argumentsProblem, blocksOf, type Turn } from "../loop/transcript.ts";
import { textOfResult } from "../loop/whole-files.ts";
import type { Attempt, Reply, ReplyBlock, Wire, WireRequest } from "../loop/wire.ts";
import { createAdapting } from "./adapting.ts";
import { inputOf } from "./chat.ts";
import { createClient } from "./client.ts";
import type { OpenAiConfig } from "./config.ts";
import { FailedAnswerError, sortFault } from "./errors.ts";
import { instructionsOf, toolsOf } from "./request.ts";
import { usageFrom } from "./usage.ts";

/**
 * The Responses API, by which alone OpenAI's newer models call tools while they think. Nothing is kept on the provider's side:
 * each request holds the whole conversation.
 */
export function createResponsesWire(config: OpenAiConfig, facts: ModelFacts): Wire {
  const client = createClient(config);
  const settings: ModelSettings = config.settings ?? settingsOf(config.provider);
  const adapting = createAdapting(["temperature", "reasoning", "text"]);
  const effort = effortFor(facts, config.effort);
  const parameters = (request: WireRequest, isRefused: (name: string) => boolean): ResponseCreateParamsStreaming => {
    const sendsFormat = request.schema !== undefined && facts.structuredOutput === true && !isRefused("text");
    return {
      model: config.model,
      instructions: instructionsOf(request, facts.structuredOutput === true && !sendsFormat),
      input: request.messages.flatMap(itemsOf),
      max_output_tokens: request.maxTokens,
      stream: true,
      store: false,
      ...(facts.acceptsTemperature && !isRefused("temperature") ? { temperature: config.temperature ?? 0 } : {}),
      ...(effort === undefined || isRefused("reasoning") ? {} : { reasoning: { effort } }),
      ...(request.tools === undefined
        ? {}
        : { tools: toolsOf(request.tools).map((tool) => ({ type: "function" as const, strict: false, ...tool })) }),
      ...(sendsFormat
        ? {
            text: {
              format: {
                type: "json_schema" as const,
                name: "answer",
                strict: true,
                schema: strictSchema(request.schema!),
              },
            },
          }
        : {}),
    };
  };
  return {
    send: (request, signal, attempt) =>
      adapting.send(
        (isRefused) => parameters(request, isRefused),
        async (given) => readStream(await client.responses.create(given, { signal }), attempt),
      ),
    countTokens: async () => undefined,
    abilities: () => ({
      structuredOutput: facts.structuredOutput === true && !adapting.isRefused("text"),
      tools: true,
    }),
    sortFault: (error, redact) => sortFault(error, redact, settings),
  };
}

/** One turn of the conversation as the protocol's items. */
function itemsOf(turn: Turn): ResponseInputItem[] {
  const items: ResponseInputItem[] = [];
  for (const block of blocksOf(turn)) {
    if (block.type === "text" && block.text !== "") items.push({ role: turn.role, content: block.text });
    if (block.type === "tool_use")
      items.push({
        type: "function_call",
        call_id: block.id,
        name: block.name,
        arguments: JSON.stringify(block.input ?? {}),
      });
    if (block.type === "tool_result")
      items.push({ type: "function_call_output", call_id: block.tool_use_id, output: textOfResult(block.content) });
  }
  return items;
}

type Item = Response["output"][number];

/** Reads the events up to the one that holds the whole response. */
async function readStream(stream: AsyncIterable<ResponseStreamEvent>, attempt: Attempt): Promise<Reply> {
  const done: Item[] = [];
  let last: Response | undefined;
  let begun = false;
  let tokens = 0;
  const outputOf = (): Item[] => (Array.isArray(last?.output) && last.output.length > 0 ? last.output : done);
  attempt.watched = {
    // An answer that has begun is paid for, whether its end says how much or not.
    usage: () => usageOf(last) ?? (begun ? {} : undefined),
    outputTokens: () => tokens,
    problem: () =>
      outputOf()
        .map((item) => (item.type === "function_call" ? argumentsProblem(item.arguments ?? "") : undefined))
        .find((problem) => problem !== undefined),
  };
  for await (const event of stream) {
    begun = true;
    switch (event?.type) {
      case "response.output_text.delta":
      case "response.refusal.delta":
      case "response.reasoning_text.delta":
      case "response.reasoning_summary_text.delta":
      case "response.function_call_arguments.delta":
        if (typeof event.delta === "string") tokens += estimateTokens(event.delta);
        break;
      case "response.output_item.done":
        done.push(event.item);
        break;
      case "error":
        throw new FailedAnswerError(event.message ?? "the answer failed", event.code ?? undefined);
      case "response.failed":
        last = event.response;
        throw new FailedAnswerError(
          event.response?.error?.message ?? "the answer failed",
          event.response?.error?.code ?? "server_error",
        );
      case "response.completed":
      case "response.incomplete":
        last = event.response;
        break;
      default:
    }
  }
  const output = outputOf();
  return { content: output.flatMap(blocksFrom), stop_reason: endingOf(last, output), usage: usageOf(last) };
}

function blocksFrom(item: Item): ReplyBlock[] {
  if (item.type === "function_call")
    return [{ type: "tool_use", id: item.call_id, name: item.name, input: inputOf(item.arguments ?? "") }];
  if (item.type !== "message" || !Array.isArray(item.content)) return [];
  return item.content.flatMap((part) => (part.type === "output_text" ? [{ type: "text", text: part.text }] : []));
}

/** Null when the stream ended before the response did. */
function endingOf(response: Response | undefined, output: Item[]): string | null {
  if (response === undefined) return null;
  const refused = output.some(
    (item) =>
      item.type === "message" && Array.isArray(item.content) && item.content.some((part) => part.type === "refusal"),
  );
  const reason = response.incomplete_details?.reason;
  if (refused || reason === "content_filter") return "refusal";
  if (response.status === "incomplete" || reason !== undefined)
    return reason === undefined || reason === "max_output_tokens" ? "max_tokens" : reason;
  return output.some((item) => item.type === "function_call") ? "tool_use" : "end_turn";
}

function usageOf(response: Response | undefined): object | undefined {
  const usage = response?.usage;
  if (typeof usage !== "object" || usage === null) return undefined;
  const details = usage.input_tokens_details;
  return usageFrom({
    prompt: usage.input_tokens,
    output: usage.output_tokens,
    cached: details?.cached_tokens,
    written: details?.cache_write_tokens,
  });
}
