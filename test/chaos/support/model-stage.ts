import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import { sampleProject } from "../../../bench/support/sample-project.ts";
import type { RunRow } from "../../../src/store/store.ts";
import { type LocalApp, startApp, startGitHub } from "../../support/local-app.ts";
import type { LocalGitHub, RepositoryView } from "../../support/local-github/index.ts";
import { type RawReply, type RawRequest, startRawModel } from "../../support/scripted-model.ts";

/** A request to the model, with the work that it belongs to. */
export interface Asked {
  /** Of the run, found in its prompt. */
  key: string;
  stage: string;
  /** How many good answers with calls the conversation holds: repairs between them do not count. */
  progress: number;
  request: RawRequest;
}

export interface ModelStage {
  github: LocalGitHub;
  /** Goes on with a plan at once. */
  pages: RepositoryView;
  /** Asks for approval of each plan. */
  asked: RepositoryView;
  app(): LocalApp;
  /** The largest pause that a step was told to make, in seconds. */
  longestPauseSeconds(): number;
  /** Runs that gave their slot back while they waited for a minute or longer. */
  pausedDurably: ReadonlySet<string>;
  /** For runs of these subjects, as `subjectOf` names them, half an hour of trouble passes as soon as there is any. */
  troubled: Set<string>;
  restart(environment?: Record<string, string>): Promise<void>;
  ended(
    repository: RepositoryView,
    number: number,
    kind?: "issue" | "pull-request",
    seconds?: number,
  ): Promise<RunRow | undefined>;
  close(): Promise<void>;
}

export function subjectOf(repository: RepositoryView, number: number, kind = "issue"): string {
  return `${repository.entity.id} ${kind} ${number}`;
}

/** Names a run in everything that its prompts say. */
export const keyOf = (index: number) => `key-${String(index).padStart(4, "0")}`;

const environment = {
  MILLWRIGHT_CONCURRENCY: "6",
  MILLWRIGHT_REPOSITORY_CONCURRENCY: "6",
  MILLWRIGHT_REPOSITORY_DAY_RUNS: "100000",
  MILLWRIGHT_ACCOUNT_DAY_RUNS: "100000",
  MILLWRIGHT_REPOSITORY_DAY_USD: "100000",
  MILLWRIGHT_ACCOUNT_DAY_USD: "100000",
  MILLWRIGHT_DAY_USD: "100000",
};

/** The real App on a local GitHub with two small repositories; `answer` is the model, `count` its counting of tokens. */
export async function startModelStage(options: {
  answer(asked: Asked): RawReply | Promise<RawReply>;
  count(request: RawRequest): number;
}): Promise<ModelStage> {
  const directory = mkdtempSync(join(tmpdir(), "millwright-model-"));
  const github = await startGitHub(join(directory, "github"));
  const model = await startRawModel((request) => {
    if (request.path.includes("count_tokens")) return { status: 200, body: { input_tokens: options.count(request) } };
    return options.answer(askedBy(request));
  });
  github.createUser("maintainer");
  const repository = (name: string, config: string) =>
    github.createRepository({
      owner: "acme",
      name,
      files: {
        ...sampleProject,
        ".github/millwright.yml": `${config}${sampleProject[".github/millwright.yml"]}`,
        // Each of these is more than a small window holds.
        ...Object.fromEntries(
          Array.from({ length: 8 }, (_, index) => [`data/words-${index}.txt`, `word number ${index}\n`.repeat(3_000)]),
        ),
      },
      private: true,
      collaborators: { maintainer: "write" },
    });
  const pages = await repository("pages", "");
  const asked = await repository("asked", "plan: ask\n");
  github.install({ owner: "acme" });
  const start = (more: Record<string, string> = {}) =>
    startApp({
      github,
      modelUrl: model.url,
      dataDirectory: join(directory, "data"),
      environment: { ...environment, ...more },
    });
  let app = await start();
  let longestPauseSeconds = 0;
  let hurrying: Promise<void> | undefined;
  const pausedDurably = new Set<string>();
  const troubled = new Set<string>();
  const stage: ModelStage = {
    github,
    pages,
    asked,
    app: () => app,
    longestPauseSeconds: () => longestPauseSeconds,
    pausedDurably,
    troubled,
    async restart(more) {
      await pause();
      await app.close();
      app = await start(more);
      hurry();
    },
    async ended(view, number, kind = "issue", seconds = 600) {
      const until = Date.now() + seconds * 1000;
      while (Date.now() < until) {
        const runs = await app.worker.store.runs.ofSubject(view.entity.id, kind, number);
        const run = runs.find((one) => one.pipeline !== "answer-command" && one.intent.trigger.kind !== "state");
        if (run?.state === "ended") return run;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      return undefined;
    },
    async close() {
      await pause();
      await app.close();
      await model.close();
      await github.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  let open = true;
  const pause = async () => {
    open = false;
    await hurrying;
  };
  const hurry = () => {
    open = true;
    hurrying = (async () => {
      while (open) {
        await passPauses();
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    })();
  };
  hurry();
  return stage;

  /** What waits for a retry, and not for a person, does not wait any longer. A long pause passes only once the run has given its slot back. */
  async function passPauses(): Promise<void> {
    const { db } = app.worker.store.database;
    const found = await db.execute(sql`
      SELECT steps.run_key AS "runKey", runs.execution_id IS NULL AS free,
        runs.repository_id || ' ' || runs.subject_kind || ' ' || runs.subject_number AS subject,
        extract(epoch FROM steps.retry_at - now())::float AS seconds
      FROM steps JOIN runs USING (run_key)
      WHERE steps.status = 'running' AND runs.state = 'running' AND steps.retry_at > now()
        AND steps.name NOT LIKE '%:%'`);
    const rows = (found as unknown as { rows: { runKey: string; free: boolean; subject: string; seconds: number }[] })
      .rows;
    for (const { runKey, free, subject, seconds } of rows) {
      longestPauseSeconds = Math.max(longestPauseSeconds, seconds);
      if (!free) continue;
      if (seconds > 60) pausedDurably.add(runKey);
      if (troubled.has(subject))
        await db.execute(sql`UPDATE steps SET transient_since = now() - interval '31 minutes'
          WHERE run_key = ${runKey} AND transient_since IS NOT NULL`);
      await db.execute(sql`UPDATE steps SET retry_at = now() WHERE run_key = ${runKey} AND retry_at > now()`);
      await db.execute(sql`UPDATE runs SET wake_at = now() WHERE run_key = ${runKey} AND wake_at > now()`);
      await db.execute(sql`UPDATE pgboss.job SET start_after = now()
        WHERE state = 'created' AND start_after > now() AND data ->> 'runKey' = ${runKey}`);
    }
  }
}

function askedBy(request: RawRequest): Asked {
  const messages = request.body.messages as { role: string; content: unknown }[];
  const first = JSON.stringify(messages[0]?.content ?? "");
  const stage = /stage: ([a-z-]+)/.exec(JSON.stringify(request.body.system ?? ""))?.[1] ?? "unknown";
  const progress = messages.filter(
    ({ role, content }) => role === "assistant" && JSON.stringify(content).includes('"id":"good_'),
  ).length;
  return { key: /key-\d{4}/.exec(first)?.[0] ?? "", stage, progress, request };
}
