import type { EmitterWebhookEvent, EmitterWebhookEventName } from "@octokit/webhooks";
import type { Logger } from "pino";
import type { Engine } from "../engine/engine.ts";
import { type Intent, maxIntentBytes } from "../pipeline/intent.ts";
import type { Known, Verdict } from "./handler.ts";

/** What became of a delivery, for the log and the metrics. */
type Received = { answer: "started" | "repeated" | "ignored"; runKey?: string; reason?: string };

/** Takes one delivery to its handler. */
export type Receive = <N extends EmitterWebhookEventName>(
  event: EmitterWebhookEvent<N>,
  handler: (event: EmitterWebhookEvent<N>, known: Known) => Verdict,
) => Promise<void>;

/**
 * Asks a handler and durably queues what it starts; one log line for each delivery. Rejects when it could not be queued.
 * A text that is too large for any engine becomes a command that says so.
 */
export function createReceive(options: { engine: Engine; known: () => Known; log: Logger }): Receive {
  return async (event, handler) => {
    const received = await queue(handler(event, options.known()), options.engine);
    const action = (event.payload as { action?: string }).action;
    const name = action === undefined ? event.name : `${event.name}.${action}`;
    options.log.info({ deliveryId: event.id, event: name, ...received }, `delivery ${received.answer}`);
  };
}

async function queue(verdict: Verdict, engine: Engine): Promise<Received> {
  if ("ignore" in verdict) return { answer: "ignored", reason: verdict.ignore };
  const { runKey, repeated } = await engine.start(fitting(verdict.start));
  return { answer: repeated === true ? "repeated" : "started", runKey };
}

function fitting(intent: Intent): Intent {
  if (Buffer.byteLength(JSON.stringify(intent)) <= maxIntentBytes) return intent;
  const { text: _, args: __, ...small } = intent;
  return { ...small, pipeline: "answer-command", command: "too-large" };
}
