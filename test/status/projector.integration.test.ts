import pino from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createGitHubApp } from "../../src/github/client.ts";
import { insideEffect } from "../../src/github/effect-scope.ts";
import { statusMarker } from "../../src/policy/markers.ts";
import { createRedactor } from "../../src/policy/redact.ts";
import { appClient } from "../../src/run/app-client.ts";
import { createStatusProjector } from "../../src/status/projector.ts";
import { type OpenStore, openStore } from "../../src/store/open-store.ts";
import { intentOf } from "../engine/scripted.ts";
import { appId, privateKey, startGitHub } from "../support/local-app.ts";
import type { LocalGitHub, RepositoryView } from "../support/local-github/index.ts";

const log = pino({ level: "silent" });
const limits = {
  run: { usd: 5, tokens: 1_000_000, minutes: 60, turns: 100, attempts: 3 },
  repositoryDay: { usd: 50, runs: 100 },
  accountDay: { usd: 100, runs: 300 },
  day: { usd: 200 },
  subjectDayRuns: 10,
};
let github: LocalGitHub;
let repository: RepositoryView;
let store: OpenStore;

beforeAll(async () => {
  github = await startGitHub();
  github.createUser("maintainer");
  repository = await github.createRepository({ owner: "acme", name: "mill", private: true });
  store = await openStore({ dataDirectory: "memory", log });
});
afterAll(async () => {
  await store?.close();
  await github?.close();
});

/** A run with a status comment of the App, and the projector of one process. */
async function runWithComment() {
  const installation = github.install({ owner: "acme" });
  const operator = { app: { id: appId, privateKey }, github: { apiUrl: github.url } };
  const client = appClient(operator as Parameters<typeof appClient>[0], log);
  const app = createGitHubApp({
    appId,
    apiUrl: github.url,
    authenticate: () => Promise.resolve(client),
    redactor: createRedactor([]),
    log,
  });
  const issue = github.as("maintainer").openIssue("acme/mill", { title: "A bug", body: "It is one." }).number;
  const { id: repositoryId } = repository.entity;
  const intent = intentOf({ issue, repositoryId });
  intent.work = { ...intent.work, installationId: installation.id, owner: "acme", repo: "mill" };
  const [filed] = await store.runs.file([intent], () => 0, "lambda");
  const runKey = filed?.runKey ?? "";
  const token = await app.token({ installationId: installation.id, repositoryId }, { issues: "write" });
  const octokit = app.client(token, AbortSignal.timeout(60_000));
  const place = { owner: "acme", repo: "mill", issue_number: issue };
  const { data } = await insideEffect("status", () =>
    octokit.rest.issues.createComment({ ...place, body: `Queued\n${statusMarker(runKey)}` }),
  );
  await store.runs.setStatusComment(runKey, data.id);
  const projector = createStatusProjector({ store, operator: { limits, runUrl: undefined }, github: app, log });
  const { owner, repo } = place;
  return {
    runKey,
    octokit,
    place: { owner, repo },
    commentId: data.id,
    projector,
    body: () => repository.issue(issue).comments[0]?.body ?? "",
  };
}

test("flush edits at once what was to be edited soon, and knows nothing of it afterwards", async () => {
  const run = await runWithComment();
  const { runKey, projector, body } = run;
  projector.touch(runKey);
  expect(body()).toMatch(/^Queued/);
  await projector.flush();
  const edited = body();
  expect(edited).not.toMatch(/^Queued/);
  expect(edited).toContain(statusMarker(runKey));
  // Another process writes to the comment; this one, thawed, takes nothing for its own words.
  const { octokit } = run;
  await insideEffect("status", () =>
    octokit.rest.issues.updateComment({
      ...run.place,
      comment_id: run.commentId,
      body: `Other words\n${statusMarker(runKey)}`,
    }),
  );
  projector.touch(runKey);
  await projector.flush();
  // The same words again, but for the seconds that went by.
  const withoutSeconds = (text: string) => text.replaceAll(/\b\d+ s\b/g, "n s");
  expect(withoutSeconds(body())).toBe(withoutSeconds(edited));
  await projector.close();
});
