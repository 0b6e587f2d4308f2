import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { FileChange } from "../../src/policy/change.ts";
import { changedExports } from "../../src/policy/exported-api.ts";

function changed(path: string, oldText: string | undefined, newText: string | undefined): FileChange {
  return { path, status: "modified", kind: "file", oldText, newText } as FileChange;
}

describe("changedExports", () => {
  test.each([
    [
      "a.ts",
      "export function f(a: number): void {}",
      "export function f(a: string): void {}",
      ["has another signature"],
    ],
    ["a.ts", "export function f(a) { return 1 }", "export function f(a) { return 2 }", []],
    [
      "a.ts",
      "export const a = 1;\nexport type B = string;",
      "export const a = 2;\n",
      ["`B` in `a.ts` is not exported"],
    ],
    ["a.js", "function f() {}", "", []],
    ["a.py", "def f(x):\n    pass\ndef _g(): pass\n", "def f(x, y):\n    pass\n", ["`f` in `a.py` has another"]],
    [
      "a.go",
      "func (l Ledger) Add(n int) error {\n}\nfunc low() {}\n",
      "func low(n int) {}\n",
      ["`Add` in `a.go` is not"],
    ],
    ["a.rs", "pub fn f(n: i64) -> i64 {\n", "pub fn f(n: i32) -> i64 {\n", ["`f` in `a.rs` has another"]],
    [
      "A.java",
      "  public int f(int a) {\n  private int g() {",
      "  public int f(long a) {\n",
      ["`f` in `A.java` has another"],
    ],
    ["a.txt", "export function f() {}", "", []],
    ["test/a.test.ts", "export function f() {}", "", []],
  ])("%s names what is gone or different: %#", (path, before, after, expected) => {
    const found = changedExports([changed(path, before, after)]);
    expect(found).toHaveLength(expected.length);
    for (const [index, part] of expected.entries()) expect(found[index]).toContain(part);
  });

  test("names nothing for what was added, and everything for a file that is gone", () => {
    expect(changedExports([changed("a.ts", undefined, "export const a = 1;")])).toEqual([]);
    expect(changedExports([changed("a.ts", "export const a = 1;", undefined)])).toHaveLength(1);
  });

  test("never throws, and finds nothing in a text that stays the same", () => {
    const path = fc.constantFrom("a.ts", "a.py", "a.go", "a.rs", "A.java", "a.cs");
    fc.assert(fc.property(path, fc.string(), (name, text) => changedExports([changed(name, text, text)]).length === 0));
  });
});
