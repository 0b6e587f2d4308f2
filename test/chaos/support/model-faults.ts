import { messageEvents, type RawBlock, type RawMessage, type RawReply } from "../../support/scripted-model.ts";

/** One way in which a model or its server misbehaves, instead of an answer that would have been good. */
export interface ModelFault {
  name: string;
  /**
   * `transient`: asked again later, without using up an attempt. `repaired`: asked again at once, differently; once for a
   * piece of work. `endured`: an answer that is used as far as it goes. `hopeless`: never sent again.
   */
  kind: "transient" | "repaired" | "endured" | "hopeless";
  /** Only where the model works with tools. */
  tools?: true;
  /** `share` of 0 to 1: where in the answer it strikes. */
  reply(good: RawMessage, share: number): RawReply;
}

const error = (status: number, type: string, message: string, headers: Record<string, string> = {}): RawReply => ({
  status,
  headers,
  body: { type: "error", error: { type, message } },
});
const page = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";
const asHtml = { "content-type": "text/html" };

/** The events of a stream after `change`; its framing stays whole. */
function events(message: RawMessage, change: (text: string) => string): RawReply {
  return { status: 200, headers: { "content-type": "text/event-stream" }, body: change(messageEvents(message)) };
}

export const bytesAt = (good: RawMessage, share: number) => Math.floor(Buffer.byteLength(messageEvents(good)) * share);

/** The message with the arguments of its last call, or else its text, cut in the middle. */
function cutInside(good: RawMessage, share: number): (text: string) => string {
  const blocks = typeof good.content === "string" ? [{ type: "text", text: good.content }] : good.content;
  const call = blocks.findLast((block) => block.type === "tool_use");
  const whole = call === undefined ? String(blocks[0]?.["text"]) : JSON.stringify(call["input"]);
  const length = 1 + Math.floor((whole.length - 2) * share);
  return (text) => text.replace(JSON.stringify(whole), () => JSON.stringify(whole.slice(0, length)));
}

