import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import pg from "pg";
import type { Logger } from "pino";
import type { Started } from "./embedded-process.ts";

/** The one connection, held until it is released; `broken` ends it, and the next one begins anew. */
export interface Connection {
  query: pg.Client["query"];
  release(broken?: boolean): void;
}

/** `pg.Pool`, as far as the store needs it, with a single connection: whoever holds it keeps all others waiting. */
export interface EmbeddedDatabase {
  /** Executes outside of any transaction. */
  query: pg.Client["query"];
  connect(): Promise<Connection>;
  end(): Promise<void>;
}

interface Session {
  client: pg.Client;
  end(): Promise<void>;
}

const endPatienceMs = 10_000;

/**
 * PGlite in a process of its own, spoken to in PostgreSQL's wire protocol over a socket pair. In this process it would
 * stop everything else for as long as a statement takes, and its 500 MB would make every fork for git or a command
 * slower. One that ended is started anew by the next statement. `directory` undefined keeps the data in memory.
 * Rejects when the directory cannot be used or another process has it open.
 */
export async function openEmbeddedDatabase(
  directory: string | undefined,
  log: Pick<Logger, "warn">,
): Promise<EmbeddedDatabase> {
  let session: Promise<Session> | undefined;
  let turn: Promise<void> = Promise.resolve();
  let closed = false;

  /** The session that there is, else a new one, which is forgotten as soon as it is of no use any more. */
  function opened(): Promise<Session> {
    if (session !== undefined) return session;
    const starting = start(directory);
    const forget = () => {
      if (session === starting) session = undefined;
    };
    session = starting;
    starting.then(({ client }) => {
      client.on("error", (error) => {
        if (!closed)
          log.warn({ error: error.message }, "the embedded database ended; the next statement starts it again");
        forget();
      });
      client.on("end", forget);
    }, forget);
    return starting;
  }

  async function connect(): Promise<Connection> {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const before = turn;
    turn = before.then(() => released);
    await before;
    try {
      if (closed) throw new Error("The embedded database is closed");
      const { client, end } = await opened();
      return {
        query: client.query.bind(client) as pg.Client["query"],
        // A broken one has ended before the next begins: there is one process at a time.
        release: (broken = false) => void (broken ? end().then(release) : release()),
      };
    } catch (error) {
      release();
      throw error;
    }
  }

  await opened();
  return {
    connect,
    query: (async (...args: Parameters<pg.Client["query"]>) => {
      const connection = await connect();
      try {
        return await connection.query(...args);
      } catch (error) {
        // Several statements in one text may have begun a transaction; the next statement must not find it.
        await connection.query("ROLLBACK").catch(() => undefined);
        throw error;
      } finally {
        connection.release();
      }
    }) as unknown as pg.Client["query"],
    async end() {
      if (closed) return;
      await turn;
      closed = true;
      await (await session?.catch(() => undefined))?.end();
    },
  };
}

/** Compiling PGlite's functions for speed takes 600 MB at once and makes statements, which mostly move data, no faster. */
const processFlags = ["--liftoff-only", "--max-semi-space-size=8"];

async function start(directory: string | undefined): Promise<Session> {
  const file = fileURLToPath(new URL("embedded-process.ts", import.meta.url));
  const child = fork(file, directory === undefined ? [] : [directory], {
    env: {},
    execArgv: processFlags,
    stdio: ["ignore", "ignore", "inherit", "ipc", "pipe"],
  });
  const exited = once(child, "exit");
  const socket = child.stdio[4] as Socket;
  // Its loss is the client's to tell.
  socket.on("error", () => undefined);
  try {
    await ready(child, exited);
    child.disconnect();
    child.unref();
    // The two ends are connected from the beginning.
    socket.connect = (() => {
      process.nextTick(() => socket.emit("connect"));
      return socket;
    }) as Socket["connect"];
    const client = new pg.Client({ user: "postgres", database: "postgres", stream: () => socket });
    await client.connect();
    return {
      client,
      async end() {
        child.ref();
        const late = setTimeout(() => child.kill("SIGKILL"), endPatienceMs);
        await client.end().catch(() => undefined);
        socket.destroy();
        await exited;
        clearTimeout(late);
      },
    };
  } catch (error) {
    child.kill("SIGKILL");
    socket.destroy();
    throw error;
  }
}

async function ready(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  const [started] = (await Promise.race([
    once(child, "message"),
    exited.then(() => [{ kind: "failed", message: "its process ended at once" } satisfies Started]),
  ])) as [Started];
  if (started.kind === "failed") throw new Error(started.message);
}
