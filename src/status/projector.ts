import type { Logger } from "pino";
import type { OperatorConfig } from "../config/operator.ts";
import type { GitHubApp } from "../github/client.ts";
import { putComment } from "../github/comments.ts";
import { insideEffect } from "../github/effect-scope.ts";
import { statusMarker } from "../policy/markers.ts";
import type { Store } from "../store/store.ts";
import { renderStatus } from "./render.ts";
import { statusView } from "./view.ts";

/** Keeps the status comments of this worker's runs current; no step waits for it. */
export interface StatusProjector {
  /** Something changed: the comment is edited soon, at most once per `periodSeconds`. */
  touch(runKey: string, place?: number): void;
  /** Ends edits of this run and waits for the one under way, so that the final status is the last. */
  settle(runKey: string): Promise<void>;
  /** Does now what was to be edited soon, and waits for it: this process may be frozen afterwards, and forgets what it knows. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

interface Entry {
  timer?: NodeJS.Timeout;
  editing?: Promise<void>;
  lastEditAt: number;
  lastText?: string;
  place?: number;
  token?: { value: string; until: number };
  settled: boolean;
}

export function createStatusProjector(options: {
  store: Store;
  operator: Pick<OperatorConfig, "limits" | "runUrl">;
  github: GitHubApp;
  log: Logger;
  periodSeconds?: number;
  /** May throw or kill before or after an edit; given by tests alone. */
  effectFault?: (effect: { name: string; runKey: string; when: "before" | "after" }) => void | Promise<void>;
}): StatusProjector {
  const periodMs = (options.periodSeconds ?? 5) * 1000;
  const entries = new Map<string, Entry>();

  async function edit(runKey: string, entry: Entry): Promise<void> {
    // Most touches come before there is a comment, or after the end: these cost one row.
    const run = await options.store.runs.get(runKey);
    if (run?.statusCommentId === undefined || run.state === "ended") return;
    const view = await statusView(options.store, options.operator, runKey, entry.place);
    const commentId = view?.run.statusCommentId;
    if (
      view === undefined ||
      commentId === undefined ||
      view.run.state === "ended" ||
      view.run.cancelReason !== undefined
    )
      return;
    const text = renderStatus(view, new Date());
    if (text === entry.lastText || entry.settled) return;
    const { work } = view.run;
    if (entry.token === undefined || entry.token.until < Date.now()) {
      const value = await options.github.token(work, { issues: "write", pull_requests: "write" });
      entry.token = { value, until: Date.now() + 50 * 60_000 };
    }
    const octokit = options.github.client(entry.token.value, AbortSignal.timeout(20_000));
    const place = { owner: work.owner, repo: work.repo, number: work.subject.number! };
    const { id } = await options.github.identity();
    // Asked again: a token and a query lie between the first look and the write, and a worker may have been frozen there
    // until another one reported the end.
    const now = await options.store.runs.get(runKey);
    if (entry.settled || now === undefined || now.outcome !== undefined || now.cancelReason !== undefined) return;
    const name = "status-edit";
    await options.effectFault?.({ name, runKey, when: "before" });
    await insideEffect(name, () => putComment(octokit, id, place, statusMarker(runKey), text, commentId));
    await options.effectFault?.({ name, runKey, when: "after" });
    entry.lastText = text;
  }

  function fire(runKey: string, entry: Entry): void {
    delete entry.timer;
    entry.lastEditAt = Date.now();
    entry.editing = edit(runKey, entry)
      .catch((error: unknown) => options.log.warn({ runKey, err: error }, "the status comment could not be edited"))
      .finally(() => {
        delete entry.editing;
      });
  }

  return {
    touch(runKey, place) {
      const entry = entries.get(runKey) ?? { lastEditAt: Date.now(), settled: false };
      entries.set(runKey, entry);
      entry.place = place;
      if (entry.settled || entry.timer !== undefined) return;
      const waitMs = Math.max(250, entry.lastEditAt + periodMs - Date.now());
      entry.timer = setTimeout(() => fire(runKey, entry), waitMs);
      entry.timer.unref();
    },
    async settle(runKey) {
      const entry = entries.get(runKey);
      if (entry === undefined) return;
      entry.settled = true;
      clearTimeout(entry.timer);
      await entry.editing;
      entries.delete(runKey);
    },
    async flush() {
      for (const [runKey, entry] of entries) {
        if (entry.timer === undefined) continue;
        clearTimeout(entry.timer);
        // One after the other, like the edits of one run.
        await entry.editing;
        fire(runKey, entry);
      }
      await Promise.all([...entries.values()].map(({ editing }) => editing));
      // What another process writes meanwhile, this one would take for its own.
      entries.clear();
    },
    async close() {
      const editing = [...entries.values()].map((entry) => {
        entry.settled = true;
        clearTimeout(entry.timer);
        return entry.editing;
      });
      await Promise.all(editing);
      entries.clear();
    },
  };
}
