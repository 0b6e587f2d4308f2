import { randomBytes, timingSafeEqual } from "node:crypto";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import {
  createServer,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Fault } from "../agent/loop/faults.ts";
import { Ledger } from "../agent/loop/ledger.ts";
import { callRecord, countsOf } from "../agent/loop/usage.ts";
import type { Budget, ModelFailure, RecordCall, Usage } from "../agent/model.ts";
import type { Price } from "../agent/prices.ts";
import type { ModelSettings } from "../config/models.ts";
import { estimateTokens } from "../policy/tokens.ts";
import { AnswerReader } from "./answer-reader.ts";
import { connectionFault, faultOf, pageInstead, type Shown, shownOf } from "./upstream-fault.ts";

/** Where the real model is, and what it costs. */
export interface Upstream {
  provider: string;
  /** Without `/v1`. */
  baseUrl: string;
  apiKey: string | undefined;
  /** The names that may be asked for. */
  models: readonly string[];
  price: Price;
  maxOutputTokens: number;
  /** Which settings messages name. */
  settings: ModelSettings;
}

export interface GatewayOptions {
  upstream: Upstream;
  prompt: { name: string; version: string };
  budget: Budget;
  record: RecordCall;
  /** An upstream that sends nothing for so long is given up. 120 by default. */
  idleTimeoutSeconds?: number;
}

/** What ended the work from outside of the coder. */
export type GatewayEnding = { kind: Extract<ModelFailure, "out-of-budget" | "out-of-turns">; message: string };

/** A model's server for one job: whoever holds its token can ask the configured models for messages, up to the budget. */
export interface Gateway {
  /** A Unix socket in a folder that only the worker can enter. */
  socket: string;
  /** Good for this gateway alone. */
  token: string;
  usage(): Usage;
  /** A limit that was reached, and what the last request met at the model's server. */
  ending(): GatewayEnding | undefined;
  fault(): Fault | undefined;
  /** `stop_reason` of the last answer. */
  lastStop(): string | undefined;
  /** How many answers came whole. */
  answers(): number;
  /**
   * From `pause` on, but after one answer at least, and from the budget's deadline on requests are held, and whoever waits
   * at {@link stopPath} is told to stop: between two turns nothing is lost. At `cut` it is told so whatever it does.
   */
  stopAt(pause: Date, cut: Date): void;
  /** Whether `stopAt`'s time came and somebody was held or cut. */
  stopped(): boolean;
  /** Ends everything that is open. */
  close(): Promise<void>;
}

/** Answered when the coder has to stop. */
export const stopPath = "/millwright/stop";

const maxRequestBytes = 32 * 1024 * 1024;
const maxAnswerBytes = 64 * 1024 * 1024;
const maxErrorBytes = 64 * 1024;
const maxWaiting = 16;
/** Whoever asks to count tokens asks for nothing that costs, but not without end. */
const maxCounts = 2_000;
/** Asking again does not help where a web page answers. */
const noModel: Shown = { status: 403, type: "permission_error", message: "There is no model at the model's address." };
const passedRequestHeaders = ["content-type", "accept", "anthropic-version", "anthropic-beta", "user-agent", "x-app"];
const passedAnswerHeaders = ["content-type", "request-id", "retry-after", "retry-after-ms", "x-should-retry"];

