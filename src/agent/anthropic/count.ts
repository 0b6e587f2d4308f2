import type { BetaTextBlockParam, BetaTool } from "@anthropic-ai/sdk/resources/beta/messages/messages";
import type { Session } from "./session.ts";
import type { Turn } from "./transcript.ts";

/** The prompt's tokens as the provider counts them; undefined where it cannot count. Throws the signal's reason only. */
export async function countTokens(
  session: Session,
  prompt: { system: BetaTextBlockParam[]; messages: Turn[]; tools?: unknown[] },
  signal: AbortSignal,
): Promise<number | undefined> {
  const { client, config } = session;
  try {
    const { system, messages, tools = [] } = prompt;
    const counted = await client.countTokens?.(
      { model: config.model, system, messages, tools: tools as BetaTool[] },
      { signal },
    );
    return counted?.input_tokens;
  } catch {
    // Not every compatible server can count. The estimate is the safe side.
    signal.throwIfAborted();
    return undefined;
  }
}
