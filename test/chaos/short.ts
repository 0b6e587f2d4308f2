import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { type ChaosScenario, isSound } from "./chaos.ts";

const there = (program: string) => {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};

/** The short version of what `npm run chaos` does at length, as tests. */
export function testShortVersions(scenarios: readonly ChaosScenario[]): void {
  describe("chaos", () => {
    for (const { name, databases, needs, run } of scenarios) {
      for (const database of databases) {
        const skipped = needs !== undefined && process.env["CI"] !== "true" && !there(needs.program);
        const title = `${name} on ${database}${needs === undefined ? "" : ` (needs ${needs.program}: ${needs.reason})`}`;
        // A busy machine is no violation: what hangs is ended by the scenario itself, which says where.
        test.skipIf(skipped)(title, { timeout: 900_000 }, async () => {
          const findings = await run({ scale: "short", database, seed: 1, say: () => undefined });
          expect(findings).toMatchObject({ lost: 0, duplicated: 0, violations: [] });
          expect(isSound(findings), "something was tried").toBe(true);
        });
      }
    }
  });
}
