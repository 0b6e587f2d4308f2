import { readFileSync } from "node:fs";

/**
 * Returns an output from test/checks/distil/outputs: what the real tool printed, its paths moved to those of a runner; or,
 * where the name ends in `.documented`, what its documentation says that it prints.
 */
export function logOutput(name: string): string {
  return readFileSync(new URL(`./outputs/${name}.txt`, import.meta.url), "utf8");
}
