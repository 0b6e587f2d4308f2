import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ReportKind } from "../../src/checks/check-report.ts";
import { parseResults } from "../../src/checks/parse-results.ts";
import { processorMs } from "../support/processor-time.ts";
import { output } from "./outputs.ts";

const printed = (stdout: string, exitCode: number | null = 1) =>
  parseResults({ stdout, stderr: "", exitCode, reports: [] });
const reported = (kind: ReportKind, text: string, exitCode = 1) =>
  parseResults({ stdout: "", stderr: "", exitCode, reports: [{ kind, text }] });
const failedNames = (report: ReturnType<typeof printed>) =>
  report.tests.filter((test) => test.status === "failed").map((test) => test.name);

describe("parseResults reads what the runners printed", () => {
  // file, source, passed, failed, skipped, names of the failed tests
  const cases: [string, string, number, number, number, string[]][] = [
    ["pytest", "pytest", 3, 2, 1, ["test_bad", "TestThing::test_raises"]],
    ["pytest-ra", "pytest", 3, 2, 1, ["test_bad", "TestThing::test_raises"]],
    ["pytest-v", "pytest", 3, 2, 1, ["test_bad", "TestThing::test_raises"]],
    ["unittest", "unittest", 1, 2, 1, ["test_err", "test_bad"]],
    ["unittest-v", "unittest", 1, 2, 1, ["test_err", "test_bad"]],
    ["go-v", "go-test", 2, 3, 1, ["TestBad", "TestTable/two", "(package)"]],
    ["go", "go-test", 0, 3, 0, ["TestBad", "TestTable/two", "(package)"]],
    ["go-json", "go-test-json", 2, 3, 1, ["(package)", "TestBad", "TestTable/two"]],
    ["node-spec", "node-test", 1, 1, 2, ["subtracts"]],
    ["node-tap", "tap", 1, 1, 2, ["subtracts"]],
    ["vitest-tap", "tap", 2, 2, 2, ["subtracts", "broken.test.ts"]],
    ["vitest-tapflat", "tap", 2, 2, 2, ["a.test.ts > math > subtracts", "broken.test.ts"]],
    ["vitest", "vitest", 2, 2, 2, ["(test file)", "subtracts"]],
    ["vitest-v", "vitest", 2, 2, 2, ["(test file)", "subtracts"]],
    ["jest", "jest", 1, 2, 2, ["subtracts", "(test file)"]],
    ["jest-v", "jest", 1, 2, 2, ["subtracts", "(test file)"]],
    ["mocha", "mocha", 2, 2, 1, ["subtracts", "boom"]],
    ["cargo", "cargo", 3, 1, 1, ["tests::fails"]],
    ["surefire", "surefire", 1, 2, 1, ["bad", "err"]],
    ["rspec", "rspec", 7, 2, 1, ["Cart adds an item", "Cart removes an item"]],
    ["minitest", "minitest", 1, 2, 1, ["test_adds", "test_raises"]],
    ["phpunit", "phpunit", 1, 2, 1, ["testRaises with data set #1", "testAdds"]],
    ["dotnet", "dotnet", 2, 1, 1, ["Shop.Tests.CartTests.Adds"]],
    ["gradle", "gradle", 1, 1, 1, ["adds()"]],
    ["nextest", "cargo", 2, 1, 1, ["tests::fails"]],
  ];
  it.each(cases)("parseResults reads %s", (file, source, passed, failed, skipped, names) => {
    const report = printed(output(file));
    expect(report).toMatchObject({ source, counts: { passed, failed, skipped, total: passed + failed + skipped } });
    expect(failedNames(report)).toEqual(names);
    expect(report.doubts).toEqual([]);
  });

  it("parseResults keeps the message, file and suite of a failed test", () => {
    expect(printed(output("pytest")).tests[0]).toEqual({
      name: "test_bad",
      file: "test_sample.py",
      status: "failed",
      message: "assert [1, 2] == [1, 3]",
    });
    expect(printed(output("go-json")).tests[1]).toMatchObject({
      name: "TestBad",
      suite: "example.org/sample",
      message: "a_test.go:4: got 1 want 2",
    });
    expect(printed(output("mocha")).tests[1]).toMatchObject({ name: "boom", suite: "math > deep" });
    expect(printed(output("cargo")).tests[0]?.message).toContain("assertion `left == right` failed: sum");
    expect(printed(output("node-spec")).tests[0]).toMatchObject({
      suite: "math",
      message: expect.stringContaining("1 == 3"),
    });
    expect(printed(output("jest")).tests[1]).toMatchObject({
      file: "jest/broken.test.js",
      message: expect.stringContaining("Cannot find module './missing'"),
    });
    expect(printed(output("surefire")).tests[0]).toMatchObject({ suite: "s.AddTest", durationSeconds: 0.047 });
    expect(printed(output("phpunit")).tests[1]?.message).toContain("Failed asserting that 3 matches expected 2.");
  });

  it("parseResults says when no test was run", () => {
    for (const text of [
      "no tests ran in 0.01s\n",
      "ok  \texample.org/a\t0.003s [no tests to run]\n",
      "[INFO] No tests to run.\n",
    ]) {
      expect(printed(text, 0)).toMatchObject({ counts: { total: 0 }, source: expect.not.stringMatching("none") });
    }
    expect(printed("hello\n", 0)).toMatchObject({ source: "none", counts: { total: 0 }, trustworthy: true });
  });
});

