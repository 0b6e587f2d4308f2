import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "../../support/local-github/random.ts";
import { startPostgres } from "../../support/postgres.ts";
import { type ChaosOptions, type ChaosScenario, type Findings, sum } from "../chaos.ts";
import { type Lane, type ModelCall, type Story, startLane, type Triggered } from "../support/kill-lane.ts";
import type { Victim } from "../support/victims.ts";
import { judge, type Shown } from "../support/whole-run.ts";
import type { Boundary } from "../worker.ts";

/** One kill -9 in one run. */
interface Kill {
  story: Story;
  at: Boundary | ModelCall | { fraction: number };
  victim: Victim;
}

/** What an undisturbed run does and takes. */
interface Undisturbed {
  boundaries: Boundary[];
  modelRequests: number;
  durationMs: number;
}

interface Tried extends Findings {
  repeatedModelCalls: number;
  most: Partial<Shown>;
}

export const ordinary: Story = { name: "ordinary", config: "publish:\n  ci: wait\n", commits: 1, without: [] };
const stories: readonly Story[] = [
  ordinary,
  { name: "early-draft", config: "pullRequest:\n  openAt: start\n", commits: 2, without: ["check runs"] },
  { name: "through-api", config: "commit:\n  viaApi: true\n", commits: 1, without: ["check runs"] },
];

const scales = {
  short: {
    lanes: { pglite: 1, postgres: 2 },
    boundaries: 1,
    calls: { pglite: 1, postgres: 0 },
    moments: { pglite: 0, postgres: 1 },
    databases: 1,
  },
  long: {
    lanes: { pglite: 3, postgres: 8 },
    boundaries: Number.POSITIVE_INFINITY,
    calls: { pglite: Number.POSITIVE_INFINITY, postgres: Number.POSITIVE_INFINITY },
    moments: { pglite: 200, postgres: 200 },
    databases: 40,
  },
};

/**
 * A run that has not ended by then is lost. A killed process's jobs are taken over after some 15 seconds on PostgreSQL;
 * the rest is for machines that have much else to do.
 */
const patienceSeconds = 900;
const maxLate = 6;

export const kill: ChaosScenario = {
  name: "kill",
  about:
    "kill -9 of the App, of its embedded database or of both, at every effect boundary, in every call of the model and at 200 random moments: each run ends ready, every effect once, at most one repeated model call per kill (figure 2)",
  databases: ["pglite", "postgres"],
  async run(options) {
    const { database, scale, say } = options;
    const directory = await mkdtemp(join(tmpdir(), "millwright-kill-"));
    const postgres = database === "postgres" ? await startPostgres({ durable: true }) : undefined;
    const lanes: Lane[] = [];
    try {
      for (let index = 0; index < scales[scale].lanes[database]; index += 1) {
        const own = join(directory, `lane-${index}`);
        await mkdir(own);
        const databaseUrl = await postgres?.createDatabase();
        lanes.push(await startLane({ directory: own, stories, databaseUrl }));
      }
      const tried = await killOnLanes(lanes, options);
      const failedStarts = lanes.reduce((total, lane) => total + lane.failedStarts, 0);
      say(`starts that had to be repeated: ${failedStarts}`);
      return tried;
    } finally {
      await Promise.all(lanes.map((lane) => lane.close()));
      await postgres?.stop();
      await rm(directory, { recursive: true, force: true });
    }
  },
};

async function killOnLanes(lanes: readonly Lane[], options: ChaosOptions): Promise<Findings> {
  const told = options.scale === "short" ? [ordinary] : stories;
  const measured = await Promise.all(
    lanes.map(
      async (lane) => new Map(await inTurn(told, async (story) => [story, await undisturbed(lane, story)] as const)),
    ),
  );
  const [baseline] = measured;
  for (const [story, { boundaries, modelRequests, durationMs }] of baseline!) {
    const names = boundaries.filter(({ when }) => when === "before").map(({ name }) => name);
    options.say(
      `undisturbed ${story.name}: ${names.join(", ")}; ${modelRequests} requests to the model; ${Math.round(durationMs)} ms`,
    );
  }
  const kills = plan(told, baseline!, options);
  const tried: Tried[] = [];
  await Promise.all(
    lanes.map(async (lane, index) => {
      for (let next = kills.shift(); next !== undefined; next = kills.shift()) {
        tried.push(
          await tryKill(lane, next, measured[index]!.get(next.story)!).catch((error) => failed(lane, next!, error)),
        );
        if (tried.length % 10 === 0) options.say(`${soFar(tried)}; ${kills.length} kills to do`);
      }
    }),
  );
  const violations = lanes.flatMap((lane) => lane.violations());
  options.say(soFar(tried));
  return sum([...tried, { tries: 0, lost: 0, duplicated: 0, violations }]);
}

