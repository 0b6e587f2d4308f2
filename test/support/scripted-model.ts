import { statSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Fixture, type FixtureFileEntry, type JournalEntry, LLMock } from "@copilotkit/aimock";

export interface ScriptedModel {
  /** Base address for the client, without `/v1`. */
  url: string;
  /** Adds an answer for the requests that match; the first that matches is given. */
  on: LLMock["on"];
  /** The next request is answered with this status, once. */
  nextError: LLMock["nextRequestError"];
  /** Every request so far with what it was answered. */
  journal(): JournalEntry[];
  mock: LLMock;
  close(): Promise<void>;
}

/**
 * A model's server that answers from fixtures: files or directories of JSON, or objects. Every system prompt begins with
 * `stage: <prompt>`, so `{ "match": { "systemMessage": "stage: write-change", "turnIndex": 0 } }` names one turn of one
 * prompt. A request that no fixture matches is answered with 503, and a turn's number is meant exactly.
 */
export async function startScriptedModel(
  options: { fixtures?: (string | FixtureFileEntry[] | Fixture[])[] } = {},
): Promise<ScriptedModel> {
  // By default a fixture of the nearest turn is served, so that a script that is out of step would pass unnoticed.
  process.env.AIMOCK_STRICT_TURN_INDEX = "1";
  const mock = new LLMock({ port: 0, host: "127.0.0.1", strict: true, logLevel: "silent" });
  for (const fixture of options.fixtures ?? []) {
    if (typeof fixture !== "string") mock.addFixturesFromJSON(fixture as FixtureFileEntry[]);
    else if (statSync(fixture).isDirectory()) mock.loadFixtureDir(fixture);
    else mock.loadFixtureFile(fixture);
  }
  await mock.start();
  return {
    url: mock.url,
    on: mock.on.bind(mock),
    nextError: mock.nextRequestError.bind(mock),
    journal: () => mock.getRequests(),
    mock,
    close: () => mock.stop(),
  };
}

/** A request as it was on the wire. */
export interface RawRequest {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at whatever was sent
  body: any;
  /** 0 for the first request of this server. */
  index: number;
}

export type RawBlock = Record<string, unknown> & { type: string };

export interface RawMessage {
  content: string | RawBlock[];
  stop_reason?: string | null;
  stop_details?: unknown;
  usage?: Record<string, unknown>;
}

export type RawReply =
  /** A message, as JSON or as a stream, whichever was asked for. */
  | {
      message: RawMessage;
      cutAfterBytes?: number;
      endAfterBytes?: number;
      stallAfterBytes?: number;
      /** One byte at a time, with so long between them. */
      trickleMs?: number;
    }
  /** Anything else. A body that is not a string is sent as JSON. */
  | { status: number; headers?: Record<string, string>; body?: unknown }
  /** The connection is closed without an answer, or nothing at all happens. */
  | "hang-up"
  | "silence";

export interface RawModel {
  url: string;
  requests: RawRequest[];
  close(): Promise<void>;
}

/** How a message is said in a provider's protocol. */
export interface RawProtocol {
  events(message: RawMessage): string;
  whole(message: RawMessage): unknown;
}

const messagesProtocol: RawProtocol = { events: messageEvents, whole: wholeMessage };

