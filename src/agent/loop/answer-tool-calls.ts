import Anthropic from "@anthropic-ai/sdk";
import type { BetaRunnableTool } from "@anthropic-ai/sdk/lib/tools/BetaRunnableTool";
import { BetaToolRunner } from "@anthropic-ai/sdk/lib/tools/BetaToolRunner";
import { plainJson, type Turn } from "./transcript.ts";

/** The runner belongs to a client, which is asked for nothing here: whichever provider called the tools, they run the same way. */
const nobody = new Anthropic({
  apiKey: "none",
  authToken: null,
  baseURL: "http://127.0.0.1:9",
  logLevel: "off",
  maxRetries: 0,
});

/**
 * Runs the tool calls of the last message by the SDK's tool runner: arguments are checked, what a tool throws becomes an
 * answer that says so. Resolves to the message with the results, or undefined when no tool is called.
 */
export async function answerToolCalls(
  messages: readonly Turn[],
  tools: BetaRunnableTool[],
  signal: AbortSignal,
): Promise<Turn | undefined> {
  const runner = new BetaToolRunner(
    nobody,
    { model: "none", max_tokens: 1, thread: false, messages: [...messages], tools },
    { signal },
  );
  const results = await runner.generateToolResponse(signal);
  return results === null ? undefined : (plainJson(results) as Turn);
}
