import type { FaultRule } from "../../support/local-github/faults.ts";
import type { RequestRecord } from "../../support/local-github/index.ts";
import { type Scenario, startScenario } from "../../support/scenario.ts";
import { type ChaosOptions, type ChaosScenario, type Findings, sum } from "../chaos.ts";
import { inTurns } from "../support/in-turns.ts";
import {
  compare,
  everything,
  inventory,
  leftByEverything,
  type Story,
  stories,
  writesOfEverything,
} from "../support/stories.ts";

/**
 * security.md figure 3: what GitHub did although its answer was lost is not done twice, and what it did not do is done
 * once. Each story is played undisturbed to learn what it writes and leaves behind; then again, with faults.
 */
export const lostAnswers: ChaosScenario = {
  name: "lost-answers",
  about: "answers to GitHub's writes are lost after and before success: nothing twice, nothing lost (figure 3)",
  databases: ["pglite"],
  run: (options) => (options.scale === "short" ? inShort(options) : atLength(options)),
};

/** One story with every kind of write, of which each fifth is lost: at most two of one step, chosen by the seed. */
async function inShort({ seed, say }: ChaosOptions): Promise<Findings> {
  const writes = writesOfEverything.flatMap(([method, pattern, times]) =>
    Array.from({ length: times }, (_, occurrence) => ({ method, pattern, occurrence, path: pattern.source })),
  );
  const rules = everyNth(writes, 5, seed).map((write, index) => lose(write, { dropped: index % 2 === 1 }));
  return judge(everything, leftByEverything, rules, "some answers were lost", say);
}

/** Every write of every story alone, in each way; then several at once, refusals that pass, and a slow GitHub. */
async function atLength({ say }: ChaosOptions): Promise<Findings> {
  const findings: Findings[] = [];
  for (const story of [...stories, everything]) {
    const calm = await play(story, []);
    say(`${story.name}: ${calm.writes.length} writes`);
    if (story === everything) findings.push(asFindings(leftByEverything, calm.left, "undisturbed", say));
    const tries: { rules: FaultRule[]; what: string }[] = [];
    const tryWith = (rules: FaultRule[], what: string) => void tries.push({ rules, what });
    if (story !== everything) {
      for (const write of calm.writes) {
        tryWith([lose(write, { dropped: false })], `the answer to ${nameOf(write)} was lost`);
        tryWith([lose(write, { dropped: true })], `the connection broke after ${nameOf(write)}`);
      }
    }
    for (let first = 0; first < 3; first += 1) {
      const third = everyNth(calm.writes, 3, first);
      const which = `third ${first + 1} of all writes`;
      tryWith(
        third.map((write) => lose(write, { dropped: false })),
        `${which}: answers were lost`,
      );
      tryWith(
        third.map((write) => ({ ...lose(write, { dropped: true }), when: "before" })),
        `${which}: never came`,
      );
      tryWith(third.map(slowDown), `${which}: asked to slow down`);
    }
    for (const way of [{ status: 502 }, { dropConnection: true }, { status: 403, retryAfter: 1 }]) {
      // Not more than one in a row: each is one of the few attempts of a step.
      const every = Array.from({ length: Math.ceil(calm.tokens / 4) }, (_, at) => ({
        method: "POST",
        path: tokens,
        times: 1,
        skip: at * 4,
        ...way,
      }));
      tryWith(every, "tokens were not to be had");
    }
    tryWith([{ latencyMs: 150 }], "every answer came late");
    // Each is played on servers of its own, and mostly waits until it may ask again.
    findings.push(...(await inTurns(4, tries, ({ rules, what }) => judge(story, calm.left, rules, what, say))));
  }
  return sum(findings);
}

const tokens = /\/access_tokens$/;

/** One write of a story: the n-th request of this method on such a path. */
interface Write {
  method: string;
  path: string;
  pattern: RegExp;
  occurrence: number;
}

interface Played {
  writes: Write[];
  /** How many tokens were asked for. */
  tokens: number;
  left: string[];
}

