import { StringDecoder } from "node:string_decoder";
import { estimateTokens } from "../policy/tokens.ts";

/** One event of a stream is at most so long; what is longer is not looked at. */
const maxLineCharacters = 4 * 1024 * 1024;
const maxJsonBytes = 16 * 1024 * 1024;

/** What an answer of the Messages protocol says about itself, read while it passes. */
export interface AnswerFacts {
  model: string | undefined;
  /** As the provider writes it; of a stream what was said last about each figure. */
  usage: Record<string, unknown> | undefined;
  stopReason: string | undefined;
}

/** Reads an answer chunk by chunk, as Server-Sent Events or as one JSON object. Linear, bounded, never throws. */
export class AnswerReader {
  readonly #decoder = new StringDecoder("utf8");
  readonly #streamed: boolean;
  #line = "";
  #tooLong = false;
  #json: Buffer[] = [];
  #jsonBytes = 0;
  #tokens = 0;
  #facts: AnswerFacts = { model: undefined, usage: undefined, stopReason: undefined };

  constructor(streamed: boolean) {
    this.#streamed = streamed;
  }

  add(chunk: Buffer): void {
    if (!this.#streamed) {
      this.#jsonBytes += chunk.length;
      if (this.#jsonBytes <= maxJsonBytes) this.#json.push(Buffer.from(chunk));
      return;
    }
    const parts = this.#decoder.write(chunk).split("\n");
    for (const [index, part] of parts.entries()) {
      if (this.#line.length + part.length > maxLineCharacters) this.#tooLong = true;
      if (!this.#tooLong) this.#line += part;
      if (index === parts.length - 1) break;
      if (!this.#tooLong) this.#event(this.#line);
      this.#line = "";
      this.#tooLong = false;
    }
  }

  /** By our own estimate, of what came so far. */
  outputTokens(): number {
    return this.#tokens;
  }

  read(): AnswerFacts {
    if (this.#json.length > 0 && this.#facts.usage === undefined) {
      const message = parsed(Buffer.concat(this.#json).toString("utf8"));
      this.#tokens = estimateTokens(JSON.stringify(message["content"] ?? ""));
      this.#facts = {
        model: text(message["model"]),
        usage: object(message["usage"]),
        stopReason: text(message["stop_reason"]),
      };
    }
    return this.#facts;
  }

  #event(line: string): void {
    if (!line.startsWith("data:")) return;
    const event = parsed(line.slice(5));
    const usage = object(event["usage"]);
    if (event["type"] === "message_start") {
      const message = object(event["message"]) ?? {};
      this.#facts.model = text(message["model"]);
      this.#facts.usage = object(message["usage"]);
    } else if (event["type"] === "message_delta") {
      this.#facts.usage = { ...this.#facts.usage, ...usage };
      this.#facts.stopReason = text(object(event["delta"])?.["stop_reason"]) ?? this.#facts.stopReason;
    } else if (event["type"] === "content_block_delta") {
      const delta = object(event["delta"]) ?? {};
      for (const part of [delta["text"], delta["thinking"], delta["partial_json"]])
        if (typeof part === "string") this.#tokens += estimateTokens(part);
    }
  }
}

function parsed(json: string): Record<string, unknown> {
  try {
    return object(JSON.parse(json)) ?? {};
  } catch {
    return {};
  }
}

function object(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
