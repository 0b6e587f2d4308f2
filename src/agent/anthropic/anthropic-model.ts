import { factsOf } from "../known-models.ts";
import type { Model } from "../model.ts";
import { priceOf } from "../prices.ts";
import { createClient } from "./client.ts";
import type { AnthropicConfig } from "./config.ts";
import { askForObject } from "./object.ts";
import type { Session } from "./session.ts";
import { work } from "./work.ts";

/** Longer conversations are pruned even where the model could hold them: every turn pays for the whole of it. */
const usualWindowTokens = 200_000;

/**
 * A Claude model at the Anthropic API, Amazon Bedrock or Vertex AI, or any model behind a server that speaks the same
 * protocol. Throws when credentials or settings that the provider needs are missing; no request is made yet.
 */
export function createAnthropicModel(config: AnthropicConfig): Model {
  const facts = factsOf(config.model);
  const { price, known } = priceOf(config.model, config.prices);
  const windowTokens = config.contextWindowTokens ?? Math.min(facts.contextWindowTokens, usualWindowTokens);
  const maxOutputTokens = Math.min(config.maxOutputTokens, facts.maxOutputTokens, Math.floor(windowTokens / 2));
  if (!(maxOutputTokens > 0))
    throw new Error(
      `Cannot use the model ${config.model}: most output tokens must be positive, not ${config.maxOutputTokens}`,
    );
  const session: Session = {
    config,
    client: createClient(config),
    price,
    windowTokens,
    maxOutputTokens,
    redact: (text) => config.redactor?.redact(text) ?? text,
  };
  return {
    id: `${config.provider}/${config.model}`,
    contextWindowTokens: windowTokens,
    priceIsKnown: known,
    object: (request) => askForObject(session, request),
    work: (request) => work(session, request),
  };
}