/** Stalls and trickles are apart: they take as long as the App lets them. */
export const modelFaults: readonly ModelFault[] = [
  {
    name: "429 with a short pause",
    kind: "transient",
    reply: () => error(429, "rate_limit_error", "Too many requests", { "retry-after-ms": "2500" }),
  },
  {
    name: "429 with a pause of 0 seconds",
    kind: "transient",
    reply: () => error(429, "rate_limit_error", "Too many requests", { "retry-after": "0" }),
  },
  { name: "429 without a pause", kind: "transient", reply: () => error(429, "rate_limit_error", "Too many requests") },
  {
    name: "429 with a pause of 24 days",
    kind: "transient",
    reply: () => error(429, "rate_limit_error", "Too many requests", { "retry-after": "2073600" }),
  },
  {
    name: "429 until a date",
    kind: "transient",
    reply: () =>
      error(429, "rate_limit_error", "Later", { "retry-after": new Date(Date.now() + 3_600_000).toUTCString() }),
  },
  { name: "529", kind: "transient", reply: () => error(529, "overloaded_error", "Overloaded") },
  { name: "500", kind: "transient", reply: () => error(500, "api_error", "Internal server error") },
  { name: "a page with 502", kind: "transient", reply: () => ({ status: 502, headers: asHtml, body: page }) },
  { name: "a page with 200", kind: "transient", reply: () => ({ status: 200, headers: asHtml, body: page }) },
  { name: "a page that says it is JSON", kind: "transient", reply: () => ({ status: 200, body: page }) },
  {
    name: "garbage that says it is gzip",
    kind: "transient",
    reply: () => ({ status: 200, headers: { "content-encoding": "gzip" }, body: "garbage" }),
  },
  { name: "a closed connection", kind: "transient", reply: () => "hang-up" },
  {
    name: "a cut stream",
    kind: "transient",
    reply: (good, share) => ({ message: good, cutAfterBytes: bytesAt(good, share) }),
  },
  {
    name: "a stream that ends too early",
    kind: "transient",
    reply: (good, share) => ({ message: good, endAfterBytes: bytesAt(good, share) }),
  },
  {
    name: "an answer without an ending",
    kind: "transient",
    reply: (good) => ({ message: { ...good, stop_reason: null } }),
  },
  {
    name: "an error in the middle of a stream",
    kind: "transient",
    reply: (good) =>
      events(good, (text) => {
        const at = text.lastIndexOf("event: content_block_stop");
        const data = JSON.stringify({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } });
        return `${text.slice(0, at)}event: error\ndata: ${data}\n\n`;
      }),
  },
  {
    name: "max_tokens in the middle",
    kind: "repaired",
    reply: (good, share) => events({ ...good, stop_reason: "max_tokens" }, cutInside(good, share)),
  },
  {
    name: "JSON that ends too early",
    kind: "repaired",
    reply: (good, share) => events(good, cutInside(good, share)),
  },
  { name: "an empty answer", kind: "repaired", reply: ({ usage }) => ({ message: { content: [], usage } }) },
  {
    name: "a refusal",
    kind: "repaired",
    reply: ({ usage }) => ({
      message: { content: [], usage, stop_reason: "refusal", stop_details: { type: "refusal", category: "cyber" } },
    }),
  },
  {
    name: "a prompt that is too long",
    kind: "repaired",
    reply: () => error(400, "invalid_request_error", "prompt is too long: 300000 tokens > 200000 maximum"),
  },
  {
    name: "a call that is announced and not made",
    kind: "repaired",
    tools: true,
    reply: ({ usage }) => ({ message: { content: "I go on.", usage, stop_reason: "tool_use" } }),
  },
  {
    name: "calls that nobody can make",
    kind: "endured",
    tools: true,
    reply: ({ usage }) => ({ message: { content: [...impossibleCalls()], usage } }),
  },
  {
    name: "ten megabytes for one file",
    kind: "endured",
    tools: true,
    reply: ({ usage }) => ({
      message: { content: [call("write", { file_path: "src/limits.js", content: "x".repeat(10_000_000) })], usage },
    }),
  },
  {
    name: "an ending that does not fit",
    kind: "endured",
    tools: true,
    reply: (good) => ({ message: { ...good, stop_reason: "banana" } }),
  },
  {
    name: "blocks and fields that nobody knows",
    kind: "endured",
    reply: (good) => ({
      message: {
        ...good,
        content: [
          { type: "thinking", thinking: "Hm.", signature: "c2ln" },
          { type: "hologram", data: "x" },
          ...(typeof good.content === "string" ? [{ type: "text", text: good.content }] : good.content),
        ],
        thread: { id: "thread_1" },
        container: { id: "container_1" },
      } as RawMessage,
    }),
  },
  {
    name: "usage that cannot be true",
    kind: "endured",
    reply: (good) => ({
      message: { ...good, usage: { input_tokens: -5_000_000, output_tokens: "12", cache_read_input_tokens: null } },
    }),
  },
  { name: "401", kind: "hopeless", reply: () => error(401, "authentication_error", "invalid x-api-key") },
  { name: "404", kind: "hopeless", reply: () => error(404, "not_found_error", "model: scripted") },
  { name: "400", kind: "hopeless", reply: () => error(400, "invalid_request_error", "Your credit balance is too low") },
];

let calls = 0;

function call(name: string, input: unknown, id?: string): RawBlock {
  calls += 1;
  return { type: "tool_use", id: id ?? `odd_${calls}`, name, input };
}

/** Each would change a file if it were taken half, and none may. */
function impossibleCalls(): RawBlock[] {
  calls += 1;
  const twice = `odd_twice_${calls}`;
  return [
    call("teleport", { to: "production" }),
    call("write", { file_path: "src/limits.js" }),
    call("write", { file_path: "src/limits.js", content: 7 }),
    call("write", { file_path: ["src/limits.js"], content: "half" }),
    call("edit", { file_path: "src/limits.js", old_string: "pageLimit" }),
    call("edit", { file_path: "src/limits.js", old_string: ["export"], new_string: "half" }),
    call("write", "src/limits.js"),
    call("run", { command: 7 }),
    call("read", { file_path: "src/limits.js" }, twice),
    call("read", { file_path: "src/limits.js" }, twice),
  ];
}
