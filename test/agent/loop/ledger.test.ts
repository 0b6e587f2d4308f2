import fc from "fast-check";
import { expect, test } from "vitest";
import { Ledger } from "../../../src/agent/loop/ledger.ts";
import { priceOf } from "../../../src/agent/prices.ts";
import { budget } from "../support.ts";

const none = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWrite5mTokens: 0, cacheWrite1hTokens: 0 };
const { price } = priceOf("claude-opus-5-5");

test("Ledger allows a call only when its worst case fits", () => {
  const prompt = { knownTokens: 0, newTokens: 10_000 };
  // 10,000 tokens written for an hour are $0.08, 2,048 of output $0.04096.
  expect(new Ledger(budget({ costUsd: 0.12 }), price, 16_000).allow(prompt).kind).toBe("out-of-budget");
  const lowered = new Ledger(budget({ costUsd: 0.13 }), price, 16_000).allow(prompt);
  expect(lowered).toMatchObject({ kind: "go", lowered: true });
  // $0.05 are left for 2,500 tokens of output; rounding may take one.
  expect((lowered as { maxTokens: number }).maxTokens - 2_500).toBeOneOf([0, -1]);
  expect(new Ledger(budget({ costUsd: 1 }), price, 16_000).allow(prompt)).toEqual({
    kind: "go",
    maxTokens: 16_000,
    lowered: false,
  });
});

test("Ledger counts what was read from and written to the cache as input", () => {
  const ledger = new Ledger(budget({ inputTokens: 10_000 }), price, 4_000);
  ledger.add({
    ...none,
    inputTokens: 1_000,
    cacheReadTokens: 4_000,
    cacheWrite5mTokens: 2_000,
    cacheWrite1hTokens: 1_000,
  });
  expect(ledger.allow({ knownTokens: 0, newTokens: 2_000 }).kind).toBe("go");
  expect(ledger.allow({ knownTokens: 0, newTokens: 2_001 })).toEqual({
    kind: "out-of-budget",
    message: "The budget does not allow another request: about 2001 input tokens are needed, 2000 are left",
  });
});

test("Ledger never lets a budget be exceeded, whatever is allowed and however much of it is used", () => {
  const size = fc.integer({ min: 0, max: 200_000 });
  fc.assert(
    fc.property(
      fc.record({
        costUsd: fc.double({ min: 0, max: 3, noNaN: true }),
        inputTokens: fc.integer({ min: 0, max: 2_000_000 }),
        outputTokens: fc.integer({ min: 0, max: 200_000 }),
        turns: fc.integer({ min: 0, max: 20 }),
      }),
      fc.array(
        fc.record({
          knownTokens: size,
          newTokens: size,
          readShare: fc.double({ min: 0, max: 1, noNaN: true }),
          outputShare: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
        { maxLength: 30 },
      ),
      (limits, calls) => {
        const ledger = new Ledger(budget(limits), price, 16_000);
        for (const { knownTokens, newTokens, readShare, outputShare } of calls) {
          const allowance = ledger.allow({ knownTokens, newTokens });
          if (allowance.kind !== "go") continue;
          const cacheReadTokens = Math.floor(knownTokens * readShare);
          ledger.add({
            ...none,
            cacheReadTokens,
            inputTokens: knownTokens - cacheReadTokens,
            cacheWrite1hTokens: newTokens,
            outputTokens: Math.floor(allowance.maxTokens * outputShare),
          });
        }
        const { usage } = ledger;
        expect(usage.calls).toBeLessThanOrEqual(limits.turns);
        expect(usage.costUsd).toBeLessThanOrEqual(limits.costUsd + 1e-9);
        expect(usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens).toBeLessThanOrEqual(
          limits.inputTokens,
        );
        expect(usage.outputTokens).toBeLessThanOrEqual(limits.outputTokens);
      },
    ),
  );
});
