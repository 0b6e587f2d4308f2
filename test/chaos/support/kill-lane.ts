import { join } from "node:path";
import { unlimited } from "../../../bench/support/server.ts";
import { type Child, startProgram, webhookPath } from "../../run/child.ts";
import { appId, privateKey, startGitHub, webhookSecret } from "../../support/local-app.ts";
import type { Delivery, RepositoryView } from "../../support/local-github/index.ts";
import { startRawModel } from "../../support/scripted-model.ts";
import type { Boundary, RunsNow } from "../worker.ts";
import { killProcesses, type Victim } from "./victims.ts";
import { account, asksModel, createPages, pagesIssue, pagesModel, person, type Shown, shownOf } from "./whole-run.ts";

/** One way that a run goes, by the repository's configuration: each has boundaries of its own. */
export interface Story {
  name: string;
  config: string;
  /** Commits on the branch when all is done. */
  commits: number;
  without: (keyof Shown)[];
}

/** The n-th request to the model that a run makes, counted from 1: it is killed before it has the answer. */
export interface ModelCall {
  modelCall: number;
}

/** A GitHub, a model and a data directory of their own, on which one process of the App at a time lives and dies. */
export interface Lane {
  /** Starts the App if it is not running, and again when a start fails: as a supervisor does. */
  start(): Promise<void>;
  /** Says where in the next run to kill; undefined: nowhere. */
  arm(order: { at: Boundary | ModelCall; victim: Victim } | undefined): Promise<void>;
  /** Boundaries that were passed since it was armed, and whether it has killed. */
  passed(): Promise<{ passed: Boundary[]; fired: boolean }>;
  /** Kills from outside; how many processes there were. */
  kill(victim: Victim): number;
  /** Sends the App's process a signal, such as to freeze it. */
  signal(signal: NodeJS.Signals): void;
  /** Whether the App's process has ended. */
  dead(): boolean;
  /** Resolves when the App's process has ended. */
  died(): Promise<void>;
  /** Opens an issue of this story and labels it; resolves when the App has answered, or could not. */
  trigger(story: Story): Promise<Triggered>;
  /** The newest run of the issue, and how many are active. Rejects while the App does not answer. */
  runs(triggered: Triggered): Promise<RunsNow>;
  /** What the requests of GitHub's App were that its description does not allow. */
  violations(): string[];
  /** The last lines of the process's log. */
  log(): string;
  /** How often a start failed because the database of the killed process had not ended yet. */
  failedStarts: number;
  close(): Promise<void>;
}

export interface Triggered {
  story: Story;
  repository: RepositoryView;
  issue: number;
  /** Sends what was not answered again, as a maintainer can by hand. */
  redeliverUnanswered(): Promise<void>;
  /** Bodies of the requests to the model since this issue was labelled. */
  modelRequests(): string[];
  /** The most that showed at once so far. */
  most: Shown;
}

/** As long as a short answer of a model takes, so that moments during a call are hit as well. */
const modelLatencyMs = 120;
const maxStarts = 8;