describe("parseResults reads report files", () => {
  const cases: [string, ReportKind, number, number, number, string[]][] = [
    ["pytest-junit", "junit", 3, 2, 1, ["test_bad", "test_raises"]],
    ["node-junit", "junit", 1, 1, 2, ["subtracts"]],
    ["vitest-junit", "junit", 2, 2, 2, ["math > subtracts", "broken.test.ts"]],
    ["surefire-junit", "junit", 1, 2, 1, ["bad", "err"]],
    ["jest-json", "jest-json", 1, 2, 2, ["subtracts", "(test file)"]],
    ["vitest-json", "vitest-json", 2, 2, 2, ["subtracts", "(test file)"]],
    ["go-json", "go-test-json", 2, 3, 1, ["(package)", "TestBad", "TestTable/two"]],
    ["rspec-json", "rspec-json", 1, 2, 1, ["Cart adds", "(error outside of examples)"]],
    ["trx", "trx", 1, 1, 1, ["Shop.Tests.CartTests.Adds"]],
    ["trx-mstest", "trx", 1, 3, 1, ["Adds", "Rounds (1.5,2)", "Waits"]],
  ];
  it.each(cases)("parseResults reads the report %s", (file, kind, passed, failed, skipped, names) => {
    const report = reported(kind, output(file));
    expect(report.counts).toEqual({ passed, failed, skipped, total: passed + failed + skipped });
    expect(failedNames(report)).toEqual(names);
    expect(report.doubts).toEqual([]);
  });

  it("parseResults reads class, file, message and time of a test in TRX", () => {
    const { tests } = reported("trx", output("trx-mstest"));
    expect(tests[0]).toEqual({
      name: "Adds",
      suite: "Shop.Tests.CartTests",
      file: "/src/tests/Shop.Tests/Checks.cs",
      status: "failed",
      durationSeconds: 0.0412307,
      message: expect.stringMatching(
        /^Assert\.AreEqual failed\. Expected:<3>\. Actual:<-1>\. \n {3}at Shop\.Tests\.CartTests\.Check/,
      ),
    });
    expect(tests[1]).toMatchObject({ name: "Rounds (1.5,2)", suite: "Shop.Tests.PriceTests" });
    expect(tests.find(({ name }) => name === "Later")?.status).toBe("skipped");
  });

  it("parseResults decodes character references in XML", () => {
    const failure = '<failure message="one&#10;two">&#xD;&#x20AC;</failure>';
    const [test] = reported("junit", `<testsuite><testcase name="a&#233;">${failure}</testcase></testsuite>`).tests;
    expect(test).toMatchObject({ name: "aé", message: "one\ntwo\n€" });
  });

  it("parseResults takes a TRX run that broke off for a failed test", () => {
    const crash = output("trx")
      .replace(/<UnitTestResult[^>]*outcome="Failed">[\s\S]*?<\/UnitTestResult>/, "")
      .replace(
        'passed="1" failed="1" error="0" />',
        'passed="1" failed="0" error="0" /><RunInfos><RunInfo outcome="Error"><Text>Test host process crashed : Stack overflow.</Text></RunInfo></RunInfos>',
      );
    const report = reported("trx", crash);
    expect(report.counts).toMatchObject({ passed: 1, failed: 1 });
    expect(report.tests[0]).toMatchObject({
      name: "(test run)",
      message: "Test host process crashed : Stack overflow.",
    });
    expect(report.doubts).toEqual([]);
  });

  it("parseResults adds up several reports and lists failed tests first", () => {
    const reports = ["surefire-junit", "pytest-junit"].map((name) => ({ kind: "junit" as const, text: output(name) }));
    const report = parseResults({ stdout: "", stderr: "", exitCode: 1, reports });
    expect(report.counts).toEqual({ passed: 4, failed: 4, skipped: 2, total: 10 });
    expect(report.tests.slice(0, 4).every((test) => test.status === "failed")).toBe(true);
  });

  it("parseResults falls back to the printed text when a report is broken", () => {
    const reports = [{ kind: "junit" as const, text: "<testsuites><testsuite name='cut off" }];
    expect(parseResults({ stdout: output("pytest"), stderr: "", exitCode: 1, reports }).source).toBe("pytest");
  });
});

