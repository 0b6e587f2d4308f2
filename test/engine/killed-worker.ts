// A worker process of its own, for tests that kill it for real: one run of four steps, each of which writes a line.
// Arguments: data directory, file of lines, and the line after which it kills itself ("-" for never).
import { appendFileSync } from "node:fs";
import { createLocalEngine } from "../../src/engine/local/local-engine.ts";
import { openStore } from "../../src/store/open-store.ts";
import { silent } from "./local-stage.ts";
import { intentOf, pipeline, ready, untilState } from "./scripted.ts";

const [dataDirectory = "", lines = "", dieAfter = "-"] = process.argv.slice(2);

const store = await openStore({ dataDirectory, databaseUrl: process.env.WORKER_DATABASE_URL, log: silent });
const engine = createLocalEngine({
  store,
  log: silent,
  pollSeconds: 0.1,
  sweepSeconds: 0.5,
  pipelines: {
    "issue-to-pr": pipeline(async (run) => {
      await run.step("authorise-trigger");
      await run.step("one");
      await run.step("two");
      return ready;
    }),
  },
  executeStep: async ({ name, attempt }) => {
    write(`${name} begins`);
    await new Promise((resolve) => setTimeout(resolve, 5));
    write(`${name} ends`);
    return { attempt };
  },
  onEvent: (event) => {
    if (event.kind === "step-finished") write(`${event.name} is recorded`);
  },
});

function write(line: string): void {
  appendFileSync(lines, `${line}\n`);
  if (line === dieAfter) process.kill(process.pid, "SIGKILL");
}

await engine.open();
await engine.work();
write("works");
const { runKey } = await engine.start(intentOf({ issue: 1, id: "comment:1" }));
write("is started");
await untilState(engine, runKey, "ended");
await engine.drain(5);
await store.close();
