import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { type ChannelConfig, ChannelsSetting } from "./channels.ts";
import { ConfigurationError, cannotStart, defaults, givenIn, itemsOf } from "./intake.ts";
import { type ModelConfig, type ModelsConfig, modelsConfigOf, providers, settingsOf } from "./models.ts";
import { type TemporalConfig, temporalConfigOf } from "./temporal.ts";

export { ConfigurationError } from "./intake.ts";

const list = z.string().default("").transform(itemsOf);
const positive = (fallback: number) => z.coerce.number().positive().default(fallback);
const url = z.url({ protocol: /^https?$/ }).transform((text) => text.replace(/\/+$/, ""));

/**
 * Every environment variable that Millwright reads, with its default and its sentence in docs/configuration.md.
 * An empty value counts as not set.
 */
export const Environment = z.object({
  APP_ID: z.coerce
    .number()
    .int()
    .positive()
    .meta({ description: "The GitHub App's id: its settings page, section About." }),
  MILLWRIGHT_APP_SLUG: z.string().optional().meta({
    description:
      "The App's name in its address, `github.com/apps/<name>`: only for the webhook function on AWS Lambda.",
  }),
  PRIVATE_KEY: z
    .string()
    .optional()
    .meta({ description: "The App's private key: PEM with real or \\n-escaped line breaks, or base64 of it." }),
  PRIVATE_KEY_PATH: z.string().optional().meta({ description: "A file with the private key, instead of PRIVATE_KEY." }),
  WEBHOOK_SECRET: z
    .string()
    .min(8)
    .meta({ description: "The webhook secret of the App. Millwright refuses to start without one." }),
  WEBHOOK_SECRET_PREVIOUS: z
    .string()
    .optional()
    .meta({ description: "The old secret, accepted as well while it is being rotated." }),
  WEBHOOK_PATH: z.string().default(defaults.WEBHOOK_PATH).meta({ description: "Where webhooks arrive." }),
  WEBHOOK_PROXY_URL: url.optional().meta({ description: "A smee.io channel that forwards webhooks to a laptop." }),
  PORT: z.coerce.number().int().min(0).max(65535).default(3000).meta({ description: "Port of the webhook server." }),
  HOST: z.string().default("127.0.0.1").meta({ description: "Address of the webhook server." }),
  GHE_HOST: z
    .string()
    .optional()
    .meta({ description: "Host of a GitHub Enterprise Server; sets the API and git addresses." }),
  GHE_PROTOCOL: z.enum(["https", "http"]).default("https").meta({ description: "Protocol of GHE_HOST." }),
  GITHUB_API_URL: url
    .optional()
    .meta({ description: "Base address of the REST API, for any other GitHub-compatible server." }),
  GITHUB_SERVER_URL: url
    .optional()
    .meta({ description: "Base address of git over HTTP, for any other GitHub-compatible server." }),
  DATABASE_URL: z.string().optional().meta({
    description:
      "A PostgreSQL database that many workers share. Without it an embedded database is kept in MILLWRIGHT_DATA.",
  }),
  MILLWRIGHT_DATA: z
    .string()
    .default("./.millwright/data")
    .meta({ description: "Directory for mirrors, work trees, caches and the embedded database." }),
  MILLWRIGHT_ACCOUNTS: list.meta({
    description: "Owners that are served, separated by commas; `*` serves all. Empty: the owner of the App only.",
  }),
  MILLWRIGHT_LABEL: z
    .string()
    .default(defaults.MILLWRIGHT_LABEL)
    .meta({ description: "The label that asks for a pull request." }),
  MILLWRIGHT_LABEL_DONE: z
    .string()
    .default(defaults.MILLWRIGHT_LABEL_DONE)
    .meta({ description: "Added when a run ended with a ready pull request, or nothing was to be done." }),
  MILLWRIGHT_LABEL_NEEDS_REVIEW: z
    .string()
    .default(defaults.MILLWRIGHT_LABEL_NEEDS_REVIEW)
    .meta({ description: "Added when a run ended with a draft." }),
  MILLWRIGHT_LABEL_NEEDS_INFO: z
    .string()
    .default(defaults.MILLWRIGHT_LABEL_NEEDS_INFO)
    .meta({ description: "Added when a run ended with a question." }),
  MILLWRIGHT_LABEL_FAILED: z
    .string()
    .default(defaults.MILLWRIGHT_LABEL_FAILED)
    .meta({ description: "Added when a run failed." }),
  MILLWRIGHT_SHORT_COMMANDS: z.string().default(defaults.MILLWRIGHT_SHORT_COMMANDS).transform(itemsOf).meta({
    description: "Short commands that are heard (`/code`, `/stop`, …). The long form `/millwright <word>` always is.",
  }),
  MILLWRIGHT_ALLOWED_BOTS: list.meta({
    description: "Bots that may trigger runs, by login, whatever their permission; by default none.",
  }),
  MILLWRIGHT_PROVIDER: z.enum(providers).default("anthropic").meta({
    description:
      "Where the model is called; `openai-compatible` is any server that speaks OpenAI's protocol (vLLM, Ollama, LM Studio, OpenRouter, a gateway).",
  }),
  MILLWRIGHT_MODEL: z
    .string()
    .default("claude-opus-5-5")
    .meta({ description: "The model's name as the provider writes it." }),
  MILLWRIGHT_TEMPERATURE: z.coerce
    .number()
    .min(0)
    .max(1)
    .default(0)
    .meta({ description: "Sent only where the model accepts a temperature." }),
  MILLWRIGHT_MAX_OUTPUT_TOKENS: positive(16_000).meta({ description: "Most tokens of one answer." }),
  MILLWRIGHT_CONTEXT_TOKENS: z.coerce
    .number()
    .int()
    .positive()
    .optional()
    .meta({ description: "The model's context window in tokens, where Millwright does not know it." }),
  MILLWRIGHT_PRICES: z
    .string()
    .optional()
    .meta({ description: "A JSON file with prices in dollars per million tokens that override the built-in table." }),
  MILLWRIGHT_MODELS: z.string().optional().meta({
    description:
      "Further models, fallbacks, and which pipeline and step uses which: a JSON file, or the JSON itself. docs/models.md says how.",
  }),
  ANTHROPIC_API_KEY: z
    .string()
    .optional()
    .meta({ description: "Key of the Anthropic API (console.anthropic.com), or of a compatible server." }),
  ANTHROPIC_BASE_URL: url.optional().meta({ description: "Base address of an Anthropic-compatible server." }),
  OPENAI_API_KEY: z
    .string()
    .optional()
    .meta({ description: "Key of the OpenAI API (platform.openai.com), or of a compatible server." }),
  OPENAI_BASE_URL: url.optional().meta({
    description: "Base address of an OpenAI-compatible server, with `/v1` or what it has instead.",
  }),
  AWS_REGION: z
    .string()
    .optional()
    .meta({ description: "Region of Bedrock. Credentials come from the usual AWS chain." }),
  GOOGLE_CLOUD_PROJECT: z
    .string()
    .optional()
    .meta({ description: "Project of Vertex AI. Credentials come from Google's default chain." }),
  CLOUD_ML_REGION: z.string().optional().meta({ description: "Region of Vertex AI." }),
  MILLWRIGHT_CODER: z.enum(["agent", "claude-code"]).default("agent").meta({
    description:
      "Who writes the changes: Millwright's own agent, or Claude Code in the sandbox (MILLWRIGHT_PROVIDER `anthropic` only; docs/coders.md).",
  }),
  MILLWRIGHT_CLAUDE_CODE: z.string().default("claude").meta({
    description:
      "Claude Code's program where sandboxed commands run: a name on their PATH, or an absolute path, which they are then shown.",
  }),
  MILLWRIGHT_SANDBOX: z.enum(["auto", "bubblewrap", "container", "lambda", "none"]).default("auto").meta({
    description:
      "Where repository code runs. `none` isolates nothing: only for repositories whose every contributor you trust.",
  }),
  MILLWRIGHT_SANDBOX_FUNCTION: z.string().optional().meta({
    description: "Function of the lambda sandbox: its name, with an alias if it has one, or its ARN.",
  }),
  MILLWRIGHT_SETUP_FUNCTION: z.string().optional().meta({
    description:
      "The same for commands that install dependencies; it reaches MILLWRIGHT_EGRESS_PROXY and nothing else.",
  }),
  MILLWRIGHT_EGRESS_PROXY: url.optional().meta({
    description:
      "Proxy that lets the set-up function through to package registries alone. Without it, installing dependencies is refused.",
  }),
  MILLWRIGHT_BUCKET: z.string().optional().meta({
    description:
      "S3 bucket for work in progress, texts and logs instead of the database, and for trees of the lambda sandbox.",
  }),
  MILLWRIGHT_SANDBOX_IMAGE: z.string().optional().meta({
    description: "Image of the container sandbox; of the lambda sandbox only to tell its toolchain's versions apart.",
  }),
  MILLWRIGHT_SANDBOX_READ_PATHS: list.meta({
    description: "Further directories, such as toolchains, that sandboxed commands may read.",
  }),
  MILLWRIGHT_REGISTRY_HOSTS: list.meta({ description: "Further registry hosts that the setup commands may reach." }),
  MILLWRIGHT_WORKER_FUNCTION: z.string().optional().meta({
    description: "On AWS Lambda: the durable function that executes runs, with its alias.",
  }),
  MILLWRIGHT_ENGINE: z.enum(["local", "temporal"]).default("local").meta({
    description:
      "Where runs are executed: in the servers themselves by a queue in the database, or by `npm run worker` on Temporal, which needs DATABASE_URL.",
  }),
  MILLWRIGHT_ENGINE_FALLBACK: z.enum(["local"]).optional().meta({
    description:
      "`local`: a server that cannot reach Temporal when it starts executes new runs itself. Without it, it waits for Temporal and keeps runs in the database.",
  }),
  MILLWRIGHT_WORKER_STEPS: z.enum(["all", "ordinary", "sandboxed"]).default("all").meta({
    description:
      "Which steps a Temporal worker takes: those that run commands of repositories (`sandboxed`), the others, or all.",
  }),
  MILLWRIGHT_TEMPORAL_ADDRESS: z
    .string()
    .regex(/^(\[[0-9a-f:.]+\]|[\w.-]+):\d{1,5}$/i, "must be host:port, without a scheme")
    .default("127.0.0.1:7233")
    .meta({ description: "Address of Temporal's frontend, as `host:port`." }),
  MILLWRIGHT_TEMPORAL_NAMESPACE: z.string().default("default").meta({
    description: "Temporal's namespace for runs; it has to exist.",
  }),
  MILLWRIGHT_TEMPORAL_TLS: z
    .enum(["off", "on"])
    .default("off")
    .meta({ description: "`on`: connect by TLS; the files below turn it on too." }),
  MILLWRIGHT_TEMPORAL_TLS_CA: z.string().optional().meta({
    description: "A PEM file with the certificate authority of Temporal's server, where it is not a public one.",
  }),
  MILLWRIGHT_TEMPORAL_TLS_CERT: z
    .string()
    .optional()
    .meta({ description: "A PEM file with the client certificate that Temporal's server asks for." }),
  MILLWRIGHT_TEMPORAL_TLS_KEY: z
    .string()
    .optional()
    .meta({ description: "A PEM file with the key of MILLWRIGHT_TEMPORAL_TLS_CERT." }),
  MILLWRIGHT_TEMPORAL_TLS_SERVER_NAME: z
    .string()
    .optional()
    .meta({ description: "The name in the server's certificate, where it is not the address's host." }),
  MILLWRIGHT_TEMPORAL_KEY: z.string().optional().meta({
    description:
      "Encrypts what Temporal keeps: `<name>:<base64 of 32 bytes>`. Several, separated by commas: the first encrypts, each decrypts.",
  }),
  MILLWRIGHT_TEMPORAL_BUILD: z.string().optional().meta({
    description:
      "Version of this worker for Temporal's worker versioning: runs that begin on it are told by workers of this version alone.",
  }),
  MILLWRIGHT_CONCURRENCY: z.coerce
    .number()
    .int()
    .min(1)
    .max(64)
    .default(4)
    .meta({ description: "Runs that are active at once on this worker." }),
  MILLWRIGHT_REPOSITORY_CONCURRENCY: z.coerce
    .number()
    .int()
    .min(1)
    .max(64)
    .default(2)
    .meta({ description: "Runs that are active at once in one repository." }),
  MILLWRIGHT_RUN_USD: positive(5).meta({ description: "Most dollars of one run." }),
  MILLWRIGHT_RUN_TOKENS: positive(4_000_000).meta({
    description: "Most tokens of one run, input and output together.",
  }),
  MILLWRIGHT_RUN_MINUTES: positive(60).meta({ description: "Most minutes of one run, waiting apart." }),
  MILLWRIGHT_RUN_TURNS: positive(120).meta({ description: "Most requests to the model of one run." }),
  MILLWRIGHT_RUN_ATTEMPTS: z.coerce
    .number()
    .int()
    .min(1)
    .max(10)
    .default(3)
    .meta({ description: "Most attempts at passing the checks." }),
  MILLWRIGHT_REPOSITORY_DAY_USD: positive(50).meta({ description: "Most dollars of one repository on one UTC day." }),
  MILLWRIGHT_REPOSITORY_DAY_RUNS: positive(100).meta({ description: "Most runs of one repository on one UTC day." }),
  MILLWRIGHT_ACCOUNT_DAY_USD: positive(100).meta({ description: "Most dollars of one account on one UTC day." }),
  MILLWRIGHT_ACCOUNT_DAY_RUNS: positive(300).meta({ description: "Most runs of one account on one UTC day." }),
  MILLWRIGHT_DAY_USD: positive(200).meta({ description: "Most dollars of all accounts on one UTC day." }),
  MILLWRIGHT_SUBJECT_DAY_RUNS: positive(10).meta({
    description: "Most runs of one issue or pull request on one UTC day.",
  }),
  MILLWRIGHT_MAX_BODY_BYTES: positive(defaults.MILLWRIGHT_MAX_BODY_BYTES).meta({
    description: "Largest webhook body in bytes; GitHub sends at most 25 MB.",
  }),
  MILLWRIGHT_MAX_REPOSITORY_BYTES: positive(2_000_000_000).meta({
    description: "Largest repository in bytes, as GitHub reports its size.",
  }),
  MILLWRIGHT_MIN_FREE_BYTES: z.coerce
    .number()
    .min(0)
    .default(1_000_000_000)
    .meta({ description: "New work is refused while the disk has less free." }),
  MILLWRIGHT_RECONCILE_MINUTES: z.coerce.number().min(0).max(1440).default(5).meta({
    description: "Minutes between two looks at GitHub for what no webhook told. 0: only webhooks are heard.",
  }),
  MILLWRIGHT_RUN_URL: z
    .string()
    .regex(/^https?:\/\/\S*\{run\}\S*$/, 'must be an http(s) address with "{run}" in it')
    .optional()
    .meta({
      description:
        "Where people find a run, such as your log's search: its key takes the place of `{run}`, and the status comment links there.",
    }),
  MILLWRIGHT_CHANNELS: ChannelsSetting.optional().meta({
    description:
      "Where people are told what Millwright cannot mend: JSON, channels by name. docs/operating.md, section Notifications.",
  }),
  MILLWRIGHT_HEALTH_HOST: z.string().default("127.0.0.1").meta({ description: "Address of /health and /metrics." }),
  MILLWRIGHT_HEALTH_PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65535)
    .default(9464)
    .meta({ description: "Port of /health and /metrics." }),
  MILLWRIGHT_RETENTION_TRANSCRIPT_DAYS: positive(14).meta({
    description: "Days that transcripts of the model are kept.",
  }),
  MILLWRIGHT_RETENTION_LOG_DAYS: positive(14).meta({ description: "Days that outputs of commands are kept." }),
  MILLWRIGHT_RETENTION_BLOB_DAYS: positive(30).meta({
    description: "Days that issue texts and work in progress are kept.",
  }),
  LOG_LEVEL: z
    .enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"])
    .default("info")
    .meta({ description: "Least severe log line that is written." }),
});

