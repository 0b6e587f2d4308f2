import { open } from "node:fs/promises";
import { distilLog } from "../../src/checks/distil/distil-log.ts";
import { estimateTokens } from "../../src/policy/tokens.ts";

export interface Distilled {
  seconds: number;
  /** Of the whole process, Node included. */
  peakMegabytes: number;
  errors: number;
  failedTests: number;
  inputTokens: number;
}

// A program: distils the file of its first argument, and prints what it took.
const [path, maxTokens] = process.argv.slice(2);
const started = performance.now();
const { excerpt, errors, failedTests } = await distilLog(chunksOf(path!), { maxTokens: Number(maxTokens) });
const distilled: Distilled = {
  seconds: (performance.now() - started) / 1000,
  peakMegabytes: (process.resourceUsage().maxRSS * 1_024) / 1e6,
  errors: errors.length,
  failedTests: failedTests.length,
  inputTokens: estimateTokens(excerpt),
};
process.stdout.write(JSON.stringify(distilled));

/** One buffer serves for all chunks: the next one is asked for when the last one was read. */
async function* chunksOf(file: string): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(64 * 1024);
  const handle = await open(file);
  try {
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}