/** Opens a gateway. Throws when no socket can be made. */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const { upstream, budget } = options;
  const base = new URL(upstream.baseUrl);
  const secure = base.protocol === "https:";
  const agent = secure ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });
  const token = randomBytes(32).toString("base64url");
  const ledger = new Ledger(budget, upstream.price, upstream.maxOutputTokens);
  const directory = await mkdtemp(join(tmpdir(), "millwright-gateway-"));
  const socket = join(directory, "gateway.sock");
  const idleMs = (options.idleTimeoutSeconds ?? 120) * 1000;

  let ending: GatewayEnding | undefined;
  let fault: Fault | undefined;
  let lastStop: string | undefined;
  let answers = 0;
  let counts = 0;
  let waiting = 0;
  const passing = new Set<Promise<void>>();
  let queue: Promise<void> = Promise.resolve();
  let stop = newStop(0);

  const server = createServer((incoming, answer) => {
    answer.on("error", () => {});
    incoming.on("error", () => {});
    serve(incoming, answer).catch((error: unknown) => {
      fault = { kind: "fatal", error: error as Error };
      answer.destroy();
    });
  });
  // An answer takes as long as the model does; whoever is silent while it asks is let go by Node's own limits.
  server.requestTimeout = 60_000;
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(socket, resolve);
  });
  await chmod(socket, 0o666); // Reached only through its folder, which is the worker's alone, or a bind mount of it.

  return {
    socket,
    token,
    usage: () => ledger.usage,
    ending: () => ending,
    fault: () => fault,
    lastStop: () => lastStop,
    answers: () => answers,
    stopAt(pause, cut) {
      clearTimeout(stop.timer);
      const current = newStop(answers);
      stop = current;
      current.time = pause.getTime();
      current.timer = setTimeout(() => tellStop(current), Math.max(0, cut.getTime() - Date.now()));
    },
    stopped: () => stop.told,
    async close() {
      clearTimeout(stop.timer);
      server.close();
      server.closeAllConnections();
      // What was under way is recorded before it is over.
      await Promise.allSettled(passing);
      agent.destroy();
      await rm(directory, { recursive: true, force: true });
    },
  };

  async function serve(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const path = new URL(incoming.url ?? "/", "http://gateway").pathname;
    if (!isMine(incoming)) return refuse(answer, 401, "authentication_error", "The token is not this job's.");
    if (incoming.method === "GET" && path === stopPath) {
      stop.listeners.add(answer);
      answer.once("close", () => stop.listeners.delete(answer));
      if (stop.told) answer.end("stop\n");
      return;
    }
    const isMessage = path === "/v1/messages";
    if (incoming.method !== "POST" || !(isMessage || path === "/v1/messages/count_tokens"))
      return refuse(answer, 404, "not_found_error", `Nothing but messages can be asked for here, not ${path}.`);
    const body = await readBody(incoming);
    if (body === undefined) return refuse(answer, 413, "request_too_large", "The request is too large.");
    let asked: Record<string, unknown>;
    try {
      asked = JSON.parse(body.toString("utf8"));
      if (typeof asked !== "object" || asked === null) throw new TypeError("no object");
    } catch {
      return refuse(answer, 400, "invalid_request_error", "The request is not JSON.");
    }
    if (!upstream.models.includes(`${asked["model"]}`))
      return refuse(answer, 403, "permission_error", `The model ${asked["model"]} is not configured.`);
    if (!isMessage) {
      counts += 1;
      if (counts > maxCounts) return refuse(answer, 429, "rate_limit_error", "Too many requests to count tokens.");
      return pass(incoming, answer, path, body, undefined);
    }
    if (waiting >= maxWaiting) return refuse(answer, 429, "rate_limit_error", "Too many requests at once.");
    // One at a time, so that two together cannot exceed what is left.
    waiting += 1;
    const turn = queue.then(() => ask(incoming, answer, path, asked, body));
    queue = turn.catch(() => {});
    await turn.finally(() => {
      waiting -= 1;
    });
  }

  async function ask(
    incoming: IncomingMessage,
    answer: ServerResponse,
    path: string,
    asked: Record<string, unknown>,
    body: Buffer,
  ): Promise<void> {
    if (answer.destroyed) return;
    if (ending !== undefined) return refuse(answer, 403, "permission_error", `${ending.message}.`);
    if (fault?.kind === "fatal")
      return refuse(answer, 403, "permission_error", "The model's provider refused the request.");
    const now = Date.now();
    if (now >= budget.deadline.getTime() || (now >= stop.time && answers > stop.answersBefore)) {
      // Held and never answered: whoever asked is stopped, and asks again when the work goes on.
      tellStop(stop);
      return;
    }
    const promptTokens = estimateTokens(body.toString("latin1"));
    const allowance = ledger.allow({ knownTokens: 0, newTokens: promptTokens });
    if (allowance.kind !== "go") {
      ending = allowance;
      tellStop(stop);
      return refuse(answer, 403, "permission_error", `${allowance.message}.`);
    }
    const maxTokens = Math.min(allowance.maxTokens, positive(asked["max_tokens"]) ?? allowance.maxTokens);
    const sent = maxTokens === asked["max_tokens"] ? body : Buffer.from(JSON.stringify(limited(asked, maxTokens)));
    await pass(incoming, answer, path, sent, { promptTokens, maxTokens });
  }

  /** Passes one request on, and its answer back as it comes. */
  function pass(...call: Parameters<typeof passOn>): Promise<void> {
    const passed = passOn(...call);
    passing.add(passed);
    return passed.finally(() => passing.delete(passed));
  }

  function passOn(
    incoming: IncomingMessage,
    answer: ServerResponse,
    path: string,
    body: Buffer,
    call: { promptTokens: number; maxTokens: number } | undefined,
  ): Promise<void> {
    const startedAt = Date.now();
    return new Promise((resolve, reject) => {
      let reader: AnswerReader | undefined;
      let settled = false;
      const outgoing = (secure ? httpsRequest : httpRequest)({
        ...{
          protocol: base.protocol,
          hostname: base.hostname.replace(/^\[|\]$/g, ""),
          port: base.port,
          agent,
          method: "POST",
        },
        path: `${base.pathname.replace(/\/$/, "")}${path}${new URL(incoming.url ?? "/", "http://gateway").search}`,
        headers: {
          ...headersOf(incoming),
          "accept-encoding": "identity",
          "content-length": body.length,
          ...(upstream.apiKey === undefined ? {} : { authorization: `Bearer ${upstream.apiKey}` }),
        },
        timeout: idleMs,
      });
      const finish = (how: "whole" | "cut" | "aborted", then: () => void) => {
        if (settled) return;
        settled = true;
        outgoing.destroy();
        account(call, reader, startedAt, how).then(() => {
          then();
          resolve();
        }, reject);
      };
      const broken = (error: Error) => {
        if (answer.destroyed) return finish("aborted", () => {});
        if (call !== undefined) fault = connectionFault(error, upstream.settings);
        finish("cut", () => {
          if (answer.headersSent) answer.destroy();
          else refuse(answer, 502, "api_error", "The model could not be reached.");
        });
      };
      outgoing.on("error", broken);
      outgoing.on("timeout", () => outgoing.destroy(new Error(`it sent nothing for ${idleMs / 1000} seconds`)));
      answer.once("close", () => finish("aborted", () => {}));
      outgoing.once("response", (response) => {
        response.on("error", broken);
        response.once("close", () => {
          if (!response.complete) broken(new Error("its answer broke off"));
        });
        const status = response.statusCode ?? 502;
        const type = response.headers["content-type"] ?? "";
        if (status !== 200 || !/json|event-stream/.test(type)) {
          void readUpTo(response, maxErrorBytes).then((text) => {
            const shownText = hideKey(text);
            const met =
              status === 200
                ? pageInstead(type, upstream.settings)
                : faultOf(status, response.headers, shownText, upstream.settings);
            if (call !== undefined) fault = met;
            // Whoever asks again and again for what is never given is stopped.
            if (call !== undefined && met.kind === "fatal") tellStop(stop);
            finish("whole", () => {
              const shown = status === 200 ? noModel : shownOf(met);
              if (shown === undefined) answer.writeHead(status, answerHeaders(response.headers)).end(shownText);
              else refuse(answer, shown.status, shown.type, shown.message);
            });
          }, broken);
          return;
        }
        if (call !== undefined) fault = undefined;
        answer.writeHead(status, answerHeaders(response.headers));
        answer.flushHeaders();
        reader = new AnswerReader(/event-stream/.test(type));
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          reader?.add(chunk);
          if (bytes > maxAnswerBytes) return broken(new Error(`it sent more than ${maxAnswerBytes} bytes`));
          // The model's server was told the most that the answer may have. Estimates are rather too high, hence the room.
          if (call !== undefined && (reader?.outputTokens() ?? 0) > call.maxTokens * 1.5 + 1_000) {
            ending = {
              kind: "out-of-budget",
              message: `An answer had more than the ${call.maxTokens} tokens that were left`,
            };
            tellStop(stop);
            return finish("cut", () => answer.destroy());
          }
          if (!answer.write(chunk)) {
            response.pause();
            answer.once("drain", () => response.resume());
          }
        });
        response.on("end", () => {
          if (response.complete) finish("whole", () => answer.end());
        });
      });
      outgoing.end(body);
    });
  }

  /** Counts a call and records it before whoever asked sees the end of the answer. */
  async function account(
    call: { promptTokens: number; maxTokens: number } | undefined,
    reader: AnswerReader | undefined,
    startedAt: number,
    how: "whole" | "cut" | "aborted",
  ): Promise<void> {
    if (call === undefined || reader === undefined) return;
    const { usage, stopReason, model } = reader.read();
    const received = reader.outputTokens();
    const whole = how === "whole" && stopReason !== undefined;
    if (usage === undefined && !whole && received === 0) return;
    const counted = countsOf(usage ?? {}, { promptTokens: call.promptTokens, outputTokens: received });
    // Only the end of an answer says what all of it cost.
    const tokens = whole ? counted : { ...counted, outputTokens: Math.max(counted.outputTokens, received) };
    ledger.add(tokens);
    if (whole) {
      answers += 1;
      lastStop = stopReason;
    }
    const record = callRecord(
      {
        provider: upstream.provider,
        model: upstream.models.find((name) => name === model) ?? upstream.models[0] ?? "unknown",
        prompt: options.prompt,
        price: upstream.price,
        startedAt,
        ending: whole ? (stopReason ?? "none") : how === "aborted" ? "aborted" : "transient",
      },
      tokens,
    );
    await options.record(record);
  }

  function isMine(incoming: IncomingMessage): boolean {
    const given = incoming.headers["x-api-key"] ?? incoming.headers.authorization?.replace(/^Bearer /i, "") ?? "";
    const [mine, theirs] = [Buffer.from(token), Buffer.from(`${given}`)];
    return mine.length === theirs.length && timingSafeEqual(mine, theirs);
  }

  function hideKey(text: string): string {
    return upstream.apiKey === undefined ? text : text.replaceAll(upstream.apiKey, "[key]");
  }

  function tellStop(which: Stop): void {
    which.told = true;
    for (const listener of which.listeners) listener.end("stop\n");
  }
}

