import { describe, expect, test } from "vitest";
import { fitting } from "../../../../src/pipeline/steps/support/fitting.ts";

describe("fitting", () => {
  test("fitting keeps in order what fits together, counted in bytes of JSON", () => {
    expect(fitting(["aa", "bbbbbb", "cc"], 10)).toEqual(["aa", "cc"]);
    // A control character takes six bytes of JSON, the text around it two and a comma one.
    expect(fitting(["\u001b"], 9)).toEqual(["\u001b"]);
    expect(fitting(["\u001b"], 8)).toEqual([]);
    expect(fitting(["é"], 4)).toEqual([]);
    expect(fitting([], 0)).toEqual([]);
  });

  test("fitting never exceeds the bytes that an array of them may take", () => {
    const items = Array.from({ length: 100 }, (_, at) => ({ message: "\u0001".repeat(at) }));
    for (const maxBytes of [50, 500, 5_000]) {
      const json = JSON.stringify(fitting(items, maxBytes));
      expect(Buffer.byteLength(json)).toBeLessThanOrEqual(maxBytes + 1);
    }
  });
});
