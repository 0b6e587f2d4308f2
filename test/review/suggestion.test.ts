import { fromMarkdown } from "mdast-util-from-markdown";
import { describe, expect, it } from "vitest";
import { checkSyntax, newSyntaxErrors } from "../../src/checks/syntax.ts";
import { type Anchored, anchorFinding, indexDiff, type Place } from "../../src/review/anchor.ts";
import { parseDiff } from "../../src/review/parse-diff.ts";
import { checkSuggestion, type SuggestionProblem, suggestionBlock } from "../../src/review/suggestion.ts";
import { gitDiff } from "./git-diff.ts";

/** Real parsers of formats that need no grammar. */
const newErrors = async (path: string, before: string, after: string) =>
  newSyntaxErrors(await checkSyntax(path, before), await checkSyntax(path, after));

interface Case {
  name: string;
  file: [extension: string, before: string, after: string];
  place: Omit<Place, "path">;
  replacement: string;
}

const [jsonBefore, jsonAfter] = ['{\n  "a": 1,\n  "b": 2\n}\n', '{\n  "a": 1,\n  "b": 3\n}\n'];
const one = (
  name: string,
  [before, after]: [string, string],
  replacement: string,
  place: Omit<Place, "path"> = { line: 1 },
): Case => ({
  name,
  file: [before === jsonBefore ? "json" : "txt", before, after],
  place,
  replacement,
});

const json: [string, string] = [jsonBefore, jsonAfter];
const applying: [Case, expected: string][] = [
  [one("one line", json, '  "b": 4', { line: 3 }), '{\n  "a": 1,\n  "b": 4\n}\n'],
  [one("one line with a newline at its end", json, '  "b": 4\n', { line: 3 }), '{\n  "a": 1,\n  "b": 4\n}\n'],
  [
    one("a range by more lines", json, '  "b": 4,\n  "c": 5,\n  "d": 6', { line: 2, endLine: 3 }),
    '{\n  "b": 4,\n  "c": 5,\n  "d": 6\n}\n',
  ],
  [one("a line by an empty one", ["a\n", "b\n"], "\n"), "\n"],
  [one("a line by nothing", ["a\nb\n", "a\nc\n"], "", { line: 2 }), "a\n"],
  [
    one("a line with a carriage return, which stays", ["a\r\nb\r\n", "a\r\nc\r\n"], "d\ne", { line: 2 }),
    "a\r\nd\r\ne\r\n",
  ],
  [one("carriage returns that the model wrote, in a file without", ["a\n", "b\n"], "c\r\nd\r\n"), "c\nd\n"],
  [one("a last line without newline, which stays without", ["a\nb", "a\nc"], "d\n", { line: 2 }), "a\nd"],
  [
    one("such a line by two, in a file with carriage returns", ["a\r\nb", "a\r\nc"], "d\ne", { line: 2 }),
    "a\r\nd\r\ne",
  ],
  [one("the last line by nothing", ["a\r\nb", "a\r\nc"], "", { line: 2 }), "a"],
  [one("a hidden character by none", ["a\n", "b\u200b\n"], "b"), "b\n"],
  [one("a line whose hidden character stays", ["a\n", "b\u200b\n"], "c\u200b"), "c\u200b\n"],
  [
    {
      name: "a line of a file that does not parse, neither before nor after",
      file: ["toml", "a = 1\nb = \n", "a = 2\nb = \n"],
      place: { line: 1 },
      replacement: "a = 3",
    },
    "a = 3\nb = \n",
  ],
];

const rejected: [Case, reason: SuggestionProblem][] = [
  [one("the same lines", json, '  "b": 3\n', { line: 3 }), "changes-nothing"],
  [one("the same lines with other line ends", ["a\r\n", "b\r\n"], "b\n"), "changes-nothing"],
  [one("what does not parse", json, '  "b": ', { line: 3 }), "does-not-parse"],
  [
    one("a range that leaves the diff", ["a\n".repeat(9), `b\n${"a\n".repeat(8)}`], "c", { line: 3, endLine: 8 }),
    "range-outside-diff",
  ],
  [one("a character that turns the direction", ["a\n", "b\n"], "c\u202e"), "hidden-characters"],
  [one("a control character", ["a\n", "b\n"], "c\u001b"), "hidden-characters"],
];

describe("checkSuggestion", () => {
  const cases = [...applying, ...rejected].map(([one]) => one);
  const pathOf = (one: Case) => `${cases.indexOf(one)}.${one.file[0]}`;
  const tree = (side: 1 | 2) => Object.fromEntries(cases.map((one) => [pathOf(one), one.file[side]]));
  const index = indexDiff(parseDiff(gitDiff(tree(1), tree(2), ["--no-renames"])).files);
  const anchorOf = (one: Case): Anchored => {
    const anchor = anchorFinding(index, { path: pathOf(one), ...one.place });
    if (anchor.kind !== "anchored") throw new Error(`unanchored: ${anchor.reason}`);
    return anchor;
  };
  const check = (one: Case, text = one.file[2]) =>
    checkSuggestion({ anchor: anchorOf(one), text, replacement: one.replacement, newErrors });

  it.each(applying.map(([one, expected]) => ({ ...one, one, expected })))(
    "replaces $name",
    async ({ one, expected }) => {
      expect(await check(one)).toMatchObject({ kind: "applies", text: expected });
    },
  );

  it.each(rejected.map(([one, reason]) => ({ ...one, one, reason })))(
    "offers nothing for $name",
    async ({ one, reason }) => {
      expect(await check(one)).toEqual({ kind: "rejected", reason });
    },
  );

  it("offers nothing when the file has other lines than the diff says", async () => {
    const [one] = applying.find(([{ name }]) => name === "a line by nothing")!;
    for (const text of ["a\nd\n", "a", "c\na\n", ""])
      expect(await check(one, text)).toEqual({ kind: "rejected", reason: "quote-not-found" });
  });
});

describe("suggestionBlock", () => {
  const blockOf = (lines: string[]) => {
    const [node, ...rest] = fromMarkdown(suggestionBlock({ lines, eol: "\n" })).children;
    expect(rest).toEqual([]);
    if (node?.type !== "code") throw new Error("The block is no code");
    return node;
  };

  it.each([
    ["one line", ["  a"]],
    ["lines with fences", ["```js", "a", "```", "~~~", "`````"]],
    ["indented lines and empty ones", ["    a", "", "\tb", ""]],
    ["a comment that looks like a marker", ["<!-- millwright:finding x -->"]],
  ])("holds %s as they are", (_, lines) => {
    expect(blockOf(lines)).toMatchObject({ lang: "suggestion", value: lines.join("\n") });
  });

  it("is empty where the lines are deleted", () => {
    expect(suggestionBlock({ lines: [], eol: "\n" })).toBe("```suggestion\n```");
    expect(suggestionBlock({ lines: [""], eol: "\n" })).toBe("```suggestion\n\n```");
  });

  it("keeps carriage returns", () => {
    expect(suggestionBlock({ lines: ["a", "b"], eol: "\r\n" })).toBe("```suggestion\r\na\r\nb\r\n```");
  });
});