/** The operator's configuration: parsed once, in plain words, with every derived address. */
export interface OperatorConfig {
  app: { id: number; privateKey: string; webhookSecrets: string[] };
  server: {
    host: string;
    port: number;
    webhookPath: string;
    webhookProxyUrl: string | undefined;
    maxBodyBytes: number;
  };
  health: { host: string; port: number };
  github: { apiUrl: string; gitUrl: string };
  databaseUrl: string | undefined;
  dataDirectory: string;
  accounts: string[];
  labels: { trigger: string; done: string; needsReview: string; needsInfo: string; failed: string };
  shortCommands: string[];
  allowedBots: string[];
  /** The model that is used where MILLWRIGHT_MODELS names no other. */
  model: ModelConfig;
  models: ModelsConfig;
  sandbox: {
    backend: "auto" | "bubblewrap" | "container" | "lambda" | "none";
    image: string | undefined;
    readPaths: string[];
    registryHosts: string[];
    sandboxFunction: string | undefined;
    setupFunction: string | undefined;
    egressProxy: string | undefined;
  };
  coder: { name: "agent" | "claude-code"; claudeCode: string };
  bucket: string | undefined;
  engine: { kind: "local" } | TemporalConfig;
  concurrency: { worker: number; repository: number };
  limits: {
    run: { usd: number; tokens: number; minutes: number; turns: number; attempts: number };
    repositoryDay: { usd: number; runs: number };
    accountDay: { usd: number; runs: number };
    day: { usd: number };
    subjectDayRuns: number;
  };
  maxRepositoryBytes: number;
  minFreeBytes: number;
  reconcileMinutes: number;
  runUrl: string | undefined;
  /** By name. */
  channels: Record<string, ChannelConfig>;
  retentionDays: { transcripts: number; logs: number; blobs: number };
  logLevel: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
}

