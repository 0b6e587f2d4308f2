import type { Reporter, SerializedError, TestCase, TestModule, TestRunEndReason, TestSuite } from "vitest/node";

/** What a test run came to. A failure is a failed test, but also a file, hook or promise that failed outside of any test. */
export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
  /** One line for each failure that the usual reporter does not name as a test. */
  notes: string[];
  /** One line for each skipped test: its name and why. */
  skips: string[];
}

/** Counts a run. `nothingMaySkip` makes each skipped test a failure; `pattern` is that of `-t`, whose misses are not counted. */
export class TallyReporter implements Reporter {
  readonly tally: Tally = { passed: 0, failed: 0, skipped: 0, notes: [], skips: [] };
  readonly #nothingMaySkip: boolean;
  readonly #pattern: RegExp | undefined;

  constructor(options: { nothingMaySkip: boolean; pattern?: RegExp | undefined }) {
    this.#nothingMaySkip = options.nothingMaySkip;
    this.#pattern = options.pattern;
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[], reason: TestRunEndReason): void {
    for (const module of modules) this.#countModule(module);
    for (const error of errors) this.fail(`an error outside of any test: ${error.message ?? String(error)}`);
    if (reason === "interrupted") this.fail("the run was interrupted");
    const { passed, failed, skipped } = this.tally;
    if (passed + failed + skipped === 0) this.fail("no test was found");
    else if (reason === "failed" && failed === 0) this.fail("the run failed, but no test did");
  }

  /** Counts a failure that is no test. */
  fail(note: string): void {
    this.tally.failed += 1;
    this.tally.notes.push(note);
  }

  #countModule(module: TestModule): void {
    const suites: (TestModule | TestSuite)[] = [module, ...module.children.allSuites()];
    const broken = suites.filter((suite) => suite.errors().length > 0);
    for (const suite of broken) {
      this.fail(
        `${module.relativeModuleId}${suite === module ? "" : ` > ${nameOf(suite)}`}: failed outside of its tests`,
      );
    }
    if (module.state() === "queued" || module.state() === "pending")
      this.fail(`${module.relativeModuleId}: did not finish`);
    for (const test of module.children.allTests()) this.#countTest(test);
  }

  #countTest(test: TestCase): void {
    const name = `${test.module.relativeModuleId} > ${test.fullName}`;
    const result = test.result();
    switch (result.state) {
      case "passed":
        this.tally.passed += 1;
        return;
      case "failed":
        this.tally.failed += 1;
        return;
      case "pending":
        this.fail(`${name}: did not finish`);
        return;
      case "skipped": {
        if (this.#pattern !== undefined && !this.#pattern.test(test.fullName.replaceAll(" > ", " "))) return;
        const line = `${name}: ${reasonOf(test, result.note)}`;
        if (test.options.mode === "run" && result.note === undefined) {
          this.fail(`${name}: was never run`);
        } else if (this.#nothingMaySkip) {
          this.fail(`skipped, which CI=true forbids: ${line}`);
        } else {
          this.tally.skipped += 1;
          this.tally.skips.push(line);
        }
      }
    }
  }
}

function nameOf(suite: TestModule | TestSuite): string {
  return suite.type === "module" ? suite.relativeModuleId : suite.fullName;
}

/** Why a test was skipped: the note of `context.skip(note)`, else "(needs …)" in its name or in that of a group around it. */
function reasonOf(test: TestCase, note: string | undefined): string {
  if (note !== undefined) return note;
  if (test.options.mode === "todo") return "to be written";
  return test.fullName.match(/\b(?:needs|only|without) [^()]+(?=\))/g)?.at(-1) ?? "no reason given";
}
