import { createModelOn } from "../loop/create-model-on.ts";
import type { Model } from "../model.ts";
import { createChatWire } from "./chat.ts";
import type { OpenAiConfig } from "./config.ts";
import { createResponsesWire } from "./responses.ts";

/**
 * A model at the OpenAI API, or behind any server that speaks one of its protocols. Throws when credentials or settings that the
 * provider needs are missing; no request is made yet.
 */
export function createOpenAiModel(config: OpenAiConfig): Model {
  const api = config.api ?? (config.provider === "openai" ? "responses" : "chat");
  return createModelOn(config.provider, config, (facts) =>
    api === "responses" ? createResponsesWire(config, facts) : createChatWire(config, facts),
  );
}
