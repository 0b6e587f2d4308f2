import { execFile } from "node:child_process";
import { createHmac, generateKeyPairSync } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { deflateRawSync } from "node:zlib";
import { desc, eq, sql } from "drizzle-orm";
import { pino } from "pino";
import { bundle, bundleWebhook } from "../deploy/lambda/bundle.ts";
import { executionInput } from "../src/engine/lambda/start-by-name.ts";
import { issueCommented } from "../src/handlers/issue-commented.ts";
import { issueLabeled } from "../src/handlers/issue-labeled.ts";
import { fitting } from "../src/handlers/receive.ts";
import { openStore } from "../src/store/open-store.ts";
import { steps } from "../src/store/schema.ts";
import { type LocalAws, startLocalAws } from "../test/support/local-aws/local-aws.ts";
import { webhookPayload } from "../test/support/webhook-payloads.ts";
import { type Figure, median, say, scale, smallerIsBetter } from "./figure.ts";
import type { Started } from "./support/lambda-start.ts";
import { account, startGitHubProcess } from "./support/local-github.ts";
import { startModelProcess } from "./support/model.ts";
import { sampleProject } from "./support/sample-project.ts";
import { logged, startServer } from "./support/server.ts";

const rounds = 15;
const secret = "a secret of the benchmark";

/**
 * The webhook function as it is deployed: its size, and what a cold start costs. Beside it Probot's template for Lambda
 * with an app that does nothing, from the same bundler. Each start is a process of its own; both take turns.
 */