/** Boundaries and moments in random order; which victims, too. */
function plan(told: readonly Story[], baseline: ReadonlyMap<Story, Undisturbed>, options: ChaosOptions): Kill[] {
  const { scale, database, seed } = options;
  const random = seededRandom(seed);
  const shuffled = <T>(items: readonly T[]) =>
    items
      .map((item) => ({ item, order: random() }))
      .sort((a, b) => a.order - b.order)
      .map(({ item }) => item);
  const boundaries = shuffled(
    told.flatMap((story) => baseline.get(story)!.boundaries.map((at): Kill => ({ story, at, victim: "app" }))),
  );
  // A comment is what GitHub takes twice: the short version never leaves this one out.
  const isRisky = ({ at }: Kill) => "name" in at && at.name === "status" && at.when === "after";
  const chosen = [...boundaries.filter(isRisky), ...boundaries.filter((one) => !isRisky(one))];
  const calls = told.flatMap((story) =>
    // The last first: there a call more than one is repeated if the work is not taken up where it was.
    Array.from({ length: baseline.get(story)!.modelRequests }, (_, index): Kill => {
      return { story, at: { modelCall: baseline.get(story)!.modelRequests - index }, victim: "app" };
    }),
  );
  const count = scales[scale].moments[database];
  const moments = Array.from({ length: count }, (_, index): Kill => {
    // Spread evenly over the run's length: by chance alone some part would be left out.
    const fraction = (index + random()) / count;
    return { story: told[index % told.length]!, at: { fraction }, victim: "app" };
  });
  const everywhere = [
    ...chosen.slice(0, scales[scale].boundaries),
    ...calls.slice(0, scales[scale].calls[database]),
    ...moments,
  ];
  if (database === "postgres") return shuffled(everywhere);
  const others: Victim[] = ["database", "both"];
  const more = shuffled([...boundaries, ...calls, ...moments])
    .slice(0, scales[scale].databases)
    .map((one, index): Kill => ({ ...one, victim: others[index % others.length]! }));
  return shuffled([...everywhere, ...more]);
}

export async function undisturbed(lane: Lane, story: Story): Promise<Undisturbed> {
  await lane.start();
  await lane.arm(undefined);
  const triggered = await lane.trigger(story);
  const startedAt = performance.now();
  const problem = await ended(lane, triggered);
  const durationMs = performance.now() - startedAt;
  if (problem !== undefined) throw new Error(`An undisturbed run was lost: ${problem}\n${lane.log()}`);
  const { lost, duplicated } = await judge(triggered.repository, triggered.issue, story);
  if (lost.length + duplicated.length > 0)
    throw new Error(`An undisturbed run ended wrongly: ${[...lost, ...duplicated].join("; ")}`);
  const { passed } = await lane.passed();
  // How often the status is edited on the way depends on time: only the first edit comes in every run.
  const boundaries = passed.filter(({ name, occurrence }) => name !== "status-edit" || occurrence === 1);
  return { boundaries, modelRequests: triggered.modelRequests().length, durationMs };
}

async function tryKill(lane: Lane, kill: Kill, undisturbed: Undisturbed): Promise<Tried> {
  const what = `${describe(kill)} on ${kill.story.name}`;
  const findings: Tried = { tries: 1, lost: 0, duplicated: 0, violations: [], repeatedModelCalls: 0, most: {} };
  const lose = (why: string) => {
    findings.lost += 1;
    findings.violations.push(`${what}: ${why}`);
  };
  const triggered = await killDuring(lane, kill, undisturbed.durationMs);
  if (triggered === undefined) {
    findings.violations.push(`${what}: no run was hit`);
    return findings;
  }
  await lane.start();
  await triggered.redeliverUnanswered();
  const problem = await ended(lane, triggered);
  if (problem !== undefined) {
    lose(`${problem}; the log ends with\n${lane.log()}`);
    // A run that hangs must not be counted against the next kill.
    lane.kill("both");
    await lane.died();
  }
  const { lost, duplicated } = await judge(triggered.repository, triggered.issue, kill.story);
  if (problem === undefined) for (const sentence of lost) lose(sentence);
  findings.duplicated += duplicated.length;
  findings.violations.push(...duplicated.map((sentence) => `${what}: ${sentence}`));
  findings.repeatedModelCalls = triggered.modelRequests().length - undisturbed.modelRequests;
  if (findings.repeatedModelCalls > 1) {
    findings.duplicated += findings.repeatedModelCalls - 1;
    findings.violations.push(`${what}: ${findings.repeatedModelCalls} calls of the model were repeated by one kill`);
  }
  findings.most = triggered.most;
  return findings;
}

