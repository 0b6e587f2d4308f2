import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { lambda } from "../../src/sandbox/lambda/lambda.ts";
import { type Child, freePort, type Stage, startStage, watch, webhookPath } from "../run/child.ts";
import { lambdaSandbox } from "../sandbox/lambda-sandbox.ts";
import { LIMITS, makeTree } from "../sandbox/trees.ts";
import {
  buildImages,
  type Container,
  type ContainerOptions,
  containersAvailable,
  containersMissing,
  runContainer,
} from "../support/containers.ts";
import { type LambdaApp, startLambdaApp } from "../support/lambda-app.ts";
import { startGitHub } from "../support/local-app.ts";
import type { LocalGitHub } from "../support/local-github/index.ts";
import { type Postgres, postgresAvailable, startPostgres } from "../support/postgres.ts";
import { type RuntimeApi, startRuntimeApi } from "../support/runtime-api.ts";
import { sampleIssues } from "../support/sample-issues.ts";
import { type ScriptedModel, startScriptedModel } from "../support/scripted-model.ts";
import { startTemporal, type TemporalServer, temporalAvailable, temporalMissing } from "../support/temporal.ts";

const mustRun = process.env.CI === "true";

describe.skipIf(!containersAvailable && !mustRun)(
  `the images (${containersMissing ?? "podman"})`,
  { timeout: 600_000 },
  () => {
    const containers: Container[] = [];
    beforeAll(() => buildImages(), 900_000);
    afterEach(() => {
      for (const container of containers.splice(0)) container.remove();
    });
    const run = (...[target, options]: Parameters<typeof runContainer>): Container => {
      const container = runContainer(target, options);
      containers.push(container);
      return container;
    };
    const outputOf = async ({ process: child }: Container): Promise<{ code: number | null; text: string }> => {
      let text = "";
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      const [code] = await once(child, "close");
      return { code, text };
    };

    test("server runs as nobody, and its sandbox passes its self-test", async () => {
      const script = `
      import { createSandbox } from "/app/src/sandbox/create-sandbox.ts";
      const log = { info() {}, warn: console.error };
      const sandbox = await createSandbox({ backend: "bubblewrap", extraReadPaths: [], slots: 1, dataDirectory: "/tmp/data", log });
      const { passed, checks, advice } = await sandbox.selfTest();
      await sandbox.close();
      console.log(JSON.stringify({ user: process.getuid(), node: process.versions.node.split(".")[0], passed, checks: checks.length, advice }));`;
      const command = ["node", "--input-type=module", "--eval", script];
      const { text } = await outputOf(run("server", { command, sandbox: true }));
      expect(JSON.parse(text)).toEqual({ user: 10001, node: "24", passed: true, checks: expect.any(Number) });
    });

    test("server without its settings names them and ends", async () => {
      const { code, text } = await outputOf(run("server"));
      expect(code).toBe(1);
      expect(text).toContain("APP_ID");
      expect(text).toContain("WEBHOOK_SECRET");
    });

    describe("on Lambda's runtime API", () => {
      let api: RuntimeApi;
      beforeAll(async () => {
        api = await startRuntimeApi();
      });
      afterAll(() => api?.close());

      test("lambda-worker ends its cold start with the name of what is missing", async () => {
        const environment = { AWS_LAMBDA_RUNTIME_API: api.address, AWS_REGION: "eu-central-1" };
        const { code } = await outputOf(run("lambda-worker", { environment }));
        expect(code).not.toBe(0);
        const [failed] = api.others;
        expect(failed?.path).toBe("/init/error");
        expect(JSON.stringify(failed?.body)).toMatch(/APP_ID|DATABASE_URL/);
      });

      test("lambda-sandbox runs commands for the backend lambda", async () => {
        run("lambda-sandbox", { environment: { AWS_LAMBDA_RUNTIME_API: api.address } });
        const standIn = await lambdaSandbox();
        const root = await mkdtemp(join(tmpdir(), "millwright-image-"));
        try {
          // The image's own loop takes the place of the stand-in's.
          standIn.aws.lambda.functions.set("sandbox", {
            tenantIsolation: true,
            async handler(event, { tenantId }) {
              const { path, body } = await api.invoke(event, { tenantId, seconds: 600 });
              if (path.endsWith("/error")) throw new Error(JSON.stringify(body));
              return body;
            },
          });
          // Not through `createSandbox`: this machine's network, which the container shares, is no sandbox.
          const sandbox = lambda(standIn.options, root);
          const tree = await makeTree(root);
          const script = "python3 -c 'print(6 * 7)' > answer.txt; node --version; env; cat answer.txt";
          const result = await sandbox.run({ run: script, network: "none" }, tree, LIMITS);
          expect(result).toMatchObject({ kind: "ok", exitCode: 0 });
          expect(result.stdout).toMatch(/^v24\./m);
          expect(result.stdout).toMatch(/^42$/m);
          expect(result.stdout).not.toContain("AWS_");
          expect(await readFile(join(tree.directory, "answer.txt"), "utf8")).toBe("42\n");
          await sandbox.close();
        } finally {
          await standIn.close();
          await rm(root, { recursive: true, force: true });
        }
      });
    });

    describe.skipIf(!postgresAvailable && !mustRun)("as the worker of AWS Lambda (needs PostgreSQL)", () => {
      const directory = mkdtempSync(join(tmpdir(), "millwright-images-"));
      let api: RuntimeApi;
      let postgres: Postgres;
      let model: ScriptedModel;
      let github: LocalGitHub;
      let app: LambdaApp;
      afterAll(async () => {
        await app?.close();
        await Promise.all([api?.close(), model?.close(), github?.close(), postgres?.stop()]);
        rmSync(directory, { recursive: true, force: true });
      });

      test("a labelled issue becomes a pull request through the packaged webhook, worker and sandbox", async () => {
        [api, postgres, github, model] = await Promise.all([
          startRuntimeApi(),
          startPostgres(),
          startGitHub(join(directory, "github")),
          startScriptedModel({ fixtures: ["test/fixtures/transcripts/text-tools.json"] }),
        ]);
        github.createUser("maintainer");
        const repository = await github.createRepository({
          ...{ owner: "acme", name: "text-tools", fromDirectory: "test/fixtures/repos/text-tools", private: true },
          collaborators: { maintainer: "write" },
        });
        github.install({ owner: "acme" });
        app = await startLambdaApp({
          ...{ github, modelUrl: model.url, databaseUrl: await postgres.createDatabase() },
          startWorker(settings) {
            const environment = {
              ...settings,
              MILLWRIGHT_DATA: "/tmp/millwright",
              AWS_LAMBDA_RUNTIME_API: api.address,
              AWS_LAMBDA_FUNCTION_NAME: "worker",
            };
            run("lambda-worker", { environment });
            return async (event) => {
              const { path, body } = await api.invoke(event, { seconds: 900 });
              if (path.endsWith("/error")) throw new Error(JSON.stringify(body));
              return body;
            };
          },
        });
        const { number } = github.as("maintainer").openIssue("acme/text-tools", sampleIssues["text-tools"]);
        github.as("maintainer").label("acme/text-tools", number, "agent:builder");
        await expect
          .poll(() => repository.issue(number).labels.map(({ name }) => name), { timeout: 240_000 })
          .toEqual(["agent:done"]);
        expect(repository.pulls.map(({ draft, issue: { body } }) => [draft, body?.includes("8 passed")])).toEqual([
          [false, true],
        ]);
      });
    });

    describe.skipIf(!(temporalAvailable && postgresAvailable) && !mustRun)(`on Temporal (${temporalMissing})`, () => {
      let model: ScriptedModel;
      let stage: Stage;
      let postgres: Postgres;
      let temporal: TemporalServer;
      beforeAll(async () => {
        model = await startScriptedModel({ fixtures: ["test/fixtures/transcripts/text-tools.json"] });
        [stage, postgres, temporal] = await Promise.all([startStage(model.url), startPostgres(), startTemporal()]);
      });
      afterAll(async () => {
        await stage?.close();
        await Promise.all([model?.close(), postgres?.stop(), temporal?.stop()]);
      });

      test("a labelled issue becomes a pull request through a server container and two worker containers", async () => {
        const { MILLWRIGHT_DATA: _, ...settings } = stage.environment;
        const shared = {
          ...settings,
          DATABASE_URL: await postgres.createDatabase(),
          MILLWRIGHT_ENGINE: "temporal",
          MILLWRIGHT_TEMPORAL_ADDRESS: temporal.address,
          MILLWRIGHT_SANDBOX: "bubblewrap",
          HOST: "127.0.0.1",
        };
        const start = async (options: ContainerOptions): Promise<Child> => {
          const [port, healthPort] = [String(await freePort()), String(await freePort())];
          const environment = { ...shared, PORT: port, MILLWRIGHT_HEALTH_PORT: healthPort, ...options.environment };
          const container = run("server", { ...options, sandbox: true, environment });
          return watch(container.process, { port, healthPort });
        };
        const worker = (steps: "ordinary" | "sandboxed") =>
          start({ command: ["node", "src/run/worker.ts"], environment: { MILLWRIGHT_WORKER_STEPS: steps } });
        const server = await start({});
        const workers = await Promise.all([worker("ordinary"), worker("sandboxed")]);
        await server.until("it was ready", async () => (await fetch(`${server.url}/readyz`)).ok);
        for (const one of workers)
          await one.until("it was ready", async () => (await fetch(`${one.healthUrl}/readyz`)).ok);
        stage.github.setWebhookUrl(`${server.url}${webhookPath}`);

        const issue = stage.labelIssue();
        const pull = await stage.pullRequest(server, issue).catch((error: Error) => {
          throw new Error([error.message, ...workers.map((worker) => worker.text().slice(-6_000))].join("\n---\n"));
        });
        expect(stage.repository.pulls.map(({ issue: { number } }) => number)).toEqual([pull]);
        // Each worker did what it takes, the server no step at all.
        const did = [server, ...workers].map((child) =>
          child.lines().flatMap(({ msg, step }) => (msg === "step done" ? [String(step).replace(/#.*/, "")] : [])),
        );
        expect(did[0]).toEqual([]);
        expect(did[1]).toContain("open-pull-request");
        expect(did[1]).not.toContain("run-checks");
        expect(did[2]).toContain("run-checks");
        expect(did[2]).not.toContain("open-pull-request");
      });
    });
  },
);
