import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import { pino } from "pino";
import { type ServerProcess, startServer } from "../../../bench/support/server.ts";
import { openStore } from "../../../src/store/open-store.ts";
import { signature } from "../../run/child.ts";
import { appId, privateKey, startGitHub, webhookSecret } from "../../support/local-app.ts";
import type { LocalGitHub, RepositoryView } from "../../support/local-github/index.ts";
import { seededRandom } from "../../support/local-github/random.ts";
import type { Comment } from "../../support/local-github/types.ts";
import { startPostgres } from "../../support/postgres.ts";
import { type RawModel, startRawModel } from "../../support/scripted-model.ts";
import type { ChaosOptions, ChaosScenario, Findings } from "../chaos.ts";
import { inTurns } from "../support/in-turns.ts";
import { account, asksModel, createPages, judge, pagesIssue, pagesModel, person } from "../support/whole-run.ts";

/** What a person asked for once. */
interface Asked {
  repository: RepositoryView;
  issue: number;
  /** The comment that asked; without one it was the label. */
  trigger?: Comment;
  /** As GitHub announced it. */
  event: string;
  id: string;
  body: string;
}

interface Delivery {
  asked: Asked;
  id: string;
  /** Which of the processes gets it. */
  process: number;
}

const scales = {
  short: { repositories: 1, intents: 2, deliveries: 50 },
  long: { repositories: 10, intents: 100, deliveries: 100 },
};
/** On PostgreSQL several machines share the work; the embedded database belongs to one process. */
const processes = { pglite: 1, postgres: 3 };
/** Of each intent's deliveries so many of a hundred come when its run has long ended. */
const latePercent = 20;
const inFlight = 48;
/** How long each part may take: a busy machine is no violation. */
const patienceMs = 1_800_000;

export const deliveries: ChaosScenario = {
  name: "deliveries",
  about:
    "10,000 deliveries of 100 intents in random order, to three processes on PostgreSQL and one on the embedded database: exactly 100 runs, pull requests, status comments and reactions (figure 1)",
  databases: ["pglite", "postgres"],
  async run(options) {
    const directory = await mkdtemp(join(tmpdir(), "millwright-deliveries-"));
    const postgres = options.database === "postgres" ? await startPostgres() : undefined;
    const github = await startGitHub(join(directory, "github"), { validateAnswers: false });
    const model = await startRawModel((request) => pagesModel(request));
    const servers: ServerProcess[] = [];
    try {
      const databaseUrl = await postgres?.createDatabase();
      const asked = await askForAll(github, options);
      const personToken = github.tokenOf(person);
      const credentials = { url: github.url, appId, privateKey, webhookSecret, personToken };
      // All at once: the first of them makes the tables, whichever that is.
      const starting = Array.from({ length: processes[options.database] }, async (_, index) => {
        const own = join(directory, `server-${index}`);
        await mkdir(own);
        const environment = {
          LOG_LEVEL: "info",
          MILLWRIGHT_CONCURRENCY: "8",
          MILLWRIGHT_REPOSITORY_CONCURRENCY: "4",
          ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
        };
        return startServer({ directory: own, github: credentials, modelUrl: model.url, environment });
      });
      servers.push(...(await Promise.all(starting)));
      const findings = await deliverAll({ asked, servers, model }, options);
      await Promise.all(servers.splice(0).map((server) => server.stop()));
      const data = join(directory, "server-0/data");
      findings.violations.push(...(await unlikeInDatabase(databaseUrl, data, asked.length)));
      findings.violations.push(...github.violations.map((violation) => JSON.stringify(violation)));
      return findings;
    } finally {
      await Promise.all(servers.map((server) => server.stop()));
      await model.close();
      await github.close();
      await postgres?.stop();
      await rm(directory, { recursive: true, force: true });
    }
  },
};

/** Opens issues and asks for work on each, by the label or by a comment in turn, while nobody listens. */
async function askForAll(github: LocalGitHub, { scale }: ChaosOptions): Promise<Asked[]> {
  const { repositories, intents } = scales[scale];
  github.createUser(person);
  github.install({ owner: account });
  const pages: RepositoryView[] = [];
  for (let index = 0; index < repositories; index += 1) pages.push(await createPages(github, `pages-${index}`));
  return Array.from({ length: intents }, (_, index) => {
    const repository = pages[index % pages.length]!;
    const name = `${account}/${repository.entity.name}`;
    const { number: issue } = github.as(person).openIssue(name, pagesIssue);
    github.deliveries.length = 0;
    const trigger = index % 2 === 0 ? undefined : github.as(person).comment(name, issue, "/code");
    if (trigger === undefined) github.as(person).label(name, issue, "agent:builder");
    const announced = github.deliveries.find(({ action }) => action === (trigger ? "created" : "labeled"));
    if (announced === undefined) throw new Error(`GitHub announced nothing for ${name}#${issue}`);
    const { event, id, payload } = announced;
    return { repository, issue, trigger, event, id, body: JSON.stringify(payload) };
  });
}

