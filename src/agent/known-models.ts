import { type Effort, efforts } from "../config/models.ts";

/** What a model can do, as its maker published it. */
export interface ModelFacts {
  contextWindowTokens: number;
  maxOutputTokens: number;
  /** Whether a request may name a temperature; the newer models answer such a request with 400. */
  acceptsTemperature: boolean;
  /** Whether it keeps to a JSON Schema that a request names. */
  structuredOutput: boolean | "unknown";
  /** Whether it calls tools. */
  tools: boolean | "unknown";
  /** How the beginning of a prompt is cached: where a request marks it, by the provider alone, or nobody knows. */
  caching: "marked" | "automatic" | "unknown";
  /** How much thinking a request may ask for; empty where it may not, or where that is not known. */
  efforts: readonly Effort[];
}

/** The day on which the oldest part of the table was last compared with its source. */
export const modelFactsDate = "2026-11-21";

const million = 1_000_000;
const claude = { structuredOutput: true, tools: true, caching: "marked" } as const;
const large: ModelFacts = {
  ...claude,
  contextWindowTokens: million,
  maxOutputTokens: 128_000,
  acceptsTemperature: false,
  efforts,
};
const middle: ModelFacts = {
  ...claude,
  contextWindowTokens: 200_000,
  maxOutputTokens: 64_000,
  acceptsTemperature: true,
  efforts: [],
};
/** Before Opus 4.7 there was no `xhigh`. */
const withoutExtraHigh: readonly Effort[] = ["low", "medium", "high", "max"];

const openAi = { structuredOutput: true, tools: true, caching: "automatic" } as const;
const gpt: ModelFacts = {
  ...openAi,
  contextWindowTokens: 1_050_000,
  maxOutputTokens: 128_000,
  acceptsTemperature: false,
  efforts,
};
const earlyGpt5: ModelFacts = { ...gpt, contextWindowTokens: 400_000, efforts: ["low", "medium", "high"] };
const gpt4: ModelFacts = {
  ...openAi,
  contextWindowTokens: 1_047_576,
  maxOutputTokens: 32_768,
  acceptsTemperature: true,
  efforts: [],
};
const upToExtraHigh: readonly Effort[] = ["low", "medium", "high", "xhigh"];

/**
 * Sources. Claude: https://platform.claude.com/docs/en/about-claude/models/overview (windows and outputs), the migration
 * guides of the models (sampling parameters were removed with Opus 4.7) and
 * https://platform.claude.com/docs/en/build-with-claude/effort; where that page says nothing of a model, none is sent.
 * OpenAI, looked up on 2026-11-26: https://developers.openai.com/api/docs/models/compare and the pages of the models;
 * https://developers.openai.com/api/docs/guides/deployment-checklist (no temperature unless the effort is `none`).
 */
const table: Record<string, ModelFacts> = {
  "claude-fable-5-2": large,
  "claude-mythos-5-2": large,
  "claude-fable-5-1": large,
  "claude-mythos-5-1": large,
  "claude-fable-5": large,
  "claude-mythos-5": large,
  "claude-opus-5-5": large,
  "claude-opus-5": large,
  "claude-sonnet-5-5": large,
  "claude-sonnet-5": large,
  "claude-haiku-5-5": { ...large, efforts: ["low", "medium", "high"] },
  "claude-opus-4-8": large,
  "claude-opus-4-7": large,
  "claude-opus-4-6": { ...large, acceptsTemperature: true, efforts: withoutExtraHigh },
  "claude-sonnet-4-6": { ...middle, contextWindowTokens: million, efforts: withoutExtraHigh },
  "claude-opus-4-5": { ...middle, efforts: ["low", "medium", "high"] },
  "claude-sonnet-4-5": middle,
  "claude-haiku-4-5": middle,
  "claude-opus-4-1": { ...middle, maxOutputTokens: 32_000 },
  "claude-opus-4": { ...middle, maxOutputTokens: 32_000 },
  "claude-sonnet-4": middle,
  "claude-3-7-sonnet": middle,
  "claude-3-5-haiku": { ...middle, maxOutputTokens: 8_192 },

  "gpt-6.2-astra": { ...gpt, efforts: upToExtraHigh },
  "gpt-6.2-sol": { ...gpt, efforts: upToExtraHigh },
  "gpt-6.1-sol": gpt,
  "gpt-6.1-terra": gpt,
  "gpt-6-astra": gpt,
  "gpt-6-sol": gpt,
  "gpt-6-luna": gpt,
  "gpt-5.6-sol": gpt,
  "gpt-5.6-terra": gpt,
  "gpt-5.6-luna": gpt,
  "gpt-5.5": { ...gpt, efforts: upToExtraHigh },
  "gpt-5.4": { ...gpt, efforts: upToExtraHigh },
  "gpt-5.4-mini": { ...gpt, contextWindowTokens: 400_000, efforts: upToExtraHigh },
  "gpt-5.2": { ...gpt, contextWindowTokens: 400_000, efforts: upToExtraHigh },
  "gpt-5.1": earlyGpt5,
  "gpt-5": earlyGpt5,
  "gpt-5-mini": earlyGpt5,
  "gpt-5-nano": earlyGpt5,
  "gpt-4.1": gpt4,
  "gpt-4.1-mini": gpt4,
  "gpt-4.1-nano": gpt4,
  "gpt-4o": { ...gpt4, contextWindowTokens: 128_000, maxOutputTokens: 16_384 },
  "gpt-4o-mini": { ...gpt4, contextWindowTokens: 128_000, maxOutputTokens: 16_384 },
};

