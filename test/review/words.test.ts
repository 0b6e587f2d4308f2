import { describe, expect, it } from "vitest";
import { similarity, wordsOf } from "../../src/review/words.ts";

const alike = (a: string, b: string) => similarity(wordsOf(a), wordsOf(b));

describe("similarity", () => {
  it.each([
    ["other order and endings", "The results are not awaited", "Await the result", 1],
    ["one word that is all there is", "Missing await", "The await is missing here", 1],
    ["identifiers in two spellings", "getUserName leaks", "get_user_name leaked", 1],
    ["half of the words", "SQL injection through sort", "SQL injection", 1],
  ])("sees through %s", (_, a, b, least) => {
    expect(alike(a, b)).toBeGreaterThanOrEqual(least);
    expect(alike(b, a)).toBe(alike(a, b));
  });

  it.each([
    ["what both miss", "Missing null check", "Missing timeout check of input"],
    ["filler", "This is wrong", "This should never be wrong"],
    ["one common word of several", "Slow loop", "Loop leaks"],
    ["nothing", "", ""],
  ])("takes %s for nothing", (_, a, b) => {
    expect(alike(a, b)).toBe(0);
  });

  it("gives the share of the shorter text", () => {
    expect(alike("alpha beta gamma delta", "alpha beta omega sigma tau")).toBe(0.5);
  });
});
