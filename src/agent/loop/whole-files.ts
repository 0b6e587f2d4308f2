import type { BetaRunnableTool } from "@anthropic-ai/sdk/lib/tools/BetaRunnableTool";
import type { ModelFacts } from "../known-models.ts";
import { blocksOf, type Turn } from "./transcript.ts";
import type { Attempt, Reply, Wire, WireRequest } from "./wire.ts";

/** A line that begins so is an instruction, never part of a file. */
const mark = "@@@";

/**
 * A wire for models that call no tools: they answer with whole files and with instructions of one line, which become calls of the
 * same tools, and read the results as text. So the loop, the confined tools and the transcript are those of every other model.
 * Of a model that nobody knows tools are asked for until its server says that it has none.
 */
export function withWholeFiles(wire: Wire, facts: Pick<ModelFacts, "tools">): Wire {
  let inWords = facts.tools === false;
  const send: Wire["send"] = async (request, signal, attempt) => {
    if (request.tools === undefined) return wire.send(request, signal, attempt);
    if (!inWords) {
      try {
        return await wire.send(request, signal, attempt);
      } catch (error) {
        if (!saysThatToolsAreUnknown(error)) throw error;
        inWords = true;
      }
    }
    return readFiles(await wire.send(toldInWords(request, request.tools), signal, attempt), attempt);
  };
  return {
    ...wire,
    send,
    abilities: () => ({ ...wire.abilities(), tools: !inWords }),
    countTokens: (request, signal) =>
      wire.countTokens(
        inWords && request.tools !== undefined ? toldInWords({ ...request, maxTokens: 0 }, request.tools) : request,
        signal,
      ),
  };
}

/** The wordings of Ollama, vLLM, OpenRouter and LM Studio. */
function saysThatToolsAreUnknown(error: unknown): boolean {
  const { status, message } = (error ?? {}) as { status?: unknown; message?: unknown };
  if (typeof status !== "number" || status < 400 || status >= 500 || typeof message !== "string") return false;
  return /does not support (tools|function)|(tools?|tool use|tool calling|function calling) (is|are) not (supported|enabled)|support tool use|"auto" tool choice requires/i.test(
    message,
  );
}

function toldInWords(request: WireRequest, tools: BetaRunnableTool[]): WireRequest {
  const { prompt } = request;
  return {
    ...request,
    prompt: { ...prompt, system: `${prompt.system}\n\n${instructions(tools)}` },
    tools: undefined,
    messages: request.messages.map(inWordsOf),
  };
}

function instructions(tools: BetaRunnableTool[]): string {
  const lines = tools
    .filter((tool) => tool.name !== "write" && tool.name !== "edit")
    .map((tool) => {
      const { properties, required } = ("input_schema" in tool ? tool.input_schema : {}) as Record<string, unknown>;
      const description = "description" in tool ? (tool.description ?? "") : "";
      return `${mark} ${tool.name} <JSON on one line: ${JSON.stringify({ properties, required })}>\n  ${description.replaceAll(/\s+/g, " ")}`;
    });
  return [
    "How you work on files. Each instruction begins at the start of a line. To create or replace a file, give its whole content:",
    `${mark} write path/of/the/file\n<every line of the file, unchanged ones too, without a code fence>\n${mark} end`,
    `No line of a file may begin with "${mark} ". Other instructions take one line each:`,
    ...lines,
    "The results come with the next message. Give as many instructions as you need in one answer. When everything is done, answer without any instruction: say in words what you did.",
  ].join("\n");
}

/** A turn whose calls and results are text. */
function inWordsOf(turn: Turn): Turn {
  if (typeof turn.content === "string") return turn;
  const parts = blocksOf(turn).flatMap((block) => {
    if (block.type === "text") return [block.text];
    if (block.type === "tool_use") return [callInWords(block.name, block.input)];
    if (block.type === "tool_result") return [`Result:\n${textOfResult(block.content)}`];
    return [];
  });
  return { role: turn.role, content: parts.join("\n\n") };
}

