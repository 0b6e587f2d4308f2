import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunRow } from "../../src/store/store.ts";
import { type LocalApp, startApp, startGitHub } from "./local-app.ts";
import { requestAction } from "./local-github/domain/checks.ts";
import type { LocalGitHub, RepositoryInput, RepositoryView } from "./local-github/index.ts";
import type { CheckRun, Comment, Installation, Pull } from "./local-github/types.ts";
import { analysis, finish, useTools } from "./model-replies.ts";
import { sampleIssues } from "./sample-issues.ts";
import { type RawReply, type RawRequest, startRawModel, startScriptedModel } from "./scripted-model.ts";

export { analysis, finish, useTools };

type Sample = keyof typeof sampleIssues;
type Answers = (asked: { stage: string; turn: number; request: RawRequest }) => RawReply | Promise<RawReply>;

export interface Scenario {
  github: LocalGitHub;
  app: LocalApp;
  repository: RepositoryView;
  installation: Installation;
  name: string;
  /** Requests to the model so far. */
  modelRequests(): number;
  /** What was sent to a model that the test scripts, word for word. */
  sentToModel(): RawRequest[];
  /** Opens the sample's issue, or another. */
  openIssue(issue?: { title: string; body: string }): number;
  /** Opens and labels it as the maintainer. */
  labelIssue(issue?: { title: string; body: string }): number;
  /** The newest run of this issue or pull request that was asked for or switched on, once it ended; throws after 100 s. */
  ended(
    number: number,
    options?: { kind?: "issue" | "pull-request"; runs?: number; seconds?: number },
  ): Promise<RunRow>;
  until<T>(
    what: string,
    look: () => T | undefined | false | Promise<T | undefined | false>,
    seconds?: number,
  ): Promise<T>;
  restartApp(environment?: Record<string, string>): Promise<void>;
  close(): Promise<void>;
}

