import { pricesOf } from "../agent/create-model.ts";
import type { Model } from "../agent/model.ts";
import { priceOf } from "../agent/prices.ts";
import { settingsOf } from "../config/models.ts";
import type { OperatorConfig } from "../config/operator.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { agentCoder } from "./agent.ts";
import { claudeCodeCoder } from "./claude-code.ts";
import type { Coder } from "./coder.ts";

/** The coder that the operator chose. Throws when the prices file is wrong; nothing is run or asked yet. */
export function createCoder(
  { coder, model: config }: Pick<OperatorConfig, "coder" | "model">,
  model: Model,
  sandbox: Sandbox,
): Coder {
  if (coder.name === "agent") return agentCoder(model);
  const { provider, name, baseUrl, apiKey, maxOutputTokens } = config;
  return claudeCodeCoder({
    sandbox,
    program: coder.claudeCode,
    upstream: {
      ...{ provider, apiKey, models: [name], maxOutputTokens },
      baseUrl: baseUrl ?? "https://api.anthropic.com",
      price: priceOf(name, pricesOf(config)).price,
      settings: settingsOf(provider),
    },
  });
}
