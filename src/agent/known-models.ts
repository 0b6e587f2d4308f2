/** What a model can do, as its maker published it. */
export interface ModelFacts {
  contextWindowTokens: number;
  maxOutputTokens: number;
  /** Whether a request may name a temperature; the newer models answer such a request with 400. */
  acceptsTemperature: boolean;
}

/** The day on which the table was last compared with its source. */
export const modelFactsDate = "2026-11-21";

const million = 1_000_000;
const large: ModelFacts = { contextWindowTokens: million, maxOutputTokens: 128_000, acceptsTemperature: false };
const middle: ModelFacts = { contextWindowTokens: 200_000, maxOutputTokens: 64_000, acceptsTemperature: true };

/**
 * Source: https://platform.claude.com/docs/en/about-claude/models/overview (windows and outputs) and the migration guides
 * of the models (sampling parameters were removed with Opus 4.7).
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
  "claude-haiku-5-5": large,
  "claude-opus-4-8": large,
  "claude-opus-4-7": large,
  "claude-opus-4-6": { ...large, acceptsTemperature: true },
  "claude-sonnet-4-6": { ...middle, contextWindowTokens: million },
  "claude-opus-4-5": middle,
  "claude-sonnet-4-5": middle,
  "claude-haiku-4-5": middle,
  "claude-opus-4-1": { ...middle, maxOutputTokens: 32_000 },
  "claude-opus-4": { ...middle, maxOutputTokens: 32_000 },
  "claude-sonnet-4": middle,
  "claude-3-7-sonnet": middle,
  "claude-3-5-haiku": { ...middle, maxOutputTokens: 8_192 },
};

/**
 * Facts about a model under any of its names (API, Bedrock, Vertex). A Claude model that is not in the table counts as one
 * with a window of 200,000 tokens that takes no temperature; any other model is expected to take one.
 */
export function factsOf(model: string): ModelFacts {
  const name = findModel(table, model);
  if (name !== undefined) return table[name]!;
  const isClaude = model.toLowerCase().includes("claude");
  return { contextWindowTokens: 200_000, maxOutputTokens: 64_000, acceptsTemperature: !isClaude };
}

/**
 * The longest key of `table` that `model` names: `claude-opus-4-5` in `eu.anthropic.claude-opus-4-5-20251101-v1:0`, but not
 * `claude-opus-4` in `claude-opus-4-9`, because a version that is not known must not pass for one that is.
 */
export function findModel(table: Record<string, unknown>, model: string): string | undefined {
  const name = plainName(model);
  return Object.keys(table)
    .filter((key) => {
      const wanted = plainName(key);
      const at = name.indexOf(wanted);
      return at !== -1 && !/^(-?\d{1,2}(?!\d)|[a-z0-9])/.test(name.slice(at + wanted.length));
    })
    .sort((a, b) => b.length - a.length)[0];
}

function plainName(model: string): string {
  return model.toLowerCase().replaceAll(".", "-");
}
