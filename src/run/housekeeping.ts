import type { Logger } from "pino";
import type { OperatorConfig } from "../config/operator.ts";
import type { Engine } from "../engine/engine.ts";
import type { GitHubApp } from "../github/client.ts";
import { permissionOf } from "../github/permission.ts";
import { mayTrigger } from "../policy/who-may-trigger.ts";
import type { RunRow, Store } from "../store/store.ts";
import type { Workspaces } from "../workspace/workspace.ts";

export interface Housekeeping {
  start(): void;
  stop(): Promise<void>;
  /** One look at GitHub for what it sends no event for; also called by the timer. */
  lookForReactions(): Promise<void>;
}

const reactionPeriodMs = 60_000;
const sweepPeriodMs = 3_600_000;

/** What happens by the clock: 👍 on plans, which GitHub sends no event for, leftovers on disk, and retention. */
export function createHousekeeping(options: {
  operator: OperatorConfig;
  store: Store;
  workspaces: Workspaces;
  github: GitHubApp;
  engine: Engine;
  log: Logger;
}): Housekeeping {
  const { store, workspaces, operator, log } = options;
  const timers: NodeJS.Timeout[] = [];
  let under: Promise<void> = Promise.resolve();

  /** One at a time: a slow look is not overtaken by the next. */
  function every(periodMs: number, what: string, work: () => Promise<void>): void {
    const once = () => {
      under = under.then(work).catch((error: unknown) => log.warn({ err: error }, `${what} failed; it is tried again`));
    };
    timers.push(setInterval(once, periodMs).unref());
  }

  async function lookForReactions(): Promise<void> {
    for (const run of await store.runs.waitingForDecision()) await approveByReaction(run);
  }

  async function approveByReaction(run: RunRow): Promise<void> {
    const commentId = await store.notes.get(run.runKey, "plan-comment");
    if (commentId === undefined) return;
    const { work } = run;
    const token = await options.github.token(work, { issues: "read", metadata: "read", pull_requests: "read" });
    const octokit = options.github.client(token, AbortSignal.timeout(30_000));
    const { data } = await octokit.rest.reactions.listForIssueComment({
      owner: work.owner,
      repo: work.repo,
      comment_id: Number(commentId),
      content: "+1",
      per_page: 100,
    });
    for (const { user } of data) {
      if (user === null) continue;
      const permission = await permissionOf(octokit, work, user.login);
      const may = mayTrigger({
        permission,
        actorType: user.type,
        login: user.login,
        isOwnApp: false,
        allowedBots: operator.allowedBots,
      });
      if (!may.allowed) continue;
      await options.engine.signal(run.workKey, "decision", { kind: "approve", actor: user.login });
      return;
    }
  }

  return {
    start() {
      every(reactionPeriodMs, "looking for reactions", lookForReactions);
      every(sweepPeriodMs, "sweeping", async () => {
        await workspaces.sweep();
        await store.data.retain(operator.retentionDays);
      });
    },
    async stop() {
      for (const timer of timers) clearInterval(timer);
      await under;
    },
    lookForReactions,
  };
}
