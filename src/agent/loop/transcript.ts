import type { BetaContentBlockParam } from "@anthropic-ai/sdk/resources/beta/messages/messages";

/** One message of a conversation as it is kept in a transcript. */
export interface Turn {
  role: "user" | "assistant";
  content: string | BetaContentBlockParam[];
}

export function blocksOf(message: Turn): BetaContentBlockParam[] {
  return typeof message.content === "string" ? [{ type: "text", text: message.content }] : message.content;
}

/**
 * A reply's blocks as every provider will take them back. It refuses a conversation for ever in which two calls have one id, an
 * id has odd characters or a call's arguments are no object; such arguments become none, which the tool then answers.
 */
export function sendable(content: unknown, earlier: readonly Turn[]): BetaContentBlockParam[] {
  const ids = new Set(earlier.flatMap(blocksOf).flatMap((block) => (block.type === "tool_use" ? [block.id] : [])));
  return (plainJson(content) as BetaContentBlockParam[]).map((block) => {
    if (block.type !== "tool_use") return block;
    const given = block.id.replaceAll(/[^\w-]/g, "_").slice(0, 60) || "call";
    let id = given;
    for (let copy = 2; ids.has(id); copy += 1) id = `${given}_${copy}`;
    ids.add(id);
    const isObject = typeof block.input === "object" && block.input !== null && !Array.isArray(block.input);
    return { ...block, id, input: isObject ? block.input : {} };
  });
}

/** The words of a message. */
export function wordsOf(message: Turn): string {
  return blocksOf(message)
    .flatMap((block) => (block.type === "text" ? [block.text] : []))
    .join("\n")
    .trim();
}

/** A tool call in one short line: its name and what it is about. */
export function callDetail(name: string, input: unknown): string {
  const given = (typeof input === "object" && input !== null ? input : {}) as Record<string, unknown>;
  const about = ["file_path", "path", "from", "pattern", "command", "name"]
    .map((key) => given[key])
    .find((value) => typeof value === "string");
  return about === undefined ? name : `${name} ${about.replaceAll(/\s+/g, " ").slice(0, 120)}`;
}

/** Checks a saved transcript as far as it is relied on. Throws an error that names the message. */
export function parseTranscript(saved: readonly unknown[]): Turn[] {
  for (const [index, message] of saved.entries()) {
    const { role, content } = (message ?? {}) as Partial<Turn>;
    if ((role !== "user" && role !== "assistant") || (typeof content !== "string" && !Array.isArray(content))) {
      throw new Error(`Cannot continue from the transcript: message ${index} has no role and content`);
    }
  }
  return plainJson(saved) as Turn[];
}

/** A copy that shares nothing with the SDK's objects. */
export function plainJson(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

/** Why the arguments of a tool call cannot be used; a call without arguments sends no JSON at all. */
export function argumentsProblem(json: string): string | undefined {
  if (json === "") return undefined;
  try {
    JSON.parse(json);
    return undefined;
  } catch (error) {
    return `the arguments of a tool call are not JSON (${(error as Error).message.slice(0, 200)})`;
  }
}
