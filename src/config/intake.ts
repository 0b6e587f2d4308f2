/**
 * What a function that only takes deliveries has to know: it holds no key of the App or of a model, and no database. Read
 * without the schemas of the whole configuration, which would take a third of its cold start.
 */
export interface IntakeConfig {
  app: { id: number; slug: string; webhookSecrets: string[] };
  webhookPath: string;
  maxBodyBytes: number;
  /** The durable function that executes runs, with its alias. */
  workerFunction: string;
  labels: { trigger: string; done: string; needsReview: string; needsInfo: string; failed: string };
  /** Heard besides `/millwright <word>`. */
  shortCommands: string[];
  allowedBots: string[];
  logLevel: string;
}

/** What counts where the operator says nothing. */
export const defaults = {
  WEBHOOK_PATH: "/api/github/webhooks",
  MILLWRIGHT_MAX_BODY_BYTES: 26_214_400,
  MILLWRIGHT_LABEL: "agent:builder",
  MILLWRIGHT_LABEL_DONE: "agent:done",
  MILLWRIGHT_LABEL_NEEDS_REVIEW: "agent:needs-review",
  MILLWRIGHT_LABEL_NEEDS_INFO: "agent:needs-info",
  MILLWRIGHT_LABEL_FAILED: "agent:failed",
  MILLWRIGHT_SHORT_COMMANDS: "code,fix,review,stop,retry,status,approve",
};

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"];

export type Environment = Record<string, string | undefined>;

/** The process's own environment, for functions whose secrets are read from elsewhere before it is parsed. */
export const ownEnvironment = (): Environment => process.env;

/** Says which variables are missing or wrong, one per line, and where their values come from. */
export class ConfigurationError extends Error {
  override name = "ConfigurationError";
}

export function cannotStart(problems: readonly string[]): ConfigurationError {
  return new ConfigurationError(
    `Millwright cannot start:\n${problems.map((problem) => `- ${problem}`).join("\n")}\nNo App yet? \`npm run setup\` registers one in the browser. See docs/operating.md.`,
  );
}

/** An empty value counts as not set. */
export function givenIn(environment: Environment): Environment {
  return Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== undefined && value !== ""));
}

/** The items of a list that is separated by commas. */
export function itemsOf(text: string): string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

/** Reads `environment` for the webhook function on AWS Lambda. Throws `ConfigurationError`. */
export function readIntakeConfig(environment: Environment): IntakeConfig {
  const given = givenIn(environment);
  const problems: string[] = [];
  const text = (name: string, isRight: (value: string) => boolean, rule: string): string => {
    const value = given[name];
    if (value === undefined) problems.push(`${name} is not set. It is ${rule}.`);
    else if (!isRight(value)) problems.push(`${name}: it must be ${rule}.`);
    return value ?? "";
  };
  const isPositive = (value: string) => Number.isInteger(Number(value)) && Number(value) > 0;
  const known = (name: keyof typeof defaults) => given[name] ?? String(defaults[name]);
  const id = text("APP_ID", isPositive, "the GitHub App's id, a number");
  const slug = text("MILLWRIGHT_APP_SLUG", () => true, "the App's name in its address, github.com/apps/<name>");
  const secret = text(
    "WEBHOOK_SECRET",
    (value) => value.length >= 8,
    "the App's webhook secret, at least 8 characters",
  );
  const workerFunction = text("MILLWRIGHT_WORKER_FUNCTION", () => true, "the durable function with its alias");
  const maxBodyBytes = known("MILLWRIGHT_MAX_BODY_BYTES");
  if (!isPositive(maxBodyBytes)) problems.push("MILLWRIGHT_MAX_BODY_BYTES: it must be a number of bytes.");
  const logLevel = given["LOG_LEVEL"] ?? "info";
  if (!logLevels.includes(logLevel)) problems.push(`LOG_LEVEL: it must be one of ${logLevels.join(", ")}.`);
  if (problems.length > 0) throw cannotStart(problems);
  return {
    app: {
      id: Number(id),
      slug,
      webhookSecrets: [secret, given["WEBHOOK_SECRET_PREVIOUS"]].filter((value) => value !== undefined),
    },
    webhookPath: known("WEBHOOK_PATH"),
    maxBodyBytes: Number(maxBodyBytes),
    workerFunction,
    labels: {
      trigger: known("MILLWRIGHT_LABEL"),
      done: known("MILLWRIGHT_LABEL_DONE"),
      needsReview: known("MILLWRIGHT_LABEL_NEEDS_REVIEW"),
      needsInfo: known("MILLWRIGHT_LABEL_NEEDS_INFO"),
      failed: known("MILLWRIGHT_LABEL_FAILED"),
    },
    shortCommands: itemsOf(known("MILLWRIGHT_SHORT_COMMANDS")),
    allowedBots: itemsOf(given["MILLWRIGHT_ALLOWED_BOTS"] ?? ""),
    logLevel,
  };
}
