import type { Logger } from "pino";
import type { OperatorConfig } from "../config/operator.ts";
import type { Engine } from "../engine/engine.ts";
import type { GitHubApp } from "../github/client.ts";
import type { Notifier } from "../notify/notifier.ts";
import type { Store } from "../store/store.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Workspaces } from "../workspace/workspace.ts";
import { createReconciler, type Reconciler } from "./reconcile/reconciler.ts";

export interface Housekeeping extends Pick<Reconciler, "sweep" | "lookForReactions"> {
  start(): Promise<void>;
  stop(): Promise<void>;
}

const reactionPeriodMs = 60_000;
const notifyingPeriodMs = 15_000;
const cleaningPeriodMs = 3_600_000;

/** What happens by the clock: looking at GitHub for what no webhook told, telling people, leftovers on disk, and retention. */
export function createHousekeeping(options: {
  operator: OperatorConfig;
  store: Store;
  workspaces: Workspaces;
  github: GitHubApp;
  notifier: Notifier;
  engine: Engine;
  metrics: Metrics;
  log: Logger;
}): Housekeeping {
  const { store, workspaces, notifier, operator, log } = options;
  const reconciler = createReconciler(options);
  const timers: NodeJS.Timeout[] = [];
  let stopped = false;
  let under: Promise<unknown> = Promise.resolve();

  /** One at a time: slow work is not overtaken by the next. */
  function afterOthers<T>(work: () => Promise<T>): Promise<T> {
    const done = under.then(work);
    under = done.catch(() => undefined);
    return done;
  }

  function once(what: string, work: () => Promise<unknown>): void {
    if (stopped) return;
    afterOthers(work).catch((error: unknown) => {
      if (!stopped) log.warn({ err: error }, `${what} failed; it is tried again`);
    });
  }

  function every(periodMs: number, what: string, work: () => Promise<unknown>): void {
    timers.push(setInterval(() => once(what, work), periodMs).unref());
  }

  return {
    async start() {
      await reconciler.begin();
      every(reactionPeriodMs, "looking for reactions", () => reconciler.lookForReactions());
      // Beside the others: a receiver that is slow holds up nothing, and nothing holds it up.
      timers.push(setInterval(() => void notifier.deliver(), notifyingPeriodMs).unref());
      void notifier.deliver();
      every(cleaningPeriodMs, "cleaning up", async () => {
        await workspaces.sweep();
        await store.data.retain(operator.retentionDays);
      });
      const periodSeconds = operator.reconcileMinutes * 60;
      if (periodSeconds === 0) return;
      once("looking at GitHub", () => reconciler.sweep());
      // Whoever looked last goes on; the others take over when it is overdue.
      every(periodSeconds * 1000, "looking at GitHub", () => reconciler.sweep(periodSeconds * 1.5));
    },
    async stop() {
      stopped = true;
      for (const timer of timers) clearInterval(timer);
      reconciler.stop();
      await Promise.all([under, notifier.stop()]);
    },
    sweep: (pauseSeconds) => afterOthers(() => reconciler.sweep(pauseSeconds)),
    lookForReactions: () => afterOthers(() => reconciler.lookForReactions()),
  };
}
