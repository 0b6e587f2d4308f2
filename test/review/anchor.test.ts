import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Anchor, anchorFinding, commentPlace, indexDiff, type Place } from "../../src/review/anchor.ts";
import { parseDiff } from "../../src/review/parse-diff.ts";
import { gitDiff, type Tree } from "./git-diff.ts";

const numbered = (count: number, word = "line") => Array.from({ length: count }, (_, at) => `${word} ${at + 1}`);
const text = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join("");

/** Anchors in what git prints between two trees. */
function anchoring(before: Tree, after: Tree): (place: Place) => Anchor {
  const index = indexDiff(parseDiff(gitDiff(before, after, ["-M"])).files);
  return (place) => anchorFinding(index, place);
}

describe("anchorFinding", () => {
  const old = numbered(60);
  const now = old.toSpliced(39, 1, "changed forty", "added").toSpliced(9, 1, "changed ten").toSpliced(19, 2);
  const anchor = anchoring(
    {
      "a.txt": text(old),
      "old.txt": text(numbered(40, "moved")),
      "crlf.txt": "one\r\ntwo\r\n",
      "end.txt": "one\ntwo",
      "gone.txt": "gone\n",
      "b.bin": Buffer.from([0]),
      link: { content: "a.txt", mode: "120000" },
    },
    {
      "a.txt": text(now),
      "new.txt": text(numbered(40, "moved").with(4, "moved and changed")),
      "crlf.txt": "one\r\n2\r\n",
      "end.txt": "one\n2",
      "b.bin": Buffer.from([0, 1]),
      link: "a file now\n",
      "added.txt": text(numbered(2_000, "new")),
    },
  );

  it.each<[string, Place, Partial<Anchor & { startLine: number }>]>([
    ["an added line", { path: "a.txt", line: 10, quote: "changed ten" }, { startLine: 10, line: 10, moved: false }],
    ["a context line", { path: "a.txt", line: 8, quote: "line 8" }, { startLine: 8, line: 8, moved: false }],
    ["an added line without a quote", { path: "a.txt", line: 10 }, { startLine: 10, line: 10, moved: false }],
    ["a range", { path: "a.txt", line: 9, endLine: 11, quote: "changed ten" }, { startLine: 9, line: 11, cut: false }],
    [
      "a range that leaves its hunk, cut",
      { path: "a.txt", line: 12, endLine: 15, quote: "line 12" },
      { startLine: 12, line: 13, cut: true },
    ],
    [
      "a range that ends before it begins, as one line",
      { path: "a.txt", line: 12, endLine: 3 },
      { startLine: 12, line: 12, cut: false },
    ],
    [
      "the nearest line with the quote, when the line has another",
      { path: "a.txt", line: 7, quote: "changed ten" },
      { startLine: 10, moved: true },
    ],
    [
      "the nearest line with the quote, when the line is between hunks",
      { path: "a.txt", line: 15, quote: "changed  ten" },
      { startLine: 10, moved: true },
    ],
    [
      "a moved range",
      { path: "a.txt", line: 7, endLine: 8, quote: "changed ten\nline 11" },
      { startLine: 10, line: 11, moved: true },
    ],
    ["a quote with a diff's signs", { path: "a.txt", line: 39, quote: "+added" }, { startLine: 39, moved: false }],
    [
      "several quoted lines, the first and the last in part",
      { path: "a.txt", line: 38, quote: "forty\n  added\nline 41" },
      { startLine: 38 },
    ],
    [
      "a renamed file by its new path",
      { path: "new.txt", line: 5, quote: "moved and changed" },
      { path: "new.txt", startLine: 5 },
    ],
    [
      "a renamed file by its old path",
      { path: "old.txt", line: 5, quote: "moved and changed" },
      { path: "new.txt", startLine: 5 },
    ],
    [
      "a path with the diff's prefix",
      { path: "b/a.txt", line: 10, quote: "changed ten" },
      { path: "a.txt", startLine: 10 },
    ],
    ["a file with carriage returns", { path: "crlf.txt", line: 2, quote: "2" }, { startLine: 2, text: ["2"] }],
    ["a file that was a symbolic link", { path: "link", line: 1, quote: "file now" }, { startLine: 1 }],
    ["a last line without newline", { path: "end.txt", line: 2, quote: "2" }, { startLine: 2, text: ["2"] }],
    [
      "an old line's number, when the new side has the quote",
      { path: "a.txt", line: 10, side: "LEFT", quote: "changed ten" },
      { startLine: 10, moved: true },
    ],
  ])("finds the place of %s", (_, place, expected) => {
    expect(anchor(place)).toMatchObject({ kind: "anchored", ...expected });
  });

  it.each<[string, Place, string]>([
    ["a file that is not in the diff", { path: "other.txt", line: 1, quote: "line 1" }, "not-in-diff"],
    ["a deleted file", { path: "gone.txt", line: 1, quote: "gone" }, "no-lines"],
    ["a binary file", { path: "b.bin", line: 1 }, "no-lines"],
    ["a line between hunks without a quote", { path: "a.txt", line: 15 }, "not-in-diff"],
    [
      "a line between hunks whose quote is not in the diff",
      { path: "a.txt", line: 15, quote: "line 15" },
      "not-in-diff",
    ],
    [
      "a line of a hunk with a quote that no line has",
      { path: "a.txt", line: 10, quote: "something else" },
      "quote-not-found",
    ],
    ["a quote that only a farther hunk has", { path: "a.txt", line: 10, quote: "changed forty" }, "quote-not-found"],
    ["a quote of too few characters to be looked for", { path: "added.txt", line: 10, quote: "5" }, "quote-not-found"],
    ["a removed line", { path: "a.txt", line: 20, side: "LEFT", quote: "line 20" }, "removed-line"],
    ["an old line outside of all hunks", { path: "a.txt", line: 30, side: "LEFT" }, "removed-line"],
    ["a quote that stands very far away", { path: "added.txt", line: 10, quote: "new 1999" }, "quote-not-found"],
  ])("leaves %s unanchored", (_, place, reason) => {
    expect(anchor(place)).toEqual({ kind: "unanchored", reason });
  });

  it("follows a hunk that was moved within its file", () => {
    const block = numbered(6, "block");
    const rest = numbered(40);
    const moved = anchoring(
      { f: text([...block, ...rest]) },
      { f: text([...rest.slice(0, 30), ...block, ...rest.slice(30)]) },
    );
    expect(moved({ path: "f", line: 33, quote: "block 3" })).toMatchObject({ startLine: 33, moved: false });
    expect(moved({ path: "f", line: 3, quote: "block 3" })).toEqual({ kind: "unanchored", reason: "quote-not-found" });
  });

  it("anchors nothing but lines of the new file, whatever was edited", () => {
    const line = fc.constantFrom(
      "a",
      "b",
      "",
      "  c",
      "d\r",
      "--- e",
      "+++ f",
      "@@ -1 +1 @@",
      "\\ No newline at end of file",
      "ü",
    );
    const body = fc.array(line, { maxLength: 30 });
    const edit = fc.record({ at: fc.nat(30), remove: fc.nat(4), insert: fc.array(line, { maxLength: 4 }) });
    const file = fc.record({
      body,
      edits: fc.array(edit, { minLength: 1, maxLength: 3 }),
      ends: fc.tuple(fc.boolean(), fc.boolean()),
    });
    const join = (lines: readonly string[], ended: boolean) =>
      lines.join("\n") + (ended && lines.length > 0 ? "\n" : "");
    const [before, after]: [Record<string, string>, Record<string, string>] = [{}, {}];
    for (const [at, { body, edits, ends }] of fc.sample(file, { numRuns: 300, seed: 8 }).entries()) {
      before[`${at}.txt`] = join(body, ends[0]);
      const edited = edits.reduce((lines, { at, remove, insert }) => lines.toSpliced(at, remove, ...insert), body);
      after[`${at}.txt`] = join(edited, ends[1]);
    }
    const index = indexDiff(parseDiff(gitDiff(before, after, ["--no-renames"])).files);
    let [anchoredLines, changed] = [0, 0];
    for (const [path, content] of Object.entries(after)) {
      const lines = content.split("\n");
      if (content !== before[path]) changed += 1;
      for (let number = 1; number <= 40; number += 1) {
        const place = anchorFinding(index, { path, line: number, endLine: number + 1 });
        if (place.kind !== "anchored") continue;
        anchoredLines += 1;
        expect(place.startLine).toBe(number);
        expect(place.text).toEqual(lines.slice(place.startLine - 1, place.line).map((one) => one.replace(/\r$/, "")));
      }
      // Every line that was added can be commented on.
      for (const { lines: ofHunk } of index.file(path)?.hunks ?? [])
        for (const { kind, newLine, text: added } of ofHunk)
          if (kind === "added") {
            expect(lines[newLine! - 1]).toBe(added);
            expect(anchorFinding(index, { path, line: newLine!, quote: added })).toMatchObject({
              startLine: newLine,
              moved: false,
            });
          }
    }
    expect(changed).toBeGreaterThan(200);
    expect(anchoredLines).toBeGreaterThan(1_000);
  });
});

describe("commentPlace", () => {
  const anchored = { kind: "anchored" as const, path: "a", moved: false, cut: false, text: [] };

  it("gives GitHub one line, or first and last line of a range", () => {
    expect(commentPlace({ ...anchored, startLine: 3, line: 3 })).toEqual({ path: "a", line: 3, side: "RIGHT" });
    expect(commentPlace({ ...anchored, startLine: 3, line: 5 })).toEqual({
      path: "a",
      line: 5,
      side: "RIGHT",
      start_line: 3,
      start_side: "RIGHT",
    });
  });
});