/**
 * Facts about a model under any of its names (API, Bedrock, Vertex, a gateway); what the operator says comes first. `known`
 * is false for a model that is not in the table. Such a Claude model counts as one with a window of 200,000 tokens, such a
 * model of OpenAI likewise, and neither is sent a temperature; any other counts as one with 32,000 tokens that takes one.
 */
export function factsOf(model: string, own: Partial<ModelFacts> = {}): ModelFacts & { known: boolean } {
  const name = findModel(table, model);
  return { ...(name === undefined ? guess(model) : table[name]!), ...own, known: name !== undefined };
}

/** The effort that a request may name: the wanted one, or the most that the model takes below it; undefined for none. */
export function effortFor(facts: ModelFacts, wanted: Effort | undefined): Effort | undefined {
  if (wanted === undefined) return undefined;
  return facts.efforts.findLast((one) => efforts.indexOf(one) <= efforts.indexOf(wanted));
}

function guess(model: string): ModelFacts {
  const unknown = { structuredOutput: "unknown", tools: "unknown", caching: "unknown", efforts: [] } as const;
  const name = plainName(model);
  if (name.includes("claude"))
    return {
      ...unknown,
      contextWindowTokens: 200_000,
      maxOutputTokens: 64_000,
      acceptsTemperature: false,
      ...claude,
    };
  if (/(^|[^a-z0-9])(gpt-[5-9]|o[1-9]($|-))/.test(name))
    return { ...unknown, contextWindowTokens: 200_000, maxOutputTokens: 64_000, acceptsTemperature: false };
  return { ...unknown, contextWindowTokens: 32_000, maxOutputTokens: 16_000, acceptsTemperature: true };
}

/**
 * The longest key of `table` that `model` names: `claude-opus-4-5` in `eu.anthropic.claude-opus-4-5-20251101-v1:0`, but not
 * `claude-opus-4` in `claude-opus-4-9`, because a version that is not known must not pass for one that is. Of OpenAI's
 * models only a date may follow: what is behind it otherwise (`-pro`, `-mini`) is another model with another price.
 */
export function findModel(table: Record<string, unknown>, model: string): string | undefined {
  const name = plainName(model);
  return Object.keys(table)
    .filter((key) => {
      const wanted = plainName(key);
      const at = name.indexOf(wanted);
      if (at === -1 || /[a-z0-9]/.test(name[at - 1] ?? "")) return false;
      const rest = name.slice(at + wanted.length);
      if (wanted.startsWith("gpt-")) return /^(-\d{4}-\d{2}-\d{2})?$/.test(rest);
      return !/^(-?\d{1,2}(?!\d)|[a-z0-9])/.test(rest);
    })
    .sort((a, b) => b.length - a.length)[0];
}

function plainName(model: string): string {
  return model.toLowerCase().replaceAll(".", "-");
}