export async function startLane(options: {
  directory: string;
  stories: readonly Story[];
  databaseUrl: string | undefined;
  /** Settings of the App besides those of every lane. */
  environment?: Record<string, string>;
}): Promise<Lane> {
  const github = await startGitHub(join(options.directory, "github"), { validateAnswers: false });
  github.createUser(person);
  github.install({ owner: account });
  const repositories = new Map<Story, RepositoryView>();
  for (const story of options.stories) repositories.set(story, await createPages(github, story.name, story.config));
  let waiting: { modelCall: number; victim: Victim } | undefined;
  let killedAtCall = false;
  const model = await startRawModel((request) => {
    if (waiting !== undefined && asksModel(request)) {
      waiting.modelCall -= 1;
      if (waiting.modelCall === 0) {
        lane.kill(waiting.victim);
        killedAtCall = true;
        waiting = undefined;
      }
    }
    return pagesModel(request, modelLatencyMs);
  });
  const asked = () => model.requests.filter(asksModel).map(({ body }) => JSON.stringify(body));
  const environment = {
    APP_ID: String(appId),
    PRIVATE_KEY: privateKey.replaceAll("\n", "\\n"),
    WEBHOOK_SECRET: webhookSecret,
    GITHUB_API_URL: github.url,
    GITHUB_SERVER_URL: github.gitUrl,
    ANTHROPIC_API_KEY: "a-model-key-for-tests",
    ANTHROPIC_BASE_URL: model.url,
    MILLWRIGHT_DATA: join(options.directory, "data"),
    MILLWRIGHT_HEALTH_PORT: "0",
    MILLWRIGHT_SANDBOX: "none",
    MILLWRIGHT_MIN_FREE_BYTES: "0",
    LOG_LEVEL: "warn",
    ...(options.databaseUrl === undefined ? {} : { DATABASE_URL: options.databaseUrl }),
    ...unlimited,
    ...options.environment,
  };
  let child: Child | undefined;
  let ended = true;
  let current: Triggered | undefined;
  const sample = () => {
    if (current === undefined) return;
    const now = shownOf(current.repository, current.issue);
    for (const what of Object.keys(now) as (keyof Shown)[]) {
      current.most[what] = Math.max(current.most[what], now[what]);
    }
  };
  github.onRequest(sample);

  async function ask(path: string, parameters: Record<string, string> = {}): Promise<unknown> {
    const answer = await fetch(`${child?.url}/chaos/${path}?${new URLSearchParams(parameters)}`, {
      // A connection that is kept may be closed by the other side in the moment in which it is used.
      headers: { connection: "close" },
      signal: AbortSignal.timeout(20_000),
    });
    return answer.json();
  }

  const lane: Lane = {
    failedStarts: 0,
    async start() {
      for (let tries = 1; ended; tries += 1) {
        const started = await startProgram("chaos worker", environment, options.directory);
        child = started;
        ended = false;
        void started.exited.then(() => {
          if (child === started) ended = true;
        });
        try {
          await started.until("it was ready", async () => (await fetch(`${started.url}/readyz`)).ok, 120);
          github.setWebhookUrl(`${started.url}${webhookPath}`);
        } catch (error) {
          started.kill("SIGKILL");
          await started.exited;
          lane.failedStarts += 1;
          if (tries === maxStarts) throw error;
        }
      }
    },
    async arm(order) {
      killedAtCall = false;
      waiting = undefined;
      let boundary = "";
      if (order !== undefined) {
        const { at, victim } = order;
        if ("modelCall" in at) waiting = { modelCall: at.modelCall, victim };
        else boundary = JSON.stringify({ boundary: at, victim });
      }
      await ask("arm", { order: boundary });
    },
    async passed() {
      const { passed, fired } = (await ask("passed")) as { passed: Boundary[]; fired: boolean };
      return { passed, fired: fired || killedAtCall };
    },
    kill: (victim) => (child === undefined || ended ? 0 : killProcesses(child.pid, victim)),
    signal: (signal) => {
      if (child !== undefined && !ended) process.kill(child.pid, signal);
    },
    dead: () => ended,
    died: async () => void (await child?.exited),
    async trigger(story) {
      const repository = repositories.get(story)!;
      const name = `${account}/${repository.entity.name}`;
      const { number } = github.as(person).openIssue(name, pagesIssue);
      const before = asked().length;
      const deliveriesBefore = github.deliveries.length;
      const triggered: Triggered = {
        story,
        repository,
        issue: number,
        modelRequests: () => asked().slice(before),
        most: shownOf(repository, number),
        async redeliverUnanswered() {
          const unanswered = (one: Delivery) => one.action === "labeled" && one.status !== "delivered";
          for (const { id } of github.deliveries.slice(deliveriesBefore).filter(unanswered)) await github.redeliver(id);
        },
      };
      current = triggered;
      github.as(person).label(name, number, "agent:builder");
      await github.settled();
      // One that was not answered although nobody was killed is of no interest here.
      if (!ended) await triggered.redeliverUnanswered();
      return triggered;
    },
    async runs({ repository, issue }) {
      return (await ask("runs", { repository: String(repository.entity.id), issue: String(issue) })) as RunsNow;
    },
    violations: () => github.violations.map((violation) => JSON.stringify(violation)),
    log: () => child?.text().slice(-3_000) ?? "",
    async close() {
      child?.kill("SIGKILL");
      await child?.exited;
      await model.close();
      await github.close();
    },
  };
  return lane;
}
