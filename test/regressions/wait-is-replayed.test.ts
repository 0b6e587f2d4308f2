import { expect, test } from "vitest";
import { outputFits } from "../../src/run/parts.ts";

// A plan that was edited once was planned again at every replay: the recorded decision has no schema, so it "did not
// fit", was dropped, and the next signal was taken in its place.
test("outputFits keeps the recorded decision of a wait, and judges steps by their schema", () => {
  expect(outputFits("wait:decision", { kind: "edit", actor: "maintainer", blob: "b" })).toBe(true);
  expect(outputFits("open-draft", { sha: "a1b2" })).toBe(true);
  expect(outputFits("open-draft", { number: 1 })).toBe(false);
});
