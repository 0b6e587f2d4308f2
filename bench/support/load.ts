import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { type Child, serve, startChild } from "./child.ts";
import type { StoredDelivery } from "./local-github.ts";

export interface LoadOptions {
  /** One `StoredDelivery` per line. */
  file: string;
  secret: string;
}

export interface LoadQuestion {
  url: string;
  perSecond: number;
  /** The first deliveries, which are sent but not counted. */
  warmUp: number;
}

export interface LoadReply {
  /** Milliseconds from when a delivery was due to the end of its answer. */
  latenciesMs: number[];
  /** How late deliveries left: more than a few milliseconds means that the generator itself was too slow. */
  lateMs: number[];
  /** When each delivery left, in milliseconds since 1970. */
  sentAt: Record<string, number>;
  /** How often each status was answered; what was not answered within ten seconds counts as `timeout`. */
  statuses: Record<string, number>;
}

/** Sends signed deliveries from a process of its own. */
export function startLoadProcess(options: LoadOptions): Promise<Child<{ count: number }, LoadQuestion, LoadReply>> {
  return startChild(import.meta.filename, options);
}

interface Signed extends StoredDelivery {
  signature: string;
}

/** Everything is signed before the first is sent, so that little is left to do when one is due. */
async function start({ file, secret }: LoadOptions) {
  const deliveries = (await readFile(file, "utf8")).split("\n").map((line): Signed => {
    const delivery = JSON.parse(line) as StoredDelivery;
    return { ...delivery, signature: `sha256=${createHmac("sha256", secret).update(delivery.body).digest("hex")}` };
  });
  return { ready: { count: deliveries.length }, answer: (question: LoadQuestion) => send(deliveries, question) };
}

/**
 * An open loop: each delivery has its moment and leaves then, whether or not those before it were answered, and its time
 * counts from that moment. A receiver that stalls therefore shows in all that was due meanwhile.
 */
async function send(deliveries: readonly Signed[], { url, perSecond, warmUp }: LoadQuestion): Promise<LoadReply> {
  const agent = new Agent({ keepAlive: true });
  const reply: LoadReply = { latenciesMs: [], lateMs: [], sentAt: {}, statuses: {} };
  const begun = performance.now() + 100;
  const answered = deliveries.map(async (delivery, n) => {
    const due = begun + (n * 1000) / perSecond;
    await moment(due);
    const left = performance.now();
    reply.sentAt[delivery.id] = performance.timeOrigin + left;
    const status = await post(agent, url, delivery);
    reply.statuses[status] = (reply.statuses[status] ?? 0) + 1;
    if (n < warmUp) return;
    reply.latenciesMs.push(performance.now() - due);
    reply.lateMs.push(left - due);
  });
  await Promise.all(answered);
  agent.destroy();
  return reply;
}

async function moment(due: number): Promise<void> {
  for (let left = due - performance.now(); left > 0; left = due - performance.now()) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(1, Math.floor(left))));
  }
}

/** GitHub waits no longer: https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks */
const answerTimeoutMs = 10_000;

/** The status, or what went wrong. */
function post(agent: Agent, url: string, { id, event, body, signature }: Signed): Promise<string> {
  return new Promise((resolve) => {
    const sent = request(
      url,
      {
        method: "POST",
        agent,
        timeout: answerTimeoutMs,
        headers: {
          "content-type": "application/json",
          "content-length": Buffer.byteLength(body),
          "user-agent": "GitHub-Hookshot/bench",
          "x-github-delivery": id,
          "x-github-event": event,
          "x-hub-signature-256": signature,
        },
      },
      (response) => {
        response.resume();
        response.once("end", () => resolve(String(response.statusCode)));
        response.once("error", (error) => resolve(error.message));
      },
    );
    sent.once("timeout", () => sent.destroy(new Error("timeout")));
    sent.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    sent.end(body);
  });
}

if (import.meta.main) serve(start);
