// Runs in a process of its own, see embedded-database.ts. Ends when its connection to the worker does.
import { createHash } from "node:crypto";
import { mkdir, realpath, rm } from "node:fs/promises";
import { connect, createServer, type Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { createFramer, ends } from "./messages.ts";

/** What the process says of its start. */
export type Started = { kind: "ready" } | { kind: "failed"; message: string };

/** The file descriptor of the connection: a socket pair that only the worker has the other end of. */
const connectionDescriptor = 4;

/** A database process outlives its killed worker by the statement that it executes: as long is waited for its lock. */
const lockPatienceMs = 3_000;

// Ctrl-C and a supervisor's SIGTERM reach the whole group; the worker needs its database until it has stopped in order.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);

const [directory] = process.argv.slice(2);
try {
  if (directory !== undefined) await lock(directory);
  const pglite = await PGlite.create(directory === undefined ? {} : { dataDir: directory });
  serve(pglite, new Socket({ fd: connectionDescriptor, readable: true, writable: true }));
  process.send?.({ kind: "ready" } satisfies Started);
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  process.send?.({ kind: "failed", message } satisfies Started, () => process.exit(1));
}

/** Passes the messages of PostgreSQL's wire protocol to PGlite, in order, each group that awaits an answer at once. */
function serve(pglite: PGlite, socket: Socket): void {
  const frames = createFramer();
  let group: Buffer[] = [];
  let done: Promise<void> = Promise.resolve();
  const execute = async (messages: Buffer[]) => {
    socket.write(await pglite.execProtocolRaw(new Uint8Array(Buffer.concat(messages))));
  };
  socket.on("data", (chunk) => {
    for (const message of frames(chunk)) {
      group.push(message);
      if (!ends(message)) continue;
      const messages = group;
      group = [];
      done = done.then(() => execute(messages));
    }
  });
  // However the worker ended: what it sent is executed, and what it did not commit is rolled back by closing.
  socket.on("error", () => undefined);
  socket.on("close", async () => {
    await done.catch(() => undefined);
    await pglite.close();
    process.exit(0);
  });
}

/**
 * Holds a socket named after the directory for as long as the process lives; the kernel frees it however the process
 * ends. Linux: abstract socket (unix(7)); Windows: named pipe; elsewhere a socket file, whose leftover is recognised
 * because nobody answers. Two processes on one PGlite directory are not refused by it, and lose commits silently.
 */
async function lock(path: string): Promise<Server> {
  await mkdir(path, { recursive: true });
  const hash = createHash("sha256").update(await realpath(path));
  const name = `millwright-${hash.digest("hex").slice(0, 32)}`;
  const until = Date.now() + lockPatienceMs;
  for (;;) {
    try {
      if (process.platform === "linux") return await listen(`\0${name}`);
      if (process.platform === "win32") return await listen(`\\\\.\\pipe\\${name}`);
      const file = join(tmpdir(), `${name}.sock`);
      if (!(await answers(file))) await rm(file, { force: true });
      return await listen(file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      if (Date.now() > until) {
        throw new Error(
          "another process has this database open, and the embedded database allows one. " +
            "Stop the other process, choose another data directory, or set DATABASE_URL to a PostgreSQL server.",
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function listen(path: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => resolve(server.unref()));
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => resolve(true));
    socket.on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
}