describe("parseResults does not trust contradictions", () => {
  it("parseResults doubts a report of success with a failing exit code", () => {
    const report = printed("=== 3 passed in 0.02s ===\n", 1);
    expect(report.trustworthy).toBe(false);
    expect(report.doubts).toEqual(["All 3 reported tests passed, but the exit code was 1."]);
  });

  it("parseResults doubts failed tests with exit code 0", () => {
    expect(printed(output("jest"), 0).doubts[0]).toMatch(/^The command ended with exit code 0, but 2 failed/);
  });

  it("parseResults doubts a report file that the printed output contradicts", () => {
    const text =
      '<testsuites tests="1" failures="0" skipped="0"><testsuite><testcase name="a"/></testsuite></testsuites>';
    const report = parseResults({
      stdout: output("pytest"),
      stderr: "",
      exitCode: 1,
      reports: [{ kind: "junit", text }],
    });
    expect(report.doubts.join()).toContain(
      "The report says 1 passed, 0 failed, 0 skipped, but the printed output says",
    );
  });

  it("parseResults doubts a summary that disagrees with the tests it lists", () => {
    const forged = output("cargo").replace("1 passed; 1 failed", "2 passed; 0 failed");
    expect(printed(forged).doubts.join()).toContain("The summary says 4 passed, 0 failed");
    const junit = '<testsuite tests="5" failures="0" errors="0" skipped="0"><testcase name="a"/></testsuite>';
    expect(reported("junit", junit, 0).doubts.join()).toContain("but 1 passed, 0 failed, 0 skipped are listed");
  });
});

