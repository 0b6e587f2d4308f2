import { setTimeout as sleep } from "node:timers/promises";
import { type Child, deliver, processesWith, type Stage, signature, startStage, webhookPath } from "../../run/child.ts";
import { startPostgres } from "../../support/postgres.ts";
import type { ChaosOptions, ChaosScenario, Findings } from "../chaos.ts";
import { forgetPeak, residentBytes } from "../support/memory.ts";
import { dribble, layCable, sendBytes } from "../support/raw-sender.ts";

/**
 * security.md M0 and figure 4: what is not signed, too large, slow or broken is refused as documented and costs a real
 * server at most 32 MB more of memory (what is signed in form the size of one body besides), while a good delivery is answered; and what was acknowledged is not lost when the
 * queue goes away in the middle.
 */
export const intake: ChaosScenario = {
  name: "intake",
  about: "bodies of 300 MB, slow, broken, forged and repeated ones; the queue killed in mid-burst (M0, figure 4)",
  databases: ["pglite", "postgres"],
  async run(options) {
    const findings: Findings = { tries: 0, lost: 0, duplicated: 0, violations: [] };
    // No run of these asks a model.
    const stage = await startStage("http://127.0.0.1:9");
    try {
      if (options.database === "pglite") await onPglite(stage, options, findings);
      else await onPostgres(stage, options, findings);
    } finally {
      await stage.close();
    }
    return findings;
  },
};

const repository = "acme/text-tools";
/** The reconciler would find on GitHub what the intake lost. */
const webhooksAlone = { MILLWRIGHT_RECONCILE_MINUTES: "0" };
const megabyte = 1024 * 1024;
const mostMoreBytes = 32 * megabyte;
/** What is signed in form has to be kept, up to the limit of a body, until its signature can be checked. */
const mostMoreBytesOfForged = mostMoreBytes + 25 * megabyte;
/** Of many at once; what was read and thrown away is memory until V8 collects it. However many they are, it stays below this. */
const mostMoreBytesOfMany = 128 * megabyte;
/**
 * In short besides: V8 collects late where the processor is shared. A mechanism that does not hold costs 200 MB at least,
 * which are eight bodies of 25 MB, or one of 300 MB.
 */
const spareBytes = { short: 32 * megabyte, long: 0 };
const huge = 300 * megabyte;

async function onPglite(stage: Stage, options: ChaosOptions, findings: Findings): Promise<void> {
  let child = await stage.start("npm start", webhooksAlone);
  // First: what it holds afterwards, such as room for a body of the largest size, must not hide what an attack adds.
  await staysSmall(stage, child, options, findings);
  await answersAsDocumented(stage, child, findings);
  const killDatabase = () => {
    for (const pid of processesWith("embedded-process.ts", stage.directory)) process.kill(pid, "SIGKILL");
  };
  let killing: NodeJS.Timeout | undefined;
  try {
    await queueDown(stage, findings, options, {
      async down() {
        killDatabase();
        // It is started again by each statement, and must not get to any.
        killing = setInterval(killDatabase, 50);
      },
      async up() {
        // The machine's turn: what the database did not get is in the intake's file alone.
        child.kill("SIGKILL");
        await child.exited;
        clearInterval(killing);
        child = await stage.start("npm start", webhooksAlone);
      },
    });
  } finally {
    clearInterval(killing);
  }
}

async function onPostgres(stage: Stage, options: ChaosOptions, findings: Findings): Promise<void> {
  const postgres = await startPostgres();
  try {
    const database = new URL(await postgres.createDatabase());
    const cable = await layCable({ host: database.hostname, port: Number(database.port || 5432) });
    database.hostname = "127.0.0.1";
    database.port = String(cable.port);
    await stage.start("npm start", { ...webhooksAlone, DATABASE_URL: database.href });
    const { refused } = await queueDown(stage, findings, options, { down: () => cable.cut(), up: () => cable.mend() });
    if (refused === 0) findings.violations.push("nothing was refused although PostgreSQL was away");
    await stage.close();
    await cable.cut();
  } finally {
    await postgres.stop();
  }
}

