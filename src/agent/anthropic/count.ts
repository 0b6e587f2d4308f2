import type { MessageCountTokensParams } from "@anthropic-ai/sdk/resources/beta/messages/messages";
import type { Client } from "./client.ts";

/** Counting takes well below a second; a server that says nothing must not use up the time of the work. */
const countTimeoutMs = 20_000;

/** The prompt's tokens as the provider counts them; undefined where it cannot count. Throws the signal's reason only. */
export async function countTokens(
  client: Client,
  prompt: MessageCountTokensParams,
  signal: AbortSignal,
): Promise<number | undefined> {
  try {
    const counted = await client.countTokens?.(prompt, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(countTimeoutMs)]),
    });
    const tokens: unknown = counted?.input_tokens;
    return typeof tokens === "number" && tokens > 0 ? tokens : undefined;
  } catch {
    // Not every compatible server can count. The estimate is the safe side.
    signal.throwIfAborted();
    return undefined;
  }
}