describe("parseResults survives hostile output", () => {
  it("parseResults never throws on arbitrary text", () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom(
        "not ok 1 - a {",
        "ok",
        "---",
        "...",
        "}",
        "1..2",
        "TAP version 13",
        "Tests: 1 failed, 2 total",
        "test a ... ok",
        "--- FAIL: T (0.1s)",
        "FAIL\tp\t0.1s",
        '{"Action":"fail","Package":"p"}',
        "ℹ tests 3",
        "ℹ pass 1",
        "▶ s",
        "✖ s",
        "  1 passing (1ms)",
        "  1 failing",
        "  1) x",
        "= 1 failed in 0.1s =",
        "FAILED a::b - c",
        "Ran 1 test in 1s",
        "FAILED (failures=1)",
        "1) A::b",
        "Tests: 1, Assertions: 1, Failures: 1.",
        "---- a stdout ----",
        "failures:",
      ),
    );
    const kinds: ReportKind[] = ["junit", "trx", "tap", "jest-json", "vitest-json", "go-test-json", "rspec-json"];
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 40 }),
        fc.constantFrom(...kinds),
        fc.integer({ min: 0, max: 3 }),
        (lines, kind, exitCode) => {
          const text = lines.join("\n");
          const report = parseResults({ stdout: text, stderr: text, exitCode, reports: [{ kind, text }] });
          const { passed, failed, skipped, total } = report.counts;
          expect(total).toBe(passed + failed + skipped);
        },
      ),
      { numRuns: 300 },
    );
  });

  const size = 1_000_000;
  const fill = (unit: string) => unit.repeat(Math.ceil(size / unit.length));
  const hostile: [string, string][] = [
    ["one long line", fill("a")],
    ["empty lines", fill("\n")],
    ["spaces", fill(" ")],
    ["TAP braces", `1..1\n${fill("ok 1 - a {\n")}`],
    ["deepening TAP", `1..1\n${Array.from({ length: 1400 }, (_, index) => `${" ".repeat(index)}ok 1 - a`).join("\n")}`],
    [
      "rising TAP",
      `1..1\n${Array.from({ length: 1400 }, (_, index) => `${" ".repeat(1400 - index)}not ok 1 - a`).join("\n")}`,
    ],
    ["pytest colons", fill("a::b ::: PASSED ")],
    ["pytest lines", `${fill("a.py::b FAILED\n")}`],
    ["dots", fill("test a ... ... ")],
    ["numbers", fill("1 failed, ")],
    ["escape sequences", fill("\u001b[31m")],
    ["unended escapes", fill("\u001b]")],
    ["table", fill("|")],
    ["percent", fill("TOTAL   1  %")],
    ["go events", fill('{"Action":"run","Package":"p","Test":"a/b/c"}\n')],
    ["node suites", fill("▶ a\n")],
    ["xml", fill("<testsuite>")],
    ["xml attributes", `<testsuite ${fill("a='1' ")}/>`],
    ["json", fill('{"testResults":[')],
  ];
  it.each(hostile)("parseResults reads 1 MB of %s in half a second", (_name, text) => {
    const started = processorMs();
    printed(text);
    expect(processorMs() - started).toBeLessThan(500);
    for (const kind of ["junit", "jest-json", "tap"] as const) {
      const begun = processorMs();
      reported(kind, text);
      expect(processorMs() - begun).toBeLessThan(500);
    }
  });

  it("parseResults keeps a bounded number of tests but counts all", () => {
    const report = printed(`1..20000\n${"not ok 1 - a\n".repeat(10_000)}${"ok 1 - b\n".repeat(10_000)}`);
    expect(report.counts).toEqual({ passed: 10_000, failed: 10_000, skipped: 0, total: 20_000 });
    expect(report.tests.length).toBeLessThanOrEqual(2500);
  });
});

describe("coverage", () => {
  it.each([
    ["pytest-cov", "Name    Stmts   Miss  Cover\n---\nTOTAL     120     12    90%\n", 90],
    [
      "istanbul",
      "File      | % Stmts | % Branch | % Funcs | % Lines | Uncovered\nAll files |   91.2  |  80 |  70 |  88.5 |\n",
      88.5,
    ],
    [
      "node:test",
      "ℹ file | line % | branch % | funcs % | uncovered lines\nℹ all files | 97.50 |   100.00 |  100.00 | \n",
      97.5,
    ],
    ["go", "ok  \texample.org/a\t0.1s\tcoverage: 66.7% of statements\n", 66.7],
    ["text-summary", "Lines        : 85.71% ( 12/14 )\n", 85.71],
  ])("parseResults reads the coverage of %s", (_name, text, linesPercent) => {
    expect(printed(text, 0).coverage).toEqual({ linesPercent });
  });

  it("parseResults does not average the coverage of several Go packages", () => {
    const text = "ok  \ta\t0.1s\tcoverage: 10.0% of statements\nok  \tb\t0.1s\tcoverage: 90.0% of statements\n";
    expect(printed(text, 0).coverage).toBeUndefined();
  });
});