/** Reads `environment` once. Throws `ConfigurationError`. */
export function readOperatorConfig(environment: Record<string, string | undefined> = process.env): OperatorConfig {
  const given = givenIn(environment);
  const parsed = Environment.safeParse(given);
  const problems = parsed.success ? [] : parsed.error.issues.map((issue) => explain(issue, given));
  const privateKey = privateKeyOf(given, problems);
  const models = parsed.success ? modelsOf(parsed.data, given, problems) : undefined;
  if (models?.use["default"]?.model === undefined) requireModel(given, problems);
  requireFunctions(given, problems);
  requireForCoder(given, problems);
  const engine: OperatorConfig["engine"] =
    parsed.success && parsed.data.MILLWRIGHT_ENGINE === "temporal"
      ? temporalConfigOf(parsed.data, problems)
      : { kind: "local" };
  if (!parsed.success || models === undefined || problems.length > 0) throw cannotStart(problems);
  return toConfig(parsed.data, privateKey, engine, models);
}

/** What the environment's own model cannot do without. */
function requireModel(given: Record<string, string | undefined>, problems: string[]): void {
  const provider = given["MILLWRIGHT_PROVIDER"] ?? "anthropic";
  if (provider === "anthropic" && given["ANTHROPIC_API_KEY"] === undefined) {
    problems.push(
      "ANTHROPIC_API_KEY is not set. Make a key at https://console.anthropic.com/settings/keys, or set MILLWRIGHT_PROVIDER to bedrock, vertex, openai or openai-compatible.",
    );
  }
  if (provider === "openai" && given["OPENAI_API_KEY"] === undefined)
    problems.push("OPENAI_API_KEY is not set. Make a key at https://platform.openai.com/api-keys.");
  const needed = [
    ...(provider === "openai-compatible" ? ["OPENAI_BASE_URL"] : []),
    ...(provider.startsWith("openai") ? ["MILLWRIGHT_MODEL"] : []),
  ];
  for (const name of needed) {
    if (given[name] === undefined)
      problems.push(`${name} is not set, and MILLWRIGHT_PROVIDER is ${provider}. ${meaningOf(name)}`);
  }
}

