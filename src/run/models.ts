import { readFileSync } from "node:fs";
import { createAnthropicModel } from "../agent/anthropic/anthropic-model.ts";
import type { Model } from "../agent/model.ts";
import { parsePriceOverrides } from "../agent/prices.ts";
import type { OperatorConfig } from "../config/operator.ts";
import type { Redactor } from "../policy/redact.ts";

/** The model that the operator configured. Throws when the file of prices cannot be used. */
export function createModel(config: OperatorConfig["model"], redactor: Redactor): Model {
  return createAnthropicModel({
    provider: config.provider,
    model: config.name,
    baseUrl: config.baseUrl,
    apiKey: config.apiKey,
    region: config.provider === "bedrock" ? config.awsRegion : config.googleRegion,
    projectId: config.googleProject,
    maxOutputTokens: config.maxOutputTokens,
    temperature: config.temperature,
    contextWindowTokens: config.contextWindowTokens,
    prices: config.pricesFile === undefined ? undefined : parsePriceOverrides(readFileSync(config.pricesFile, "utf8"), config.pricesFile),
    redactor,
  });
}

/** Where the model is reached over HTTP, for `/health`; undefined where the cloud's own client decides. */
export function modelAddress(config: OperatorConfig["model"]): string | undefined {
  if (config.provider !== "anthropic") return config.baseUrl;
  return config.baseUrl ?? "https://api.anthropic.com";
}