/** A maintainer, a stranger, a repository with the App installed, and a model that says what the test scripts. */
export async function startScenario(options: {
  sample?: Sample;
  model?: Answers;
  environment?: Record<string, string>;
  repository?: Partial<RepositoryInput>;
  config?: string;
  effectFault?: Parameters<typeof startApp>[0]["effectFault"];
  /** At least so long between two edits of a status comment; default 1. */
  statusPeriodSeconds?: number;
  /** GitHub's time, by which tokens expire; default the machine's. */
  clock?: () => Date;
}): Promise<Scenario> {
  const directory = mkdtempSync(join(tmpdir(), "millwright-scenario-"));
  const sample = options.sample ?? "text-tools";
  const github = await startGitHub(join(directory, "github"), { clock: options.clock });
  const model = await startModel(sample, options.model);
  github.createUser("maintainer");
  github.createUser("stranger");
  const repository = await github.createRepository({
    owner: "acme",
    name: sample,
    fromDirectory: `test/fixtures/repos/${sample}`,
    ...(options.config === undefined ? {} : { files: { ".github/millwright.yml": options.config } }),
    private: true,
    collaborators: { maintainer: "write", stranger: "read" },
    ...options.repository,
  });
  const installation = github.install({ owner: "acme" });
  const name = `acme/${options.repository?.name ?? sample}`;
  const dataDirectory = join(directory, "data");
  const start = (environment: Record<string, string> = {}) =>
    startApp({
      github,
      modelUrl: model.url,
      dataDirectory,
      environment: { ...options.environment, ...environment },
      effectFault: options.effectFault,
      statusPeriodSeconds: options.statusPeriodSeconds,
    });
  const scenario: Scenario = {
    github,
    app: await start(),
    repository,
    installation,
    name,
    modelRequests: model.requests,
    sentToModel: model.sent,
    openIssue: (issue = sampleIssues[sample]) => github.as("maintainer").openIssue(name, issue).number,
    labelIssue(issue) {
      const number = scenario.openIssue(issue);
      github.as("maintainer").label(name, number, "agent:builder");
      return number;
    },
    async ended(number, { kind = "issue", runs = 1, seconds = 100 } = {}) {
      return scenario.until(
        `run ${runs} of ${kind} ${number} to end`,
        async () => {
          const found = (await scenario.app.worker.store.runs.ofSubject(repository.entity.id, kind, number)).filter(
            (run) => run.pipeline !== "answer-command" && !wasUnwanted(run),
          );
          return found.length >= runs && found.every((run) => run.state === "ended") && found[0];
        },
        seconds,
      );
    },
    async until(what, look, seconds = 60) {
      const until = Date.now() + seconds * 1000;
      for (;;) {
        const found = await look();
        if (found !== undefined && found !== false) return found as never;
        if (Date.now() > until) throw new Error(`Waited ${seconds} s for ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    async restartApp(environment) {
      await scenario.app.close();
      scenario.app = await start(environment);
    },
    async close() {
      await scenario.app.close();
      await model.close();
      await github.close();
      rmSync(directory, { recursive: true, force: true });
      if (github.violations.length > 0)
        throw new Error(`GitHub's description was violated: ${JSON.stringify(github.violations, null, 2)}`);
    },
  };
  return scenario;
}

/** What a pull request's own events started where neither fixes nor reviews are switched on: it ends at once, without a word. */
function wasUnwanted({ intent, outcome }: RunRow): boolean {
  return intent.trigger.kind === "state" && (outcome?.kind === "refused" || outcome?.kind === "cancelled");
}

async function startModel(sample: Sample, answers: Answers | undefined) {
  if (answers === undefined) {
    const model = await startScriptedModel({ fixtures: [`test/fixtures/transcripts/${sample}.json`] });
    return { url: model.url, requests: () => model.journal().length, sent: () => [], close: () => model.close() };
  }
  const model = await startRawModel((request) => {
    if (request.path.includes("count_tokens")) return { status: 200, body: { input_tokens: 1_000 } };
    const system = JSON.stringify(request.body.system ?? "");
    const stage = /stage: ([a-z-]+)/.exec(system)?.[1] ?? "unknown";
    const turn = (request.body.messages as { role: string }[]).filter((message) => message.role === "assistant").length;
    return answers({ stage, turn, request });
  });
  const sent = () => model.requests.filter(({ path }) => !path.includes("count_tokens"));
  return { url: model.url, requests: () => sent().length, sent, close: () => model.close() };
}

/** Makes `ß` of slugify `ss`, with a test: the same simple work for every stage that writes. */
export const simpleWork: Answers = ({ stage, turn }) => {
  if (stage === "analyse-issue" || stage === "revise-plan") return analysis();
  if (turn > 0) return finish("`ß` becomes `ss`.");
  return useTools(
    [
      "edit",
      {
        file_path: "src/slugify.js",
        old_string: ".toLowerCase()",
        new_string: '.toLowerCase()\n    .replaceAll("ß", "ss")',
      },
    ],
    [
      "edit",
      {
        file_path: "test/slugify.test.js",
        old_string: 'test("slugify drops',
        new_string:
          'test("slugify spells out ß", () => {\n  assert.equal(slugify("Straße"), "strasse");\n});\n\ntest("slugify drops',
      },
    ],
  );
};

export function labelsOf({ repository }: Scenario, number: number): string[] {
  return repository.issue(number).labels.map((label) => label.name);
}

/** The status comments of an issue or pull request, oldest first. */
export function statusesOf({ repository }: Scenario, number: number): Comment[] {
  return repository.issue(number).comments.filter((comment) => comment.body.includes("millwright:status"));
}

/** What the App wrote besides status comments. */
export function repliesOf({ repository, github }: Scenario, number: number): string[] {
  return repository
    .issue(number)
    .comments.filter((comment) => comment.author === github.app.bot && !comment.body.includes("millwright:status"))
    .map((comment) => comment.body);
}

/** The pull request that a run ended with. */
export function pullOf({ repository }: Scenario, run: RunRow): Pull {
  if (run.outcome?.pullRequest === undefined)
    throw new Error(`Run ${run.runKey} ended without a pull request: ${JSON.stringify(run.outcome)}`);
  return repository.pull(run.outcome.pullRequest.number);
}

/** A person presses a button of a check run, one that is there or not: `check_run.requested_action`. */
export function press({ github: { world } }: Scenario, login: string, check: CheckRun, identifier: string): void {
  requestAction(world, check, world.user(login), identifier);
}