/** The environment's own model, and those of MILLWRIGHT_MODELS: JSON itself, or the name of a file. */
function modelsOf(
  env: z.infer<typeof Environment>,
  given: Record<string, string | undefined>,
  problems: string[],
): ModelsConfig {
  let json = env.MILLWRIGHT_MODELS;
  if (json !== undefined && !json.trimStart().startsWith("{")) {
    try {
      json = readFileSync(json, "utf8");
    } catch (error) {
      problems.push(`MILLWRIGHT_MODELS: cannot read ${json} (${(error as NodeJS.ErrnoException).code}).`);
      json = undefined;
    }
  }
  return modelsConfigOf(json, ownModel(env), given, problems);
}

/** Each provider gets the key that is its own, and no other. */
function ownModel(env: z.infer<typeof Environment>): ModelConfig {
  const provider = env.MILLWRIGHT_PROVIDER;
  const isOpenAi = provider === "openai" || provider === "openai-compatible";
  return {
    provider,
    name: env.MILLWRIGHT_MODEL,
    apiKey: isOpenAi ? env.OPENAI_API_KEY : provider === "anthropic" ? env.ANTHROPIC_API_KEY : undefined,
    baseUrl: isOpenAi ? env.OPENAI_BASE_URL : env.ANTHROPIC_BASE_URL,
    temperature: env.MILLWRIGHT_TEMPERATURE,
    maxOutputTokens: env.MILLWRIGHT_MAX_OUTPUT_TOKENS,
    contextWindowTokens: env.MILLWRIGHT_CONTEXT_TOKENS,
    pricesFile: env.MILLWRIGHT_PRICES,
    awsRegion: env.AWS_REGION,
    googleProject: env.GOOGLE_CLOUD_PROJECT,
    googleRegion: env.CLOUD_ML_REGION,
    settings: settingsOf(provider),
  };
}