function callInWords(name: string, input: unknown): string {
  const { file_path: path, content } = (input ?? {}) as Record<string, unknown>;
  if (name === "write" && typeof path === "string" && typeof content === "string")
    return `${mark} write ${path}\n${content.replace(/\n$/, "")}\n${mark} end`;
  return `${mark} ${name} ${JSON.stringify(input)}`;
}

/** The text of a tool's result. */
export function textOfResult(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part) => (part?.type === "text" ? String(part.text) : "[not text]")).join("\n");
}

type Call = { type: "tool_use"; id: string; name: string; input: unknown };
type Part = { type: "text"; text: string } | Call;

/** The reply with its instructions as calls of tools. One that is not whole is a broken call: none of it is carried out. */
function readFiles(reply: Reply, attempt: Attempt): Reply {
  if (reply.stop_reason !== "end_turn" && reply.stop_reason !== "stop_sequence") return reply;
  const text = reply.content.map((block) => (block.type === "text" ? (block.text ?? "") : "")).join("\n");
  const { parts, problem } = parseInstructions(text);
  const { watched } = attempt;
  attempt.watched = {
    usage: () => watched?.usage(),
    outputTokens: () => watched?.outputTokens() ?? 0,
    problem: () => problem ?? watched?.problem(),
  };
  if (problem !== undefined) return reply;
  const calls = parts.some((part) => part.type === "tool_use");
  return { ...reply, content: parts, stop_reason: calls ? "tool_use" : reply.stop_reason };
}

/** Reads an answer in linear time. `problem` says why none of it may be used. */
export function parseInstructions(text: string): { parts: Part[]; problem?: string } {
  const parts: Part[] = [];
  let words: string[] = [];
  const endWords = () => {
    const said = words.join("\n").trim();
    if (said !== "" && !/^```\w*$/.test(said)) parts.push({ type: "text", text: said });
    words = [];
  };
  let file: { path: string; lines: string[] } | undefined;
  const broken = (problem: string) => ({ parts: [], problem });
  for (const line of text.split(/\r?\n/)) {
    const instruction = /^@@@ (\S+)\s?(.*)$/.exec(line);
    if (instruction === null) {
      (file?.lines ?? words).push(line);
      continue;
    }
    const name = instruction[1]!;
    const rest = instruction[2]!.trim();
    if (name === "end") {
      if (file === undefined) return broken(`"${mark} end" stands where no file was begun`);
      parts.push(call(parts.length, "write", { file_path: file.path, content: contentOf(file) }));
      file = undefined;
      continue;
    }
    if (file !== undefined) return broken(`the file ${file.path} does not end with "${mark} end"`);
    endWords();
    if (name === "write") {
      if (rest === "") return broken(`"${mark} write" names no file`);
      file = { path: rest, lines: [] };
      continue;
    }
    try {
      parts.push(call(parts.length, name, rest === "" ? {} : JSON.parse(rest)));
    } catch (error) {
      return broken(
        `what follows "${mark} ${name}" is not JSON on one line (${(error as Error).message.slice(0, 200)})`,
      );
    }
  }
  if (file !== undefined) return broken(`the file ${file.path} does not end with "${mark} end"`);
  endWords();
  return { parts };
}

function call(index: number, name: string, input: unknown): Call {
  return { type: "tool_use", id: `call_${index + 1}`, name, input };
}

/** Many models put a fence around a file all the same; in Markdown it may be a part of it. */
function contentOf({ path, lines }: { path: string; lines: string[] }): string {
  const fenced = lines.length > 1 && /^```\w*$/.test(lines[0]!) && lines.at(-1) === "```" && !/\.mdx?$/i.test(path);
  const kept = fenced ? lines.slice(1, -1) : lines;
  return kept.length === 0 ? "" : `${kept.join("\n")}\n`;
}
