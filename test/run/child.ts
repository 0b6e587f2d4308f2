import { type ChildProcess, spawn } from "node:child_process";
import { createHmac, randomUUID } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { appId, privateKey, startGitHub, webhookSecret } from "../support/local-app.ts";
import type { LocalGitHub, RepositoryView } from "../support/local-github/index.ts";
import { sampleIssues } from "../support/sample-issues.ts";

/** The two ways to run the App. */
export type Main = "npm start" | "probot run";
export const mains: Main[] = ["npm start", "probot run"];

const programs: Record<Main | "npm run worker" | "npm run setup" | "chaos worker", string[]> = {
  "npm start": [resolve("src/run/server.ts")],
  "probot run": [resolve("node_modules/probot/bin/probot.js"), "run", resolve("src/index.ts")],
  "npm run worker": [resolve("src/run/worker.ts")],
  "npm run setup": [resolve("src/run/setup.ts")],
  "chaos worker": [resolve("test/chaos/worker.ts")],
};

export const modelKey = "sk-a-model-key-for-tests-0123456789";
export const webhookPath = "/api/github/webhooks";

export type Line = Record<string, unknown> & { level?: string; msg?: string };

/** A process of the App: what it is reached by, what it says, how it ends. */
export interface Child {
  pid: number;
  url: string;
  healthUrl: string;
  /** All that it wrote to standard output and standard error so far. */
  text(): string;
  /** The lines of its log so far. */
  lines(): Line[];
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Waits until `look` gives something; fails when the process ends before. */
  until<T>(
    what: string,
    look: () => T | undefined | false | Promise<T | undefined | false>,
    seconds?: number,
  ): Promise<T>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts a program of the App with exactly this environment, in a directory of its own unless `cwd` is given. */
export async function startProgram(
  program: keyof typeof programs,
  environment: Record<string, string>,
  cwd = mkdtempSync(join(tmpdir(), "millwright-cwd-")),
): Promise<Child> {
  const [port, healthPort] = [
    environment["PORT"] ?? String(await freePort()),
    environment["MILLWRIGHT_HEALTH_PORT"] ?? String(await freePort()),
  ];
  const child = spawn(process.execPath, [...programs[program], ...(environment["ARGUMENTS"]?.split(" ") ?? [])], {
    cwd,
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      HOST: "127.0.0.1",
      PORT: port,
      MILLWRIGHT_HEALTH_PORT: healthPort,
      ...environment,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return watch(child, { port, healthPort });
}

/** What a process with a webhook port and a health port, and with pipes, is watched by. */
export function watch(
  child: ChildProcess & { stdout: Readable; stderr: Readable },
  { port, healthPort }: { port: string; healthPort: string },
): Child {
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((settle) =>
    child.on("close", (code, signal) => settle({ code, signal })),
  );
  return {
    pid: child.pid ?? 0,
    url: `http://127.0.0.1:${port}`,
    healthUrl: `http://127.0.0.1:${healthPort}`,
    text: () => text,
    lines: () => text.split("\n").flatMap(parsedLine),
    exited,
    kill: (signal) => child.kill(signal),
    async until(what, look, seconds = 240) {
      const until = Date.now() + seconds * 1000;
      for (;;) {
        const found = await Promise.resolve(look()).catch(() => undefined);
        if (found !== undefined && found !== false) return found as never;
        if (hasEnded(child)) throw new Error(`The process ended before ${what}:\n${text.slice(-4_000)}`);
        if (Date.now() > until) throw new Error(`Waited ${seconds} s for ${what}:\n${text.slice(-4_000)}`);
        await new Promise((settle) => setTimeout(settle, 50));
      }
    },
  };
}

/** Starts the App and waits until it is ready for webhooks. */
export async function startMain(main: Main, environment: Record<string, string>, cwd?: string): Promise<Child> {
  const child = await startProgram(main, environment, cwd);
  await child.until("it was ready", async () => (await fetch(`${child.url}/readyz`)).ok);
  return child;
}

/** A local GitHub with the App installed on one repository, and the environment that the App needs for it. */
export interface Stage {
  directory: string;
  github: LocalGitHub;
  repository: RepositoryView;
  environment: Record<string, string>;
  /** Opens an issue and labels it, as the maintainer; its number. */
  labelIssue(): number;
  /** Starts a main that `close` ends, with its webhooks connected. */
  start(main: Main, environment?: Record<string, string>): Promise<Child>;
  /** Waits until the issue has the pull request that closes it and its label; the pull request's number. */
  pullRequest(child: Child, issue: number): Promise<number>;
  close(): Promise<void>;
}

const repositoryName = "acme/text-tools";

export async function startStage(modelUrl: string): Promise<Stage> {
  const directory = mkdtempSync(join(tmpdir(), "millwright-run-"));
  const github = await startGitHub(join(directory, "github"));
  github.createUser("maintainer");
  const repository = await github.createRepository({
    owner: "acme",
    name: "text-tools",
    fromDirectory: "test/fixtures/repos/text-tools",
    private: true,
    collaborators: { maintainer: "write" },
  });
  github.install({ owner: "acme" });
  const children: Child[] = [];
  const environment = {
    APP_ID: String(appId),
    PRIVATE_KEY: privateKey.replaceAll("\n", "\\n"),
    WEBHOOK_SECRET: webhookSecret,
    GITHUB_API_URL: github.url,
    GITHUB_SERVER_URL: github.gitUrl,
    ANTHROPIC_API_KEY: modelKey,
    ANTHROPIC_BASE_URL: modelUrl,
    MILLWRIGHT_DATA: join(directory, "data"),
    MILLWRIGHT_SANDBOX: "none",
    MILLWRIGHT_MIN_FREE_BYTES: "0",
    // Its requests and its line of the log would be counted with what is tried.
    MILLWRIGHT_RECONCILE_MINUTES: "0",
  };
  return {
    directory,
    github,
    repository,
    environment,
    labelIssue() {
      const { number } = github.as("maintainer").openIssue(repositoryName, sampleIssues["text-tools"]);
      github.as("maintainer").label(repositoryName, number, "agent:builder");
      return number;
    },
    async start(main, more = {}) {
      const { GITHUB_API_URL, GITHUB_SERVER_URL, ...rest } = environment;
      const address: Record<string, string> =
        more["GHE_HOST"] === undefined ? { GITHUB_API_URL, GITHUB_SERVER_URL } : {};
      const child = await startMain(main, { ...rest, ...address, ...more });
      children.push(child);
      if (more["WEBHOOK_PROXY_URL"] === undefined) github.setWebhookUrl(`${child.url}${webhookPath}`);
      return child;
    },
    async pullRequest(child, issue) {
      await child.until("the run to end", () =>
        repository.issue(issue).labels.some(({ name }) => /^agent:(done|needs|failed)/.test(name)),
      );
      const pull = repository.pulls.find(({ issue: { body } }) => body?.includes(`Closes #${issue}`));
      if (pull === undefined) throw new Error(`The run ended without a pull request:\n${child.text().slice(-4_000)}`);
      return pull.issue.number;
    },
    async close() {
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(children.map(({ exited }) => exited));
      await github.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Sends a delivery as GitHub does, signed with the current secret unless other headers are given. */
export function deliver(child: Child, body: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${child.url}${webhookPath}`, {
    method: "POST",
    body,
    headers: {
      "content-type": "application/json",
      "x-github-event": "issues",
      "x-github-delivery": randomUUID(),
      "x-hub-signature-256": signature(body),
      ...headers,
    },
  });
}

export function signature(body: string, secret = webhookSecret): string {
  return `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
}

/** Ids of the processes whose command line contains all of these texts. */
export function processesWith(...texts: string[]): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((name) => {
      try {
        const line = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ");
        return texts.every((text) => line.includes(text));
      } catch {
        return false;
      }
    })
    .map(Number);
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((settle) => server.listen(0, "127.0.0.1", settle));
  const address = server.address();
  await new Promise<void>((settle) => server.close(() => settle()));
  return typeof address === "object" && address !== null ? address.port : 0;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function parsedLine(text: string): Line[] {
  try {
    return [JSON.parse(text) as Line];
  } catch {
    return [];
  }
}
