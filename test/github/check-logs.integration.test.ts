import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { distilLog } from "../../src/checks/distil/distil-log.ts";
import { type CheckLog, type LogLimits, readCheckLog } from "../../src/github/check-logs.ts";
import { failedChecks, readsChecks } from "../../src/github/failed-checks.ts";
import { appId, type InstalledGitHub, privateKey, startInstalledGitHub } from "../support/installed-github.ts";
import type { JobInput } from "../support/local-github/domain/actions.ts";

let installed: InstalledGitHub;
const place = { owner: "acme", repo: "shop" };
const token = "ghs_a-token-that-must-not-be-sent-on";

beforeAll(async () => {
  installed = await startInstalledGitHub();
});
afterAll(() => installed.close());

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const limits = (more: Partial<LogLimits> = {}): LogLimits => ({ signal: AbortSignal.timeout(60_000), ...more });

/** The text of a log; throws where there is none. */
async function textOf(log: CheckLog): Promise<string> {
  if (log.kind !== "log") throw new Error(log.why);
  const chunks: Uint8Array[] = [];
  for await (const chunk of log.stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

async function failedJob(branch: string, job: Partial<JobInput> = {}) {
  const sha = await installed.commit(branch);
  const jobs = [{ name: "test", conclusion: "failure" as const, log: "1 test failed\n", ...job }];
  const run = installed.github.as("maintainer").workflowRun("acme/shop", { headBranch: branch, headSha: sha, jobs });
  const [check] = await failedChecks(installed.client(readsChecks), { ...place, sha, appId });
  return { job: run.jobs[0]!, check: check! };
}

/** Reads a job's log from an API that says that it lies at this address. */
async function readFrom(address: string, more: Partial<LogLimits> = {}): Promise<CheckLog> {
  const api = await serve((_request, response) => response.writeHead(302, { location: address }).end());
  const octokit = installed.clientAt(api, token);
  return readCheckLog(octokit, place, { kind: "job", id: 1 }, limits(more));
}

const annotations = [
  { path: "src/price.ts", start_line: 3, end_line: 3, annotation_level: "failure", message: "No price\nfor it" },
  {
    path: "src/price.ts",
    start_line: 9,
    end_line: 9,
    start_column: 5,
    end_column: 7,
    annotation_level: "warning",
    message: "Unused",
    title: "lint",
  },
  {
    path: ".github",
    start_line: 1,
    end_line: 1,
    annotation_level: "failure",
    message: "Process completed with exit code 1.",
  },
];
const printed = [
  "src/price.ts:3: error: No price",
  "    for it",
  "src/price.ts:9:5: warning: lint",
  "    Unused",
  "error: Process completed with exit code 1.",
  "",
].join("\n");

describe("readCheckLog of a job", () => {
  test("readCheckLog streams the job's log, in one request to the API", async () => {
    const { check } = await failedJob("log", {
      log: "##[error]src/price.ts(3,5): error TS2304: Cannot find name 'x'.\n",
    });
    installed.requests();
    const log = await readCheckLog(installed.client({ actions: "read" }), place, check, limits());
    expect(log).toMatchObject({ kind: "log", source: "job-log" });
    if (log.kind !== "log") return;
    const { errors } = await distilLog(log.stream, { maxTokens: 1_000 });
    expect(errors).toMatchObject([{ file: "src/price.ts", line: 3, column: 5 }]);
    expect(installed.requests()).toBe(1);
  });

  test("readCheckLog sends no token to where the log lies", async () => {
    const asked: IncomingMessage[] = [];
    const store = await serve((request, response) => {
      asked.push(request);
      // A store may lead on, to a host of its own.
      if (request.url === "/log?signature=abc") response.writeHead(302, { location: "/moved" }).end();
      else response.end("the log\n");
    });
    expect(await textOf(await readFrom(`${store}/log?signature=abc`))).toBe("the log\n");
    expect(asked.map(({ url }) => url)).toEqual(["/log?signature=abc", "/moved"]);
    for (const { rawHeaders } of asked) expect(rawHeaders.join("\n")).not.toMatch(/authorization|ghs_/i);
  });

  test("readCheckLog sends no token even where the log lies on the API's own host", async () => {
    const asked: (string | undefined)[] = [];
    const api = await serve((request, response) => {
      asked.push(request.headers.authorization);
      if (request.url === "/log") response.end("the log\n");
      else response.writeHead(302, { location: `http://${request.headers.host}/log` }).end();
    });
    const log = await readCheckLog(installed.clientAt(api, token), place, { kind: "job", id: 1 }, limits());
    expect(await textOf(log)).toBe("the log\n");
    expect(asked).toEqual([`token ${token}`, undefined]);
  });

  test("readCheckLog keeps head and tail of a log that is too long", async () => {
    const lines = Array.from({ length: 20_000 }, (_, at) => `line ${at}\n`).join("");
    const store = await serve((_request, response) => response.end(lines));
    const text = await textOf(await readFrom(store, { maxBytes: 2_000 }));
    const [head = "", tail = ""] = text.split(/\n\.\.\. \d+ bytes of the log were left out here \.\.\.\n/);
    expect([head, tail]).toEqual([lines.slice(0, 1_000), lines.slice(-1_000)]);
    expect(text).toContain(`... ${lines.length - 2_000} bytes`);
  });

  test.each([1_999, 2_000, 2_001])("readCheckLog of %i bytes leaves out what exceeds 2000", async (length) => {
    const bytes = Array.from({ length }, (_, at) => String.fromCharCode(97 + (at % 26))).join("");
    const store = await serve((_request, response) => response.end(bytes));
    const text = await textOf(await readFrom(store, { maxBytes: 2_000 }));
    if (length <= 2_000) expect(text).toBe(bytes);
    else
      expect(text).toBe(
        `${bytes.slice(0, 1_000)}\n... 1 bytes of the log were left out here ...\n${bytes.slice(1_001)}`,
      );
  });

  test("readCheckLog gives up on a server that says nothing, before the log and within it", async () => {
    const silent = await serve(() => undefined);
    await expect(readFrom(silent, { stallSeconds: 0.2 })).rejects.toThrow("said nothing for 0.2 s");
    const stalls = await serve((_request, response) => response.write("begins\n"));
    await expect(readFrom(stalls, { stallSeconds: 0.5 }).then(textOf)).rejects.toThrow("said nothing for 0.5 s");
  });

  test("readCheckLog throws when the log is cut short", async () => {
    const store = await serve((request, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write("begins\n", () => request.socket.destroy());
    });
    await expect(readFrom(store).then(textOf)).rejects.toThrow();
  });

  test("readCheckLog stops when it is cancelled, and closes the connection when nobody reads on", async () => {
    let closed = 0;
    const endless = await serve((_request, response) => {
      const writing = setInterval(() => response.write("more\n"), 10);
      response.on("close", () => {
        clearInterval(writing);
        closed++;
      });
    });
    const cancel = new AbortController();
    const log = await readFrom(endless, { signal: cancel.signal });
    if (log.kind !== "log") throw new Error(log.why);
    await expect(async () => {
      for await (const _ of log.stream) cancel.abort(new Error("cancelled"));
    }).rejects.toThrow("cancelled");
    const second = await readFrom(endless);
    if (second.kind !== "log") throw new Error(second.why);
    for await (const _ of second.stream) break;
    await expect.poll(() => closed, { timeout: 20_000 }).toBe(2);
  });

  test("readCheckLog says neither address nor answer of a store that fails", async () => {
    const store = await serve((_request, response) => response.writeHead(403).end("secret-signature"));
    const failure = readFrom(`${store}/log?signature=secret-signature`);
    await expect(failure).rejects.toThrow("The server of the log answered 403");
    await expect(failure).rejects.not.toThrow(/secret-signature/);
  });

  test("readCheckLog reads the annotations of a job whose log is gone", async () => {
    const { job, check } = await failedJob("gone", { annotations });
    job.log = undefined;
    const log = await readCheckLog(installed.client(readsChecks), place, check, limits());
    expect(log).toMatchObject({
      source: "check-output",
      instead: "GitHub does not have the log of this job any more.",
    });
    expect(await textOf(log)).toBe(printed);
  });

  test("readCheckLog reads the annotations when the log is gone from where it lay", async () => {
    const { check } = await failedJob("gone-there", { annotations });
    installed.github.faults.add({ method: "GET", path: /^\/job-logs/, status: 404, times: 1 });
    expect(await textOf(await readCheckLog(installed.client(readsChecks), place, check, limits()))).toBe(printed);
  });

  test("readCheckLog says so where nothing is left", async () => {
    const { job, check } = await failedJob("nothing");
    job.log = undefined;
    const log = await readCheckLog(installed.client(readsChecks), place, check, limits());
    expect(log).toEqual({ kind: "none", why: "GitHub does not have the log of this job any more." });
    const unknown = await readCheckLog(installed.client(readsChecks), place, { kind: "job", id: 1 }, limits());
    expect(unknown.kind).toBe("none");
  });
});

describe("readCheckLog of other checks", () => {
  test("readCheckLog reads output and annotations of another App's check run", async () => {
    const sha = await installed.commit("scan");
    const { github } = installed;
    const scanner = github.createApp({ id: 5, slug: "scanner", name: "Scanner", privateKey, webhookSecret: "s" });
    const many = Array.from({ length: 350 }, (_, at) => ({ ...annotations[0], message: `Number ${at}` }));
    const output = { title: "2 findings", summary: "See below.", text: "Long text", annotations: many };
    const { id } = github
      .asApp(scanner)
      .checkRun("acme/shop", { name: "scan", headSha: sha, conclusion: "failure", output });
    installed.requests();
    const log = await readCheckLog(installed.client({ checks: "read" }), place, { kind: "check", id }, limits());
    expect(installed.requests()).toBe(4);
    const text = await textOf(log);
    expect(text).toMatch(/^2 findings\n\nSee below\.\n\nLong text\n\nsrc\/price\.ts:3: error: Number 0\n/);
    expect(text.match(/error: Number/g)).toHaveLength(300);
    const { errors } = await distilLog(text, { maxTokens: 1_000 });
    expect(errors[0]).toMatchObject({ file: "src/price.ts", line: 3, message: "Number 0" });
  });

  test("readCheckLog reads a status' description without a request", async () => {
    installed.requests();
    const octokit = installed.client({});
    const status = { kind: "status" as const, id: 1 };
    expect(
      await textOf(await readCheckLog(octokit, place, { ...status, description: "Build 7 failed" }, limits())),
    ).toBe("Build 7 failed\n");
    expect(await readCheckLog(octokit, place, status, limits())).toMatchObject({ kind: "none" });
    expect(installed.requests()).toBe(0);
  });

  test("readCheckLog says that a check run without output says nothing", async () => {
    const sha = await installed.commit("silent");
    const { github } = installed;
    const { id } = github.asApp(github.app).checkRun("acme/shop", { name: "x", headSha: sha, conclusion: "failure" });
    const log = await readCheckLog(installed.client({ checks: "read" }), place, { kind: "check", id }, limits());
    expect(log).toEqual({ kind: "none", why: "The check says nothing about why it failed." });
  });
});
