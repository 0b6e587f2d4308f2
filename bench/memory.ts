import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { postgresAvailable, startPostgres } from "../test/support/postgres.ts";
import { type Figure, median, say, scale, smallerIsBetter } from "./figure.ts";
import { writeLargeRepository } from "./large-repository.ts";
import { account, type GitHubProcess, startGitHubProcess } from "./support/local-github.ts";
import { startModelProcess } from "./support/model.ts";
import { sampleProject } from "./support/sample-project.ts";
import { type ServerProcess, startServer } from "./support/server.ts";

const idleSeconds = 15;
const jobs = 10;
const jobsMinutes = 10;

/**
 * Resident megabytes of the server, the embedded database's process counted in: idle after its start on either database,
 * and how much more at the peak of ten jobs at once. The figure of PostgreSQL is left out, with a line that says so, where no server can be had.
 */
export async function memoryFigures(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "millwright-bench-"));
  const stops: (() => Promise<void>)[] = [];
  try {
    const github = await startGitHubProcess(directory);
    stops.push(github.stop);
    const model = await startModelProcess({ story: "change", meet: jobs });
    stops.push(model.stop);
    const start = async (name: string, environment: Record<string, string>) => {
      await mkdir(join(directory, name));
      return startServer({
        directory: join(directory, name),
        github: github.ready,
        modelUrl: model.ready.url,
        environment,
      });
    };
    const figures = await onPostgres(start);
    const concurrency = { MILLWRIGHT_CONCURRENCY: String(jobs), MILLWRIGHT_REPOSITORY_CONCURRENCY: String(jobs) };
    const server = await start("pglite", concurrency);
    stops.push(server.stop);
    const idle = await idleMegabytes(server);
    const peak = await peakOfJobs(directory, github, server);
    say(`memory: ${Math.round(idle)} MB idle, ${Math.round(peak)} MB at the peak of ${jobs} jobs`);
    return [
      ...figures,
      smallerIsBetter("memory.idle.pglite", idle, "MB", { limit: 700 }),
      smallerIsBetter("memory.jobs", peak - idle, "MB", { limit: 250 }),
    ];
  } finally {
    for (const stop of stops.reverse()) await stop();
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

type Start = (name: string, environment: Record<string, string>) => Promise<ServerProcess>;

async function onPostgres(start: Start): Promise<Figure[]> {
  if (!postgresAvailable) {
    say("memory.idle.postgres is left out: set DATABASE_URL, or install the development packages on Linux x64");
    return [];
  }
  const postgres = await startPostgres();
  try {
    const server = await start("postgres", { DATABASE_URL: await postgres.createDatabase() });
    try {
      return [smallerIsBetter("memory.idle.postgres", await idleMegabytes(server), "MB", { limit: 250 })];
    } finally {
      await server.stop();
    }
  } finally {
    await postgres.stop();
  }
}

async function idleMegabytes({ pid }: ServerProcess): Promise<number> {
  await pause(idleSeconds * scale());
  const samples: number[] = [];
  for (let n = 0; n < 5; n++) {
    samples.push(await residentMegabytes(pid));
    await pause(0.2);
  }
  return median(samples);
}

/** The jobs meet before the first change is written, so that all of them are really under way at once. */
async function peakOfJobs(directory: string, github: GitHubProcess, server: ServerProcess): Promise<number> {
  const bare = join(directory, "large.git");
  await writeLargeRepository(bare, sampleProject);
  await github.ask({ do: "repository", repository: { owner: account, name: "large", fromGit: bare } });
  let peak = 0;
  let sampling = true;
  const sampled = (async () => {
    while (sampling) {
      peak = Math.max(peak, await residentMegabytes(server.pid));
      await pause(0.1);
    }
  })();
  try {
    for (let n = 0; n < jobs; n++) {
      await github.ask({ do: "label-issue", repository: `${account}/large`, webhookUrl: server.webhookUrl });
    }
    await allEnded(server);
  } finally {
    sampling = false;
    await sampled;
  }
  return peak;
}

async function allEnded(server: ServerProcess): Promise<void> {
  const until = Date.now() + jobsMinutes * 60_000;
  for (;;) {
    const all = (await server.log()).filter(({ msg }) => msg === "step done");
    // The pull requests that they open start runs too, which nobody wants here.
    const builds = new Set(all.filter(({ step }) => step === "read-repository#1").map(({ runKey }) => runKey));
    const done = all.filter(({ runKey }) => builds.has(runKey));
    const count = (name: string) => done.filter(({ step }) => step === `${name}#1`).length;
    if (count("report-outcome") === jobs) {
      if (count("open-pull-request") === jobs) return;
      throw new Error(`Only ${count("open-pull-request")} of ${jobs} jobs opened a pull request`);
    }
    if (Date.now() > until)
      throw new Error(`${count("report-outcome")} of ${jobs} jobs ended within ${jobsMinutes} minutes`);
    await pause(0.5);
  }
}

/** Of the server and its database's process; git and commands have memory of their own, for a moment. */
async function residentMegabytes(server: number): Promise<number> {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-o", "pid=,ppid=,rss=,args="]);
  const processes = stdout.split("\n").map((line) => {
    const [pid, parent, kilobytes, ...args] = line.trim().split(/\s+/);
    return { pid: Number(pid), parent: Number(parent), kilobytes: Number(kilobytes), command: args.join(" ") };
  });
  const counted = processes.filter(
    ({ pid, parent, command }) => pid === server || (parent === server && command.includes("embedded-process.ts")),
  );
  if (counted.length === 0) throw new Error(`There is no process ${server}`);
  return (counted.reduce((sum, { kilobytes }) => sum + kilobytes, 0) * 1_024) / 1e6;
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
