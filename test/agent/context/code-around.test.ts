import { describe, expect, test } from "vitest";
import { calledNames, definedName, excerptsOf, spanAround } from "../../../src/agent/context/code-around.ts";
import { processorMs } from "../../support/processor-time.ts";

const script = `import x from "y";

export class Foo {
  bar(a) {
    const b = a + 1;
    if (b > 2) {
      return baz(b);
    }
    return b;
  }

  other() {}
}

export const arrow = (q) => {
  return q;
};`.split("\n");
const python = ["def foo(self):", "    x = 1", "", "    return x", "", "z = foo(1)"];

describe("spanAround", () => {
  test.each([
    ["a line in a block of a method", script, 7, 4, 10],
    ["the method's own first line", script, 4, 4, 10],
    ["an arrow function", script, 16, 15, 17],
    ["a function that ends where its indentation does", python, 2, 1, 4],
    ["a line outside of any function, with a few around it", python, 6, 3, 6],
  ])("spanAround finds %s", (_what, lines, line, from, to) => {
    expect(spanAround(lines, { from: line, to: line })).toEqual({ from, to });
  });

  test("spanAround shows at most sixty lines to either side, and nothing outside of the file", () => {
    const long = ["function long() {", ...Array.from({ length: 500 }, (_, at) => `  step(${at});`), "}"];
    expect(spanAround(long, { from: 20, to: 20 })).toEqual({ from: 1, to: 80 });
    expect(spanAround(long, { from: 300, to: 300 })).toEqual({ from: 297, to: 303 });
    expect(spanAround([], { from: 1, to: 1 })).toEqual({ from: 1, to: 1 });
  });
});

describe("definedName and calledNames", () => {
  test.each([
    ["export async function load(path) {", "load"],
    ["  private static int count(String text) {", "count"],
    ["func (s *Server) Start(ctx context.Context) error {", "Start"],
    ["const parse = async (text) => {", "parse"],
    ["    if (ready) {", undefined],
    ["  return call(one);", undefined],
  ])("definedName of %j is %j", (line, name) => {
    expect(definedName(line)).toBe(name);
  });

  test("calledNames leaves out what is no call", () => {
    expect(calledNames("if (open(path) && while(true)) new Reader(read)")).toEqual(["open", "Reader"]);
  });

  test("definedName and calledNames take a long line in linear time", () => {
    const lines = ["a".repeat(100_000), "a ".repeat(50_000), "(".repeat(100_000), "x = (".repeat(20_000)];
    const started = processorMs();
    for (const line of lines) for (let round = 0; round < 20; round += 1) [definedName(line), calledNames(line)];
    expect(processorMs() - started).toBeLessThan(2_000);
  });
});

test("excerptsOf shows who calls what a change defines, and what it calls", () => {
  const text = "import { parse } from './parse.js';\n\nexport function run(text) {\n  return parse(text);\n}\n";
  expect(excerptsOf("run.js", text, { defined: new Set(["parse"]), called: new Set() }, 5)).toEqual([
    { path: "run.js", why: "calls parse", span: { from: 1, to: 6 } },
  ]);
  expect(excerptsOf("run.js", text, { defined: new Set(), called: new Set(["run"]) }, 5)).toEqual([
    { path: "run.js", why: "defines run", span: { from: 3, to: 5 } },
  ]);
  expect(excerptsOf("run.js", text, { defined: new Set(["run"]), called: new Set() }, 5)).toEqual([]);
});
