import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { connectTemporal } from "../../src/engine/temporal/connection.ts";
import { silent } from "../engine/local-stage.ts";
import { freePort, type Postgres, postgresAvailable, startPostgres } from "../support/postgres.ts";
import { startScriptedModel } from "../support/scripted-model.ts";
import { startTemporal, type TemporalServer, temporalAvailable, temporalMissing } from "../support/temporal.ts";
import { type Child, type Stage, startProgram, startStage } from "./child.ts";

const available = (postgresAvailable && temporalAvailable) || process.env["CI"] === "true";

describe.skipIf(!available)(`servers and workers on Temporal (${temporalMissing})`, { timeout: 300_000 }, () => {
  let postgres: Postgres;
  let server: TemporalServer;
  let model: Awaited<ReturnType<typeof startScriptedModel>>;
  let stage: Stage | undefined;
  const children: Child[] = [];
  beforeAll(async () => {
    [postgres, server, model] = await Promise.all([
      startPostgres(),
      startTemporal(),
      startScriptedModel({ fixtures: ["test/fixtures/transcripts/text-tools.json"] }),
    ]);
  });
  afterEach(async () => {
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(children.splice(0).map(({ exited }) => exited));
    await stage?.close();
    stage = undefined;
  });
  afterAll(async () => {
    await Promise.all([server?.stop(), postgres?.stop(), model?.close()]);
  });
  const open = async () => {
    stage = await startStage(model.url);
    const environment = {
      ...stage.environment,
      DATABASE_URL: await postgres.createDatabase(),
      MILLWRIGHT_ENGINE: "temporal",
      MILLWRIGHT_TEMPORAL_ADDRESS: server.address,
    };
    return { stage, environment };
  };
  const work = async (environment: Record<string, string>) => {
    const child = await startProgram("npm run worker", environment);
    children.push(child);
    await child.until("it was ready", async () => (await fetch(`${child.healthUrl}/readyz`)).ok);
    return child;
  };

  test("a labelled issue becomes a pull request by a server that takes webhooks and two workers that share the steps", async () => {
    const { stage, environment } = await open();
    const own = (name: string) => ({ ...environment, MILLWRIGHT_DATA: join(stage.directory, name) });
    const web = await stage.start("npm start", own("server"));
    const ordinary = await work({ ...own("ordinary"), MILLWRIGHT_WORKER_STEPS: "ordinary" });
    const sandboxed = await work({ ...own("sandboxed"), MILLWRIGHT_WORKER_STEPS: "sandboxed" });
    expect(await stage.pullRequest(web, stage.labelIssue())).toBeGreaterThan(0);
    const stepsOf = (child: Child) =>
      new Set(child.lines().flatMap(({ msg, step }) => (msg === "step done" ? [String(step).split("#")[0]] : [])));
    expect(stepsOf(web)).toEqual(new Set());
    expect(stepsOf(sandboxed)).toEqual(new Set(["prepare-environment", "run-checks", "write-change"]));
    expect(stepsOf(ordinary)).toContain("open-pull-request");
    for (const child of [ordinary, sandboxed]) {
      child.kill("SIGTERM");
      expect(await child.exited).toMatchObject({ code: 0 });
    }
  });

  test("npm start waits for a Temporal that cannot be reached, takes webhooks meanwhile, and /health says so", async () => {
    const { stage, environment } = await open();
    const address = `127.0.0.1:${await freePort()}`;
    const web = await stage.start("npm start", { ...environment, MILLWRIGHT_TEMPORAL_ADDRESS: address });
    const { wrong } = (await (await fetch(`${web.healthUrl}/health`)).json()) as { wrong: string[] };
    expect(wrong).toContainEqual(expect.stringMatching(new RegExp(`^engine: .*${address}.*wait`)));
    expect(web.lines()).toContainEqual(
      expect.objectContaining({ level: "error", msg: expect.stringContaining(address) }),
    );
    expect((await fetch(`${web.url}/readyz`)).status).toBe(200);
  });

  test("npm start with MILLWRIGHT_ENGINE_FALLBACK executes runs itself when Temporal cannot be reached, and says so", async () => {
    const { stage, environment } = await open();
    const address = `127.0.0.1:${await freePort()}`;
    const web = await stage.start("npm start", {
      ...environment,
      MILLWRIGHT_TEMPORAL_ADDRESS: address,
      MILLWRIGHT_ENGINE_FALLBACK: "local",
    });
    expect(await stage.pullRequest(web, stage.labelIssue())).toBeGreaterThan(0);
    const { wrong } = (await (await fetch(`${web.healthUrl}/health`)).json()) as { wrong: string[] };
    expect(wrong).toContainEqual(expect.stringMatching(/^engine: local instead of temporal/));
    expect(web.text()).toContain("local instead of temporal");
  });

  test("npm start and npm run worker end at once where waiting does not help, with the setting's name", async () => {
    const { environment } = await open();
    for (const program of ["npm start", "npm run worker"] as const) {
      const child = await startProgram(program, { ...environment, MILLWRIGHT_TEMPORAL_NAMESPACE: "nowhere" });
      children.push(child);
      expect(await child.exited).toMatchObject({ code: 1 });
      expect(child.text()).toMatch(/MILLWRIGHT_TEMPORAL_NAMESPACE.*nowhere/);
      expect(child.text()).not.toContain("    at ");
    }
  });
});