/** What the lambda sandbox cannot do without. */
function requireFunctions(given: Record<string, string | undefined>, problems: string[]): void {
  const needs: [name: string, needed: string][] = [
    ...(given["MILLWRIGHT_SANDBOX"] === "lambda"
      ? ([
          ["MILLWRIGHT_SANDBOX_FUNCTION", "MILLWRIGHT_SANDBOX is lambda"],
          ["MILLWRIGHT_BUCKET", "MILLWRIGHT_SANDBOX is lambda"],
        ] satisfies [string, string][])
      : []),
    ...(given["MILLWRIGHT_EGRESS_PROXY"] === undefined
      ? []
      : ([["MILLWRIGHT_SETUP_FUNCTION", "MILLWRIGHT_EGRESS_PROXY is set"]] satisfies [string, string][])),
  ];
  for (const [name, why] of needs) {
    if (given[name] === undefined) problems.push(`${name} is not set, and ${why}. ${meaningOf(name)}`);
  }
  // Commands see the address.
  if (/@/.test(given["MILLWRIGHT_EGRESS_PROXY"] ?? "")) {
    problems.push("MILLWRIGHT_EGRESS_PROXY: must hold no user and no password, because repository code sees it.");
  }
}

/** Claude Code speaks one protocol, and a machine of its own reaches no server of the worker. */
function requireForCoder(given: Record<string, string | undefined>, problems: string[]): void {
  if (given["MILLWRIGHT_CODER"] !== "claude-code") return;
  if ((given["MILLWRIGHT_PROVIDER"] ?? "anthropic") !== "anthropic")
    problems.push("MILLWRIGHT_CODER is claude-code, which needs MILLWRIGHT_PROVIDER anthropic.");
  if (given["MILLWRIGHT_SANDBOX"] === "lambda")
    problems.push("MILLWRIGHT_CODER is claude-code, which cannot run in the lambda sandbox: bubblewrap or container.");
}

