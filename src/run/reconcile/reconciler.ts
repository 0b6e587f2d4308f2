import { randomUUID } from "node:crypto";
import type { Logger } from "pino";
import type { OperatorConfig } from "../../config/operator.ts";
import type { Engine } from "../../engine/engine.ts";
import type { GitHubApp } from "../../github/client.ts";
import type { Known } from "../../handlers/handler.ts";
import { fitting } from "../../handlers/receive.ts";
import { type Intent, runKeyOf } from "../../pipeline/intent.ts";
import { accountServed } from "../../policy/who-may-trigger.ts";
import type { PullRequestRow, Store } from "../../store/store.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { dataOfOthers } from "./gone.ts";
import { type Asked, BudgetSpent, keepAll, Lists } from "./lists.ts";
import { removeLeftBranches } from "./orphans.ts";
import { approveByReaction } from "./reactions.ts";
import { type Read, readRepository, settle } from "./repository.ts";

/** What one sweep did; it is one line of the log. */
export interface Swept extends Asked {
  installations: number;
  repositories: number;
  /** Acts that no run stood for. */
  found: number;
  /** Of these, those that were news to the engine as well. */
  started: number;
  /** Parts that could not be looked at; they are looked at next time. */
  failed: number;
  /** False when it stopped before the end: little is left of GitHub's rate limit, or the process stops. */
  complete: boolean;
}

export interface Reconciler {
  /** Remembers the App's first start: what happened before is history. */
  begin(): Promise<void>;
  /** One look at everything; undefined when another worker looks, or has looked less than `pauseSeconds` ago. */
  sweep(pauseSeconds?: number): Promise<Swept | undefined>;
  /** One look at the 👍 of plans alone. */
  lookForReactions(): Promise<void>;
  /** Ends what is under way; nothing is lost by it. */
  stop(): void;
}

/** What is older is history, also after a long time without a worker. */
const windowMs = 24 * 3_600_000;
const leaseSeconds = 120;
/** For so many acts one question is asked about their subjects. */
const batch = 50;
/** A token is used as long as it is valid for this long. */
const tokenSpareMs = 10 * 60_000;

interface Installation {
  id: number;
  account: string;
  createdAt: string;
  suspended: boolean;
}

interface Repository {
  id: number;
  owner: string;
  name: string;
  /** Neither archived nor disabled: something can be done in it. */
  live: boolean;
}

interface Sweep {
  swept: Swept;
  known: Known;
  bound: Date;
  pulls: ReadonlyMap<number, PullRequestRow[]>;
  /** Repositories of each installation whose list was read to the end. */
  repositories: Map<number, ReadonlySet<number>>;
  keepLease(): Promise<void>;
}

/**
 * Finds what no webhook told, because GitHub does not send again what was lost: compares what GitHub lists with the runs
 * that exist, and starts the difference by the same intents (architecture.md rule 9). It reads alone; what has to be
 * written to GitHub is done by the runs.
 */