describe("connectTemporal", () => {
  /** A server that speaks TLS with a certificate for `temporal.example`, before `target` or before nothing. */
  async function serveTls(target?: string, options: TlsOptions = {}) {
    const directory = mkdtempSync(join(tmpdir(), "millwright-tls-"));
    const [keyFile, certFile] = ["key.pem", "cert.pem"].map((name) => join(directory, name)) as [string, string];
    const request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=temporal.example"];
    execFileSync("openssl", [...request, "-keyout", keyFile, "-out", certFile], { stdio: "ignore" });
    const [key, certificate] = [readFileSync(keyFile), readFileSync(certFile)];
    rmSync(directory, { recursive: true, force: true });
    const sockets = new Set<{ destroy(): void }>();
    const tls = createTlsServer(
      { key, cert: certificate, ca: certificate, ALPNProtocols: ["h2"], ...options },
      (client) => {
        const upstream = target === undefined ? undefined : connect(Number(target.split(":")[1]), "127.0.0.1");
        for (const socket of [client, upstream]) if (socket) sockets.add(socket.on("error", () => undefined));
        if (upstream) client.pipe(upstream).pipe(client);
      },
    );
    tls.on("tlsClientError", () => undefined);
    await new Promise<void>((resolve) => tls.listen(0, "127.0.0.1", resolve));
    const address = `127.0.0.1:${(tls.address() as AddressInfo).port}`;
    const close = () => {
      tls.close();
      for (const socket of sockets) socket.destroy();
    };
    return { address, certificate, key, close };
  }
  const refused = {
    name: "TemporalRefused",
    message: expect.stringMatching(/MILLWRIGHT_TEMPORAL_TLS_CA, MILLWRIGHT_TEMPORAL_TLS_CERT.*(certificate|alert)/s),
  };
  const serverName = "temporal.example";

  test("connectTemporal says which settings are about a server's certificate that it does not trust", async () => {
    const { address, close } = await serveTls();
    const tried = connectTemporal({ address, namespace: "default", tls: { serverName }, keys: [] }, silent, 3);
    await expect(tried).rejects.toMatchObject(refused);
    close();
  });

  test("connectTemporal says which settings are about a client certificate that a server misses", async () => {
    const { address, certificate, close } = await serveTls(undefined, { requestCert: true, rejectUnauthorized: true });
    const tls = { serverName, ca: certificate };
    await expect(connectTemporal({ address, namespace: "default", tls, keys: [] }, silent, 3)).rejects.toMatchObject(
      refused,
    );
    close();
  });

  test.skipIf(!temporalAvailable && process.env["CI"] !== "true")(
    `connectTemporal speaks TLS with both certificates (${temporalMissing})`,
    async () => {
      const server = await startTemporal();
      const mutual = { requestCert: true, rejectUnauthorized: true };
      const { address, certificate, key, close } = await serveTls(server.address, mutual);
      try {
        const tls = { serverName, ca: certificate, pair: { certificate, key } };
        const { connection, searchable } = await connectTemporal(
          { address, namespace: "default", tls, keys: [] },
          silent,
          10,
        );
        expect(searchable).toBe(true);
        await connection.close();
      } finally {
        close();
        await server.stop();
      }
    },
    120_000,
  );

  test.each(["127.0.0.1", "no-such-host.invalid"])(
    "connectTemporal tells a server at %s that refuses, or that nobody resolves, from what an operator has to mend",
    async (host) => {
      const address = `${host}:${await freePort()}`;
      await expect(connectTemporal({ address, namespace: "default", keys: [] }, silent, 2)).rejects.toMatchObject({
        name: "TemporalUnreachable",
        message: expect.stringContaining(address),
      });
    },
  );

  test("connectTemporal gives a server up that never answers", async () => {
    const deaf = createServer(() => undefined);
    await new Promise<void>((resolve) => deaf.listen(0, "127.0.0.1", resolve));
    const address = `127.0.0.1:${(deaf.address() as AddressInfo).port}`;
    try {
      await expect(connectTemporal({ address, namespace: "default", keys: [] }, silent, 2)).rejects.toMatchObject({
        name: "TemporalUnreachable",
      });
    } finally {
      deaf.close();
    }
  });
});