export async function webhookFigures(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "millwright-bench-"));
  const aws = await startLocalAws();
  try {
    const ours = join(directory, "webhook.mjs");
    const plain = join(directory, "plain.mjs");
    await bundleWebhook(ours);
    await bundle("bench/support/plain-lambda.ts", plain);
    const { own, probots } = await startInTurns(aws, ours, plain);
    say(`init: ${figuresOf(own)} ms, Probot's template ${figuresOf(probots)} ms`);
    const [ownPeak, plainPeak] = [own, probots].map((starts) => median(starts.map((it) => it.peakMegabytes)));
    return [
      smallerIsBetter("lambda.bundle", await zippedMegabytes(ours), "MB", {
        baseline: await zippedMegabytes(plain),
        limit: 5,
        ratioLimit: 1.5,
      }),
      smallerIsBetter("lambda.init", median(own.map((it) => it.initMs)), "ms", {
        baseline: median(probots.map((it) => it.initMs)),
        limit: 400,
        ratioLimit: 1.5,
      }),
      smallerIsBetter("lambda.memory", ownPeak ?? Number.NaN, "MB", {
        baseline: plainPeak,
        limit: 128,
        ratioLimit: 1.5,
      }),
    ];
  } finally {
    await aws.close();
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function startInTurns(aws: LocalAws, ours: string, plain: string) {
  aws.held.parameters.set("/millwright/webhook-secret", secret);
  aws.lambda.functions.set("worker", { durable: true, handler: async () => null });
  const webhook = {
    ...aws.environment,
    APP_ID: "1",
    MILLWRIGHT_APP_SLUG: "millwright",
    MILLWRIGHT_WORKER_FUNCTION: "worker:durable",
    MILLWRIGHT_WEBHOOK_SECRET_PARAMETER: "/millwright/webhook-secret",
  };
  const { privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const template = { APP_ID: "1", PRIVATE_KEY: privateKey, WEBHOOK_SECRET: secret };
  const own: Started[] = [];
  const probots: Started[] = [];
  const count = Math.max(1, Math.round(rounds * scale()));
  // The first of each reads the files from disk, and does not count.
  for (let round = -1; round < count; round++) {
    const started = await coldStart(ours, webhook);
    const probot = await coldStart(plain, template);
    if (round < 0) continue;
    own.push(started);
    probots.push(probot);
  }
  if (aws.lambda.invocations.length !== 1)
    throw new Error(`The worker was started ${aws.lambda.invocations.length} times, not once`);
  return { own, probots };
}

async function coldStart(file: string, environment: Record<string, string>): Promise<Started> {
  const event = JSON.stringify(labelledEvent());
  const runner = join(import.meta.dirname, "support/lambda-start.ts");
  const { stderr } = await promisify(execFile)(process.execPath, [runner, file, event], {
    env: { PATH: process.env["PATH"], NODE_ENV: "production", ...environment },
  });
  const started = JSON.parse(stderr.trim().split("\n").at(-1) ?? "") as Started;
  if (started.statusCode !== 200) throw new Error(`A function answered ${started.statusCode}: ${stderr}`);
  return started;
}

/** One labelled issue, as a function URL passes it on. */
function labelledEvent() {
  const body = JSON.stringify(labelled("Bug", "It does not work."));
  return {
    version: "2.0",
    headers: {
      "content-type": "application/json",
      "x-github-event": "issues",
      "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
      "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
    },
    requestContext: { http: { method: "POST", path: "/api/github/webhooks" } },
    body,
    isBase64Encoded: false,
  };
}

type LabelledPayload = Parameters<typeof issueLabeled>[0]["payload"];

function labelled(title: string, body: string): LabelledPayload {
  return webhookPayload<LabelledPayload>("issues", "labeled", (payload) => {
    payload.label = { name: known.operator.labels.trigger };
    payload.issue = { ...payload.issue, title, body, state: "open" };
  });
}

/** Megabytes of the file as a zip holds it, without the few bytes of its directory. */
async function zippedMegabytes(file: string): Promise<number> {
  return deflateRawSync(await readFile(file), { level: 9 }).length / 1_000_000;
}

const figuresOf = (starts: readonly Started[]) => starts.map(({ initMs }) => Math.round(initMs)).join(", ");

const known = {
  operator: {
    labels: { trigger: "agent:builder", done: "", needsReview: "", needsInfo: "", failed: "" },
    shortCommands: ["code"],
    allowedBots: [],
  },
  app: { id: 1, slug: "millwright" },
};

/** GitHub's limits of an issue, in characters. */
const longest = { title: 256, body: 65_536 };

/**
 * The event that starts the worker for an issue with the longest title and body that GitHub allows, each character of four
 * bytes. Standard error has the largest of all: the same issue with a command as long as that.
 */
export async function eventFigures(): Promise<Figure[]> {
  const title = "😀".repeat(longest.title);
  const body = "😀".repeat(longest.body);
  const issue = issueLabeled({ id: "d", payload: labelled(title, body) }, known);
  type Commented = Parameters<typeof issueCommented>[0]["payload"];
  const payload = webhookPayload<Commented>("issue_comment", "created", (it) => {
    it.issue = { ...it.issue, title, body, state: "open", pull_request: undefined };
    it.comment = { ...it.comment, body: `/code ${body.slice(12)}`, performed_via_github_app: null };
  });
  const comment = issueCommented({ id: "d", payload }, known);
  if (!("start" in issue) || !("start" in comment)) throw new Error("A handler ignored what it has to start");
  say(`the longest command on the longest issue: ${kilobytes(comment.start)} KB`);
  return [smallerIsBetter("lambda.event", kilobytes(issue.start), "KB", { limit: 900 })];
}

function kilobytes(intent: Parameters<typeof executionInput>[0]): number {
  if (fitting(intent) !== intent) throw new Error("An issue that GitHub allows is too large for an event");
  return executionInput(intent).length / 1_000;
}

/** The largest result that a step recorded in a whole run, from the label to the pull request: it has to travel as a checkpoint. */
export async function resultFigures(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "millwright-bench-"));
  const stops: (() => Promise<void>)[] = [];
  try {
    const github = await startGitHubProcess(directory);
    stops.push(github.stop);
    await github.ask({ do: "repository", repository: { owner: account, name: "pages", files: sampleProject } });
    const model = await startModelProcess({ story: "change" });
    stops.push(model.stop);
    const home = join(directory, "server");
    await mkdir(home);
    const server = await startServer({
      directory: home,
      github: github.ready,
      modelUrl: model.ready.url,
      environment: { MILLWRIGHT_SANDBOX: "none" },
    });
    stops.push(server.stop);
    await github.ask({ do: "label-issue", repository: `${account}/pages`, webhookUrl: server.webhookUrl });
    await logged(server, ({ msg }) => msg === "run ended", 120);
    await stops.pop()?.();
    return [await largestResult(join(home, "data"))];
  } finally {
    for (const stop of stops.reverse()) await stop();
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function largestResult(dataDirectory: string): Promise<Figure> {
  const store = await openStore({ dataDirectory, log: pino({ level: "silent" }) });
  try {
    const bytes = sql<number>`octet_length(${steps.output}::text)`;
    const rows = await store.database.db
      .select({ path: steps.path, bytes })
      .from(steps)
      .where(eq(steps.status, "done"))
      .orderBy(desc(bytes));
    if (!rows.some(({ path }) => path.startsWith("open-pull-request")))
      throw new Error(`The run opened no pull request: ${rows.map(({ path }) => path).join(", ")}`);
    const [first] = rows;
    say(`${rows.length} results, the largest of ${first?.path}`);
    return smallerIsBetter("lambda.result", Number(first?.bytes) / 1024, "KiB", { limit: 32 });
  } finally {
    await store.close();
  }
}
