import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { isSound } from "./chaos.ts";
import { scenarios } from "./scenarios/index.ts";

const there = (program: string) => {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};

/** The short version of what `npm run chaos` does at length. */
describe("chaos", () => {
  for (const { name, databases, needs, run } of scenarios) {
    for (const database of databases) {
      const skipped = needs !== undefined && process.env["CI"] !== "true" && !there(needs.program);
      const title = `${name} on ${database}${needs === undefined ? "" : ` (needs ${needs.program}: ${needs.reason})`}`;
      test.skipIf(skipped)(title, { timeout: 240_000 }, async () => {
        const findings = await run({ scale: "short", database, seed: 1, say: () => undefined });
        expect(findings).toMatchObject({ lost: 0, duplicated: 0, violations: [] });
        expect(isSound(findings), "something was tried").toBe(true);
      });
    }
  }
});
