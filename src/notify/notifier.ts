import type { Logger } from "pino";
import type { Redactor } from "../policy/redact.ts";
import type { Store, TakenNotification } from "../store/store.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Channel, Sending } from "./channel.ts";
import { Notice } from "./notice.ts";

export interface Notifier {
  /**
   * Sends what is due, the channels beside one another. Resolves when nothing is due any more that can be sent now; what is
   * being sent by an earlier call is left to it. Never throws.
   */
  deliver(): Promise<void>;
  /** Begins nothing more; resolves when what is being sent has ended. */
  stop(): Promise<void>;
}

export interface NotifierOptions {
  store: Pick<Store, "notifications">;
  channels: ReadonlyMap<string, Channel>;
  redactor: Redactor;
  metrics: Pick<Metrics, "notifications">;
  log: Logger;
  /** How long one try may take. */
  sendSeconds?: number;
}

const maxAttempts = 8;
/** Between tries: 30 s, 2 min, 8 min … at most 6 h, so that the last one is about 15 hours after the first. */
const firstBackoffSeconds = 30;
const longestBackoffSeconds = 6 * 3_600;
/** A process that dies while it sends holds what it took for so long; then another one sends it again. */
const spareLeaseSeconds = 60;
/** One call sends so many to one channel at most. */
const maxPerCall = 50;

/**
 * Sends what steps have filed (P7), in any number of processes at once: each notice is taken by one. A process that dies
 * between sending and noting it makes the next one send again; receivers know the repetition by its id.
 */
export function createNotifier(options: NotifierOptions): Notifier {
  const { store, channels, redactor, metrics, log, sendSeconds = 10 } = options;
  const lanes = new Map<string, Promise<void>>();
  let stopped = false;

  /** Sends to one channel, one at a time, until nothing is due or the channel is in trouble: then the others wait for the next call. */
  async function drain(name: string, channel: Channel): Promise<void> {
    for (let sent = 0; sent < maxPerCall && !stopped; sent += 1) {
      const taken = await store.notifications.take(name, sendSeconds + spareLeaseSeconds);
      if (taken === undefined) return;
      const result: Sending =
        taken.attempt > maxAttempts
          ? { kind: "failed", why: `the process that sent it died, ${maxAttempts} times` }
          : await trySending(channel, taken, sendSeconds);
      await settle(name, channel, taken, result);
      if (result.kind === "retry") return;
    }
  }

  async function settle(name: string, channel: Channel, taken: TakenNotification, result: Sending): Promise<void> {
    const { runKey, attempt } = taken;
    const facts = { channel: name, kind: channel.kind, runKey, attempt };
    const count = (end: string) => metrics.notifications.inc({ kind: channel.kind, result: end });
    if (result.kind === "sent") {
      await store.notifications.sent(taken);
      count("sent");
      log.info({ ...facts, remark: result.remark }, "notification sent");
      return;
    }
    const why = redactor.redact(result.why).slice(0, 500);
    if (result.kind === "failed" || attempt >= maxAttempts) {
      await store.notifications.failed(taken, why);
      count("failed");
      log.error({ ...facts, why }, "notification failed for good");
      return;
    }
    const { afterSeconds } = result;
    const seconds = afterSeconds === undefined ? backoffSeconds(attempt) : within(1, afterSeconds);
    await store.notifications.retry(taken, { seconds, why, holdChannel: afterSeconds !== undefined });
    count("retried");
    log.warn({ ...facts, why, seconds: Math.round(seconds) }, "notification failed; it is sent again");
  }

  return {
    async deliver() {
      const begun = [...channels].filter(([name]) => !lanes.has(name));
      await Promise.all(
        begun.map(([name, channel]) => {
          const lane = drain(name, channel)
            .catch((error: unknown) => {
              if (!stopped) log.warn({ err: error, channel: name }, "sending notifications failed; it is tried again");
            })
            .finally(() => lanes.delete(name));
          lanes.set(name, lane);
          return lane;
        }),
      );
    },
    async stop() {
      stopped = true;
      await Promise.all(lanes.values());
    },
  };
}

/** One try, which ends after its time whatever the channel does. */
async function trySending(channel: Channel, taken: TakenNotification, seconds: number): Promise<Sending> {
  const parsed = Notice.safeParse(taken.content);
  if (!parsed.success) return { kind: "failed", why: "what was filed is no notice of this version" };
  const late = new AbortController();
  const tooLate = Promise.withResolvers<Sending>();
  const timer = setTimeout(() => {
    late.abort();
    tooLate.resolve({ kind: "retry", why: `no answer within ${seconds} s` });
  }, seconds * 1000);
  try {
    const sending = channel.send(parsed.data, { key: taken.key, filedAt: taken.createdAt, signal: late.signal });
    return await Promise.race([sending.catch(unsent), tooLate.promise]);
  } catch (error) {
    return unsent(error);
  } finally {
    clearTimeout(timer);
  }
}

/** The network's own word, such as ECONNREFUSED, stands in the cause of what fetch throws. */
function unsent(error: unknown): Sending {
  const { cause, message } = error instanceof Error ? error : new Error(String(error));
  return { kind: "retry", why: cause instanceof Error ? `${message}: ${cause.message}` : message };
}

/** Not all at the same moment, where many wait for one receiver. */
function backoffSeconds(attempt: number): number {
  return within(1, firstBackoffSeconds * 4 ** (attempt - 1)) * (0.9 + Math.random() * 0.2);
}

function within(least: number, seconds: number): number {
  return Math.min(longestBackoffSeconds, Math.max(least, seconds));
}
