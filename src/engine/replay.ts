import type { Decision, Run } from "../pipeline/run.ts";
import { type History, inputHashOf, type Lookup } from "./history.ts";
import { travelling } from "./travelling.ts";

/** Does what the history does not hold yet. Both may return a promise that stays pending: then the run goes to sleep. */
export interface Performer {
  /** Before every call, also a replayed one: throws when the run may not go on. */
  check(): void;
  step(call: { lookup: Lookup; name: string; input: unknown; inputHash: string }): Promise<unknown>;
  waitFor(call: {
    lookup: Lookup;
    name: string;
    inputHash: string;
    timeoutMinutes: number;
  }): Promise<Decision | "timed-out">;
}

/** The history names waits like steps; no step's name has a colon. */
const waitPrefix = "wait:";

/** The `Run` that a pipeline gets: every call is looked up in the history first. */
export function createRun(history: History, performer: Performer, branch = ""): Run {
  const run = {
    step: async (name: string, input: unknown) => {
      performer.check();
      const sent = travelling(input, `input of ${name}`);
      const inputHash = inputHashOf(sent);
      return performer.step({ lookup: history.next(branch, name, inputHash), name, input: sent, inputHash });
    },
    waitFor: async (signal: "decision", timeoutMinutes: number) => {
      performer.check();
      const name = `${waitPrefix}${signal}`;
      const inputHash = inputHashOf({ timeoutMinutes });
      return performer.waitFor({ lookup: history.next(branch, name, inputHash), name, inputHash, timeoutMinutes });
    },
    parallel: async (branches: Record<string, (run: Run) => Promise<unknown>>) => {
      const names = Object.keys(branches);
      const paths = history.openBranches(branch, names);
      const settled = await Promise.allSettled(
        names.map(async (name, index) => branches[name]?.(createRun(history, performer, paths[index]))),
      );
      history.closeBranches(paths);
      // The first in the order in which they were written: which one failed first would depend on timing.
      const failed = settled.find((result) => result.status === "rejected");
      if (failed) throw failed.reason;
      return Object.fromEntries(
        settled.map((result, index) => [names[index], result.status === "fulfilled" ? result.value : undefined]),
      );
    },
  };
  return run as Run;
}
