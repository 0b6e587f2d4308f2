import { z } from "zod";

const dollars = z.number().nonnegative();
const tokens = z.number().int().positive();
const url = z.url({ protocol: /^https?$/ }).transform((text) => text.replace(/\/+$/, ""));

/** Dollars per million tokens. Cache prices that are left out follow from the input's. */
export const OwnPrice = z.strictObject({
  input: dollars,
  output: dollars,
  cacheRead: dollars.optional(),
  cacheWrite5m: dollars.optional(),
  cacheWrite1h: dollars.optional(),
});

export const providers = ["anthropic", "bedrock", "vertex", "openai", "openai-compatible"] as const;
export type ProviderName = (typeof providers)[number];

/** How much a model is asked to think, from little to most. */
export const efforts = ["low", "medium", "high", "xhigh", "max"] as const;
const Effort = z.enum(efforts);
export type Effort = z.infer<typeof Effort>;

const OwnModel = z.strictObject({
  provider: z.enum(providers),
  /** As the provider writes it; the entry's own name where it is left out. */
  model: z.string().min(1).optional(),
  baseUrl: url.optional(),
  /** The environment variable that holds the key, never the key itself. */
  key: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]*$/, "must be the name of an environment variable")
    .optional(),
  /** Region of Bedrock or Vertex AI. */
  region: z.string().optional(),
  /** Which of OpenAI's protocols the server speaks. */
  api: z.enum(["chat", "responses"]).optional(),
  temperature: z.number().min(0).max(2).optional(),
  maxOutputTokens: tokens.optional(),
  contextWindowTokens: tokens.optional(),
  acceptsTemperature: z.boolean().optional(),
  structuredOutput: z.boolean().optional(),
  tools: z.boolean().optional(),
  efforts: z.array(Effort).optional(),
  price: OwnPrice.optional(),
});
export type OwnModel = z.infer<typeof OwnModel>;

const Use = z.strictObject({
  /** A name of `models`; that of the environment's model is `default`. */
  model: z.string().min(1).optional(),
  /** Asked in this order when the one before is overloaded or cannot be reached. */
  fallback: z.array(z.string().min(1)).max(5).optional(),
  effort: Effort.optional(),
});
export type ModelUse = z.infer<typeof Use>;

/** What MILLWRIGHT_MODELS holds: further models, and which pipeline and step uses which. */
const ModelsFile = z.strictObject({
  models: z.record(z.string().regex(/^[a-z0-9][a-z0-9._-]*$/i, "must be a plain name"), OwnModel).default({}),
  /** By `default`, a pipeline, a step, or `<pipeline>/<step>`; the most exact one counts, setting by setting. */
  use: z.record(z.string().min(1), Use).default({}),
});
type ModelsFile = z.infer<typeof ModelsFile>;

/** Names the settings of a model in messages to the operator. */
export interface ModelSettings {
  key: string;
  model: string;
  baseUrl: string;
}

/** One model as it is called. */
export interface ModelConfig {
  provider: ProviderName;
  /** As the provider writes it. */
  name: string;
  apiKey: string | undefined;
  baseUrl: string | undefined;
  temperature: number;
  maxOutputTokens: number;
  contextWindowTokens: number | undefined;
  pricesFile: string | undefined;
  awsRegion: string | undefined;
  googleProject: string | undefined;
  googleRegion: string | undefined;
  api?: "chat" | "responses" | undefined;
  /** What the operator says about it, before what Millwright knows. */
  facts?: {
    acceptsTemperature?: boolean;
    structuredOutput?: boolean;
    tools?: boolean;
    efforts?: Effort[];
  };
  price?: OwnModel["price"];
  settings?: ModelSettings;
}

/** The models by name, `default` among them, and which of them is used where. */
export interface ModelsConfig {
  named: Record<string, ModelConfig>;
  use: Record<string, ModelUse>;
}

