import type { EmitterWebhookEvent, EmitterWebhookEventName } from "@octokit/webhooks";
import type { Logger } from "pino";
import type { Engine } from "../engine/engine.ts";
import type { Intent } from "../pipeline/intent.ts";
import { maxIntentBytes } from "../pipeline/run-key.ts";
import type { Known, Verdict } from "./handler.ts";

/** Takes one delivery to its handler. */
export type Receive = <N extends EmitterWebhookEventName>(
  event: EmitterWebhookEvent<N>,
  handler: (event: EmitterWebhookEvent<N>, known: Known) => Verdict,
) => Promise<void>;

/**
 * Asks a handler and durably queues what it starts; one log line for each delivery, once it is known whether it was
 * repeated. Rejects when it could not be queued. A text that is too large for any engine becomes a command that says so.
 */
export function createReceive(options: { engine: Pick<Engine, "start">; known: () => Known; log: Logger }): Receive {
  return async (event, handler) => {
    const action = (event.payload as { action?: string }).action;
    const name = action === undefined ? event.name : `${event.name}.${action}`;
    const say = (received: { answer: "started" | "repeated" | "ignored"; runKey?: string; reason?: string }) =>
      options.log.info({ deliveryId: event.id, event: name, ...received }, `delivery ${received.answer}`);
    const verdict = verdictOf(() => handler(event, options.known()), event.id, options.log);
    if ("ignore" in verdict) return void say({ answer: "ignored", reason: verdict.ignore });
    const { runKey, repeated } = await options.engine.start(fitting(verdict.start));
    void repeated.then((known) => say({ answer: known === true ? "repeated" : "started", runKey }));
  };
}

/** A payload that is not as GitHub describes it stays so however often it is delivered again: it is not refused. */
function verdictOf(ask: () => Verdict, deliveryId: string, log: Logger): Verdict {
  const malformed: Verdict = { ignore: "the payload is not as GitHub describes it" };
  try {
    const verdict = ask();
    return "ignore" in verdict || canBeFiled(verdict.start) ? verdict : malformed;
  } catch (error) {
    log.error({ deliveryId, err: error }, "a delivery could not be read");
    return malformed;
  }
}

/** Whether ids are numbers and names are texts; types alone do not say what a signed payload holds. */
function canBeFiled({ id, work, actor }: Intent): boolean {
  const ids = [work.installationId, work.repositoryId, work.subject.number ?? 0, actor.id];
  const names = [id, work.owner, work.repo, actor.login, actor.type];
  return ids.every(Number.isSafeInteger) && names.every((name) => typeof name === "string");
}

/** The intent, or the command that says that it is too large for any engine. */
export function fitting(intent: Intent): Intent {
  return Buffer.byteLength(JSON.stringify(intent)) <= maxIntentBytes ? intent : instead(intent, "too-large");
}

/** Says to whoever asked why this intent is not carried out. Its id is the same: it is answered once. */
export function instead({ text: _, args: __, ...intent }: Intent, command: "too-large" | "changed"): Intent {
  return { ...intent, pipeline: "answer-command", command };
}