/** Every kind of bad delivery, with the answer that docs/operating.md promises. */
async function answersAsDocumented(stage: Stage, child: Child, findings: Findings): Promise<void> {
  const good = JSON.stringify({ zen: "Keep it logically awesome.", hook_id: 1 });
  const oversize = Buffer.alloc(26_214_401, " ").toString();
  const asked: [what: string, status: number, body: string, headers: Record<string, string>][] = [
    ["a ping", 200, good, { "x-github-event": "ping" }],
    ["no signature", 401, good, { "x-hub-signature-256": "" }],
    ["the signature of another body", 401, good, { "x-hub-signature-256": signature(`${good} `) }],
    ["the signature of another secret", 401, good, { "x-hub-signature-256": signature(good, "another") }],
    ["a signature in capitals", 401, good, { "x-hub-signature-256": signature(good).toUpperCase() }],
    ["a short signature", 401, good, { "x-hub-signature-256": signature(good).slice(0, -1) }],
    ["a SHA-1 signature", 401, good, { "x-hub-signature-256": "", "x-hub-signature": "sha1=0000" }],
    ["no JSON", 400, "{", {}],
    ["nothing", 400, "", {}],
    ["a list", 400, "[1]", {}],
    ["null", 400, "null", {}],
    ["no event", 400, good, { "x-github-event": "" }],
    ["no delivery id", 400, good, { "x-github-delivery": "" }],
    ["a form", 415, "payload=%7B%7D", { "content-type": "application/x-www-form-urlencoded" }],
    ["a signed body over the limit", 413, oversize, {}],
    ["deep JSON", 400, "[".repeat(1_000_000), {}],
  ];
  for (const [what, status, body, headers] of asked) {
    findings.tries += 1;
    const answer = await deliver(child, body, headers).catch(() => undefined);
    if (answer?.status !== status) findings.violations.push(`${what} was answered ${answer?.status}, not ${status}`);
  }
  // The same delivery again and again is one command with one answer.
  const { number } = stage.github.as("maintainer").openIssue(repository, { title: "Replays", body: "-" });
  const { id: commentId } = stage.github.as("maintainer").comment(repository, number, "/millwright status");
  await stage.github.settled();
  const delivery = stage.github.deliveries.find(
    ({ event, payload }) => event === "issue_comment" && (payload["comment"] as { id: number }).id === commentId,
  );
  if (delivery === undefined) throw new Error("The comment was not delivered");
  await Promise.all(Array.from({ length: 20 }, () => stage.github.redeliver(delivery.id)));
  findings.tries += 20;
  if (delivery.answerStatus !== 200) findings.violations.push(`a replay was answered ${delivery.answerStatus}`);
  await child.until("the command to be answered", () => repliesOn(stage, number) > 0);
  await sleep(300);
  findings.duplicated += repliesOn(stage, number) - 1;
}

/** Attacks on the memory of the server's process; each is measured alone, from what it had right before. */
async function staysSmall(stage: Stage, child: Child, options: ChaosOptions, findings: Findings): Promise<void> {
  const many = options.scale === "short" ? 8 : 40;
  const url = `${child.url}${webhookPath}`;
  const headers = { "x-github-event": "issues", "x-github-delivery": "1" };
  const forged = { ...headers, "x-hub-signature-256": `sha256=${"0".repeat(64)}` };
  const times = <T>(count: number, work: (index: number) => Promise<T>) =>
    Promise.all(Array.from({ length: count }, (_, index) => work(index)));
  const attacks: [what: string, attack: () => Promise<(number | undefined)[]>, statuses: number[]][] = [
    ["300 MB, unsigned, chunked", async () => [(await sendBytes(url, huge, headers, "chunked")).status], [413]],
    [
      "300 MB, unsigned, announced",
      async () => [(await sendBytes(url, huge, headers, "content-length")).status],
      [413],
    ],
    ["300 MB, forged, chunked", async () => [(await sendBytes(url, huge, forged, "chunked")).status], [413]],
    [
      `${many} times 300 MB at once, unsigned`,
      () =>
        times(many, async (at) => (await sendBytes(url, huge, headers, at % 2 ? "chunked" : "content-length")).status),
      [413],
    ],
    [
      `${many} times 300 MB at once, forged`,
      () => times(many, async () => (await sendBytes(url, huge, forged, "chunked")).status),
      [413, 503],
    ],
    [
      `${many} times 25 MB at once, forged`,
      () => times(many, async () => (await sendBytes(url, 25 * megabyte, forged, "content-length")).status),
      [401, 503],
    ],
  ];
  for (let time = 0; time < 10; time += 1) await goodDelivery(stage, "before the attacks", findings);
  const atFirst = residentBytes(child.pid, "VmRSS");
  // What it gives back to the system meanwhile is not counted when it is taken again.
  const before = () => Math.max(atFirst, residentBytes(child.pid, "VmRSS"));
  for (const [what, attack, statuses] of attacks) {
    findings.tries += 1;
    forgetPeak(child.pid);
    const had = before();
    const attacking = attack();
    await goodDelivery(stage, `during ${what}`, findings);
    const answers = await attacking;
    const more = residentBytes(child.pid, "VmHWM") - had;
    options.say(`${what}: ${(more / megabyte).toFixed(1)} MB more, answered ${[...new Set(answers)].join(", ")}`);
    const most = what.includes("at once")
      ? mostMoreBytesOfMany
      : what.includes("forged")
        ? mostMoreBytesOfForged
        : mostMoreBytes;
    if (more > most + spareBytes[options.scale])
      findings.violations.push(`${what}: ${(more / megabyte).toFixed(1)} MB more memory`);
    const wrong = answers.filter((status) => status === undefined || !statuses.includes(status));
    if (wrong.length > 0) findings.violations.push(`${what}: answered ${[...new Set(wrong)].join(", ")}`);
  }
  findings.tries += 1;
  const slow = options.scale === "short" ? 100 : 500;
  const head = (name: string) =>
    `POST ${webhookPath} HTTP/1.1\r\nHost: localhost\r\nX-GitHub-Event: issues\r\nX-GitHub-Delivery: ${name}\r\n`;
  const body = `X-Hub-Signature-256: ${forged["x-hub-signature-256"]}\r\nContent-Length: 1000000\r\n\r\n{`;
  forgetPeak(child.pid);
  const had = before();
  const giveUp = await times(slow, (at) => dribble(url, at % 2 ? head(`${at}`) : `${head(`${at}`)}${body}`, 200));
  for (let time = 0; time < 3; time += 1) await goodDelivery(stage, `with ${slow} slow senders`, findings);
  for (const end of giveUp) end();
  const more = residentBytes(child.pid, "VmHWM") - had;
  options.say(`${slow} slow senders: ${(more / megabyte).toFixed(1)} MB more`);
  if (more > mostMoreBytes + spareBytes[options.scale])
    findings.violations.push(`${slow} slow senders: ${(more / megabyte).toFixed(1)} MB more`);
}

