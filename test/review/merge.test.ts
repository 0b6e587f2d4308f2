import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { categories, type Finding, severities } from "../../src/review/finding.ts";
import { mergeFindings, type PlacedFinding } from "../../src/review/merge.ts";
import { placed } from "./findings.ts";

const unanchored = { kind: "unanchored", reason: "not-in-diff" } as const;

describe("mergeFindings", () => {
  const pair = (a: Partial<Finding>, b: Partial<Finding>) =>
    mergeFindings([placed({ reviewer: "security", ...a }), placed({ reviewer: "quality", ...b })]);

  it.each<[string, Partial<Finding>, Partial<Finding>]>([
    ["similar titles three lines apart", { line: 10 }, { line: 13, title: "Result not awaited" }],
    [
      "similar titles of two categories",
      { category: "security" },
      { category: "correctness", title: "await the result" },
    ],
    [
      "the same rule in other words",
      { rule: "missing-await", title: "One" },
      { rule: "Missing Await", title: "Two", line: 11 },
    ],
    [
      "the same line, category and scenario",
      { title: "Floating promise", scenario: "The rejected promise ends the process." },
      { title: "Unhandled rejection", scenario: "The process ends when the promise rejects." },
    ],
    ["overlapping ranges", { line: 1, endLine: 30 }, { line: 25 }],
  ])("makes one of findings with %s", (_, a, b) => {
    expect(pair(a, b)).toMatchObject([{ reviewers: ["quality", "security"], duplicates: [{}] }]);
  });

  it.each<[string, Partial<Finding>, Partial<Finding>]>([
    ["lines four apart", { line: 10 }, { line: 14 }],
    ["files", { path: "src/a.ts" }, { path: "src/b.ts" }],
    [
      "subjects on one line",
      {},
      { title: "Wrong unit of the timeout", scenario: "Seconds are given as milliseconds." },
    ],
    [
      "categories, although the scenarios are alike",
      { title: "Floating promise" },
      { title: "Slow loop", category: "performance" },
    ],
  ])("keeps findings with different %s", (_, a, b) => {
    expect(pair(a, b).map(({ duplicates }) => duplicates)).toEqual([[], []]);
  });

  it("keeps the words of the most serious one, the highest confidence and all reviewers", () => {
    const merged = mergeFindings([
      placed({ reviewer: "quality", severity: "minor", confidence: 95, title: "The result is not awaited here" }),
      placed({ reviewer: "security", severity: "critical", confidence: 60, scenario: "The check is skipped." }),
      placed({ reviewer: "quality", severity: "nit", title: "Result not awaited" }),
    ]);
    expect(merged).toHaveLength(1);
    expect(merged[0]!.finding).toMatchObject({
      severity: "critical",
      confidence: 95,
      scenario: "The check is skipped.",
    });
    expect(merged[0]!.reviewers).toEqual(["quality", "security"]);
    expect(merged[0]!.duplicates.map(({ severity }) => severity)).toEqual(["minor", "nit"]);
  });

  it("keeps the words of the surer one of two that are as serious", () => {
    const both = [placed({ confidence: 50 }), placed({ confidence: 90, scenario: "The surer one." })];
    expect(mergeFindings(both)[0]!.finding.scenario).toBe("The surer one.");
  });

  it("takes the place of one that can be anchored, with the words of the one that is more serious", () => {
    const [merged] = mergeFindings([
      placed({ severity: "major", line: 9, quote: "far", suggestion: "wrong range" }, unanchored),
      placed({ severity: "minor", line: 10, quote: "near", title: "Result not awaited" }),
    ]);
    expect(merged).toMatchObject({
      finding: { severity: "major", title: "The result is not awaited", line: 10, quote: "near" },
      anchor: { kind: "anchored", startLine: 10 },
    });
    expect(merged!.finding.suggestion).toBeUndefined();
  });

  it("takes the suggestion of another one only for the same lines", () => {
    const suggesting = (line: number) =>
      mergeFindings([placed({ severity: "major" }), placed({ line, suggestion: "await call(x)" })])[0]!.finding
        .suggestion;
    expect(suggesting(10)).toBe("await call(x)");
    expect(suggesting(11)).toBeUndefined();
  });

  it("compares a finding with so many neighbours only that a flood costs no minutes", () => {
    const floodOf = (count: number) => {
      const between = Array.from({ length: count }, (_, at) => placed({ title: `m${at} n${at}`, scenario: `o${at}` }));
      return mergeFindings([placed({ title: "a alpha beta" }), ...between, placed({ title: "z beta alpha" })]).length;
    };
    expect([floodOf(150), floodOf(250)]).toEqual([151, 252]);
  });

  it("gives the same whatever the order in which reviewers ended", () => {
    const one = fc.record({
      reviewer: fc.constantFrom("security", "quality", "performance"),
      category: fc.constantFrom(...categories),
      severity: fc.constantFrom(...severities),
      confidence: fc.integer({ min: 0, max: 100 }),
      path: fc.constantFrom("a", "b"),
      line: fc.integer({ min: 1, max: 12 }),
      title: fc.constantFrom("Missing await", "The await is missing", "Slow loop", "Loop is slow here", "Leak"),
      anchored: fc.boolean(),
    });
    const lists = fc
      .array(one, { maxLength: 12 })
      .chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })));
    fc.assert(
      fc.property(lists, ([list, shuffled]) => {
        const place = ({ anchored, ...values }: (typeof list)[number]): PlacedFinding =>
          anchored ? placed(values) : placed(values, unanchored);
        const merged = mergeFindings(list.map(place));
        expect(mergeFindings(shuffled.map(place))).toEqual(merged);
        expect(merged.reduce((sum, { duplicates }) => sum + 1 + duplicates.length, 0)).toBe(list.length);
      }),
      { numRuns: 200 },
    );
  });
});
