import { parseArgs } from "node:util";
import { type ChaosOptions, type ChaosScenario, isSound } from "./chaos.ts";
import { scenarios } from "./scenarios/index.ts";

const help = `Attacks the real App on local servers and prints one line of JSON for each scenario and database.

  npm run -s chaos                     every scenario, as long as docs/security.md's figures ask for
  npm run -s chaos -- kill triggers    those whose names begin like this
  npm run -s chaos -- --short kill     the short version, which npm test runs
  npm run -s chaos -- --seed 7 kill    other random choices (default 1)
  npm run -s chaos -- --database pglite

{"name","tries","lost","duplicated","violations"}: violations is how many rules did not hold; each is a line on standard error.
Exits with 1 when anything was lost, duplicated or violated, and with 2 when it was asked wrongly.

Scenarios:
${scenarios.map(({ name, about }) => `  ${name.padEnd(18)} ${about}\n`).join("")}`;

/** Runs what is asked for and resolves to the exit code. */
async function main(): Promise<number> {
  const asked = readArguments();
  if ("message" in asked) {
    process.stderr.write(`${asked.message}\n`);
    return 2;
  }
  if (asked.help) {
    process.stdout.write(help);
    return 0;
  }
  let sound = true;
  for (const scenario of asked.scenarios) {
    for (const database of scenario.databases) {
      if (asked.database === undefined || asked.database === database) {
        sound = (await runScenario(scenario, { ...asked.options, database })) && sound;
      }
    }
  }
  return sound ? 0 : 1;
}

async function runScenario(scenario: ChaosScenario, options: Omit<ChaosOptions, "say">): Promise<boolean> {
  const name = scenario.databases.length > 1 ? `${scenario.name}.${options.database}` : scenario.name;
  const say = (line: string) => process.stderr.write(`${name}: ${line}\n`);
  const startedAt = performance.now();
  try {
    const findings = await scenario.run({ ...options, say });
    const { tries, lost, duplicated, violations } = findings;
    for (const violation of violations) say(`VIOLATED ${violation}`);
    process.stdout.write(`${JSON.stringify({ name, tries, lost, duplicated, violations: violations.length })}\n`);
    say(`${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
    return isSound(findings);
  } catch (error) {
    say(`FAILED ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    process.stdout.write(`${JSON.stringify({ name, tries: 0, lost: 0, duplicated: 0, violations: 1 })}\n`);
    return false;
  }
}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h", default: false },
        short: { type: "boolean", default: false },
        seed: { type: "string", default: "1" },
        database: { type: "string" },
      },
    });
    const { database } = values;
    const seed = Number(values.seed);
    if (!Number.isSafeInteger(seed)) return { message: `--seed must be a whole number, but is ${values.seed}` };
    if (database !== undefined && database !== "pglite" && database !== "postgres") {
      return { message: `--database must be pglite or postgres, but is ${database}` };
    }
    const unknown = positionals.find((asked) => !scenarios.some(({ name }) => name.startsWith(asked)));
    if (unknown !== undefined) return { message: `There is no scenario ${unknown}; --help lists them` };
    const chosen = scenarios.filter(
      ({ name }) => positionals.length === 0 || positionals.some((asked) => name.startsWith(asked)),
    );
    const options = { seed, scale: values.short ? ("short" as const) : ("long" as const) };
    return { help: values.help, scenarios: chosen, database, options };
  } catch (error) {
    return { message: error instanceof Error ? error.message : String(error) };
  }
}

process.exitCode = await main();
// Servers of third parties may leave a handle open.
process.stdout.write("", () => process.exit());
