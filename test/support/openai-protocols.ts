import type { RawBlock, RawMessage, RawProtocol } from "./scripted-model.ts";

/** A message in the blocks of the Messages protocol, as OpenAI's two protocols and servers like it say the same. */
const blocksOf = ({ content }: RawMessage): RawBlock[] =>
  typeof content === "string" ? [{ type: "text", text: content }] : content;
const jsonOf = (block: RawBlock) => String(block.json ?? JSON.stringify(block.input));
const halves = (text: string) => [text.slice(0, Math.floor(text.length / 2)), text.slice(Math.floor(text.length / 2))];
const sse = (events: unknown[], named = false) =>
  events
    .map(
      (event) =>
        `${named ? `event: ${(event as { type: string }).type}\n` : ""}data: ${typeof event === "string" ? event : JSON.stringify(event)}\n\n`,
    )
    .join("");

const figures = ({ usage = {} }: RawMessage) => {
  const { input_tokens: input = 100, output_tokens: output = 20, cache_read_input_tokens: cached = 0 } = usage;
  return { input: Number(input) + Number(cached), output: Number(output), cached: Number(cached) };
};

/** Chat Completions: chunks of text, calls in parts, the ending, the figures, `[DONE]`. */
export const chatProtocol: RawProtocol = {
  events(message) {
    const chunk = (choices: unknown[], more: object = {}) => ({
      ...{ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "scripted", choices },
      ...more,
    });
    const say = (delta: object, finish_reason: string | null = null) => chunk([{ index: 0, delta, finish_reason }]);
    const blocks = blocksOf(message);
    const calls = blocks.filter((block) => block.type === "tool_use");
    const { input, output, cached } = figures(message);
    return sse([
      say({ role: "assistant", content: "" }),
      ...blocks.flatMap((block) =>
        block.type === "text" ? halves(String(block.text)).map((content) => say({ content })) : [],
      ),
      ...calls.flatMap((block, index) => [
        say({ tool_calls: [{ index, id: block.id, type: "function", function: { name: block.name, arguments: "" } }] }),
        ...halves(jsonOf(block)).map((part) => say({ tool_calls: [{ index, function: { arguments: part } }] })),
      ]),
      ...(message.stop_reason === "refusal" ? [say({ refusal: "I cannot help with that." })] : []),
      ...(message.stop_reason === null ? [] : [say({}, finishOf(message, calls.length > 0))]),
      chunk([], {
        usage: {
          prompt_tokens: input,
          completion_tokens: output,
          total_tokens: input + output,
          prompt_tokens_details: { cached_tokens: cached },
        },
      }),
      "[DONE]",
    ]);
  },
  whole: () => ({ error: { message: "this server only streams" } }),
};

function finishOf({ stop_reason: ending }: RawMessage, callsTools: boolean): string {
  if (ending === "max_tokens") return "length";
  if (ending === "refusal") return "stop";
  return callsTools ? "tool_calls" : "stop";
}

/** The Responses API: each item begins, grows and is done, and the last event has them all. */
export const responsesProtocol: RawProtocol = {
  events(message) {
    const { input, output, cached } = figures(message);
    const ending = message.stop_reason;
    const items: Item[] = [
      ...blocksOf(message).flatMap((block, index): Item[] =>
        block.type === "text"
          ? [messageItem(index, [{ type: "output_text", text: block.text, annotations: [] }])]
          : block.type === "tool_use"
            ? [
                {
                  ...{ type: "function_call", id: `fc_${index}`, call_id: block.id, name: block.name },
                  ...{ arguments: jsonOf(block), status: "completed" },
                },
              ]
            : [],
      ),
      ...(ending === "refusal" ? [messageItem(99, [{ type: "refusal", refusal: "I cannot help with that." }])] : []),
    ];
    const response = (status: string, more: object) => ({
      ...{ id: "resp_1", object: "response", created_at: 1, model: "scripted", status, error: null },
      ...more,
    });
    const last = ending === "max_tokens" ? "incomplete" : "completed";
    const events = [
      { type: "response.created", response: response("in_progress", { output: [] }) },
      ...items.flatMap((item, output_index) => [
        { type: "response.output_item.added", output_index, item: { ...item, content: [], arguments: "" } },
        ...(item.content !== undefined
          ? halves(String((item.content[0] as { text?: string }).text ?? "")).map((delta) => ({
              ...{ type: "response.output_text.delta", item_id: item.id, output_index, content_index: 0, delta },
            }))
          : halves(item.arguments ?? "").map((delta) => ({
              ...{ type: "response.function_call_arguments.delta", item_id: item.id, output_index, delta },
            }))),
        { type: "response.output_item.done", output_index, item },
      ]),
      ...(ending === null
        ? []
        : [
            {
              type: `response.${last}`,
              response: response(last, {
                output: items,
                incomplete_details: last === "incomplete" ? { reason: "max_output_tokens" } : null,
                usage: {
                  ...{ input_tokens: input, output_tokens: output, total_tokens: input + output },
                  input_tokens_details: { cached_tokens: cached, cache_write_tokens: 0 },
                  output_tokens_details: { reasoning_tokens: 0 },
                },
              }),
            },
          ]),
    ].map((event, sequence_number) => ({ ...event, sequence_number }));
    return sse(events, true);
  },
  whole: () => ({ error: { message: "this server only streams" } }),
};

interface Item {
  type: string;
  id: string;
  content?: object[];
  arguments?: string;
}

function messageItem(index: number, content: object[]) {
  return { type: "message", id: `msg_${index}`, role: "assistant", status: "completed", content };
}

/** A server of a model that calls no tools: it says in words what it wants done. */
export const wordsProtocol: RawProtocol = {
  events: (message) => chatProtocol.events({ ...message, content: inWords(message) }),
  whole: chatProtocol.whole,
};

function inWords(message: RawMessage): string {
  return blocksOf(message)
    .map((block) => {
      if (block.type === "text") return String(block.text);
      const { file_path: path, content } = (block.input ?? {}) as Record<string, unknown>;
      return block.name === "write" && block.json === undefined
        ? `@@@ write ${path}\n${String(content).replace(/\n$/, "")}\n@@@ end`
        : `@@@ ${block.name} ${jsonOf(block)}`;
    })
    .join("\n");
}