/** The same for a main: what is missing is explained in plain words, without a stack, and ends the process. */
export function operatorConfigOrExit(): OperatorConfig {
  try {
    return readOperatorConfig();
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

/** The models alone, of an environment that may lack everything else; for a main that asks nothing but models. */
export function modelsConfigOrExit(environment: Record<string, string | undefined> = process.env): ModelsConfig {
  const given = givenIn(environment);
  // What is wrong with other settings is not of interest here.
  const parsed = Environment.partial().safeParse(
    Object.fromEntries(Object.entries(given).filter(([name]) => modelSettings.test(name))),
  );
  const problems = parsed.success ? [] : parsed.error.issues.map((issue) => explain(issue, given));
  const models = parsed.success ? modelsOf(parsed.data as z.infer<typeof Environment>, given, problems) : undefined;
  if (models?.use["default"]?.model === undefined) requireModel(given, problems);
  if (models !== undefined && problems.length === 0) return models;
  process.stderr.write(`The models cannot be asked:\n${problems.map((problem) => `- ${problem}`).join("\n")}\n`);
  process.exit(1);
}

/** The variables that models are configured by. */
const modelSettings =
  /^(MILLWRIGHT_(PROVIDER|MODELS?|TEMPERATURE|MAX_OUTPUT_TOKENS|CONTEXT_TOKENS|PRICES)|ANTHROPIC_.*|OPENAI_.*|AWS_REGION|GOOGLE_CLOUD_PROJECT|CLOUD_ML_REGION)$/;

/**
 * What set-up has to know before there is an App. Makes Probot show its set-up page also where NODE_ENV is `production`,
 * and ask for no smee channel where webhooks arrive at an address of our own.
 */
export function prepareSetup({ ownAddress }: { ownAddress: boolean }) {
  const { env } = process;
  if (env["NODE_ENV"] === "production") delete env["NODE_ENV"];
  if (ownAddress) {
    env["NO_SMEE_SETUP"] = "true";
    delete env["WEBHOOK_PROXY_URL"];
  }
  const given = (name: string) => (env[name] === "" ? undefined : env[name]);
  return {
    appId: given("APP_ID"),
    webhookPath: given("WEBHOOK_PATH") ?? "/api/github/webhooks",
    webhookProxyUrl: given("WEBHOOK_PROXY_URL"),
    pageUrl: `http://${given("HOST") ?? "localhost"}:${given("PORT") ?? 3000}`,
    gitHub: given("GHE_HOST") ?? "github.com",
    // Nothing is delivered before there is an App, and a channel that cannot be reached would end set-up.
    forProbot: { ...env, WEBHOOK_PROXY_URL: undefined },
  };
}

function explain(issue: z.core.$ZodIssue, given: Record<string, unknown>): string {
  const name = String(issue.path[0]);
  const meaning = meaningOf(name);
  return given[name] === undefined ? `${name} is not set. ${meaning}` : `${name}: ${issue.message}. ${meaning}`;
}

function meaningOf(name: string): string {
  return (Environment.shape as Record<string, z.ZodType>)[name]?.meta()?.description ?? "";
}

function privateKeyOf(given: Record<string, string | undefined>, problems: string[]): string {
  const path = given["PRIVATE_KEY_PATH"];
  let text = given["PRIVATE_KEY"];
  if (text === undefined && path !== undefined) {
    try {
      text = readFileSync(path, "utf8");
    } catch (error) {
      problems.push(`PRIVATE_KEY_PATH: cannot read ${path} (${(error as NodeJS.ErrnoException).code}).`);
      return "";
    }
  }
  if (text === undefined) {
    problems.push(
      "PRIVATE_KEY is not set (nor PRIVATE_KEY_PATH). Generate one on the App's settings page, section Private keys.",
    );
    return "";
  }
  const unescaped = text.replaceAll("\\n", "\n");
  const pem = unescaped.includes("-----BEGIN") ? unescaped : Buffer.from(unescaped, "base64").toString("utf8");
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) {
    problems.push("PRIVATE_KEY is neither PEM nor base64 of PEM: it must contain `-----BEGIN … PRIVATE KEY-----`.");
  }
  return pem;
}

function toConfig(
  env: z.infer<typeof Environment>,
  privateKey: string,
  engine: OperatorConfig["engine"],
  models: ModelsConfig,
): OperatorConfig {
  const enterprise = env.GHE_HOST === undefined ? undefined : `${env.GHE_PROTOCOL}://${env.GHE_HOST}`;
  return {
    app: {
      id: env.APP_ID,
      privateKey,
      webhookSecrets: [env.WEBHOOK_SECRET, env.WEBHOOK_SECRET_PREVIOUS].filter((secret) => secret !== undefined),
    },
    server: {
      host: env.HOST,
      port: env.PORT,
      webhookPath: env.WEBHOOK_PATH,
      webhookProxyUrl: env.WEBHOOK_PROXY_URL,
      maxBodyBytes: env.MILLWRIGHT_MAX_BODY_BYTES,
    },
    health: { host: env.MILLWRIGHT_HEALTH_HOST, port: env.MILLWRIGHT_HEALTH_PORT },
    github: {
      apiUrl: env.GITHUB_API_URL ?? (enterprise === undefined ? "https://api.github.com" : `${enterprise}/api/v3`),
      gitUrl: env.GITHUB_SERVER_URL ?? enterprise ?? "https://github.com",
    },
    databaseUrl: env.DATABASE_URL,
    dataDirectory: resolve(env.MILLWRIGHT_DATA),
    accounts: env.MILLWRIGHT_ACCOUNTS,
    labels: {
      trigger: env.MILLWRIGHT_LABEL,
      done: env.MILLWRIGHT_LABEL_DONE,
      needsReview: env.MILLWRIGHT_LABEL_NEEDS_REVIEW,
      needsInfo: env.MILLWRIGHT_LABEL_NEEDS_INFO,
      failed: env.MILLWRIGHT_LABEL_FAILED,
    },
    shortCommands: env.MILLWRIGHT_SHORT_COMMANDS,
    allowedBots: env.MILLWRIGHT_ALLOWED_BOTS,
    model: models.named[models.use["default"]?.model ?? "default"]!,
    models,
    sandbox: {
      backend: env.MILLWRIGHT_SANDBOX,
      image: env.MILLWRIGHT_SANDBOX_IMAGE,
      readPaths: env.MILLWRIGHT_SANDBOX_READ_PATHS,
      registryHosts: env.MILLWRIGHT_REGISTRY_HOSTS,
      sandboxFunction: env.MILLWRIGHT_SANDBOX_FUNCTION,
      setupFunction: env.MILLWRIGHT_SETUP_FUNCTION,
      egressProxy: env.MILLWRIGHT_EGRESS_PROXY,
    },
    coder: { name: env.MILLWRIGHT_CODER, claudeCode: env.MILLWRIGHT_CLAUDE_CODE },
    bucket: env.MILLWRIGHT_BUCKET,
    engine,
    concurrency: { worker: env.MILLWRIGHT_CONCURRENCY, repository: env.MILLWRIGHT_REPOSITORY_CONCURRENCY },
    limits: {
      run: {
        usd: env.MILLWRIGHT_RUN_USD,
        tokens: env.MILLWRIGHT_RUN_TOKENS,
        minutes: env.MILLWRIGHT_RUN_MINUTES,
        turns: env.MILLWRIGHT_RUN_TURNS,
        attempts: env.MILLWRIGHT_RUN_ATTEMPTS,
      },
      repositoryDay: { usd: env.MILLWRIGHT_REPOSITORY_DAY_USD, runs: env.MILLWRIGHT_REPOSITORY_DAY_RUNS },
      accountDay: { usd: env.MILLWRIGHT_ACCOUNT_DAY_USD, runs: env.MILLWRIGHT_ACCOUNT_DAY_RUNS },
      day: { usd: env.MILLWRIGHT_DAY_USD },
      subjectDayRuns: env.MILLWRIGHT_SUBJECT_DAY_RUNS,
    },
    maxRepositoryBytes: env.MILLWRIGHT_MAX_REPOSITORY_BYTES,
    minFreeBytes: env.MILLWRIGHT_MIN_FREE_BYTES,
    reconcileMinutes: env.MILLWRIGHT_RECONCILE_MINUTES,
    runUrl: env.MILLWRIGHT_RUN_URL,
    channels: env.MILLWRIGHT_CHANNELS ?? {},
    retentionDays: {
      transcripts: env.MILLWRIGHT_RETENTION_TRANSCRIPT_DAYS,
      logs: env.MILLWRIGHT_RETENTION_LOG_DAYS,
      blobs: env.MILLWRIGHT_RETENTION_BLOB_DAYS,
    },
    logLevel: env.LOG_LEVEL,
  };
}
