// The App as `npm start` runs it, in a process that kills itself or its database's process at an effect when it is told
// to (`/chaos/arm`), and that says how its runs are (`/chaos/runs`). Killed and started again by scenarios.
import type { IncomingMessage, ServerResponse } from "node:http";
import { Probot, Server } from "probot";
import { operatorConfigOrExit } from "../../src/config/operator.ts";
import { routes } from "../../src/index.ts";
import { attachToProbot } from "../../src/run/attach.ts";
import type { Worker } from "../../src/run/compose.ts";
import { redactorFor } from "../../src/run/parts.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { killProcesses, type Victim } from "./support/victims.ts";

/** The n-th time, counted from 1, that an effect comes to one of its boundaries. */
export interface Boundary {
  name: string;
  occurrence: number;
  when: "before" | "after";
}

/** What is known of the runs here. */
export interface RunsNow {
  active: number;
  /** The newest run of the issue that was asked for. */
  newest?: { state: string; outcome?: string; reason?: string };
}

let armed: { boundary: Boundary; victim: Victim } | undefined;
let fired = false;
/** Boundaries that were passed since the last arming. */
let passed: Boundary[] = [];

async function effectFault({ name, when }: { name: string; when: "before" | "after" }): Promise<void> {
  const occurrence = passed.filter((one) => one.name === name && one.when === when).length + 1;
  const boundary = { name, occurrence, when };
  passed.push(boundary);
  if (armed === undefined || JSON.stringify(armed.boundary) !== JSON.stringify(boundary)) return;
  const { victim } = armed;
  armed = undefined;
  fired = true;
  killProcesses(process.pid, victim);
  // A signal to oneself is delivered soon, but not before the next statement.
  if (victim !== "database") await new Promise(() => undefined);
}

async function answer(worker: Worker, request: IncomingMessage): Promise<unknown> {
  const url = new URL(request.url ?? "", "http://localhost");
  const asked = (name: string) => url.searchParams.get(name) ?? "";
  switch (url.pathname) {
    case "/chaos/arm":
      armed = asked("order") === "" ? undefined : (JSON.parse(asked("order")) as NonNullable<typeof armed>);
      passed = [];
      fired = false;
      return {};
    case "/chaos/passed":
      return { passed, fired };
    case "/chaos/runs": {
      const [newest] = await worker.store.runs.ofSubject(Number(asked("repository")), "issue", Number(asked("issue")));
      const found: RunsNow = { active: (await worker.store.runs.active()).length };
      if (newest !== undefined)
        found.newest = { state: newest.state, outcome: newest.outcome?.kind, reason: newest.outcome?.reason };
      return found;
    }
    default:
      return undefined;
  }
}

async function main(): Promise<void> {
  const operator = operatorConfigOrExit();
  const server = new Server({
    host: operator.server.host,
    port: operator.server.port,
    webhookPath: operator.server.webhookPath,
    log: createLogger({ level: operator.logLevel, redactor: redactorFor(operator) }) as never,
    Probot: Probot.defaults({
      appId: operator.app.id,
      privateKey: operator.app.privateKey,
      secret: operator.app.webhookSecrets[0],
      baseUrl: operator.github.apiUrl,
    }) as typeof Probot,
  });
  await server.load(async (app, options) => {
    const { worker } = await attachToProbot(app, options, routes, { operator, effectFault, statusPeriodSeconds: 0.5 });
    options.addHandler(async (request: IncomingMessage, response: ServerResponse) => {
      if (!request.url?.startsWith("/chaos/")) return false;
      const reply = await answer(worker, request).catch((error: unknown) => ({ error: String(error) }));
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(reply ?? {}));
      return true;
    });
  });
  await server.start();
}

await main();
