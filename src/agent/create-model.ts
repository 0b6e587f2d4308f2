import { readFileSync } from "node:fs";
import type { OperatorConfig } from "../config/operator.ts";
import type { Redactor } from "../policy/redact.ts";
import { createAnthropicModel } from "./anthropic/anthropic-model.ts";
import type { AnthropicConfig } from "./anthropic/config.ts";
import type { Model } from "./model.ts";
import { parsePriceOverrides } from "./prices.ts";

type ModelConfig = OperatorConfig["model"];

/**
 * The model that the operator configured. Throws when its credentials, its region or its prices file are missing or wrong; no
 * request is made.
 */
export function createModel(
  config: ModelConfig,
  redactor?: Pick<Redactor, "redact">,
  options: Pick<AnthropicConfig, "fetch"> = {},
): Model {
  return createAnthropicModel({
    provider: config.provider,
    model: config.name,
    baseUrl: config.baseUrl,
    // The key of the Anthropic API must never be sent to another provider, which has credentials of its own.
    apiKey: config.provider === "anthropic" ? config.apiKey : undefined,
    region: config.provider === "bedrock" ? config.awsRegion : config.googleRegion,
    projectId: config.googleProject,
    maxOutputTokens: config.maxOutputTokens,
    temperature: config.temperature,
    contextWindowTokens: config.contextWindowTokens,
    prices:
      config.pricesFile === undefined
        ? undefined
        : parsePriceOverrides(readPrices(config.pricesFile), config.pricesFile),
    redactor,
    ...options,
  });
}

function readPrices(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new Error(`Cannot read the prices in ${path} (MILLWRIGHT_PRICES): ${(error as NodeJS.ErrnoException).code}`);
  }
}
