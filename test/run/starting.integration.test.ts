import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, type Server as HttpServer, type ServerResponse } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type Postgres, postgresAvailable, startPostgres } from "../support/postgres.ts";
import { startScriptedModel } from "../support/scripted-model.ts";
import { deliver, freePort, mains, startMain, startProgram, startStage, webhookPath } from "./child.ts";

/** Starts of whole processes, also on a busy machine. */
const patient = { timeout: 300_000 };

/** What a test started, ended in reverse order. */
let endings: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of endings.reverse()) await end();
  endings = [];
});

async function stageOf() {
  const model = await startScriptedModel({ fixtures: ["test/fixtures/transcripts/text-tools.json"] });
  endings.push(() => model.close());
  const stage = await startStage(model.url);
  endings.push(() => stage.close());
  return { model, stage };
}

function directoryOf(): string {
  const directory = mkdtempSync(join(tmpdir(), "millwright-setup-test-"));
  endings.push(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function listening(server: HttpServer | Server): Promise<number> {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)));
}

const credentials = {
  APP_ID: "1",
  PRIVATE_KEY: "-----BEGIN RSA PRIVATE KEY-----\\nMIIB\\n-----END RSA PRIVATE KEY-----",
  WEBHOOK_SECRET: "a-webhook-secret",
  ANTHROPIC_API_KEY: "a-key",
};

describe("missing or wrong configuration", patient, () => {
  test("npm start without anything names each variable, where to get it, and ends with code 1", async () => {
    const child = await startProgram("npm start", {});
    expect((await child.exited).code).toBe(1);
    for (const what of [
      /APP_ID is not set.*settings page/,
      /PRIVATE_KEY is not set.*Private keys/,
      /WEBHOOK_SECRET is not set/,
      /ANTHROPIC_API_KEY is not set.*https:\/\//,
      /npm run setup/,
    ])
      expect(child.text()).toMatch(what);
    expect(child.text()).not.toContain("    at ");
  });

  test.each(mains)("%s refuses to start without WEBHOOK_SECRET", async (main) => {
    const { WEBHOOK_SECRET: _, ...rest } = credentials;
    const child = await startProgram(main, { ...rest, NODE_ENV: "production" });
    expect((await child.exited).code).toBe(1);
    expect(child.text()).toMatch(/WEBHOOK_SECRET is not set/);
  });

  test("probot run without APP_ID ends with code 1 in production, where it shows no set-up page", async () => {
    const child = await startProgram("probot run", { NODE_ENV: "production" });
    expect((await child.exited).code).toBe(1);
    expect(child.text()).toContain("APP_ID");
  });

  test.each(mains)("%s says which port is taken, and ends with code 1", async (main) => {
    const { stage } = await stageOf();
    const taken = createServer();
    const port = await listening(taken);
    endings.push(() => taken.close());
    const child = await startProgram(main, { ...stage.environment, PORT: String(port) });
    expect((await child.exited).code).toBe(1);
    expect(child.text()).toContain(`Port ${port} is already in use`);
  });

  test("npm start goes on without /health and /metrics when their port is taken, and says which variable changes it", async () => {
    const { stage } = await stageOf();
    const taken = createServer();
    const port = await listening(taken);
    endings.push(() => taken.close());
    const child = await stage.start("npm start", { MILLWRIGHT_HEALTH_PORT: String(port) });
    const found = child.lines().find(({ msg }) => msg?.includes("are not served"));
    expect(found).toMatchObject({
      level: "error",
      msg: expect.stringMatching(new RegExp(`127.0.0.1:${port}: the port is taken. Set MILLWRIGHT_HEALTH_PORT`)),
    });
    const second = await startProgram("npm start", stage.environment);
    expect((await second.exited).code).toBe(1);
    expect(second.text()).toMatch(/another process has this database open[\s\S]*DATABASE_URL/);
  });
});

