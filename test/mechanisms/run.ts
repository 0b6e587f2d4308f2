import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createVitest, type TestModule } from "vitest/node";
import { type Switch, switches } from "./switches.ts";

const help = `Turns each mechanism of docs/security.md off in tests and demands that a test turns red.

  npm run -s mechanisms                 all of them
  npm run -s mechanisms -- M1 M5        those whose ids begin like this

One line of JSON for each: {"id","without","red","ok"}; red is how many tests failed.
Exits with 1 when a mechanism can be missing without a red test.

${switches.map(({ id, without }) => `  ${id.padEnd(5)} ${without}\n`).join("")}`;

const asked = process.argv.slice(2);
if (asked.includes("--help")) {
  process.stdout.write(help);
} else {
  const chosen = switches.filter(({ id }) => asked.length === 0 || asked.some((begin) => id.startsWith(begin)));
  const held = asked.length === 0 ? await inHalves(chosen) : await allTurnRed(chosen);
  process.exitCode = held ? 0 : 1;
}
process.stdout.write("", () => process.exit());

/** In two processes at once: one switch at a time can be off in each. */
async function inHalves(chosen: readonly Switch[]): Promise<boolean> {
  const codes = [0, 1].map(async (half) => {
    const ids = chosen.filter((_, index) => index % 2 === half).map(({ id }) => id);
    const child = spawn(process.execPath, [import.meta.filename, ...ids], { stdio: ["ignore", "inherit", "inherit"] });
    const [code] = await once(child, "exit");
    return code as number | null;
  });
  return (await Promise.all(codes)).every((code) => code === 0);
}

async function allTurnRed(chosen: readonly Switch[]): Promise<boolean> {
  let held = chosen.length > 0;
  for (const one of chosen) held = (await turnsRed(one)) && held;
  return held;
}

async function turnsRed({ id, without, test, named, needs }: Switch): Promise<boolean> {
  if (needs !== undefined && !isThere(needs)) {
    const ok = process.env["CI"] !== "true";
    process.stdout.write(`${JSON.stringify({ id, without, red: 0, ok, skipped: `needs ${needs}` })}\n`);
    return ok;
  }
  process.env["WITHOUT"] = id;
  const vitest = await createVitest({
    run: true,
    watch: false,
    reporters: [{}],
    ...(named === "" ? {} : { testNamePattern: named }),
  });
  try {
    const { testModules } = await vitest.start([test]);
    const red = testModules.flatMap((module) => [...module.children.allTests("failed")]).length;
    const broken = testModules.flatMap(problems);
    const ok = red > 0 && broken.length === 0;
    process.stdout.write(`${JSON.stringify({ id, without, red, ok })}\n`);
    for (const problem of broken) process.stderr.write(`${id}: ${problem}\n`);
    if (red === 0) process.stderr.write(`${id}: no test of ${test} named ${JSON.stringify(named)} failed\n`);
    return ok;
  } finally {
    await vitest.close();
  }
}

/** What failed outside of any test says nothing about the mechanism: the source may not even have been read. */
function problems(module: TestModule): string[] {
  return [module, ...module.children.allSuites()].flatMap((suite) => suite.errors().map(({ message }) => message));
}

function isThere(program: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
