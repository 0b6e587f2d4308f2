import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Figure, median, percentile, say, scale, smallerIsBetter } from "./figure.ts";
import { startBareProbot } from "./support/bare-probot.ts";
import { type LoadReply, startLoadProcess } from "./support/load.ts";
import { account, type GitHubProcess, startGitHubProcess } from "./support/local-github.ts";
import { startModelProcess } from "./support/model.ts";
import { sampleProject } from "./support/sample-project.ts";
import { startServer } from "./support/server.ts";

const perSecond = 200;
const seconds = 30;
/** Sent to both before the clock runs, so that the figures are those of a server that is up. */
const warmUpSeconds = 2;
const repositories = 8;

/**
 * How soon a delivery is answered: 200 signed deliveries a second for 30 seconds, each a labelling of another issue, to
 * the real server on the embedded database, which meanwhile executes what they start. Before it, in the same way, to a
 * bare Probot app. And how soon a run's first step starts when deliveries come at leisure.
 */
export async function acknowledgeFigures(): Promise<Figure[]> {
  return inWorld(async (world) => {
    const warmUp = Math.ceil(perSecond * warmUpSeconds * scale());
    const file = await world.deliveries("burst", warmUp + Math.ceil(perSecond * seconds * scale()));
    const bare = await onBareProbot(world, file, warmUp);
    const ours = (await onServer(world, file, { perSecond, warmUp })).reply;
    const baseline = percentile(bare.latenciesMs, 0.5);
    const figures = [
      smallerIsBetter("acknowledge.p99", percentile(ours.latenciesMs, 0.99), "ms", {
        baseline: percentile(bare.latenciesMs, 0.99),
        limit: 250,
      }),
      smallerIsBetter("acknowledge.p50", percentile(ours.latenciesMs, 0.5), "ms", { baseline, ratioLimit: 3 }),
    ];
    return figures.map((figure) => ({ ...figure, ok: figure.ok && allAnswered(ours) && allAnswered(bare) }));
  });
}

const calmPerSecond = 2;
const calmDeliveries = 60;

/** Milliseconds from a delivery's first byte leaving GitHub to the start of its run's first step. */
export async function firstStepFigures(): Promise<Figure[]> {
  return inWorld(async (world) => {
    const warmUp = 4;
    const file = await world.deliveries("calm", warmUp + Math.ceil(calmDeliveries * scale()));
    const { reply, firstSteps } = await onServer(world, file, { perSecond: calmPerSecond, warmUp });
    const sent = Object.entries(reply.sentAt).slice(warmUp);
    const waits = sent.map(([id, at]) => {
      const began = firstSteps.get(id);
      if (began === undefined) throw new Error(`The run of delivery ${id} began no step`);
      return began - at;
    });
    say(
      `first step: p50 ${median(waits).toFixed(1)} ms, p95 ${percentile(waits, 0.95).toFixed(1)} ms of ${waits.length}`,
    );
    return [smallerIsBetter("first-step.p50", median(waits), "ms", { limit: 150 })];
  });
}

interface World {
  directory: string;
  github: GitHubProcess;
  modelUrl: string;
  /** Writes so many deliveries to a file. */
  deliveries(name: string, count: number): Promise<string>;
}

/** A local GitHub with a few repositories and a model that always asks back, each in a process of its own. */
async function inWorld<T>(work: (world: World) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "millwright-bench-"));
  const stops: (() => Promise<void>)[] = [];
  try {
    const github = await startGitHubProcess(directory);
    stops.push(github.stop);
    const model = await startModelProcess({ story: "question" });
    stops.push(model.stop);
    const names = Array.from({ length: repositories }, (_, n) => `pages-${n}`);
    for (const name of names)
      await github.ask({ do: "repository", repository: { owner: account, name, files: sampleProject } });
    return await work({
      directory,
      github,
      modelUrl: model.ready.url,
      async deliveries(name, count) {
        const file = join(directory, `${name}.jsonl`);
        const fullNames = names.map((repository) => `${account}/${repository}`);
        await github.ask({ do: "write-deliveries", repositories: fullNames, count, file });
        return file;
      },
    });
  } finally {
    for (const stop of stops) await stop();
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function onBareProbot(world: World, file: string, warmUp: number): Promise<LoadReply> {
  const bare = await startBareProbot({ github: world.github.ready }, join(world.directory, "bare.log"));
  try {
    return await load("bare Probot", world, file, { url: bare.ready.webhookUrl, perSecond, warmUp });
  } finally {
    await bare.stop();
  }
}

async function onServer(world: World, file: string, rate: { perSecond: number; warmUp: number }) {
  const directory = join(world.directory, `server-${rate.perSecond}`);
  await mkdir(directory);
  const server = await startServer({ directory, github: world.github.ready, modelUrl: world.modelUrl });
  try {
    const reply = await load("Millwright", world, file, { url: server.webhookUrl, ...rate });
    // The last run gets a moment to begin.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const firstSteps = new Map<string, number>();
    for (const line of await server.log()) {
      if (line.msg !== "step done" || line.step !== "authorise-trigger#1" || line.deliveryId === undefined) continue;
      firstSteps.set(line.deliveryId, Date.parse(line.time) - (line.durationMs ?? 0));
    }
    say(`Millwright: ${firstSteps.size} first steps were done meanwhile`);
    return { reply, firstSteps };
  } finally {
    await server.stop();
  }
}

async function load(
  who: string,
  world: World,
  file: string,
  question: { url: string; perSecond: number; warmUp: number },
): Promise<LoadReply> {
  const generator = await startLoadProcess({ file, secret: world.github.ready.webhookSecret });
  try {
    const reply = await generator.ask(question);
    const show = (share: number) => percentile(reply.latenciesMs, share).toFixed(1);
    const late = percentile(reply.lateMs, 0.99).toFixed(1);
    say(
      `${who}: p50 ${show(0.5)} ms, p90 ${show(0.9)} ms, p99 ${show(0.99)} ms, worst ${show(1)} ms; sent late (p99) ${late} ms`,
    );
    if (!allAnswered(reply)) say(`${who} did not answer 200 to every delivery: ${JSON.stringify(reply.statuses)}`);
    return reply;
  } finally {
    await generator.stop();
  }
}

/** A delivery that was refused, or not answered in time, is lost: GitHub does not send it again. */
function allAnswered({ statuses }: LoadReply): boolean {
  return Object.keys(statuses).every((status) => status === "200");
}
