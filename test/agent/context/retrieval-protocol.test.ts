import { expect, test } from "vitest";
import { plainBm25, plainDocument } from "../../../bench/retrieval/bm25.ts";
import { questionOf, saysFix } from "../../../bench/retrieval/cases.ts";
import { measure } from "../../../bench/retrieval.ts";

test.each([
  ["fix(css): rebase urls (fix #123)", true],
  ["Closes: #4", true],
  ["resolves owner/repo#5", true],
  ["Fixes https://github.com/owner/repo/issues/6", true],
  ["fixed issue GH-7", true],
  ["fix: rebase urls (#123)", false],
  ["prefixes #8", false],
])("saysFix %s: %s", (message, expected) => {
  expect(saysFix(message)).toBe(expected);
});

test("questionOf keeps what a person said, without numbers and trailers", () => {
  const message =
    "fix(css): rebase urls (fix #123) (#124)\n\nSee owner/repo#9.\n\nSigned-off-by: A <a@example.invalid>\nCo-authored-by: B <b@example.invalid>\n";
  expect(questionOf(message)).toBe("fix(css): rebase urls\n\nSee .");
});

test("measure takes recall as a share, and the rank of the first relevant file", () => {
  const ranked = ["a", "b", "c", "d", "e", "f"];
  expect(measure(ranked, ["b", "f"])).toEqual({ recall: [0, 0.5, 1], reciprocalRank: 0.5 });
  expect(measure(ranked, ["z"])).toEqual({ recall: [0, 0, 0], reciprocalRank: 0 });
});

test("plainBm25 counts path words three times and breaks ties by path", () => {
  const file = (path: string, text: string) => ({ path, document: plainDocument(Buffer.from(text)) });
  const files = [
    file("z.ts", "other"),
    file("b.ts", "parser one"),
    file("parser.ts", "nothing here"),
    file("a.ts", "other"),
  ];
  expect(plainBm25(files, "parser")).toEqual(["parser.ts", "b.ts", "a.ts", "z.ts"]);
});