describe("npm run setup", patient, () => {
  test("registers the App of app.yml on the server of GHE_HOST, and npm start runs with the .env that it wrote", async () => {
    const { stage } = await stageOf();
    const directory = directoryOf();
    writeFileSync(join(directory, ".env"), "# mine\nMILLWRIGHT_LABEL=please\n");
    const { host } = new URL(stage.github.url);
    const child = await startProgram(
      "npm run setup",
      {
        GHE_HOST: host,
        GHE_PROTOCOL: "http",
        NODE_ENV: "production",
        ARGUMENTS: "--url https://millwright.example.com/",
      },
      directory,
    );
    endings.push(() => child.kill("SIGKILL"));
    const page = await child.until("the page was there", async () => (await fetch(`${child.url}/probot`)).text());

    expect(/action="([^"]*)"/.exec(page)?.[1]).toBe(`http://${host}/settings/apps/new`);
    const manifest = JSON.parse(/name="manifest"[^>]*value='([^']*)'/.exec(page)?.[1] ?? "") as Record<string, unknown>;
    const wanted = parse(readFileSync("app.yml", "utf8")) as Record<string, unknown>;
    expect(manifest).toMatchObject({
      name: "millwright",
      public: false,
      default_permissions: wanted["default_permissions"],
      default_events: wanted["default_events"],
      hook_attributes: { url: `https://millwright.example.com${webhookPath}`, active: true },
      redirect_url: `${child.url}/probot/setup`,
    });

    // Names are unique on GitHub, and "millwright" is taken: the page lets the person choose another.
    const chosen = JSON.stringify({ ...manifest, name: "millwright-acme" });
    const posted = await fetch(`http://${host}/settings/apps/new`, {
      method: "POST",
      body: new URLSearchParams({ manifest: chosen }),
      redirect: "manual",
    });
    const back = await fetch(posted.headers.get("location") ?? "", { redirect: "manual" });
    expect(back.headers.get("location")).toMatch(/\/installations\/new$/);
    expect((await child.exited).code).toBe(0);
    const env = readFileSync(join(directory, ".env"), "utf8");
    expect(env).toMatch(
      /^# mine\nMILLWRIGHT_LABEL=please\nAPP_ID=\d+\nPRIVATE_KEY="-----BEGIN RSA PRIVATE KEY-----\\n.*"\nWEBHOOK_SECRET=\w+\n/,
    );
    expect(statSync(join(directory, ".env")).mode & 0o777).toBe(0o600);

    const { APP_ID: _, PRIVATE_KEY: __, WEBHOOK_SECRET: ___, ...rest } = stage.environment;
    const app = await startMain("npm start", rest, directory);
    endings.push(() => app.kill("SIGKILL"));
    const { probes } = (await (await fetch(`${app.healthUrl}/health`)).json()) as {
      probes: { name: string; ok: boolean; detail: string }[];
    };
    expect(probes.find(({ name }) => name === "github")).toMatchObject({
      ok: true,
      detail: expect.stringContaining("the App is millwright-acme"),
    });

    const again = await startProgram("npm run setup", {}, directory);
    expect((await again.exited).code).toBe(1);
    expect(again.text()).toMatch(/APP_ID is \d+ already/);
  });

  test("takes the smee channel of WEBHOOK_PROXY_URL into the manifest", async () => {
    const child = await startProgram(
      "npm run setup",
      { WEBHOOK_PROXY_URL: "https://smee.io/a-channel" },
      directoryOf(),
    );
    endings.push(() => child.kill("SIGKILL"));
    const page = await child.until("the page was there", async () => (await fetch(`${child.url}/probot`)).text());
    expect(page).toContain('"hook_attributes":{"url":"https://smee.io/a-channel","active":true}');
  });

  test("refuses an address that is none", async () => {
    const child = await startProgram("npm run setup", { ARGUMENTS: "--url millwright.example.com" }, directoryOf());
    expect((await child.exited).code).toBe(1);
    expect(child.text()).toContain('it is "millwright.example.com"');
  });
});

describe("smee", patient, () => {
  test("a label reaches the App through WEBHOOK_PROXY_URL and becomes a pull request", async () => {
    const { stage } = await stageOf();
    const smee = await startSmee();
    const child = await stage.start("npm start", { WEBHOOK_PROXY_URL: smee.url });
    stage.github.setWebhookUrl(smee.url);
    await child.until("the channel was open", () => smee.listeners() === 1);
    const pull = await stage.pullRequest(child, stage.labelIssue());
    expect(stage.repository.pull(pull).draft).toBe(false);
  });
});