export function createReconciler(options: {
  operator: OperatorConfig;
  store: Store;
  github: GitHubApp;
  engine: Engine;
  metrics: Metrics;
  log: Logger;
}): Reconciler {
  const { operator, store, github, engine, log, metrics } = options;
  const holder = randomUUID();
  const stopping = new AbortController();
  const { signal } = stopping;
  const tokens = new Map<number, { token: string; expiresAt: Date }>();

  async function sweep(pauseSeconds = 0): Promise<Swept | undefined> {
    const firstStart = await store.sweeps.firstStart();
    if (!(await store.sweeps.take(holder, leaseSeconds, pauseSeconds))) return undefined;
    const startedAt = performance.now();
    const swept: Swept = {
      installations: 0,
      repositories: 0,
      requests: 0,
      notModified: 0,
      found: 0,
      started: 0,
      failed: 0,
      complete: true,
    };
    try {
      await sweepAll(swept, new Date(Math.max(firstStart.getTime(), Date.now() - windowMs)));
    } catch (error) {
      swept.complete = false;
      if (!signal.aborted) {
        swept.failed += 1;
        log.warn({ err: error }, "GitHub could not be looked at; it is tried again");
      }
    } finally {
      await store.sweeps.end(holder);
    }
    metrics.sweeps.inc({ result: swept.complete && swept.failed === 0 ? "complete" : "incomplete" });
    metrics.sweepRequests.inc({ answer: "counted" }, swept.requests - swept.notModified);
    metrics.sweepRequests.inc({ answer: "not-modified" }, swept.notModified);
    const durationMs = Math.round(performance.now() - startedAt);
    log.info({ ...swept, durationMs }, "looked at GitHub for what no webhook told");
    return swept;
  }

  async function sweepAll(swept: Swept, bound: Date): Promise<void> {
    swept.requests += github.known() === undefined ? 1 : 0;
    const { owner: appOwner, slug } = await github.identity();
    const app = await github.asApp();
    const lists = new Lists({
      octokit: app,
      installationId: 0,
      kept: await store.sweeps.lists(0),
      asked: swept,
      signal,
    });
    const { items: installations, keep } = await lists.all(0, "installations", "/app/installations", {
      pick: installationsIn,
      remember: true,
    });
    await keepAll(store, keep);
    const shared: Sweep = {
      swept,
      known: { operator, app: { id: operator.app.id, slug } },
      bound: wholeSecond(bound),
      pulls: Map.groupBy(await store.pullRequests.open(), ({ repositoryId }) => repositoryId),
      repositories: new Map(),
      keepLease: leaseKeeper(),
    };
    const active = installations.filter(({ suspended }) => !suspended);
    for (const installation of active) {
      if (!accountServed({ owner: installation.account, appOwner, accounts: operator.accounts })) continue;
      swept.installations += 1;
      await tolerate(swept, { installation: installation.id }, async () => {
        try {
          await sweepInstallation(installation, shared);
        } catch (error) {
          if (!(error instanceof BudgetSpent)) throw error;
          swept.complete = false;
          log.warn({ installation: installation.id, reason: error.message }, "the look at GitHub goes on next time");
        }
      });
    }
    await tolerate(swept, { part: "data that is not ours any more" }, async () => {
      const served = new Set(active.map(({ id }) => id));
      const { repositories } = shared;
      for (const intent of await dataOfOthers({ store, app, asked: swept, installations: served, repositories }))
        await start(swept, intent);
    });
    await tolerate(swept, { part: "branches that were left over" }, () =>
      removeLeftBranches({ store, github, slug, signal, asked: swept, log, start: (intent) => start(swept, intent) }),
    );
  }

  async function sweepInstallation(installation: Installation, shared: Sweep): Promise<void> {
    const { swept, bound, known } = shared;
    const lists = await listsOf(installation.id, swept);
    const { repositories, since } = await repositoriesOf(installation, lists);
    shared.repositories.set(installation.id, new Set(repositories.map(({ id }) => id)));
    const position = (lists.kept(0, "position")?.content as { after: number } | undefined)?.after ?? 0;
    const live = repositories.filter((repository) => repository.live).toSorted((a, b) => a.id - b.id);
    let last = position;
    let read: Read[] = [];
    const settleRead = async () => {
      const taken = read;
      read = [];
      await settleAll(taken, lists, shared);
    };
    try {
      // Where the last sweep stopped, this one goes on.
      for (const { id, owner, name } of [
        ...live.filter(({ id }) => id > position),
        ...live.filter(({ id }) => id <= position),
      ]) {
        await shared.keepLease();
        await tolerate(swept, { repository: `${owner}/${name}` }, async () => {
          const place = { installationId: installation.id, repository: { id, name, owner: { login: owner } } };
          const pulls = shared.pulls.get(id) ?? [];
          const notBefore = new Date(Math.max(bound.getTime(), Date.parse(since.get(id) ?? "")));
          read.push(await readRepository({ lists, store, place, known, pulls, bound: notBefore }));
          swept.repositories += 1;
        });
        last = id;
        if (read.flatMap(({ candidates }) => candidates).length >= batch) await settleRead();
      }
      await settleRead();
      await lookAtPlans(lists, installation.id, swept);
      if (position !== 0) await keepPosition(installation.id, 0);
    } catch (error) {
      if (!(error instanceof BudgetSpent)) throw error;
      await settleRead();
      await keepPosition(installation.id, last);
      throw error;
    }
  }

  function keepPosition(installationId: number, after: number): Promise<void> {
    return store.sweeps.keep({ installationId, repositoryId: 0, list: "position", etag: "", content: { after } });
  }

  /** The installation's repositories, and since when each of them is one. */
  async function repositoriesOf(
    installation: Installation,
    lists: Lists,
  ): Promise<{ repositories: Repository[]; since: Map<number, string> }> {
    const earlier = lists.kept(0, "since");
    const known = new Map((earlier?.content as [number, string][] | undefined) ?? []);
    // One that was not there at the last look was added after it.
    const sinceOfNew = earlier?.readUntil?.toISOString() ?? installation.createdAt;
    const readUntil = wholeSecond(new Date());
    const { items, keep } = await lists.all(0, "repositories", "/installation/repositories", {
      pick: repositoriesIn,
      remember: true,
    });
    const since = new Map(items.map(({ id }) => [id, known.get(id) ?? sinceOfNew]));
    if (keep.length > 0) await store.sweeps.forgetOthers(installation.id, [...since.keys()]);
    const place = { installationId: installation.id, repositoryId: 0 };
    await keepAll(store, [...keep, { ...place, list: "since", etag: "", readUntil, content: [...since] }]);
    return { repositories: items, since };
  }

  async function settleAll(read: readonly Read[], lists: Lists, { swept, known }: Sweep): Promise<void> {
    const candidates = read.flatMap((one) => one.candidates);
    const intents = await settle({ lists, candidates, known });
    for (const one of read) {
      await tolerate(swept, { repositoryId: one.keep[0]?.repositoryId }, async () => {
        for (const candidate of one.candidates) {
          const intent = intents.get(candidate);
          if (intent !== undefined) await start(swept, intent);
        }
        // Only now: what could not be started is found again.
        await keepAll(store, one.keep);
      });
    }
  }

  async function start(swept: Swept, intent: Intent): Promise<void> {
    if ((await store.runs.get(runKeyOf(intent))) !== undefined) return;
    swept.found += 1;
    const { runKey, repeated } = await engine.start(fitting(intent));
    if ((await repeated) === true) return;
    swept.started += 1;
    metrics.sweepStarted.inc({ pipeline: intent.pipeline });
    log.info({ deliveryId: intent.deliveryId, runKey, pipeline: intent.pipeline }, "started what no webhook told");
  }

  async function lookAtPlans(lists: Lists, installationId: number, swept: Pick<Swept, "failed">): Promise<void> {
    for (const run of await store.runs.waitingForDecision()) {
      if (run.work.installationId !== installationId) continue;
      const { runKey } = run;
      await tolerate(swept, { runKey }, () => approveByReaction({ lists, store, operator, engine }, run));
    }
  }

  async function listsOf(installationId: number, asked: Asked): Promise<Lists> {
    let held = tokens.get(installationId);
    if (held === undefined || held.expiresAt.getTime() - Date.now() < tokenSpareMs) {
      asked.requests += 1;
      held = await github.readToken(installationId, { issues: "read", pull_requests: "read", metadata: "read" });
      tokens.set(installationId, held);
    }
    const octokit = github.client(held.token, signal);
    return new Lists({ octokit, installationId, kept: await store.sweeps.lists(installationId), asked, signal });
  }

  function leaseKeeper(): () => Promise<void> {
    let renewedAt = performance.now();
    return async () => {
      if (performance.now() - renewedAt < (leaseSeconds / 4) * 1000) return;
      if (!(await store.sweeps.renew(holder, leaseSeconds))) throw new LeaseGone("another worker took the sweep over");
      renewedAt = performance.now();
    };
  }

  /** A part that fails does not stop the others: it is looked at again next time. */
  async function tolerate(
    swept: Pick<Swept, "failed">,
    part: Record<string, unknown>,
    work: () => Promise<void>,
  ): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof BudgetSpent || error instanceof LeaseGone || signal.aborted) throw error;
      swept.failed += 1;
      log.warn({ err: error, ...part }, "a part of GitHub could not be looked at; it is tried again");
    }
  }

  return {
    begin: async () => void (await store.sweeps.firstStart()),
    sweep,
    async lookForReactions() {
      const runs = await store.runs.waitingForDecision();
      const asked = { requests: 0, notModified: 0, failed: 0 };
      for (const id of new Set(runs.map(({ work }) => work.installationId))) {
        await tolerate(asked, { installation: id }, async () => lookAtPlans(await listsOf(id, asked), id, asked));
      }
    },
    stop: () => stopping.abort(new Error("the worker is stopping")),
  };
}

class LeaseGone extends Error {
  override name = "LeaseGone";
}

function installationsIn(data: unknown): Installation[] {
  type Shown = { id: number; account: { login?: string } | null; created_at: string; suspended_at: string | null };
  return (data as Shown[]).map(({ id, account, created_at: createdAt, suspended_at }) => ({
    id,
    account: account?.login ?? "",
    createdAt,
    suspended: suspended_at !== null,
  }));
}

function repositoriesIn(data: unknown): Repository[] {
  type Shown = { id: number; name: string; owner: { login: string }; archived: boolean; disabled: boolean };
  // Octokit's paging would flatten this answer; the sweep reads page by page.
  return (data as { repositories: Shown[] }).repositories.map(({ id, name, owner, archived, disabled }) => ({
    id,
    name,
    owner: owner.login,
    live: !archived && !disabled,
  }));
}

/** GitHub's times have whole seconds. */
function wholeSecond(date: Date): Date {
  return new Date(Math.floor(date.getTime() / 1000) * 1000);
}
