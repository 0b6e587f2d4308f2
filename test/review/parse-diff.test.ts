import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type DiffFile, parseDiff } from "../../src/review/parse-diff.ts";
import { processorMs } from "../support/processor-time.ts";
import { gitDiff, type Tree } from "./git-diff.ts";

const manyOf = (word: string) => Array.from({ length: 30 }, (_, at) => `${word} ${at + 1}\n`).join("");
const many = manyOf("line");

describe("parseDiff", () => {
  const before: Tree = {
    "changed.txt": many,
    "deleted.txt": "gone\n",
    "old name.txt": `${manyOf("renamed")}renamed\n`,
    "moved/only.txt": `${manyOf("moved")}moved\n`,
    "copied.txt": `${manyOf("copied")}copied\n`,
    "mode.sh": "echo\n",
    "binary.bin": Buffer.from([0, 1, 2]),
    "removed.bin": Buffer.from([0, 9]),
    "signs.sql": "-- a comment\n++ more\nkept\n@@ -1 +1 @@\ndiff --git a/x b/x\n",
    "crlf.txt": "one\r\ntwo\r\n",
    "end.txt": "one\ntwo",
    'quo"te.txt': "a\n",
    "größe/日本.txt": "a\n",
    "tab\there.txt": "a\n",
    "x b/x.bin": Buffer.from([0]),
    type: { content: "target", mode: "120000" },
    module: { content: "a", mode: "100644" },
  };
  const after: Tree = {
    ...Object.fromEntries(Object.entries(before).filter(([path]) => !/^(?:deleted|removed|old|moved)/.test(path))),
    "changed.txt": many.replace("line 3\n", "line three\n").replace("line 25\n", "").concat("line 31\n"),
    "new name.txt": `${manyOf("renamed")}renamed!\n`,
    "moved/there.txt": `${manyOf("moved")}moved\n`,
    "copy.txt": `${manyOf("copied")}copied!\n`,
    "copied.txt": `${manyOf("copied")}copied, changed\n`,
    "mode.sh": { content: "echo\n", mode: "100755" },
    "binary.bin": Buffer.from([0, 1, 3]),
    "added.txt": "new\nfile\n",
    "empty.txt": "",
    "signs.sql": "--- a comment\n+++ more\nkept\n@@ -1,9 +1,9 @@\ndiff --git a/y b/y\n",
    "crlf.txt": "one\r\n2\r\n",
    "end.txt": "one\ntwo\nthree",
    'quo"te.txt': "b\n",
    "größe/日本.txt": "b\n",
    "tab\there.txt": "b\n",
    "x b/x.bin": Buffer.from([0, 1]),
    type: "now a file\n",
  };
  const { files, refused } = parseDiff(gitDiff(before, after));
  const file = (path: string): DiffFile => {
    const found = files.filter((one) => one.path === path);
    if (found.length !== 1) throw new Error(`${found.length} files are called ${path}`);
    return found[0]!;
  };
  const shown = (path: string) =>
    file(path).hunks.map(({ lines }) => lines.map(({ kind, text }) => `${kind[0]} ${text}`));

  it("reads every file of a real diff, each once", () => {
    expect(refused).toEqual([]);
    const unchanged = ["module"];
    const changed = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
      (path) => !unchanged.includes(path) && !["old name.txt", "moved/only.txt"].includes(path),
    );
    expect(files.map(({ path }) => path).sort()).toEqual([...changed, "type"].sort());
  });

  it("reads how a file was changed", () => {
    expect(file("deleted.txt")).toMatchObject({ status: "deleted", oldMode: "100644", binary: false });
    expect(file("new name.txt")).toMatchObject({ status: "renamed", previousPath: "old name.txt" });
    expect(file("moved/there.txt")).toMatchObject({ status: "renamed", previousPath: "moved/only.txt", hunks: [] });
    expect(file("copy.txt")).toMatchObject({ status: "copied", previousPath: "copied.txt" });
    expect(file("mode.sh")).toMatchObject({ status: "modified", oldMode: "100644", newMode: "100755", hunks: [] });
    expect(file("binary.bin")).toMatchObject({ status: "modified", binary: true, hunks: [] });
    expect(file("removed.bin")).toMatchObject({ status: "deleted", binary: true });
    expect(file("added.txt")).toMatchObject({ status: "added", newMode: "100644" });
    expect(file("empty.txt")).toMatchObject({ status: "added", hunks: [] });
    expect(file("x b/x.bin")).toMatchObject({ status: "modified", binary: true });
    expect(files.filter(({ path }) => path === "type").map(({ status }) => status)).toEqual(["deleted", "added"]);
  });

  it("numbers the lines of both sides", () => {
    const lines = file("changed.txt").hunks.flatMap((hunk) => hunk.lines);
    expect(lines.find(({ text }) => text === "line three")).toEqual({ kind: "added", newLine: 3, text: "line three" });
    expect(lines.find(({ text }) => text === "line 3")).toEqual({ kind: "removed", oldLine: 3, text: "line 3" });
    expect(lines.find(({ text }) => text === "line 26")).toEqual({
      kind: "context",
      oldLine: 26,
      newLine: 25,
      text: "line 26",
    });
    expect(
      file("changed.txt").hunks.map(({ oldStart, oldLines, newStart, newLines }) => [
        oldStart,
        oldLines,
        newStart,
        newLines,
      ]),
    ).toEqual([
      [1, 6, 1, 6],
      [22, 9, 22, 9],
    ]);
    expect(file("changed.txt").hunks[1]!.section).toBe("line 21");
  });

  it("takes no line of a file for a header", () => {
    expect(shown("signs.sql")).toEqual([
      [
        ...["r -- a comment", "r ++ more", "a --- a comment", "a +++ more", "c kept"],
        ...["r @@ -1 +1 @@", "r diff --git a/x b/x", "a @@ -1,9 +1,9 @@", "a diff --git a/y b/y"],
      ],
    ]);
  });

  it("keeps carriage returns and says where no newline ends the file", () => {
    expect(shown("crlf.txt")).toEqual([["c one\r", "r two\r", "a 2\r"]]);
    expect(file("end.txt").hunks[0]!.lines.map(({ text, withoutNewline }) => [text, withoutNewline ?? false])).toEqual([
      ["one", false],
      ["two", true],
      ["two", false],
      ["three", true],
    ]);
  });

  it("reads a submodule's commit as a line", () => {
    const diff = `diff --git a/m b/m\nindex ${"1".repeat(7)}..${"2".repeat(7)} 160000\n--- a/m\n+++ b/m\n@@ -1 +1 @@\n-Subproject commit 1\n+Subproject commit 2\n`;
    expect(parseDiff(diff).files[0]).toMatchObject({
      path: "m",
      oldMode: "160000",
      newMode: "160000",
      status: "modified",
    });
  });

  it("refuses the combined diff of a merge by name", () => {
    const diff =
      'diff --cc "a b\\303\\244"\nindex 1,2..3\n--- a/x\n+++ b/x\n@@@ -1,2 -1,2 +1,3 @@@\n++x\n@@ -1 +1 @@\n-a\n+b\ndiff --git a/y b/y\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n';
    const parsed = parseDiff(diff);
    expect(parsed.refused).toEqual(["a bä"]);
    expect(parsed.files.map(({ path, hunks }) => [path, hunks.length])).toEqual([["y", 1]]);
  });

  it("reads a binary patch without taking its data for lines", () => {
    const diff = gitDiff({ a: Buffer.from([0, 1]) }, { a: Buffer.from([0, 2]) }, ["--binary"]);
    expect(diff).toContain("GIT binary patch");
    expect(parseDiff(diff).files).toMatchObject([{ path: "a", binary: true, hunks: [] }]);
  });

  it.each([
    ["cut in a hunk", "@@ -1,9 +1,9 @@\n a\n-b\n+c", ["c a", "r b", "a c"], [2, 2]],
    ["cut at the end of a line", "@@ -1,9 +1,9 @@\n a\n", ["c a"], [1, 1]],
    [
      "whose counts are too small, with what looks like a header behind",
      "@@ -1 +1 @@\n-a\n+b\n--- a/g\n+++ b/g\n",
      ["r a", "a b"],
      [1, 1],
    ],
    ["whose counts are too small", "@@ -1 +1 @@\n-a\n+b\n+c\n d\n", ["r a", "a b"], [1, 1]],
    ["whose counts are too large, with a file behind", "@@ -1,5 +1,5 @@\n a\ndiff --git a/g b/g\n", ["c a"], [1, 1]],
    [
      "whose empty context lines lost their space",
      "@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n",
      ["c a", "c ", "r b", "a c"],
      [3, 3],
    ],
  ])("reads what is there of a diff %s", (_, hunk, lines, counts) => {
    const [first] = parseDiff(`diff --git a/f b/f\n--- a/f\n+++ b/f\n${hunk}`).files;
    expect(first!.path).toBe("f");
    expect(first!.hunks[0]!.lines.map(({ kind, text }) => `${kind[0]} ${text}`)).toEqual(lines);
    expect([first!.hunks[0]!.oldLines, first!.hunks[0]!.newLines]).toEqual(counts);
  });

  it("throws for no text, and numbers lines one after another", () => {
    const piece = fc.constantFrom(
      ...[
        "diff --git a/x b/x\n",
        "diff --git ",
        '"a/\\303',
        "--- a/x\n",
        "+++ b/x\n",
        "@@ -1,3 +1,2 @@",
        "@@ -0,0 +1 @@ f\n",
      ],
      ...[
        "\n",
        "+",
        "-",
        " ",
        "\\ No newline at end of file\n",
        "rename from a\n",
        "Binary files a and b differ\n",
        "\r",
        "\0",
      ],
    );
    fc.assert(
      fc.property(
        fc.array(fc.oneof(piece, fc.string({ unit: "binary-ascii", maxLength: 8 })), { maxLength: 40 }),
        (parts) => {
          for (const { path, hunks } of parseDiff(parts.join("")).files) {
            expect(path).not.toBe("");
            for (const { newStart, oldStart, newLines, oldLines, lines } of hunks) {
              const numbers = (side: "newLine" | "oldLine") => lines.flatMap((line) => line[side] ?? []);
              expect(numbers("newLine")).toEqual(Array.from({ length: newLines }, (__, at) => newStart + at));
              expect(numbers("oldLine")).toEqual(Array.from({ length: oldLines }, (__, at) => oldStart + at));
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it("is linear for long lines, long headers and many files", () => {
    const texts = [
      `diff --git ${"a b/".repeat(100_000)}\n`,
      `diff --git "${'\\"'.repeat(100_000)}\n`,
      `${"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n".repeat(20_000)}`,
      `diff --git a/x b/x\n@@ -1,9 +1,9 @@\n+${"x".repeat(2_000_000)}\n`,
    ];
    const started = processorMs();
    for (const text of texts) parseDiff(text);
    expect(processorMs() - started).toBeLessThan(2_000);
  });
});
