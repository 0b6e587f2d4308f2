import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkSyntax, newSyntaxErrors } from "../../src/checks/syntax.ts";
import { processorMs } from "../support/processor-time.ts";

describe("checkSyntax", () => {
  // path, a text that parses, one that does not, the line of the error
  const cases: [string, string, string, number][] = [
    ["a.js", "const a = 1;\n", "const a = ;\n", 1],
    ["a.ts", "let a: number = 1;\n", "let a: number = 1;\nfunction f( {\n", 2],
    ["a.tsx", "const a = <b>x</b>;\n", "const a = <b>x</c;\n", 1],
    ["a.py", "def f():\n    return 1\n", "x = 1\ndef f(:\n    return 1\n", 2],
    ["a.go", "package a\nfunc f() {}\n", "package a\nfunc f() {\n", 2],
    ["A.java", "class A { int a; }\n", "class A { int a }\n", 1],
    ["a.rs", "fn f() {}\n", "fn f( {}\n", 1],
    ["a.rb", "def f\n  1\nend\n", "def f\n  1 +\n", 1],
    ["a.cs", "class A { int a; }\n", "class A { int a\n", 1],
    ["a.php", "<?php echo 1;\n", "<?php echo 1 +;\n", 1],
    ["a.cpp", "int f() { return 1; }\n", "int f() { return 1;\n", 1],
    ["a.sh", "if true; then echo a; fi\n", "if true; then echo a\n", 1],
    ["a.css", "a { color: red; }\n", "a { color: red;\n", 1],
    ["a.json", '{"a": [1, 2]}', '{\n"a": [1,, 2]}', 2],
    ["tsconfig.json", '{ // comment\n\t"a": [1, /* two */ 2,],\n}', '{\n"a": [1}', 2],
    ["a.yml", "a:\n  - b\n", "a: [b\nc: d\n", 2],
    ["a.toml", "a = 1\n", "a = 1\nb = = 2\n", 2],
    ["a.xml", "<a><b/></a>", "<a>\n<b></a>", 2],
  ];
  it.each(cases)("checkSyntax judges %s", async (path, good, bad, line) => {
    expect(await checkSyntax(path, good)).toEqual({ ok: true });
    const result = await checkSyntax(path, bad);
    expect(result.ok).toBe(false);
    if (result.ok !== false) return;
    expect(result.errors.length).toBeGreaterThan(0);
    expect(result.errors[0]!.line).toBeGreaterThanOrEqual(line === 1 ? 1 : line - 1);
    expect(result.errors[0]!.column).toBeGreaterThanOrEqual(1);
    expect(result.errors[0]!.message).not.toBe("");
  });

  it("checkSyntax does not know other languages and very large files", async () => {
    expect(await checkSyntax("a.unknown", "((((")).toEqual({ ok: "unknown" });
    expect(await checkSyntax("Makefile", "((((")).toEqual({ ok: "unknown" });
    expect(await checkSyntax("a.js", "a;".repeat(600_000))).toEqual({ ok: "unknown" });
  });

  it("checkSyntax ends in time and with at most 20 errors on hostile files", async () => {
    for (const [path, unit] of [
      ["a.js", "("],
      ["a.ts", "<"],
      ["a.py", "def "],
      ["a.cpp", "a<"],
      ["a.json", "["],
      ["a.xml", "<a>"],
      ["tsconfig.json", "/*"],
    ] as const) {
      const started = processorMs();
      const result = await checkSyntax(path, unit.repeat(20_000));
      expect(processorMs() - started, path).toBeLessThan(6000);
      if (result.ok === false) expect(result.errors.length).toBeLessThanOrEqual(20);
    }
  }, 60_000);

  it("checkSyntax never throws", async () => {
    const paths = fc.constantFrom("a.js", "a.py", "a.json", "tsconfig.json", "a.yml", "a.toml", "a.xml", "a.sh");
    await fc.assert(
      fc.asyncProperty(paths, fc.string(), async (path, text) => void (await checkSyntax(path, text))),
      { numRuns: 200 },
    );
  });
});

describe("newSyntaxErrors", () => {
  it("newSyntaxErrors blames a change for what it broke, not for what was broken before", async () => {
    const good = await checkSyntax("a.js", "const a = 1;\n");
    const bad = await checkSyntax("a.js", "const a = ;\n");
    const moved = await checkSyntax("a.js", "// moved\nconst a = ;\n");
    const worse = await checkSyntax("a.js", "const a = ;\nfunction f( {\n");
    expect(newSyntaxErrors(good, good)).toEqual([]);
    expect(newSyntaxErrors(good, bad)).toHaveLength(1);
    expect(newSyntaxErrors(undefined, bad)).toHaveLength(1);
    expect(newSyntaxErrors(bad, moved)).toEqual([]);
    expect(newSyntaxErrors(bad, worse).length).toBeGreaterThan(0);
    expect(newSyntaxErrors(bad, { ok: "unknown" })).toEqual([]);
  });
});
