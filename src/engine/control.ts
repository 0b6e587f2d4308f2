import type { Intent } from "../pipeline/intent.ts";
import { addSignal, requestCancel } from "../store/executions.ts";
import type { OpenStore } from "../store/open-store.ts";
import { placeOf } from "../store/turns.ts";
import type { Engine } from "./engine.ts";

/** What reaches a run from outside; the same on every engine, because the truth is in the store. */
export interface Control extends Pick<Engine, "signal" | "cancel" | "cancelRepository" | "status"> {
  /** Every active and waiting run of an installation (P15). */
  cancelInstallation(installationId: number, reason: string): Promise<void>;
}

/** A run that has to look at what happened to it. */
export interface Woken {
  runKey: string;
  /** Which engine has it: the others leave it alone. */
  engine: string;
  priority: number;
  stage: "front" | "work";
  /** Why it is to stop, if it is. */
  reason?: string;
}

/** Greater goes first: a command answers at once, and work that people wait for in a review goes before new work. */
const priorities: Record<string, number> = {
  "answer-command": 100,
  "apply-fix": 12,
  "iterate-pr": 10,
  "fix-check": 8,
  "review-pr": 6,
  "issue-to-pr": 0,
};
/** Runs of these take no turn and no lease, and are not what a cancel or a signal means (architecture.md rule 12). */
const commands = ["answer-command"];

export function priorityOf(intent: Pick<Intent, "pipeline">): number {
  return priorities[intent.pipeline] ?? 0;
}

/** Writes into the store what a run is told, then has it woken by its engine. */
export function createControl(store: OpenStore, wake: (runs: readonly Woken[]) => Promise<void>): Control {
  const { db } = store.database;
  const cancel = async (which: Parameters<typeof requestCancel>[1], reason: string): Promise<number> => {
    const asked = await requestCancel(db, which, reason, { pipelines: commands });
    await wake(asked.map((run) => ({ ...run, reason })));
    return asked.length;
  };
  return {
    signal: async (workKey, name, payload) => {
      const woken = await addSignal(db, workKey, name, payload, { pipelines: commands });
      if (woken) await wake([woken]);
      return woken !== undefined;
    },
    cancel: async (workKey, reason) => (await cancel({ workKey }, reason)) > 0,
    cancelRepository: async (repositoryId, reason) => void (await cancel({ repositoryId }, reason)),
    cancelInstallation: async (installationId, reason) => void (await cancel({ installationId }, reason)),
    status: async (runKey) => {
      const run = await store.runs.get(runKey);
      if (!run) return undefined;
      const { workKey, pipeline, state, outcome } = run;
      const place = state === "waiting-turn" ? await placeOf(db, runKey) : undefined;
      return { runKey, workKey, pipeline, state, place, outcome: state === "ended" ? outcome : undefined };
    },
  };
}
