import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import type { Credentials } from "./local-github.ts";

/** The real server of `npm start`, or the worker of `npm run worker`, as a child process. */
export interface ServerProcess {
  pid: number;
  url: string;
  webhookUrl: string;
  /** Its log so far: one JSON per line. */
  log(): Promise<LogLine[]>;
  stop(): Promise<void>;
}

/** The fields of a log line that benchmarks read. */
export interface LogLine {
  time: string;
  msg: string;
  runKey?: string;
  deliveryId?: string;
  step?: string;
  durationMs?: number;
}

const root = join(import.meta.dirname, "../..");
const readySeconds = 120;

/**
 * Starts the server in `directory` (its data and log go there) and waits until it is ready. With `BENCH_PROFILE=DIR` it
 * leaves a CPU profile there when it ends. Throws with the end of its log when it does not come up.
 */
export async function startServer(options: {
  directory: string;
  github: Credentials;
  modelUrl: string;
  environment?: Record<string, string>;
  /** A script of package.json; a worker has no webhooks. */
  program?: "start" | "worker";
}): Promise<ServerProcess> {
  const { directory, github, program = "start" } = options;
  const [port, healthPort] = [await freePort(), program === "worker" ? await freePort() : 0];
  const url = `http://127.0.0.1:${port}`;
  const logPath = join(directory, "server.log");
  const output = openSync(logPath, "a");
  const profile = process.env["BENCH_PROFILE"];
  // Not from here: a .env file of the developer's must not be read.
  const child = spawn(
    process.execPath,
    [...(profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`]), ...(await startArguments(program))],
    {
      cwd: directory,
      stdio: ["ignore", output, output],
      env: {
        PATH: process.env["PATH"] ?? "",
        HOME: process.env["HOME"] ?? directory,
        APP_ID: String(github.appId),
        PRIVATE_KEY: github.privateKey,
        WEBHOOK_SECRET: github.webhookSecret,
        GITHUB_API_URL: github.url,
        GITHUB_SERVER_URL: github.url,
        ANTHROPIC_API_KEY: "a-key-for-the-bench",
        ANTHROPIC_BASE_URL: options.modelUrl,
        MILLWRIGHT_DATA: join(directory, "data"),
        MILLWRIGHT_HEALTH_PORT: String(healthPort),
        MILLWRIGHT_SANDBOX: "none",
        MILLWRIGHT_MIN_FREE_BYTES: "0",
        PORT: String(port),
        ...unlimited,
        ...options.environment,
      },
    },
  );
  closeSync(output);
  const exited = once(child, "exit");
  let ended = false;
  exited.then(() => {
    ended = true;
  });
  const until = Date.now() + readySeconds * 1000;
  const readyUrl = program === "worker" ? `http://127.0.0.1:${healthPort}/readyz` : `${url}/readyz`;
  while (!(await answers(readyUrl))) {
    if (ended || Date.now() > until) {
      child.kill("SIGKILL");
      throw new Error(
        `The server did not become ready within ${readySeconds} s:\n${(await readFile(logPath, "utf8")).slice(-4_000)}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    pid: child.pid as number,
    url,
    webhookUrl: `${url}/api/github/webhooks`,
    log: async () => parseLog(await readFile(logPath, "utf8")),
    async stop() {
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), 20_000);
      await exited;
      clearTimeout(late);
    },
  };
}

/** What npm passes to node: its flags are part of what is measured. */
async function startArguments(program: "start" | "worker"): Promise<string[]> {
  const { scripts } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as {
    scripts: Record<typeof program, string>;
  };
  const [node, ...args] = scripts[program].split(" ");
  const file = args.pop();
  if (node !== "node" || file === undefined || !file.endsWith(".ts"))
    throw new Error(`The ${program} script must be "node [flags] <file>.ts", but is ${JSON.stringify(scripts.start)}`);
  return [...args, join(root, file)];
}

/** The daily limits are not what is measured. */
export const unlimited = {
  MILLWRIGHT_SUBJECT_DAY_RUNS: "1000000",
  MILLWRIGHT_REPOSITORY_DAY_RUNS: "1000000",
  MILLWRIGHT_ACCOUNT_DAY_RUNS: "1000000",
  MILLWRIGHT_REPOSITORY_DAY_USD: "1000000",
  MILLWRIGHT_ACCOUNT_DAY_USD: "1000000",
  MILLWRIGHT_DAY_USD: "1000000",
};

/** Resolves when a line fits; throws after `seconds`. */
export async function logged(
  process: ServerProcess,
  fits: (line: LogLine) => boolean,
  seconds: number,
): Promise<LogLine> {
  const until = Date.now() + seconds * 1000;
  for (;;) {
    const line = (await process.log()).find(fits);
    if (line !== undefined) return line;
    if (Date.now() > until) {
      const last = (await process.log()).slice(-5).map((one) => JSON.stringify(one));
      throw new Error(
        `Waited ${seconds} s for a line of the server's log that did not come; the last are\n${last.join("\n")}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function parseLog(text: string): LogLine[] {
  return text.split("\n").flatMap((line) => {
    try {
      return line.startsWith("{") ? [JSON.parse(line) as LogLine] : [];
    } catch {
      // The last line may be half written.
      return [];
    }
  });
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}

/** Probot's server takes port 0 for "not given". */
export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const address = probe.address();
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  return typeof address === "object" && address !== null ? address.port : 0;
}
