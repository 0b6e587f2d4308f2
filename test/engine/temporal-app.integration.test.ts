import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { failedPull, fixEnded, fixes, fixing, pushedOn, underscores } from "../e2e/failed-checks.ts";
import { type Postgres, postgresAvailable, startPostgres } from "../support/postgres.ts";
import { analysis, finish, simpleWork } from "../support/scenario.ts";
import { startTemporal, type TemporalServer, temporalAvailable, temporalMissing } from "../support/temporal.ts";
import { historyOf, wordsOf } from "../support/temporal-history.ts";
import { startTemporalScenario, type TemporalScenario } from "./temporal-scenario.ts";

const available = (postgresAvailable && temporalAvailable) || process.env.CI === "true";

describe.skipIf(!available)(`the App on Temporal (${temporalMissing})`, { timeout: 240_000 }, () => {
  let postgres: Postgres;
  let server: TemporalServer;
  const open: TemporalScenario[] = [];
  beforeAll(async () => {
    [postgres, server] = await Promise.all([startPostgres(), startTemporal()]);
  });
  afterEach(async () => {
    for (const scenario of open.splice(0)) await scenario.close();
  });
  afterAll(async () => {
    await Promise.all([server?.stop(), postgres?.stop()]);
  });
  const start = async (options: Parameters<typeof startTemporalScenario>[1]) => {
    const scenario = await startTemporalScenario({ server, databaseUrl: await postgres.createDatabase() }, options);
    open.push(scenario);
    return scenario;
  };

  /** Words that a stranger, a maintainer and the model say, each recognisable. */
  const canary = (what: string) => `Canary${what}${randomBytes(6).toString("hex")}`;

  test("a labelled issue becomes a ready pull request, and no text of issue, comment or model is in its history", async () => {
    const words = {
      title: canary("Title"),
      body: canary("Body"),
      comment: canary("Comment"),
      plan: canary("Plan"),
      summary: canary("Summary"),
      finish: canary("Finish"),
      request: canary("Request"),
    };
    const s = await start({
      config: "plan: ask\n",
      model: (asked) => {
        if (asked.stage === "analyse-issue")
          return analysis({ title: `change ${words.plan}`, summary: words.summary, plan: [words.plan] });
        return asked.turn > 0 ? finish(words.finish) : simpleWork(asked);
      },
    });
    const number = s.openIssue({ title: `Fix ${words.title}`, body: `Please: ${words.body}` });
    s.github.as("maintainer").comment(s.name, number, `Note: ${words.comment}`);
    s.github.as("maintainer").label(s.name, number, "agent:builder");
    await s.until("the plan is asked for", async () =>
      (await s.app.worker.store.runs.waitingForDecision()).find(({ work }) => work.subject.number === number),
    );
    s.github.as("maintainer").comment(s.name, number, "/millwright approve");
    const run = await s.ended(number);
    expect(run.outcome).toMatchObject({ kind: "ready" });
    const pull = s.repository.pulls[0]!;
    expect(pull.issue.title).toContain(words.plan);

    s.github.as("maintainer").comment(s.name, pull.issue.number, `/code ${words.request}`);
    const iteration = await s.ended(pull.issue.number, { kind: "pull-request" });

    for (const { runKey } of [run, iteration]) {
      const text = wordsOf(await historyOf(s.client.workflow.getHandle(runKey)));
      expect(text).toContain(`\\"runKey\\":\\"${runKey}\\"`);
      for (const word of Object.values(words)) expect(text).not.toContain(word);
      // Nor what is only found by reading the repository or its tests.
      expect(text).not.toContain("slugify");
    }
    const found: string[] = [];
    const query = `MillwrightPipeline = "issue-to-pr" AND MillwrightEnding = "ready" AND MillwrightRepository = ${s.repository.entity.id}`;
    await s.until("the run is found by its attributes", async () => {
      for await (const { workflowId } of s.client.workflow.list({ query })) found.push(workflowId);
      return found.includes(run.runKey);
    });
  });

  test("a failed check becomes a fix, and no text of log, pull request or model is in its history", async () => {
    const words = { title: canary("Title"), job: canary("Job"), log: canary("Log"), cause: canary("Cause") };
    const s = await start({
      config: fixes(),
      model: fixing(underscores.mended, { rootCause: words.cause, title: `join ${words.cause} with a dash` }),
    });
    const failed = await failedPull(s, {
      ...{ files: underscores.files, job: words.job, title: words.title },
      log: `${underscores.log}\n${words.log}`,
    });
    const run = await fixEnded(s, failed.number);
    expect(run.outcome).toMatchObject({ kind: "fixed" });
    expect(await pushedOn(s, failed)).toContain(words.cause);
    const text = wordsOf(await historyOf(s.client.workflow.getHandle(run.runKey)));
    expect(text).toContain(`\\"runKey\\":\\"${run.runKey}\\"`);
    for (const word of [...Object.values(words), "slugify", "npm test"]) expect(text).not.toContain(word);
  });
});