/** One that could not be judged counts as lost, and the next begins with a new process. */
async function failed(lane: Lane, kill: Kill, error: unknown): Promise<Tried> {
  const violations = [`${describe(kill)} on ${kill.story.name}: ${String(error)}; the log ends with\n${lane.log()}`];
  if (lane.kill("both") > 0) await lane.died();
  return { tries: 1, lost: 1, duplicated: 0, violations, repeatedModelCalls: 0, most: {} };
}

/** Kills in the middle of a run, which is returned. Undefined: the runs were faster than the kills, time after time. */
async function killDuring(lane: Lane, { story, at, victim }: Kill, durationMs: number): Promise<Triggered | undefined> {
  let expectedMs = durationMs;
  for (let late = 0; late < maxLate; late += 1) {
    await lane.start();
    await lane.arm("fraction" in at ? undefined : { at, victim });
    const triggered = await lane.trigger(story);
    if ("fraction" in at) {
      const tookMs = await endedWithin(at.fraction * expectedMs, lane, triggered);
      if (tookMs === undefined && lane.kill(victim) > 0) {
        if (victim !== "database") await lane.died();
        return triggered;
      }
      // The run that was measured was a slow one: the moment is the same part of this one, or a little earlier.
      expectedMs = Math.min(expectedMs, tookMs ?? expectedMs) * 0.9;
    } else if (await boundaryReached(lane, triggered, victim)) return triggered;
    const problem = await ended(lane, triggered);
    if (problem !== undefined) throw new Error(`A run that nobody killed was lost: ${problem}`);
  }
  return undefined;
}

/** How long the run took if it ended within this time; undefined when it is under way then. */
async function endedWithin(ms: number, lane: Lane, triggered: Triggered): Promise<number | undefined> {
  const startedAt = performance.now();
  for (;;) {
    const { newest } = await lane.runs(triggered).catch(() => ({ newest: undefined }));
    const tookMs = performance.now() - startedAt;
    if (newest?.state === "ended") return tookMs;
    if (tookMs >= ms) return undefined;
    await pause(Math.min(30, ms - tookMs));
  }
}

/** False when the run ended without having come there. */
async function boundaryReached(lane: Lane, triggered: Triggered, victim: Victim): Promise<boolean> {
  const until = Date.now() + patienceSeconds * 1000;
  while (Date.now() < until) {
    if (lane.dead()) return true;
    try {
      const [{ fired }, { newest }] = [await lane.passed(), await lane.runs(triggered)];
      if (fired && victim === "database") return true;
      if (newest?.state === "ended") return fired;
    } catch {
      // It dies, or its database is being started again.
    }
    await pause(20);
  }
  throw new Error(`A run came to no end within ${patienceSeconds} s, and to no boundary`);
}

/** Undefined when the run of this issue ended ready and nothing is active any more; else what is wrong. */
export async function ended(lane: Lane, triggered: Triggered): Promise<string | undefined> {
  const until = Date.now() + patienceSeconds * 1000;
  let last = "the App did not answer";
  while (Date.now() < until) {
    try {
      const { active, newest } = await lane.runs(triggered);
      last = JSON.stringify({ active, newest });
      if (newest?.state === "ended" && active === 0) return newest.outcome === "ready" ? undefined : `it ended ${last}`;
    } catch (error) {
      last = String(error);
      if (lane.dead()) return `the process ended: ${last}`;
    }
    await pause(30);
  }
  return `it did not end within ${patienceSeconds} s: ${last}`;
}

function describe({ at, victim }: Kill): string {
  const where =
    "fraction" in at
      ? `at ${Math.round(at.fraction * 100)} %`
      : "modelCall" in at
        ? `during call ${at.modelCall} of the model`
        : `${at.when} ${at.name} ${at.occurrence}`;
  return `kill -9 of ${victim} ${where}`;
}

function soFar(tried: readonly Tried[]): string {
  const { lost, duplicated } = sum(tried);
  const repeated = tried.map(({ repeatedModelCalls }) => repeatedModelCalls);
  const all = tried.flatMap(({ most }) => Object.entries(most));
  const most = [...new Set(all.map(([what]) => what))].map(
    (what) => `${Math.max(...all.filter(([other]) => other === what).map(([, times]) => times))} ${what}`,
  );
  return (
    `${tried.length} kills, ${lost} lost, ${duplicated} duplicated; ${repeated.reduce((a, b) => a + b, 0)} repeated model calls,` +
    ` at most ${Math.max(...repeated)} by one kill; at most at once, before a run had settled: ${most.join(", ")}`
  );
}

async function inTurn<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) results.push(await work(item));
  return results;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
