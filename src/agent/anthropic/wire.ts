import type { BetaTool } from "@anthropic-ai/sdk/resources/beta/messages/messages";
import type { MessageParam, TextBlockParam } from "@anthropic-ai/sdk/resources/messages/messages";
import { type ModelSettings, settingsOf } from "../../config/models.ts";
import type { ModelFacts } from "../known-models.ts";
import { effortFor } from "../known-models.ts";
import type { Attempt, Reply, Wire, WireRequest } from "../loop/wire.ts";
import { createClient } from "./client.ts";
import type { AnthropicConfig } from "./config.ts";
import { countTokens } from "./count.ts";
import { sortFault } from "./errors.ts";
import { isStreamed, markLast, systemBlocks } from "./request.ts";
import { watchStream } from "./watch-stream.ts";

/** The Messages protocol by the SDK's clients. Nothing is sent yet. Throws when credentials that are needed are missing. */
export function createAnthropicWire(config: AnthropicConfig, facts: ModelFacts): Wire {
  const client = createClient(config);
  const settings: ModelSettings = config.settings ?? settingsOf(config.provider);
  const effort = effortFor(facts, config.effort);
  const shared = (request: WireRequest) => ({
    model: config.model,
    max_tokens: request.maxTokens,
    // The newer models answer a request with a temperature with 400.
    ...(facts.acceptsTemperature ? { temperature: config.temperature ?? 0 } : {}),
  });

  /** One turn of the SDK's tool runner: with several, the next request would be sent before the turn was handed out. */
  const sendWithTools = async (request: WireRequest, signal: AbortSignal, attempt: Attempt): Promise<Reply> => {
    const runner = client.beta.messages.toolRunner(
      {
        ...shared(request),
        system: systemBlocks(request.prompt, request.withRepository),
        tools: request.tools ?? [],
        ...markLast(config, request.messages),
        ...(effort === undefined ? {} : { output_config: { effort } }),
        max_iterations: 1,
        stream: isStreamed(request.maxTokens),
        // Conversations kept on the provider's side cannot be resumed from our own transcript.
        thread: false,
      },
      { signal },
    );
    for await (const item of runner) {
      if (!("finalMessage" in item)) return item;
      attempt.watched = watchStream(item);
      return await item.finalMessage();
    }
    throw new Error("The SDK's tool runner ended without a message");
  };

  const sendWithoutTools = async (request: WireRequest, signal: AbortSignal, attempt: Attempt): Promise<Reply> => {
    const format = request.schema === undefined ? undefined : { type: "json_schema" as const, schema: request.schema };
    const params = {
      ...shared(request),
      system: systemBlocks(request.prompt, request.withRepository) as TextBlockParam[],
      messages: request.messages as MessageParam[],
      ...(format === undefined && effort === undefined
        ? {}
        : { output_config: { ...(format && { format }), ...(effort && { effort }) } }),
    };
    if (!isStreamed(request.maxTokens)) return client.messages.create(params, { signal });
    const stream = client.messages.stream(params, { signal });
    attempt.watched = watchStream(stream);
    return stream.finalMessage();
  };

  return {
    send: (request, signal, attempt) =>
      request.tools === undefined
        ? sendWithoutTools(request, signal, attempt)
        : sendWithTools(request, signal, attempt),
    countTokens: ({ prompt, withRepository, messages, tools = [] }, signal) =>
      countTokens(
        client,
        {
          model: config.model,
          system: systemBlocks(prompt, withRepository),
          messages,
          tools: tools.map(({ run: _run, parse: _parse, close: _close, ...definition }) => definition) as BetaTool[],
        },
        signal,
      ),
    abilities: () => ({ structuredOutput: facts.structuredOutput !== false, tools: true }),
    sortFault: (error, redact) => sortFault(error, redact, settings),
  };
}