describe("the database is away", patient, () => {
  test.skipIf(!postgresAvailable && process.env["CI"] !== "true")(
    "503 and not ready, but alive; the delivery starts its run once it is sent again (needs PostgreSQL)",
    async () => {
      const postgres: Postgres = await startPostgres();
      endings.push(() => postgres.stop());
      const database = new URL(await postgres.createDatabase());
      const line = await startLine(Number(database.port));
      database.port = String(line.port);
      const { stage } = await stageOf();
      const child = await stage.start("npm start", { DATABASE_URL: database.href });
      line.cut();
      const issue = stage.labelIssue();
      await stage.github.settled();
      const labeled = stage.github.deliveries.find(({ action }) => action === "labeled")!;
      expect(labeled.answerStatus).toBe(503);
      expect(child.lines().filter(({ msg, ...rest }) => rest["deliveryId"] === labeled.id)).toEqual([
        expect.objectContaining({ level: "error", status: 503 }),
      ]);
      const ready = await fetch(`${child.url}/readyz`);
      expect([ready.status, await ready.json()]).toEqual([503, { ok: false, database: false, draining: false }]);
      expect((await fetch(`${child.url}/livez`)).status).toBe(200);
      const health = (await (await fetch(`${child.healthUrl}/health`)).json()) as { wrong: string[] };
      expect(health.wrong).toContainEqual(expect.stringMatching(/^database: .*ECONNREFUSED/));

      line.heal();
      await child.until("it was ready again", async () => (await fetch(`${child.url}/readyz`)).ok);
      await stage.github.redeliver(labeled.id);
      expect(labeled.answerStatus).toBe(200);
      await stage.pullRequest(child, issue);
    },
  );
});

describe("GitHub and the model are away", patient, () => {
  test("/readyz does not mind, /health says what is wrong", async () => {
    const nowhere = `http://127.0.0.1:${await freePort()}`;
    const { stage } = await stageOf();
    const child = await stage.start("npm start", {
      GITHUB_API_URL: nowhere,
      ANTHROPIC_BASE_URL: nowhere,
      MILLWRIGHT_MIN_FREE_BYTES: "1e18",
    });
    expect((await fetch(`${child.url}/readyz`)).status).toBe(200);
    const answer = await fetch(`${child.healthUrl}/health`);
    const { ok, wrong } = (await answer.json()) as { ok: boolean; wrong: string[] };
    expect([answer.status, ok]).toEqual([503, false]);
    expect(wrong).toEqual([
      expect.stringMatching(/^disk: \d+ MB free in .*, 1000000000000 MB are needed/),
      expect.stringMatching(/^github: http.* does not answer as it should: .*ECONNREFUSED/),
      expect.stringMatching(/^model: http.* cannot be reached: .*ECONNREFUSED/),
    ]);
    expect((await deliver(child, "{}", { "x-github-event": "ping" })).status).toBe(200);
  });

  test("/health says that GitHub refuses the key, and asks at most every ten seconds", async () => {
    const { stage } = await stageOf();
    const child = await stage.start("npm start", { APP_ID: "99" });
    const asked = () => stage.github.requests.filter(({ path }) => path === "/app").length;
    const before = asked();
    for (let index = 0; index < 5; index += 1) {
      const { wrong } = (await (await fetch(`${child.healthUrl}/health`)).json()) as { wrong: string[] };
      expect(wrong).toEqual([expect.stringMatching(/^github: .* refuses APP_ID 99 with PRIVATE_KEY \(401/)]);
    }
    expect(asked() - before).toBeLessThanOrEqual(2);
  });
});

/** A channel as smee.io has it: what is posted to it goes to whoever listens, parsed, as a server-sent event. */
async function startSmee(): Promise<{ url: string; listeners(): number }> {
  const listeners = new Set<ServerResponse>();
  const server = createHttpServer((request, response) => {
    if (request.method === "GET") {
      response.writeHead(200, { "content-type": "text/event-stream" }).write("event: ready\ndata: {}\n\n");
      listeners.add(response);
      response.on("close", () => listeners.delete(response));
      return;
    }
    let text = "";
    request.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    request.on("end", () => {
      const data = JSON.stringify({
        ...request.headers,
        body: JSON.parse(text) as unknown,
        query: {},
        timestamp: Date.now(),
      });
      for (const listener of listeners) listener.write(`id: ${Date.now()}\ndata: ${data}\n\n`);
      response.end();
    });
  });
  const port = await listening(server);
  endings.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${port}/channel`, listeners: () => listeners.size };
}

/** A connection to a server that can be cut, as when the server stops, and healed. */
async function startLine(to: number): Promise<{ port: number; cut(): void; heal(): void }> {
  const sockets = new Set<Socket>();
  const make = () =>
    createServer((near) => {
      const far = connect(to, "127.0.0.1");
      for (const socket of [near, far]) {
        sockets.add(socket);
        socket
          .on("error", () => undefined)
          .on("close", () => {
            sockets.delete(socket);
            near.destroy();
            far.destroy();
          });
      }
      near.pipe(far).pipe(near);
    });
  let server = make();
  const port = await listening(server);
  const cut = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  endings.push(cut);
  return {
    port,
    cut,
    heal() {
      server = make();
      server.listen(port, "127.0.0.1");
    },
  };
}
