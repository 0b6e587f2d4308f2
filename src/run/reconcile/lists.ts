import type { ProbotOctokit } from "probot";
import { statusOf } from "../../github/client.ts";
import type { Store, SweepList } from "../../store/store.ts";

/** What one sweep asked GitHub for. */
export interface Asked {
  requests: number;
  /** Of these, those that GitHub answered with "not modified", which do not count against its rate limit. */
  notModified: number;
}

/** Below this share of the hour's requests a sweep leaves the rest to the work itself. */
const reservedShare = 0.2;
/** So that one busy repository cannot take the whole sweep: 5,000 entries. */
const maxPages = 50;
/** Lists of GitHub may show an entry a little later than a younger one. */
const overlapMs = 120_000;
const requestMs = 30_000;
/** How long `since` of a list stays the same: a new one is another address, for which GitHub has not told an ETag yet. */
const sinceDays = 3;
const dayMs = 86_400_000;

interface Response {
  data: unknown;
  headers: { etag?: string; link?: string; "x-ratelimit-remaining"?: string; "x-ratelimit-limit"?: string };
}

/** What a list has that was not looked at yet, and what to keep once all of it was taken care of. */
export interface News<T> {
  items: T[];
  keep: SweepList[];
}

/** There are few requests left in this hour: the sweep goes on next time. */
export class BudgetSpent extends Error {
  override name = "BudgetSpent";
}

/**
 * Reads lists of one installation by conditional requests. An ETag belongs to the token that it was read with, so the
 * token is kept as long as it is valid. https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate
 */
export class Lists {
  readonly #octokit: ProbotOctokit;
  readonly #installationId: number;
  readonly #kept: Map<string, SweepList>;
  readonly #asked: Asked;
  readonly #signal: AbortSignal;
  #budget: { remaining: number; limit: number } | undefined;

  constructor(options: {
    octokit: ProbotOctokit;
    installationId: number;
    kept: readonly SweepList[];
    asked: Asked;
    signal: AbortSignal;
  }) {
    this.#octokit = options.octokit;
    this.#installationId = options.installationId;
    this.#kept = new Map(options.kept.map((row) => [keyOf(row), row]));
    this.#asked = options.asked;
    this.#signal = options.signal;
  }

  /** For the few reads that are no lists; they are counted as well. */
  get client(): ProbotOctokit {
    this.#begin();
    return this.#octokit;
  }

  kept(repositoryId: number, list: string): SweepList | undefined {
    return this.#kept.get(keyOf({ repositoryId, list }));
  }