/** An event that the App ignores, as GitHub sends it: it has to be acknowledged before GitHub gives up. */
async function goodDelivery(stage: Stage, when: string, findings: Findings): Promise<void> {
  findings.tries += 1;
  const from = stage.github.deliveries.length;
  stage.github.as("maintainer").openIssue(repository, { title: "A good delivery", body: "-" });
  await stage.github.settled();
  const statuses = stage.github.deliveries.slice(from).map(({ answerStatus }) => answerStatus);
  if (statuses.length === 0 || statuses.some((status) => status !== 200))
    findings.violations.push(`a good delivery ${when} was answered ${statuses.join(", ") || "by nobody"}`);
}

/** What is only late on a slow machine is not lost. */
const patienceSeconds = 200;

/** A burst of commands while the queue goes away: each acknowledged one is answered once, and so is each refused one when it is delivered again. */
async function queueDown(
  stage: Stage,
  findings: Findings,
  options: ChaosOptions,
  queue: { down(): Promise<void>; up(): Promise<void> },
): Promise<{ refused: number }> {
  const burst = options.scale === "short" ? 24 : 200;
  const { github } = stage;
  const { number } = github.as("maintainer").openIssue(repository, { title: "A burst", body: "-" });
  await github.settled();
  const from = github.deliveries.length;
  for (let sent = 0; sent < burst; sent += 1) {
    if (sent === Math.floor(burst / 3)) {
      // In the middle: some are acknowledged, some are under way.
      await waitUntil(() => github.deliveries.slice(from).some(({ answerStatus }) => answerStatus === 200), 30);
      await queue.down();
    }
    github.as("maintainer").comment(repository, number, "/millwright status");
    if (sent % 4 === 3) await sleep(20);
  }
  await github.settled();
  const deliveries = github.deliveries
    .slice(from)
    .filter(
      ({ event, payload }) =>
        event === "issue_comment" && (payload["sender"] as { login: string }).login === "maintainer",
    );
  const acknowledged = deliveries.filter(({ answerStatus }) => answerStatus === 200);
  const refused = deliveries.filter(({ answerStatus }) => answerStatus !== 200);
  const wrong = refused.filter(({ answerStatus }) => answerStatus !== 503);
  if (wrong.length > 0)
    findings.violations.push(`with the queue down ${wrong.length} were answered ${wrong[0]?.answerStatus}, not 503`);
  findings.tries += deliveries.length;
  await queue.up();
  const answered = () => repliesOn(stage, number);
  await waitUntil(() => answered() >= acknowledged.length, patienceSeconds);
  await sleep(500);
  options.say(
    `burst of ${deliveries.length}: ${acknowledged.length} acknowledged, ${refused.length} refused, ${answered()} answered`,
  );
  findings.lost += Math.max(0, acknowledged.length - answered());
  // What was refused may have been queued all the same: the cable was cut before the database could say so.
  await Promise.all(refused.map(({ id }) => github.redeliver(id)));
  await waitUntil(() => answered() >= deliveries.length, patienceSeconds);
  await sleep(300);
  findings.lost += Math.max(0, deliveries.length - Math.max(answered(), acknowledged.length));
  findings.duplicated += Math.max(0, answered() - deliveries.length);
  return { refused: refused.length };
}

function repliesOn({ github, repository: { issue } }: Stage, number: number): number {
  return issue(number).comments.filter(({ author }) => author === github.app.bot).length;
}

async function waitUntil(look: () => boolean, seconds: number): Promise<void> {
  const until = Date.now() + seconds * 1000;
  while (!look() && Date.now() < until) await sleep(50);
}
