import { readFileSync } from "node:fs";
import { type Effort, type ModelConfig, settingsOf } from "../config/models.ts";
import type { Redactor } from "../policy/redact.ts";
import { createAnthropicModel } from "./anthropic/anthropic-model.ts";
import type { CallSettings } from "./loop/create-model-on.ts";
import type { Model } from "./model.ts";
import { createOpenAiModel } from "./openai/openai-model.ts";
import { type PriceOverrides, parsePriceOverrides } from "./prices.ts";

/**
 * One model that the operator configured. Throws when its credentials, its region or its prices file are missing or wrong; no
 * request is made.
 */
export function createModel(
  config: ModelConfig,
  redactor?: Pick<Redactor, "redact">,
  options: Pick<CallSettings, "fetch"> & { effort?: Effort | undefined } = {},
): Model {
  const { provider, name, apiKey, baseUrl } = config;
  const settings: CallSettings = {
    model: name,
    maxOutputTokens: config.maxOutputTokens,
    temperature: config.temperature,
    contextWindowTokens: config.contextWindowTokens,
    prices: pricesOf(config),
    facts: config.facts,
    settings: config.settings ?? settingsOf(provider),
    redactor,
    ...options,
  };
  switch (provider) {
    case "anthropic":
      return createAnthropicModel({ ...settings, provider, baseUrl, apiKey });
    // The key of the Anthropic API must never be sent to another provider, which has credentials of its own.
    case "bedrock":
      return createAnthropicModel({ ...settings, provider, baseUrl, region: config.awsRegion });
    case "vertex":
      return createAnthropicModel({
        ...settings,
        ...{ provider, baseUrl, region: config.googleRegion, projectId: config.googleProject },
      });
    case "openai":
    case "openai-compatible":
      return createOpenAiModel({ ...settings, provider, baseUrl, apiKey, api: config.api });
  }
}

/** The operator's prices for a model: those of MILLWRIGHT_PRICES, and its own. Throws when the file cannot be used. */
export function pricesOf({ name, pricesFile, price }: ModelConfig): PriceOverrides {
  const fromFile = pricesFile === undefined ? {} : parsePriceOverrides(readPrices(pricesFile), pricesFile);
  return price === undefined ? fromFile : { ...fromFile, [name]: price };
}

function readPrices(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new Error(`Cannot read the prices in ${path} (MILLWRIGHT_PRICES): ${(error as NodeJS.ErrnoException).code}`);
  }
}
