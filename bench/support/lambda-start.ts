import { pathToFileURL } from "node:url";

/** What one cold start took, and what it and one event left in memory. */
export interface Started {
  initMs: number;
  statusCode: number;
  /** The most that the process held at any time. */
  peakMegabytes: number;
}

// Started alone, as AWS starts a function: nothing else is loaded before the bundle. Arguments: the bundle, the event.
const [bundle = "", event = "{}"] = process.argv.slice(2);
const startedAt = performance.now();
const { handler } = (await import(pathToFileURL(bundle).href)) as {
  handler: (event: unknown, context: unknown) => Promise<{ statusCode: number }>;
};
const initMs = performance.now() - startedAt;
const { statusCode } = await handler(JSON.parse(event), {});
const started: Started = { initMs, statusCode, peakMegabytes: process.resourceUsage().maxRSS / 1000 };
process.stderr.write(`${JSON.stringify(started)}\n`, () => process.exit());