interface Stop {
  time: number;
  answersBefore: number;
  told: boolean;
  timer: NodeJS.Timeout | undefined;
  listeners: Set<ServerResponse>;
}

function newStop(answersBefore: number): Stop {
  return { answersBefore, time: Number.POSITIVE_INFINITY, told: false, timer: undefined, listeners: new Set() };
}

function positive(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value >= 1 ? Math.floor(value) : undefined;
}

/** The request with fewer tokens to answer, of which thinking may not take all. */
function limited(asked: Record<string, unknown>, maxTokens: number): Record<string, unknown> {
  const thinking = (asked["thinking"] ?? {}) as { type?: unknown; budget_tokens?: unknown };
  const changed = { ...asked, max_tokens: maxTokens };
  if (typeof thinking.budget_tokens !== "number" || thinking.budget_tokens < maxTokens) return changed;
  if (maxTokens > 1_024) return { ...changed, thinking: { ...thinking, budget_tokens: maxTokens - 1 } };
  return { ...changed, thinking: { type: "disabled" } };
}

function headersOf(incoming: IncomingMessage): Record<string, string | string[]> {
  const passed = Object.entries(incoming.headers).filter(
    ([name, value]) => value !== undefined && (passedRequestHeaders.includes(name) || name.startsWith("x-stainless-")),
  );
  return Object.fromEntries(passed) as Record<string, string | string[]>;
}

function answerHeaders(headers: IncomingMessage["headers"]): Record<string, string> {
  return Object.fromEntries(
    passedAnswerHeaders.flatMap((name) => (headers[name] === undefined ? [] : [[name, `${headers[name]}`]])),
  );
}

/** In the form of the API, so that every client understands it. */
function refuse(answer: ServerResponse, status: number, type: string, message: string): void {
  const body = JSON.stringify({ type: "error", error: { type, message } });
  answer.writeHead(status, { "content-type": "application/json" }).end(body);
}

async function readBody(incoming: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming) {
    bytes += (chunk as Buffer).length;
    if (bytes > maxRequestBytes) return undefined;
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

async function readUpTo(incoming: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming) {
    bytes += (chunk as Buffer).length;
    if (bytes <= maxBytes) chunks.push(chunk as Buffer);
    else if (bytes > maxAnswerBytes) break;
  }
  return Buffer.concat(chunks).toString("utf8");
}