async function play(story: Story, rules: readonly FaultRule[]): Promise<Played & { unmet: FaultRule[]; hits: number }> {
  // Without edits in between: how many there are depends on time, and each write has to come at the same place again.
  const scenario = await startScenario({ ...story.options, statusPeriodSeconds: 3_600 });
  try {
    let begun = 0;
    const faults: ReturnType<Scenario["github"]["faults"]["add"]>[] = [];
    await story.play(scenario, () => {
      begun = scenario.github.requests.length;
      faults.push(...rules.map((rule) => scenario.github.faults.add(rule)));
    });
    await settled(scenario);
    const requests = scenario.github.requests.slice(begun);
    const writes = writesOf(requests);
    const minted = requests.filter(({ path }) => tokens.test(path)).length;
    const unmet = faults.filter(({ hits }) => hits === 0).map(({ rule }) => rule);
    const hits = faults.reduce((total, fault) => total + fault.hits, 0);
    return { writes, tokens: minted, left: await inventory(scenario), unmet, hits };
  } finally {
    await scenario.close();
  }
}

async function settled(scenario: Scenario): Promise<void> {
  const { runs } = scenario.app.worker.store;
  await scenario.until("all runs to end", async () => {
    await scenario.github.settled();
    return (await runs.active()).length === 0;
  });
}

async function judge(
  story: Story,
  wanted: readonly string[],
  rules: FaultRule[],
  what: string,
  say: ChaosOptions["say"],
): Promise<Findings> {
  const where = `${story.name}, ${what}`;
  try {
    const { left, unmet, hits } = await play(story, rules);
    const { lost, duplicated } = asFindings(wanted, left, where, say);
    const violations = unmet.map((rule) => `${where}: nothing met the fault ${rule.method} ${rule.path}`);
    return { tries: Math.min(hits, rules.length), lost, duplicated, violations };
  } catch (error) {
    return { tries: rules.length, lost: 1, duplicated: 0, violations: [`${where}: ${(error as Error).message}`] };
  }
}

function asFindings(wanted: readonly string[], found: readonly string[], where: string, say: ChaosOptions["say"]) {
  const { missing, surplus } = compare(wanted, found);
  for (const line of missing) say(`${where}: LOST ${line}`);
  for (const line of surplus) say(`${where}: SURPLUS ${line}`);
  return { tries: 0, lost: missing.length, duplicated: surplus.length, violations: [] };
}

function writesOf(requests: readonly RequestRecord[]): Write[] {
  const seen = new Map<string, number>();
  return requests.flatMap(({ method, path: whole }) => {
    const [path = ""] = whole.split("?");
    // A fetch only looks like a write. A token that nobody hears of does no harm: these have a part of their own.
    if (method === "GET" || path.endsWith("/git-upload-pack") || tokens.test(path)) return [];
    const pattern = patternOf(path);
    const key = `${method} ${pattern.source}`;
    const occurrence = seen.get(key) ?? 0;
    seen.set(key, occurrence + 1);
    return [{ method, path, pattern, occurrence }];
  });
}

/** Ids, commits and branches may be others the next time. */
function patternOf(path: string): RegExp {
  const segments = path.split("/").map((segment) => {
    if (/^\d+$/.test(segment)) return "\\d+";
    if (/^[0-9a-f]{40}$/.test(segment)) return "[0-9a-f]{40}";
    return segment.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  });
  return new RegExp(`^${segments.join("/").replace(/issue-.*$/, "issue-.*")}$`);
}

function lose({ method, pattern, occurrence }: Write, { dropped }: { dropped: boolean }): FaultRule {
  const fault = dropped ? { dropConnection: true } : { status: 502 };
  return { method, path: pattern, skip: occurrence, times: 1, when: "after", ...fault };
}

/** GitHub's secondary limit is a 403 of the API; what its git server refuses for now is a 429. */
function slowDown({ method, path, pattern, occurrence }: Write): FaultRule {
  const status = path.endsWith("/git-receive-pack") ? 429 : 403;
  return { method, path: pattern, skip: occurrence, times: 1, status, retryAfter: 1 };
}

const nameOf = ({ method, path, occurrence }: Write) => `${method} ${path} (${occurrence + 1})`;

const everyNth = <T>(items: readonly T[], n: number, first: number) => items.filter((_, at) => at % n === first % n);
