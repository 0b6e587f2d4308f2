import { createVitest, parseCLI } from "vitest/node";
import { TallyReporter } from "./reporter.ts";

/**
 * `npm test`: runs every project of vitest.config.ts, names each skipped test with its reason, and prints
 * `N passed, N failed, N skipped` as the very last line. With CI=true a skip is a failure.
 * Arguments are vitest's own: `npm test -- test/policy -t "redact"`.
 */
async function runTests(args: readonly string[]): Promise<number> {
  const { filter, options } = parseCLI(["vitest", "run", ...args]);
  const reporter = new TallyReporter({
    nothingMaySkip: process.env.CI === "true",
    pattern: options.testNamePattern === undefined ? undefined : new RegExp(options.testNamePattern),
  });
  // `.only` would leave out the rest without a word.
  const vitest = await createVitest({
    ...options,
    run: true,
    watch: false,
    allowOnly: false,
    reporters: ["default", reporter],
  });
  try {
    await vitest.start(filter);
  } catch (error) {
    if (reporter.tally.failed === 0)
      reporter.fail(error instanceof Error ? (error.stack ?? error.message) : String(error));
  } finally {
    await vitest.close();
  }

  const { passed, failed, skipped, notes, skips } = reporter.tally;
  for (const line of skips) console.log(`SKIPPED ${line}`);
  for (const line of notes) console.log(`FAILED ${line}`);
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return failed === 0 ? 0 : 1;
}

const exitCode = await runTests(process.argv.slice(2));
// A test run may leave an open handle behind; nothing may be printed after the last line.
process.stdout.write("", () => process.exit(exitCode));
