import { seededRandom } from "./random.ts";

export interface FaultRule {
  method?: string;
  /** Matched against the path without the API prefix and query, e.g. `/repos/o/r/issues/1` or `/o/r.git/git-receive-pack`. */
  path?: RegExp;
  /** "after": the request has its effect, and then the answer is the fault. Default "before". */
  when?: "before" | "after";
  status?: number;
  /** Seconds; with 403 or 429 this is GitHub's secondary rate limit. */
  retryAfter?: number;
  latencyMs?: number;
  /** How many requests meet it; default every one. */
  times?: number;
  /** How many matching requests pass first. */
  skip?: number;
  /** From 0 to 1; default 1. */
  probability?: number;
  seed?: number;
  dropConnection?: boolean;
}

export interface Fault {
  rule: FaultRule;
  hits: number;
  remove(): void;
}

/** Rules that make requests slow or fail, repeatably. */
export class Faults {
  private readonly active: { fault: Fault; random: () => number; seen: number }[] = [];

  add(rule: FaultRule): Fault {
    if (rule.status === undefined && rule.latencyMs === undefined && !rule.dropConnection) {
      throw new Error("A fault needs a status, latencyMs or dropConnection");
    }
    const fault: Fault = {
      rule,
      hits: 0,
      remove: () => {
        const at = this.active.findIndex((entry) => entry.fault === fault);
        if (at >= 0) this.active.splice(at, 1);
      },
    };
    this.active.push({ fault, random: seededRandom(rule.seed ?? 1), seen: 0 });
    return fault;
  }

  clear(): void {
    this.active.length = 0;
  }

  /** The rules that this request meets; each is counted as used. */
  meet(method: string, path: string): FaultRule[] {
    const met: FaultRule[] = [];
    for (const entry of this.active) {
      const { rule } = entry.fault;
      if (rule.method && rule.method.toUpperCase() !== method) continue;
      if (rule.path && !rule.path.test(path)) continue;
      entry.seen += 1;
      if (entry.seen <= (rule.skip ?? 0)) continue;
      if (entry.fault.hits >= (rule.times ?? Number.POSITIVE_INFINITY)) continue;
      if (entry.random() >= (rule.probability ?? 1)) continue;
      entry.fault.hits += 1;
      met.push(rule);
    }
    return met;
  }
}

/** Body and headers of the answer that a fault gives, in GitHub's wording. */
export function faultAnswer(rule: FaultRule): { status: number; headers: Record<string, string>; body: unknown } {
  const status = rule.status ?? 500;
  const headers: Record<string, string> = {};
  if (rule.retryAfter !== undefined) headers["retry-after"] = String(rule.retryAfter);
  if ((status === 403 || status === 429) && rule.retryAfter !== undefined) {
    const message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
    const documentation =
      "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits";
    return { status, headers, body: { message, documentation_url: documentation } };
  }
  return { status, headers, body: { message: status >= 500 ? "Server Error" : "Forbidden" } };
}
