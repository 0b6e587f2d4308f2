import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { Connection } from "@temporalio/client";
import { freePort } from "./postgres.ts";

/** The version that `.ci/temporal` installs. */
const version = "1.5.1";
/** Brought by `.ci/temporal`. */
export const temporalProgram =
  process.env.TEMPORAL_CLI ?? join(homedir(), `.cache/millwright/temporal-${version}/temporal`);

/** Whether a server can be had here. CI brings it, and may still be at it. */
export const temporalAvailable = existsSync(temporalProgram) || process.env.CI === "true";
export const temporalMissing = `needs ${temporalProgram}: run .ci/temporal, or set TEMPORAL_CLI`;

/** A Temporal server of a test file, on loopback, with its state in a file. */
export interface TemporalServer {
  address: string;
  /** Stops it as a crash does, and starts it again on the same state after `awayMs`. */
  restart(awayMs?: number): Promise<void>;
  stop(): Promise<void>;
}

const startSeconds = 60;

/** `settings` are the server's own, as `name=value`: https://docs.temporal.io/references/dynamic-configuration */
export async function startTemporal(
  namespaces: readonly string[] = [],
  settings: readonly string[] = [],
): Promise<TemporalServer> {
  if (!existsSync(temporalProgram)) await promisify(execFile)(".ci/temporal");
  const directory = await mkdtemp(join(tmpdir(), "millwright-temporal-"));
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  let child: ChildProcess | undefined;
  const start = async () => {
    child = spawn(
      temporalProgram,
      [
        ...["server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", String(port)],
        ...["--db-filename", join(directory, "state.db"), "--log-level", "never"],
        // What was written survives a killed server, as without them, and costs half of the processor's time.
        ...["--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal"],
        // As deploy/temporal.yaml has them, which says why.
        ...["--dynamic-config-value", "history.transferProcessorMaxPollRPS=1000"],
        ...["--dynamic-config-value", "matching.useNewMatcher=true"],
        ...namespaces.flatMap((namespace) => ["--namespace", namespace]),
        ...settings.flatMap((setting) => ["--dynamic-config-value", setting]),
        // What was searched for is found at once, so that tests need not wait for it.
        ...["--dynamic-config-value", "system.forceSearchAttributesCacheRefreshOnRead=true"],
      ],
      { stdio: "ignore" },
    );
    await answers(address, child);
  };
  const kill = async () => {
    const dying = child;
    child = undefined;
    if (dying === undefined || dying.exitCode !== null) return;
    const ended = new Promise((resolve) => dying.once("exit", resolve));
    dying.kill("SIGKILL");
    await ended;
  };
  await start();
  return {
    address,
    restart: async (awayMs = 0) => {
      await kill();
      await setTimeout(awayMs);
      await start();
    },
    stop: async () => {
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function answers(address: string, server: ChildProcess): Promise<void> {
  const end = Date.now() + startSeconds * 1000;
  for (;;) {
    try {
      const connection = await Connection.connect({ address, connectTimeout: 1_000 });
      try {
        await connection.workflowService.describeNamespace({ namespace: "default" });
        return;
      } finally {
        await connection.close();
      }
    } catch (error) {
      if (server.exitCode !== null) throw new Error(`The Temporal server ended with code ${server.exitCode}`);
      if (Date.now() > end) throw new Error(`The Temporal server does not answer at ${address}`, { cause: error });
      await setTimeout(100);
    }
  }
}
