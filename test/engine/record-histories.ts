// `npm run histories`: records what Temporal keeps of each pipeline as it is today, into test/fixtures/histories/<version>/.
// Done once for a released version and then kept: runs that began on it may be under way when the next one is deployed.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startPostgres } from "../support/postgres.ts";
import { simpleWork } from "../support/scenario.ts";
import { startTemporal } from "../support/temporal.ts";
import { historyOf, historyToJson } from "../support/temporal-history.ts";
import { startTemporalScenario } from "./temporal-scenario.ts";

const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
const directory = join("test/fixtures/histories", version);
const [postgres, server] = await Promise.all([startPostgres(), startTemporal()]);
try {
  const s = await startTemporalScenario(
    { server, databaseUrl: await postgres.createDatabase() },
    { config: "plan: ask\n", model: simpleWork },
  );
  try {
    const number = s.labelIssue();
    await s.until("the plan is asked for", async () => (await s.app.worker.store.runs.waitingForDecision())[0]);
    s.github.as("maintainer").comment(s.name, number, "/millwright approve");
    const built = await s.ended(number);
    const pull = s.repository.pulls[0];
    if (pull === undefined) throw new Error(`No pull request: ${JSON.stringify(built.outcome)}`);
    s.github.as("maintainer").comment(s.name, pull.issue.number, "/code say makes, not turns");
    await s.ended(pull.issue.number, { kind: "pull-request" });
    const second = s.labelIssue();
    await s.until("the second plan is asked for", async () =>
      (await s.app.worker.store.runs.waitingForDecision()).find(({ work }) => work.subject.number === second),
    );
    s.github.as("maintainer").comment(s.name, second, "/stop");
    const stopped = await s.ended(second);
    await s.app.worker.engine.idle();
    mkdirSync(directory, { recursive: true });
    const runs = [
      ...(await s.app.worker.store.runs.ofSubject(s.repository.entity.id, "issue", number)),
      ...(await s.app.worker.store.runs.ofSubject(s.repository.entity.id, "pull-request", pull.issue.number)),
    ];
    for (const { runKey, pipeline } of runs) await record(runKey, pipeline);
    await record(stopped.runKey, `${stopped.pipeline}-stopped`);

    async function record(runKey: string, name: string): Promise<void> {
      const history = await historyOf(s.client.workflow.getHandle(runKey));
      // Of the machine that recorded it nothing is kept.
      const json = historyToJson(history).replaceAll(/\d+@[\w.-]+/g, "worker");
      writeFileSync(join(directory, `${name}.json`), json);
      console.log(`${join(directory, `${name}.json`)}: ${history.events?.length} events`);
    }
  } finally {
    await s.close();
  }
} finally {
  await Promise.all([server.stop(), postgres.stop()]);
}
