import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { categories, severities } from "../../src/review/finding.ts";
import { type Candidate, importance, selectFindings } from "../../src/review/select.ts";
import { candidate, finding } from "./findings.ts";

const all = { severityFloor: "nit", maxFindings: 6 } as const;
const titles = (candidates: readonly Candidate[]) => candidates.map((one) => one.finding.title);

describe("selectFindings", () => {
  it("shows first what severity, confidence and category together make important", () => {
    const { inline } = selectFindings(
      [
        candidate({ title: "docs", severity: "minor", category: "documentation" }),
        candidate({ title: "unsure", severity: "critical", confidence: 10 }),
        candidate({ title: "sure", severity: "critical", confidence: 90 }),
        candidate({ title: "safe", severity: "minor", category: "security" }),
      ],
      all,
    );
    expect(titles(inline)).toEqual(["sure", "safe", "docs", "unsure"]);
  });

  it("keeps those without a place in the diff for the body, and counts them as shown", () => {
    const outside = candidate({ title: "outside" }, { anchor: { kind: "unanchored", reason: "not-in-diff" } });
    const selection = selectFindings([candidate({ severity: "nit" }), outside], { ...all, maxFindings: 1 });
    expect([titles(selection.inline), titles(selection.inBody)]).toEqual([[], ["outside"]]);
    expect(selection.counts["over-limit"]).toBe(1);
  });

  it("counts what is not shown, each with its first reason", () => {
    const { counts, suppressed, inline } = selectFindings(
      [
        candidate({ title: "shown", severity: "major" }, { duplicates: [finding(), finding()] }),
        candidate({ title: "over", severity: "minor", confidence: 1 }),
        candidate({ title: "nit", severity: "nit" }),
        candidate({ title: "wrong", severity: "nit" }, { refuted: "It is awaited above.", known: "open" }),
        candidate({ title: "dismissed", severity: "critical" }, { known: "dismissed" }),
        candidate({ title: "said", severity: "critical" }, { known: "open" }),
      ],
      { severityFloor: "minor", maxFindings: 1 },
    );
    expect(titles(inline)).toEqual(["shown"]);
    expect(Object.fromEntries(suppressed.map((one) => [one.candidate.finding.title, one.reason]))).toEqual({
      over: "over-limit",
      nit: "below-floor",
      wrong: "refuted",
      dismissed: "dismissed",
      said: "already-said",
    });
    expect(counts).toEqual({
      refuted: 1,
      dismissed: 1,
      "already-said": 1,
      "below-floor": 1,
      "over-limit": 1,
      duplicate: 2,
    });
  });

  it("loses nothing, shows no more than asked for and does not depend on the order", () => {
    const one = fc
      .record({
        severity: fc.constantFrom(...severities),
        category: fc.constantFrom(...categories),
        confidence: fc.constantFrom(0, 50, 100),
        line: fc.integer({ min: 1, max: 5 }),
      })
      .chain((values) =>
        fc
          .record({ refuted: fc.constantFrom(undefined, "no"), known: fc.constantFrom(undefined, "open", "dismissed") })
          .map((more) => candidate(values, more as Partial<Candidate>)),
      );
    const lists = fc
      .array(one, { maxLength: 15 })
      .chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })));
    fc.assert(
      fc.property(lists, fc.constantFrom(...severities), fc.nat(8), ([list, shuffled], severityFloor, maxFindings) => {
        const selection = selectFindings(list, { severityFloor, maxFindings });
        const { inline, inBody, suppressed, counts } = selection;
        expect(inline.length + inBody.length).toBeLessThanOrEqual(maxFindings);
        expect(inline.length + inBody.length + suppressed.length).toBe(list.length);
        expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(suppressed.length);
        const weights = inline.map((shown) => importance(shown.finding));
        expect(weights).toEqual(weights.toSorted((a, b) => b - a));
        const again = selectFindings(shuffled, { severityFloor, maxFindings });
        expect(again.counts).toEqual(counts);
        expect(again.inline.map((shown) => shown.finding)).toEqual(inline.map((shown) => shown.finding));
      }),
      { numRuns: 200 },
    );
  });
});
