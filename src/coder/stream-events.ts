import { StringDecoder } from "node:string_decoder";

/** A line of the program is at most so long: a tool's result may hold a whole file. */
const maxLineCharacters = 8 * 1024 * 1024;
const maxDetailCharacters = 120;
const mostGarbage = 1_000;
const mostCharacters = 256 * 1024 * 1024;

/** How the program says that it ended. */
export interface Finished {
  isError: boolean;
  /** `success`, `error_during_execution`, … */
  subtype: string;
  text: string;
}

/**
 * Reads the program's events, one JSON object a line, while they come: tool calls are told at once, the last result is kept.
 * What is no event is counted. Bounded in memory whatever comes, never throws.
 */
export class StreamEvents {
  readonly #decoder = new StringDecoder("utf8");
  readonly #onTool: (call: string) => void;
  readonly #root: string;
  #line = "";
  #tooLong = false;
  toolCalls = 0;
  events = 0;
  /** Lines that are no event. */
  garbage = 0;
  finished: Finished | undefined;
  /** More came than any work can say: nothing further is looked at. */
  flooded = false;
  #characters = 0;

  /** `root` is where the program sees the tree; paths in it are shown relative to it. */
  constructor(root: string, onTool: (call: string) => void) {
    this.#root = root;
    this.#onTool = onTool;
  }

  add(chunk: Uint8Array): void {
    if (this.flooded) return;
    this.#characters += chunk.length;
    const parts = this.#decoder.write(Buffer.from(chunk)).split("\n");
    for (const [index, part] of parts.entries()) {
      if (this.#line.length + part.length > maxLineCharacters) this.#tooLong = true;
      if (!this.#tooLong) this.#line += part;
      if (index === parts.length - 1) break;
      if (this.#tooLong) this.garbage += 1;
      else if (this.#line.trim() !== "") this.#read(this.#line);
      this.#line = "";
      this.#tooLong = false;
      if (this.garbage > mostGarbage) break;
    }
    if (this.garbage > mostGarbage || this.#characters > mostCharacters) {
      this.flooded = true;
      this.#line = "";
    }
  }

  #read(line: string): void {
    const event = parsed(line);
    if (event === undefined || typeof event["type"] !== "string") {
      this.garbage += 1;
      return;
    }
    this.events += 1;
    if (event["type"] === "assistant")
      this.#tellTools((event["message"] as { content?: unknown } | undefined)?.content);
    if (event["type"] !== "result") return;
    this.finished = {
      isError: event["is_error"] === true,
      subtype: `${event["subtype"]}`,
      text: typeof event["result"] === "string" ? event["result"] : "",
    };
  }

  #tellTools(content: unknown): void {
    if (!Array.isArray(content)) return;
    for (const block of content) {
      const { type, name, input } = (block ?? {}) as Record<string, unknown>;
      if (type !== "tool_use" || typeof name !== "string") continue;
      this.toolCalls += 1;
      this.#onTool(`${name.toLowerCase()} ${this.#detail(input)}`.trim());
    }
  }

  /** What a call is about: a path, a command or a pattern. */
  #detail(input: unknown): string {
    const { file_path, command, pattern, path } = (input ?? {}) as Record<string, unknown>;
    const first = [file_path, command, pattern, path].find((value) => typeof value === "string") as string | undefined;
    const line = (first ?? "").split("\n")[0] ?? "";
    return line.replaceAll(`${this.#root}/`, "").slice(0, maxDetailCharacters);
  }
}

function parsed(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
