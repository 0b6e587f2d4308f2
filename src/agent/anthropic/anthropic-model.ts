import { createModelOn } from "../loop/create-model-on.ts";
import type { Model } from "../model.ts";
import type { AnthropicConfig } from "./config.ts";
import { createAnthropicWire } from "./wire.ts";

/**
 * A Claude model at the Anthropic API, Amazon Bedrock or Vertex AI, or any model behind a server that speaks the same
 * protocol. Throws when credentials or settings that the provider needs are missing; no request is made yet.
 */
export function createAnthropicModel(config: AnthropicConfig): Model {
  return createModelOn(config.provider, config, (facts) => createAnthropicWire(config, facts));
}
