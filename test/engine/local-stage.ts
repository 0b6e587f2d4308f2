import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { sql } from "drizzle-orm";
import pino from "pino";
import { createLocalEngine, type LocalEngine, type LocalEngineOptions } from "../../src/engine/local/local-engine.ts";
import { type Database, type Db, drizzleOn, openDatabase } from "../../src/store/database.ts";
import type { EmbeddedDatabase } from "../../src/store/embedded/embedded-database.ts";
import { createStore, type OpenStore } from "../../src/store/open-store.ts";
import type { Deploy, EngineProcess, Stage } from "./engine.testsuite.ts";

export interface LocalProcess extends EngineProcess {
  engine: LocalEngine;
  store: OpenStore;
  /** Requests to the database so far. */
  requests(): number;
}

export interface LocalStage extends Stage {
  boot(deploy: Deploy, over?: Partial<LocalEngineOptions>, dieAtRequest?: number): Promise<LocalProcess>;
  /** A connection that outlives every process. */
  database: Database;
}

export const silent = pino({ level: process.env.TEST_LOG ?? "silent" });

/** The connection of one process to the database, which can be cut as a kill does. */
export interface Line {
  database: Database;
  cut(): void;
  requests(): number;
  close(): Promise<void>;
}

/** A database, and connections of processes to it. */
export interface Lines {
  /** A connection that outlives every process. */
  database: Database;
  openLine(dieAtRequest?: number): Promise<Line>;
  close(): Promise<void>;
}

/** Stages on one database; each begins with empty tables. */
function localStages({ database, openLine }: Lines): () => Promise<LocalStage> {
  return async () => {
    await empty(database.db);
    let killed = false;
    return {
      deploys: "retold",
      database,
      boot: async (deploy, over = {}, dieAtRequest = Number.POSITIVE_INFINITY) => {
        // The next process starts when the time of the killed one has passed; how long that is has a test of its own.
        if (killed && database.kind === "postgres") await passLeases(database.db);
        killed = false;
        const line = await openLine(dieAtRequest);
        const store = createStore(line.database);
        const engine = createLocalEngine({
          store,
          log: silent,
          pollSeconds: 0.1,
          sweepSeconds: 0.5,
          ...deploy,
          ...over,
        });
        let ended: Promise<void> | undefined;
        const end = (seconds: number) => {
          ended ??= engine
            .drain(seconds)
            .catch(() => undefined)
            .then(() => line.close());
          return ended;
        };
        if (dieAtRequest === Number.POSITIVE_INFINITY) {
          await engine.open();
          await engine.work();
        }
        return {
          engine,
          store,
          requests: line.requests,
          kill: () => {
            killed = true;
            line.cut();
            void end(0);
          },
          end: () => end(5),
        };
      },
      forget: async () => {
        await database.db.execute(sql`DELETE FROM pgboss.job`);
      },
      close: () => Promise.resolve(),
    };
  };
}

export async function passLeases(db: Db): Promise<void> {
  await db.execute(sql`UPDATE runs SET execution_expires_at = now() WHERE execution_id IS NOT NULL`);
  await db.execute(sql`UPDATE leases SET expires_at = now()`);
}

export async function empty(db: Db): Promise<void> {
  await db.execute(
    sql`TRUNCATE runs, usage, notes, blobs, audit_log, pull_requests, repositories, rate_limits CASCADE`,
  );
  const result = await db.execute(sql`SELECT to_regclass('pgboss.job') IS NOT NULL AS there`);
  const [row] = (result as unknown as { rows: { there: boolean }[] }).rows;
  if (row?.there) await db.execute(sql`DELETE FROM pgboss.job`);
}

/** Processes on one embedded database in memory: each sees it through a proxy that can be cut. */
export async function openPgliteStages(): Promise<{ openStage: () => Promise<LocalStage>; close(): Promise<void> }> {
  const lines = await openPgliteLines();
  return { openStage: localStages(lines), close: lines.close };
}

export async function openPgliteLines(): Promise<Lines> {
  const database = await openDatabase({ dataDirectory: "memory", log: silent });
  if (database.kind !== "pglite") throw new Error("A directory without a URL is PGlite");
  const { embedded } = database;
  const openLine = async (dieAtRequest = Number.POSITIVE_INFINITY): Promise<Line> => {
    let dead = false;
    let requests = 0;
    const request = () => {
      requests += 1;
      if (requests >= dieAtRequest) dead = true;
      if (dead) throw new Error("killed");
    };
    const cuttable: EmbeddedDatabase = {
      query: cut(embedded.query, request),
      async connect() {
        const connection = await embedded.connect();
        return {
          query: cut(connection.query, request),
          release(broken) {
            // A connection that is cut rolls back what it had begun.
            if (dead) void connection.query("ROLLBACK").finally(() => connection.release());
            else connection.release(broken);
          },
        };
      },
      end: () => Promise.resolve(),
    };
    return {
      database: {
        kind: "pglite",
        db: drizzleOn(cuttable),
        embedded: cuttable,
        rest: () => Promise.resolve(),
        close: () => Promise.resolve(),
      },
      cut: () => {
        dead = true;
      },
      requests: () => requests,
      close: () => Promise.resolve(),
    };
  };
  return { database, openLine, close: () => database.close() };
}

function cut(query: EmbeddedDatabase["query"], request: () => void): EmbeddedDatabase["query"] {
  return (async (...args: Parameters<typeof query>) => {
    request();
    return query(...args);
  }) as unknown as typeof query;
}

/** Processes on one PostgreSQL database: each connects through a TCP relay of its own that can be cut. */
export async function openPostgresStages(
  databaseUrl: string,
): Promise<{ openStage: () => Promise<LocalStage>; close(): Promise<void> }> {
  const lines = await openPostgresLines(databaseUrl);
  return { openStage: localStages(lines), close: lines.close };
}

export async function openPostgresLines(databaseUrl: string): Promise<Lines> {
  const database = await openDatabase({ databaseUrl, dataDirectory: "unused", log: silent });
  const openLine = async (dieAtRequest = Number.POSITIVE_INFINITY): Promise<Line> => {
    const relay = await openRelay(databaseUrl, dieAtRequest);
    const own = await openDatabase({ databaseUrl: relay.url, dataDirectory: "unused", log: silent });
    relay.arm();
    return {
      database: own,
      cut: relay.cut,
      requests: relay.requests,
      close: async () => {
        relay.cut();
        await own.close().catch(() => undefined);
      },
    };
  };
  return { database, openLine, close: () => database.close() };
}

/** A TCP relay to the server of a URL, which can be cut as a kill cuts the connections of a process. */
export async function openRelay(databaseUrl: string, dieAtRequest = Number.POSITIVE_INFINITY) {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let requests = 0;
  let armed = false;
  const cut = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  const server = createServer((client) => {
    const upstream = connect({ host: target.hostname, port: Number(target.port || 5432) });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on("data", (chunk) => {
      if (armed) requests += 1;
      if (requests >= dieAtRequest) cut();
      else upstream.write(chunk);
    });
    upstream.on("data", (chunk) => client.write(chunk));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = new URL(databaseUrl);
  url.hostname = "127.0.0.1";
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    cut,
    requests: () => requests,
    arm: () => {
      armed = true;
    },
  };
}