/** The variables that hold the model, its key and its address when MILLWRIGHT_MODELS does not say otherwise. */
export function settingsOf(provider: ProviderName): ModelSettings {
  const model = "MILLWRIGHT_MODEL";
  switch (provider) {
    case "anthropic":
      return { key: "ANTHROPIC_API_KEY", model, baseUrl: "ANTHROPIC_BASE_URL" };
    case "openai":
    case "openai-compatible":
      return { key: "OPENAI_API_KEY", model, baseUrl: "OPENAI_BASE_URL" };
    case "bedrock":
      return { key: "the AWS credentials, AWS_REGION", model, baseUrl: "AWS_REGION" };
    case "vertex":
      return { key: "Google's credentials, GOOGLE_CLOUD_PROJECT", model, baseUrl: "CLOUD_ML_REGION" };
  }
}

const source = "MILLWRIGHT_MODELS";

/**
 * Reads the JSON of MILLWRIGHT_MODELS and puts it together with the environment's own model. What is wrong is added to
 * `problems`, each with the setting's name. A key goes to its provider's own address; another address needs `key`.
 */
export function modelsConfigOf(
  json: string | undefined,
  own: ModelConfig,
  environment: Record<string, string | undefined>,
  problems: string[],
): ModelsConfig {
  const named: Record<string, ModelConfig> = { default: own };
  const file = json === undefined ? undefined : parse(json, problems);
  if (file === undefined) return { named, use: {} };
  for (const [name, entry] of Object.entries(file.models)) {
    if (name === "default") problems.push(`${source}: models.default: is the environment's own model; choose a name.`);
    else named[name] = configOf(name, entry, own, environment, problems);
  }
  for (const [place, { model, fallback = [] }] of Object.entries(file.use)) {
    for (const name of [...(model === undefined ? [] : [model]), ...fallback])
      if (named[name] === undefined)
        problems.push(
          `${source}: use.${place}: there is no model "${name}" (there are: ${Object.keys(named).join(", ")}).`,
        );
  }
  return { named, use: file.use };
}

function parse(json: string, problems: string[]): ModelsFile | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    problems.push(`${source}: is not JSON (${(error as Error).message}).`);
    return undefined;
  }
  const parsed = ModelsFile.safeParse(value);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues)
    problems.push(`${source}: ${issue.path.join(".") || "(top level)"}: ${issue.message}.`);
  return undefined;
}

function configOf(
  name: string,
  entry: OwnModel,
  own: ModelConfig,
  environment: Record<string, string | undefined>,
  problems: string[],
): ModelConfig {
  const { provider, baseUrl, region, acceptsTemperature, structuredOutput, tools, efforts } = entry;
  const at = `models.${name}`;
  const usual = settingsOf(provider);
  const hasKey = provider === "anthropic" || provider === "openai";
  const keyName = entry.key ?? (hasKey && baseUrl === undefined ? usual.key : undefined);
  const apiKey = keyName === undefined ? undefined : environment[keyName];
  if (keyName !== undefined && (apiKey ?? "") === "")
    problems.push(`${source}: ${at}: ${keyName}, which holds its key, is not set.`);
  if (provider === "openai-compatible" && baseUrl === undefined)
    problems.push(`${source}: ${at}: an openai-compatible server needs a baseUrl.`);
  const facts = { acceptsTemperature, structuredOutput, tools, efforts };
  return {
    provider,
    name: entry.model ?? name,
    apiKey,
    baseUrl,
    temperature: entry.temperature ?? own.temperature,
    maxOutputTokens: entry.maxOutputTokens ?? own.maxOutputTokens,
    contextWindowTokens: entry.contextWindowTokens,
    pricesFile: own.pricesFile,
    awsRegion: region ?? own.awsRegion,
    googleProject: own.googleProject,
    googleRegion: region ?? own.googleRegion,
    api: entry.api,
    facts: Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined)),
    price: entry.price,
    settings: {
      key: keyName ?? `${at}.key in ${source}`,
      model: `${at}.model in ${source}`,
      baseUrl: `${at}.baseUrl in ${source}`,
    },
  };
}

/** The names of all models but the environment's own where nothing uses it: then it may lack what it needs. */
export function modelsInUse({ named, use }: ModelsConfig): string[] {
  const isDefaultUsed =
    use["default"]?.model === undefined ||
    Object.values(use).some(({ model, fallback = [] }) => model === "default" || fallback.includes("default"));
  return Object.keys(named).filter((name) => name !== "default" || isDefaultUsed);
}
