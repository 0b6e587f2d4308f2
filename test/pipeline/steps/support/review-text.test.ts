import { expect, test } from "vitest";
import { hunksSince, namesOf, showFile, showRelated } from "../../../../src/pipeline/steps/support/review-text.ts";
import { parseDiff } from "../../../../src/review/parse-diff.ts";
import { gitDiff } from "../../../review/git-diff.ts";

const before = `export function one(list) {
  const all = [];
  for (const item of list) {
    all.push(item);
  }
  return all;
}

export function two() {
  return 2;
}
`;

function diffOf(now: string) {
  const [file] = parseDiff(gitDiff({ "a.js": before }, { "a.js": now })).files;
  return file!;
}

test("showFile shows a change inside of its whole function, with numbers of the new file", () => {
  const now = before.replace("all.push(item);", "all.push(item.name);\n    count(item);");
  const file = diffOf(now);
  const shown = showFile(file, file.hunks, now);
  expect(shown.parts).toEqual([
    {
      from: 1,
      to: 8,
      lines: [
        "    1   export function one(list) {",
        "    2     const all = [];",
        "    3     for (const item of list) {",
        "      -     all.push(item);",
        "    4 +     all.push(item.name);",
        "    5 +     count(item);",
        "    6     }",
        "    7     return all;",
        "    8   }",
      ],
    },
  ]);
});

test("showFile marks what lies outside of the diff, and joins hunks of one function", () => {
  const body = Array.from({ length: 30 }, (_, at) => `  step(${at});`);
  const text = (lines: string[]) => ["function long() {", ...lines, "}", ""].join("\n");
  const now = text(body.map((line, at) => (at === 3 || at === 27 ? `${line} // now` : line)));
  const [file] = parseDiff(gitDiff({ "a.js": text(body) }, { "a.js": now })).files;
  const { parts } = showFile(file!, file!.hunks, now);
  expect(parts).toHaveLength(1);
  expect(parts[0]?.lines.filter((line) => line.slice(6, 7) === "~")).toHaveLength(18);
  expect(parts[0]?.lines.filter((line) => line.slice(6, 7) === "+")).toHaveLength(2);
  // Every line of the file once, each with its number.
  expect(parts[0]?.lines.map((line) => Number(line.slice(0, 5))).filter((number) => number > 0)).toEqual(
    Array.from({ length: 32 }, (_, at) => at + 1),
  );
});

test("showFile shows a deletion and a deleted file", () => {
  const now = before.replace("  return 2;\n", "");
  const file = diffOf(now);
  expect(showFile(file, file.hunks, now).parts[0]?.lines).toContain("      -   return 2;");
  const [gone] = parseDiff(gitDiff({ "a.js": before }, {})).files;
  expect(showFile(gone!, gone!.hunks, undefined).parts[0]?.lines).toHaveLength(11);
});

test("namesOf names the function that is changed, and what its new lines call", () => {
  const now = before.replace("all.push(item);", "all.push(item); count(item);");
  const file = diffOf(now);
  const { defined, called } = namesOf([{ file, hunks: file.hunks, text: now }]);
  expect([...defined]).toEqual(["one"]);
  expect([...called].sort()).toEqual(["count", "push"]);
});

test("showRelated keeps within its budget and leaves out what is shown anyway", () => {
  const texts = Array.from({ length: 50 }, (_, at) => ({ path: `f${at}.js`, text: `one(${at});\n` }));
  const wanted = { defined: new Set(["one"]), called: new Set<string>() };
  const related = showRelated(texts, wanted, new Set(["f0.js"]), 400);
  expect(related[0]).toEqual({ path: "f1.js", why: "calls one", lines: ["    1 ~ one(1);", "    2 ~ "] });
  expect(related.length).toBeGreaterThan(3);
  expect(related.length).toBeLessThan(20);
});

test("hunksSince keeps the hunks that the newer change touches", () => {
  const lines = Array.from({ length: 60 }, (_, at) => `line ${at}`);
  const edit = (edits: Record<number, string>) => `${lines.map((line, at) => edits[at] ?? line).join("\n")}\n`;
  const [all] = parseDiff(gitDiff({ "a.txt": edit({}) }, { "a.txt": edit({ 5: "five", 40: "forty" }) })).files;
  const [since] = parseDiff(
    gitDiff({ "a.txt": edit({ 5: "five" }) }, { "a.txt": edit({ 5: "five", 40: "forty" }) }),
  ).files;
  expect(all?.hunks).toHaveLength(2);
  expect(hunksSince(all!.hunks, since).map(({ newStart }) => newStart)).toEqual([38]);
  expect(hunksSince(all!.hunks, undefined)).toEqual([]);
});
