import { ConfigurationError, type Environment, ownEnvironment } from "../../config/intake.ts";
import { callAws } from "./call-aws.ts";

/** The settings that are secrets. A function's environment is readable in the console, so it only says where they are. */
const secretNames = [
  "PRIVATE_KEY",
  "WEBHOOK_SECRET",
  "WEBHOOK_SECRET_PREVIOUS",
  "ANTHROPIC_API_KEY",
  "OPENAI_API_KEY",
  "DATABASE_URL",
  "MILLWRIGHT_CHANNELS",
] as const;

/** A setting whose value is kept elsewhere: `MILLWRIGHT_DATABASE_URL_SECRET=millwright/database-url`. */
interface Place {
  setting: string;
  /** The variable that names the place. */
  variable: string;
  name: string;
}

/** Resolves to the values by name; what is not there or may not be read is absent. */
type Read = (names: string[]) => Promise<Map<string, string>>;

/**
 * The environment with the secrets that `MILLWRIGHT_<setting>_PARAMETER` (a parameter of SSM) and
 * `MILLWRIGHT_<setting>_SECRET` (name or ARN in Secrets Manager) name, as the variables that `readOperatorConfig` reads; a
 * setting that begins with `MILLWRIGHT_` itself keeps its name (`MILLWRIGHT_CHANNELS_PARAMETER`).
 * Throws `ConfigurationError` with the names of those that are not there or may not be read, and any other error when
 * AWS could not be asked: then it may work the next time.
 */
export async function loadParameters(environment: Environment = ownEnvironment()): Promise<Environment> {
  const [parameters, secrets] = await Promise.all([
    values(placesOf(environment, "PARAMETER"), (names) => readParameters(names, environment)),
    values(placesOf(environment, "SECRET"), (names) => readSecrets(names, environment)),
  ]);
  const problems = [...parameters.problems, ...secrets.problems];
  if (problems.length > 0) throw new ConfigurationError(`Millwright cannot start:\n${problems.join("\n")}`);
  return { ...environment, ...parameters.found, ...secrets.found };
}

function placesOf(environment: Environment, kind: "PARAMETER" | "SECRET"): Place[] {
  return secretNames.flatMap((setting) => {
    const variable = `MILLWRIGHT_${setting.replace(/^MILLWRIGHT_/, "")}_${kind}`;
    const name = environment[variable];
    return name === undefined || name === "" ? [] : [{ setting, variable, name }];
  });
}

async function values(places: Place[], read: Read): Promise<{ found: Environment; problems: string[] }> {
  if (places.length === 0) return { found: {}, problems: [] };
  const byName = await read([...new Set(places.map(({ name }) => name))]);
  const missing = places.filter(({ name }) => (byName.get(name) ?? "") === "");
  return {
    found: Object.fromEntries(places.map(({ setting, name }) => [setting, byName.get(name)])),
    problems: missing.map(
      ({ setting, variable, name }) =>
        `- ${variable} names ${name} for ${setting}, but it does not exist, is empty, or this function's role may not read it.`,
    ),
  };
}

/** What AWS calls that which is not there, or which one may not know about. */
const absent = ["AccessDeniedException", "ResourceNotFoundException"];

/** Decrypted parameters of SSM, at most ten at once. One name that may not be read refuses all of them. */
async function readParameters(names: string[], environment: Environment): Promise<Map<string, string>> {
  const body = { Names: names, WithDecryption: true };
  const answer = await ask("ssm", "AmazonSSM.GetParameters", body, environment, `the parameters ${names.join(", ")}`);
  const found = (answer as { Parameters?: { Name: string; Value: string }[] } | undefined)?.Parameters ?? [];
  return new Map(found.map(({ Name, Value }) => [Name, Value]));
}

async function readSecrets(names: string[], environment: Environment): Promise<Map<string, string>> {
  const read = async (name: string): Promise<[string, string]> => {
    const answer = await ask(
      "secretsmanager",
      "secretsmanager.GetSecretValue",
      { SecretId: name },
      environment,
      `the secret ${name}`,
    );
    return [name, (answer as { SecretString?: string } | undefined)?.SecretString ?? ""];
  };
  return new Map(await Promise.all(names.map(read)));
}

/** Undefined when what is asked for is not there or may not be read. */
async function ask(
  service: "ssm" | "secretsmanager",
  target: string,
  body: unknown,
  environment: Environment,
  what: string,
): Promise<unknown> {
  const headers = { "content-type": "application/x-amz-json-1.1", "x-amz-target": target };
  try {
    return JSON.parse(await callAws({ service, path: "/", headers, body: JSON.stringify(body) }, environment));
  } catch (error) {
    if (absent.includes((error as Error).name)) return undefined;
    throw new Error(`Cannot read ${what}`, { cause: error });
  }
}
