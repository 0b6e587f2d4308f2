import type { ModelFacts } from "../known-models.ts";
import { createModelOn } from "../loop/create-model-on.ts";
import type { Wire } from "../loop/wire.ts";
import type { Model } from "../model.ts";
import type { OpenAiConfig } from "./config.ts";

/**
 * A model at the OpenAI API, or behind any server that speaks one of its protocols. Throws when credentials or settings that the
 * provider needs are missing; no request is made yet.
 */
export function createOpenAiModel(config: OpenAiConfig): Model {
  const { provider, apiKey, baseUrl } = config;
  if (provider === "openai" && apiKey === undefined && baseUrl === undefined)
    throw new Error(
      "Cannot call the OpenAI API: no key is configured (OPENAI_API_KEY, from https://platform.openai.com/api-keys)",
    );
  if (provider === "openai-compatible" && baseUrl === undefined)
    throw new Error("Cannot call an OpenAI-compatible server: no address is configured (OPENAI_BASE_URL)");
  const api = config.api ?? (provider === "openai" ? "responses" : "chat");
  return createModelOn(provider, config, (facts) =>
    onDemand(facts, async () =>
      api === "responses"
        ? (await import("./responses.ts")).createResponsesWire(config, facts)
        : (await import("./chat.ts")).createChatWire(config, facts),
    ),
  );
}

/** The SDK takes a quarter of a second and some 30 MB to load: only a process that asks such a model has to. */
function onDemand(facts: ModelFacts, load: () => Promise<Wire>): Wire {
  let loaded: Wire | undefined;
  const wire = async () => {
    loaded ??= await load();
    return loaded;
  };
  return {
    send: async (request, signal, attempt) => (await wire()).send(request, signal, attempt),
    countTokens: async (request, signal) => (await wire()).countTokens(request, signal),
    abilities: () => loaded?.abilities() ?? { structuredOutput: facts.structuredOutput === true, tools: true },
    sortFault: (error, redact) =>
      loaded?.sortFault(error, redact) ?? {
        kind: "fatal",
        error: error instanceof Error ? error : new Error(String(error)),
      },
  };
}
