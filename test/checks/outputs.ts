import { readFileSync } from "node:fs";

/** Returns the text that a real test runner printed (see docs/checks.md), from test/checks/outputs. */
export function output(name: string): string {
  return readFileSync(new URL(`./outputs/${name}.txt`, import.meta.url), "utf8");
}
