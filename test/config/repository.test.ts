import { describe, expect, test } from "vitest";
import { parseRepositoryConfig } from "../../src/config/repository.ts";

describe("parseRepositoryConfig", () => {
  test("parseRepositoryConfig is all defaults for no file and for an empty one", () => {
    for (const text of [undefined, "", "# nothing\n"]) {
      expect(parseRepositoryConfig(text)).toMatchObject({
        kind: "ok",
        config: { enabled: true, plan: "auto", guard: { maxFiles: 40 }, checks: { test: "auto" } },
      });
    }
  });

  test.each<[string, string, string, string]>([
    ["plan: maybe", "plan", "Invalid option", '"maybe"'],
    ["guard:\n  maxFiles: -1", "guard.maxFiles", "Too small", "-1"],
    ["checks:\n  test: 5", "checks.test", "list of commands", "5"],
    ["plann: ask", "plann", "not a known key", '"ask"'],
    ["guard:\n  protectedPath: [a]", "guard.protectedPath", "not a known key", '["a"]'],
    ["- a list", "(file)", "expected object", '["a list"]'],
  ])("parseRepositoryConfig names path, rule and value of %j", (text, path, rule, value) => {
    const parsed = parseRepositoryConfig(text);
    expect(parsed.kind).toBe("invalid");
    if (parsed.kind === "invalid") {
      expect(parsed.problems[0]).toMatchObject({ path, value });
      expect(parsed.problems[0]?.rule).toContain(rule);
    }
  });

  test.each(["plan: [", "a: 1\na: 2", "\t- x", "a: *missing"])(
    "parseRepositoryConfig says that %j is not YAML",
    (text) => {
      const parsed = parseRepositoryConfig(text);
      expect(parsed.kind === "invalid" && parsed.problems[0]?.rule).toMatch(/YAML/);
    },
  );

  test("parseRepositoryConfig refuses a bomb of aliases and a file that is too long", () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [${"*a,".repeat(10)}]\nc: &c [${"*b,".repeat(10)}]\nd: [${"*c,".repeat(10)}]`;
    expect(parseRepositoryConfig(bomb).kind).toBe("invalid");
    expect(parseRepositoryConfig("x".repeat(100_001)).kind).toBe("invalid");
  });

  test("parseRepositoryConfig says what is wrong with a value that contains itself and with an empty key", () => {
    expect(parseRepositoryConfig("a: &a\n  <<: *a\nbase: *a\n")).toMatchObject({
      kind: "invalid",
      problems: expect.arrayContaining([expect.objectContaining({ path: "a", rule: "is not a known key" })]),
    });
    expect(parseRepositoryConfig(": 2\n")).toMatchObject({ kind: "invalid", problems: [{ path: '""', value: "2" }] });
  });
});
