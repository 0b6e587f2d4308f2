import { describe, expect, it } from "vitest";
import type { FileChange } from "../../src/policy/change.ts";
import { changedLines, findSize } from "../../src/policy/size.ts";

const file = (path: string, oldText: string | undefined, newText: string | undefined): FileChange => ({
  path,
  status: "modified",
  kind: "file",
  oldText,
  newText,
  sizeBytes: 1,
});

describe("changedLines", () => {
  it.each([
    ["an added line", "a\nb\n", "a\nx\nb\n", 1],
    ["a changed line", "a\nb\n", "a\nc\n", 2],
    ["a new file", undefined, "a\nb\n", 2],
    ["a deleted file", "a\nb", undefined, 2],
    ["moved lines", "a\nb\n", "b\na\n", 0],
    ["the same line once more", "a\n", "a\na\n", 1],
    ["nothing", "a\n", "a\n", 0],
  ])("counts %s", (_, before, after, lines) => {
    expect(changedLines(file("a.ts", before, after))).toBe(lines);
  });

  it("does not count lockfiles", () => {
    expect(changedLines(file("app/package-lock.json", "", "a\n".repeat(9_000)))).toBe(0);
  });
});

describe("findSize", () => {
  it("speaks only above the limits", () => {
    const files = [file("a", "", "1\n2\n"), file("b", "", "3\n")];
    expect(findSize(files, { maxFiles: 2, maxLines: 3 })).toEqual([]);
    expect(findSize(files, { maxFiles: 1, maxLines: 2 }).map(({ rule }) => rule)).toEqual(["size-files", "size-lines"]);
  });
});