  /** Entries since the last sweep and not before `bound`, of a list that begins with the newest; undefined when unchanged. */
  async newest<T>(
    repositoryId: number,
    list: string,
    path: string,
    options: { bound: Date; timeOf: (item: T) => string; since?: boolean },
  ): Promise<News<T> | undefined> {
    const kept = this.kept(repositoryId, list);
    const until = Math.max(options.bound.getTime(), (kept?.readUntil?.getTime() ?? 0) - overlapMs);
    const since = (kept?.content as { since?: string } | undefined)?.since ?? inSeconds(options.bound);
    const query = options.since === true ? { since } : {};
    const items: T[] = [];
    let newest = kept?.readUntil?.getTime() ?? 0;
    let etag = "";
    for (let page = 1; page <= maxPages; page += 1) {
      const answer = await this.#get(path, { ...query, page }, page === 1 ? kept?.etag : undefined);
      if (answer === undefined) return undefined;
      if (page === 1) etag = answer.headers.etag ?? "";
      const entries = answer.data as T[];
      const times = entries.map((entry) => Date.parse(options.timeOf(entry)));
      newest = Math.max(newest, ...times);
      items.push(...entries.filter((_, index) => (times[index] as number) >= until));
      if (times.some((time) => time < until) || !hasNext(answer)) break;
    }
    const old = options.bound.getTime() - Date.parse(since) > sinceDays * dayMs;
    const content = options.since === true ? { since: old ? inSeconds(options.bound) : since } : undefined;
    const row = { installationId: this.#installationId, repositoryId, list, content };
    // Another `since` is another address: its first answer has to be read.
    const keep = { ...row, etag: old ? "" : etag, readUntil: newest > 0 ? new Date(newest) : undefined };
    return { items, keep: [keep] };
  }

  /**
   * Every page of a list. With `remember` what did not change comes from the store; without it only pages that did change
   * are told, and nothing of them is kept.
   */
  async all<T>(
    repositoryId: number,
    list: string,
    path: string,
    options: { pick(data: unknown): T[]; remember: boolean },
  ): Promise<News<T>> {
    const items: T[] = [];
    const keep: SweepList[] = [];
    for (let page = 1; page <= maxPages; page += 1) {
      const name = `${list}#${page}`;
      const kept = this.kept(repositoryId, name);
      const answer = await this.#get(path, { page }, kept?.etag);
      let content = kept?.content as { items: T[]; more: boolean };
      if (answer !== undefined) {
        content = { items: options.pick(answer.data), more: hasNext(answer) };
        keep.push({
          installationId: this.#installationId,
          repositoryId,
          list: name,
          etag: answer.headers.etag ?? "",
          content: options.remember ? content : { ...content, items: [] },
        });
      }
      items.push(...content.items);
      if (!content.more) break;
    }
    return { items, keep };
  }

  /** GraphQL, for what lists do not say. What was deleted meanwhile is null, beside an error about it. */
  async query<T>(query: string, variables: Record<string, unknown>): Promise<T> {
    // GraphQL has a limit of its own.
    this.#signal.throwIfAborted();
    this.#asked.requests += 1;
    try {
      return await this.#octokit.graphql<T>(query, { ...variables, request: { signal: this.#until() } });
    } catch (error) {
      const { data, errors } = error as { data?: T | null; errors?: { type?: string }[] };
      if (data == null || errors?.some(({ type }) => type !== "NOT_FOUND") !== false) throw error;
      return data;
    }
  }

  /** Undefined when GitHub says that nothing changed since `etag`. */
  async #get(path: string, query: Record<string, unknown>, etag = ""): Promise<Response | undefined> {
    this.#begin();
    try {
      const answer = (await this.#octokit.request(`GET ${path}`, {
        ...query,
        per_page: 100,
        headers: etag === "" ? {} : { "if-none-match": etag },
        request: { signal: this.#until() },
      })) as Response;
      this.#note(answer);
      return answer;
    } catch (error) {
      if (statusOf(error) === 304) {
        this.#asked.notModified += 1;
        return undefined;
      }
      const { retryAfterSeconds } = error as { retryAfterSeconds?: number };
      if (retryAfterSeconds !== undefined) throw new BudgetSpent(`GitHub asks for a pause of ${retryAfterSeconds} s`);
      throw error;
    }
  }

  #begin(): void {
    this.#signal.throwIfAborted();
    if (this.#budget !== undefined && this.#budget.remaining < this.#budget.limit * reservedShare) {
      throw new BudgetSpent(`Only ${this.#budget.remaining} of ${this.#budget.limit} requests are left in this hour`);
    }
    this.#asked.requests += 1;
  }

  #note({ headers }: Response): void {
    const [remaining, limit] = [Number(headers["x-ratelimit-remaining"]), Number(headers["x-ratelimit-limit"])];
    if (Number.isFinite(remaining) && Number.isFinite(limit)) this.#budget = { remaining, limit };
  }

  #until(): AbortSignal {
    return AbortSignal.any([this.#signal, AbortSignal.timeout(requestMs)]);
  }
}

/** Remembers that what was found in these lists is taken care of. */
export async function keepAll(store: Pick<Store, "sweeps">, rows: readonly SweepList[]): Promise<void> {
  for (const row of rows) await store.sweeps.keep(row);
}

function keyOf({ repositoryId, list }: Pick<SweepList, "repositoryId" | "list">): string {
  return `${repositoryId} ${list}`;
}

function hasNext({ headers }: Response): boolean {
  return /rel="next"/.test(headers.link ?? "");
}

function inSeconds(date: Date): string {
  return date.toISOString().replace(/\.\d{3}Z$/, "Z");
}