async function deliverAll(
  { asked, servers, model }: { asked: readonly Asked[]; servers: readonly ServerProcess[]; model: RawModel },
  { scale, seed, say }: ChaosOptions,
): Promise<Findings> {
  const findings: Findings = { tries: 0, lost: 0, duplicated: 0, violations: [] };
  const all = inRandomOrder(asked, scales[scale].deliveries, servers.length, seed);
  const late = Math.round((all.length * latePercent) / 100);

  const startedAt = performance.now();
  let accepted = 0;
  const deliver = async (some: readonly Delivery[]) => {
    const answers = await inTurns(inFlight, some, (delivery) => send(servers[delivery.process]!, delivery));
    findings.tries += some.length;
    accepted += answers.filter((one) => one === "200").length;
    for (const [answer, times] of counted(answers.filter((one) => one !== "200"))) {
      findings.violations.push(`${times} deliveries were answered ${answer}, not 200`);
    }
  };
  await deliver(all.slice(late));
  say(`${all.length - late} deliveries answered after ${seconds(startedAt)} s`);
  const ended = (line: { msg: string }) => line.msg === "run ended";
  await waitFor(async () => (await linesOf(servers)).filter(ended).length >= asked.length);
  say(`all runs ended after ${seconds(startedAt)} s`);
  await deliver(all.slice(0, late));
  const known = ({ msg }: { msg: string }) => msg === "delivery started" || msg === "delivery repeated";
  const settled = async () => (await linesOf(servers)).filter(known).length >= accepted;
  if (!(await waitFor(settled))) findings.violations.push("not every delivery was found new or repeated");

  const lines = await linesOf(servers);
  const count = (msg: string) => lines.filter((line) => line.msg === msg).length;
  const [started, runs, wanted] = [count("delivery started"), count("run ended"), asked.length];
  if (started !== wanted) findings.violations.push(`${started} deliveries started a run, not ${wanted}`);
  if (runs !== wanted) findings.violations.push(`${runs} runs ended, not ${wanted}`);
  const seenBy = servers.map(async (server) => (await server.log()).filter(ended).length);
  say(`runs by process: ${(await Promise.all(seenBy)).join(", ")}`);

  for (const { repository, issue, trigger } of asked) {
    const { lost, duplicated } = await judge(repository, issue, { without: ["check runs"], trigger });
    findings.lost += lost.length;
    findings.duplicated += duplicated.length;
    findings.violations.push(...lost, ...duplicated);
  }
  const calls = model.requests.filter(asksModel).length;
  // An analysis, two edits and last words for each.
  if (calls !== 4 * wanted) findings.violations.push(`the model was asked ${calls} times, not ${4 * wanted}`);
  return findings;
}

/** Each intent equally often: half of the times with the id that GitHub gave it, else with a new one. */
function inRandomOrder(asked: readonly Asked[], times: number, processCount: number, seed: number): Delivery[] {
  const random = seededRandom(seed);
  const newId = () =>
    [8, 4, 4, 4, 12]
      .map((length) => Array.from({ length }, () => Math.floor(random() * 16).toString(16)).join(""))
      .join("-");
  const process = () => Math.floor(random() * processCount);
  return asked
    .flatMap((one) =>
      Array.from({ length: times }, (_, index) => ({
        delivery: { asked: one, id: index % 2 === 0 ? one.id : newId(), process: process() },
        order: random(),
      })),
    )
    .sort((a, b) => a.order - b.order)
    .map(({ delivery }) => delivery);
}

/** The status of the answer, or why there was none. */
async function send(server: ServerProcess, { asked, id }: Delivery): Promise<string> {
  try {
    const answer = await fetch(server.webhookUrl, {
      method: "POST",
      body: asked.body,
      headers: {
        "content-type": "application/json",
        // A connection that is kept may be closed by the other side in the moment in which it is used.
        connection: "close",
        "x-github-event": asked.event,
        "x-github-delivery": id,
        "x-hub-signature-256": signature(asked.body),
      },
      signal: AbortSignal.timeout(60_000),
    });
    await answer.arrayBuffer();
    return String(answer.status);
  } catch (error) {
    return String((error as Error).cause ?? error);
  }
}

/** What the tables of runs say, once nobody writes them any more. */
async function unlikeInDatabase(databaseUrl: string | undefined, data: string, wanted: number): Promise<string[]> {
  const log = pino({ level: "silent" });
  const store = await openStore({ databaseUrl, dataDirectory: data, log });
  try {
    const found = await store.database.db.execute(
      sql`SELECT count(*)::int AS runs, count(*) FILTER (WHERE state = 'ended' AND outcome ->> 'kind' = 'ready')::int AS ready FROM runs WHERE pipeline = 'issue-to-pr'`,
    );
    const [{ runs, ready } = { runs: 0, ready: 0 }] = (found as unknown as { rows: { runs: number; ready: number }[] })
      .rows;
    return runs === wanted && ready === wanted
      ? []
      : [`the database has ${runs} builds, ${ready} of them ready, not ${wanted}`];
  } finally {
    await store.close();
  }
}

async function linesOf(servers: readonly ServerProcess[]) {
  return (await Promise.all(servers.map((server) => server.log()))).flat();
}

async function waitFor(look: () => Promise<boolean>): Promise<boolean> {
  const until = Date.now() + patienceMs;
  while (!(await look())) {
    if (Date.now() > until) return false;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  return true;
}

function counted(values: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

function seconds(startedAt: number): string {
  return ((performance.now() - startedAt) / 1000).toFixed(1);
}