/** A server of a model under the test's control, byte by byte, for what fixtures cannot say; by default of the Messages protocol. */
export async function startRawModel(
  handler: (request: RawRequest) => RawReply | Promise<RawReply>,
  protocol = messagesProtocol,
): Promise<RawModel> {
  const requests: RawRequest[] = [];
  const server = createServer((incoming, response) => {
    void readRequest(incoming, requests.length)
      .then(async (request) => {
        requests.push(request);
        send(await handler(request), request, response, protocol);
      })
      .catch((error: unknown) => response.destroy(error as Error));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The Server-Sent Events of a message, one string. */
export function messageEvents(message: RawMessage): string {
  const whole = wholeMessage(message);
  const blocks = whole.content as RawBlock[];
  const events: Record<string, unknown>[] = [
    {
      type: "message_start",
      message: { ...whole, content: [], stop_reason: null, usage: { ...whole.usage, output_tokens: 1 } },
    },
    ...blocks.flatMap((block, index) => blockEvents(block, index)),
    {
      type: "message_delta",
      delta: { stop_reason: whole.stop_reason, stop_sequence: null, stop_details: whole.stop_details },
      usage: { output_tokens: whole.usage.output_tokens },
    },
    { type: "message_stop" },
  ];
  return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
}

let messages = 0;

/** A message with everything that the provider always sends. */
function wholeMessage(message: RawMessage) {
  const content = typeof message.content === "string" ? [{ type: "text", text: message.content }] : message.content;
  const callsTools = content.some((block) => block.type === "tool_use");
  return {
    // Clients put messages of one id together.
    id: `msg_${++messages}`,
    type: "message",
    role: "assistant",
    model: "scripted",
    content,
    stop_reason: message.stop_reason === undefined ? (callsTools ? "tool_use" : "end_turn") : message.stop_reason,
    stop_sequence: null,
    stop_details: message.stop_details ?? null,
    usage: {
      input_tokens: 100,
      output_tokens: 20,
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
      ...message.usage,
    },
  };
}

function blockEvents(block: RawBlock, index: number): Record<string, unknown>[] {
  const start = (content_block: unknown) => ({ type: "content_block_start", index, content_block });
  const delta = (delta: unknown) => ({ type: "content_block_delta", index, delta });
  const stop = { type: "content_block_stop", index };
  if (block.type === "text")
    return [start({ type: "text", text: "" }), delta({ type: "text_delta", text: block.text }), stop];
  if (block.type === "thinking") {
    return [
      start({ type: "thinking", thinking: "", signature: "" }),
      delta({ type: "thinking_delta", thinking: block.thinking }),
      delta({ type: "signature_delta", signature: block.signature }),
      stop,
    ];
  }
  if (block.type === "tool_use") {
    return [
      start({ ...block, input: {} }),
      delta({ type: "input_json_delta", partial_json: block.json ?? JSON.stringify(block.input) }),
      stop,
    ];
  }
  return [start(block), stop];
}

async function readRequest(incoming: IncomingMessage, index: number): Promise<RawRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString("utf8");
  return {
    method: incoming.method ?? "",
    path: incoming.url ?? "",
    headers: incoming.headers,
    body: text === "" ? undefined : JSON.parse(text),
    index,
  };
}

function send(reply: RawReply, request: RawRequest, response: ServerResponse, protocol: RawProtocol): void {
  if (reply === "silence") return;
  if (reply === "hang-up") {
    response.destroy();
    return;
  }
  if ("status" in reply) {
    const body = typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body ?? {});
    response.writeHead(reply.status, { "content-type": "application/json", ...reply.headers }).end(body);
    return;
  }
  const streamed = request.body?.stream === true;
  const bytes = Buffer.from(streamed ? protocol.events(reply.message) : JSON.stringify(protocol.whole(reply.message)));
  response.writeHead(200, { "content-type": streamed ? "text/event-stream" : "application/json" });
  if (reply.trickleMs !== undefined) {
    let sent = 0;
    const timer = setInterval(() => response.write(bytes.subarray(sent, ++sent)), reply.trickleMs);
    response.on("close", () => clearInterval(timer));
    return;
  }
  const first = reply.cutAfterBytes ?? reply.endAfterBytes ?? reply.stallAfterBytes;
  if (first === undefined) {
    response.end(bytes);
    return;
  }
  response.flushHeaders();
  response.write(bytes.subarray(0, first), () => {
    if (reply.cutAfterBytes !== undefined) response.destroy();
    else if (reply.endAfterBytes !== undefined) response.end();
  });
}
