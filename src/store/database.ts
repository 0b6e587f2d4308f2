import { createHash } from "node:crypto";
import { mkdir, realpath, rm } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PGlite } from "@electric-sql/pglite";
import { drizzle as drizzlePostgres } from "drizzle-orm/node-postgres";
import { migrate as migratePostgres } from "drizzle-orm/node-postgres/migrator";
import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";
import { drizzle as drizzlePglite } from "drizzle-orm/pglite";
import { migrate as migratePglite } from "drizzle-orm/pglite/migrator";
import pg from "pg";
import type { Logger } from "pino";
import * as schema from "./schema.ts";

export type Db = PgDatabase<PgQueryResultHKT, typeof schema>;
/** The database or one of its transactions. Inside a transaction on PGlite only the transaction may be used. */
export type Queries = Pick<Db, "select" | "selectDistinctOn" | "insert" | "update" | "delete" | "execute">;

/** An open, migrated database: embedded (one process) or PostgreSQL (many). */
export type Database = {
  db: Db;
  close(): Promise<void>;
} & ({ kind: "pglite"; pglite: PGlite } | { kind: "postgres"; databaseUrl: string; pool: pg.Pool });

export interface DatabaseOptions {
  /** A PostgreSQL URL; without it PGlite is kept in `<dataDirectory>/database`. */
  databaseUrl?: string;
  /** `"memory"` keeps PGlite in memory, which tests use. */
  dataDirectory: string;
  log: Pick<Logger, "info" | "warn" | "error">;
  /** Connections of this process. */
  maxConnections?: number;
}

const migrationsFolder = fileURLToPath(new URL("./migrations", import.meta.url));
/** Any number that nobody else locks: two migrators at once would fail on each other's tables. */
const migrationLock = 7_162_534_091;

/**
 * Opens and migrates the database.
 * Throws when the data directory is in use by another process (two processes on one PGlite directory lose commits
 * silently), or when PostgreSQL cannot be reached.
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  return options.databaseUrl ? openPostgres(options.databaseUrl, options) : openPglite(options);
}

async function openPostgres(databaseUrl: string, options: DatabaseOptions): Promise<Database> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: options.maxConnections ?? 10 });
  // An idle connection that is cut (a database restart) is replaced by the pool; without a listener it ends the process.
  const lost = (error: Error) => options.log.warn({ error: error.message }, "a database connection was lost");
  pool.on("error", lost);
  // The pool listens only while a connection is idle; one that is cut inside a transaction would end the process too.
  pool.on("connect", (connection) => connection.on("error", lost));
  const client = new pg.Client({ connectionString: databaseUrl });
  try {
    await client.connect();
    await client.query("SELECT pg_advisory_lock($1)", [migrationLock]);
    await migratePostgres(drizzlePostgres({ client }), { migrationsFolder });
  } catch (error) {
    await pool.end();
    throw new Error(`Cannot open the database at ${withoutPassword(databaseUrl)}: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    await client.end().catch(() => undefined);
  }
  const db: Db = drizzlePostgres({ client: pool, schema });
  db.transaction = (body) => transaction(pool, body);
  return { kind: "postgres", db, databaseUrl, pool, close: () => pool.end() };
}

/** Drizzle never gives a connection back whose BEGIN failed: after a few database restarts the pool would be empty. */
async function transaction<T>(
  pool: pg.Pool,
  body: (tx: Parameters<Parameters<Db["transaction"]>[0]>[0]) => Promise<T>,
) {
  const client = await pool.connect();
  let broken = true;
  try {
    const result = await drizzlePostgres({ client }).transaction((tx) => body(tx as never));
    broken = false;
    return result;
  } catch (error) {
    // A transaction that was rolled back leaves a good connection; one that cannot answer is thrown away.
    broken = await client.query("SELECT 1").then(
      () => false,
      () => true,
    );
    throw error;
  } finally {
    client.release(broken);
  }
}

async function openPglite(options: DatabaseOptions): Promise<Database> {
  const memory = options.dataDirectory === "memory";
  const directory = join(options.dataDirectory, "database");
  let lock: Server | undefined;
  if (!memory) {
    await mkdir(directory, { recursive: true });
    lock = await lockDirectory(directory);
  }
  try {
    const pglite = memory ? await PGlite.create() : await PGlite.create({ dataDir: directory });
    const db = drizzlePglite({ client: pglite, schema });
    await migratePglite(db, { migrationsFolder });
    return {
      kind: "pglite",
      db: db as unknown as Db,
      pglite,
      close: async () => {
        await pglite.close();
        await unlock(lock);
      },
    };
  } catch (error) {
    await unlock(lock);
    throw new Error(`Cannot open the embedded database in ${directory}: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * Holds a socket named after the directory for as long as the process lives; the kernel frees it however the process
 * ends. Linux: abstract socket (unix(7)); Windows: named pipe; elsewhere a socket file, whose leftover is recognised
 * because nobody answers.
 */
async function lockDirectory(directory: string): Promise<Server> {
  const name = `millwright-${createHash("sha256")
    .update(await realpath(directory))
    .digest("hex")
    .slice(0, 32)}`;
  if (process.platform === "linux") return listen(`\0${name}`, directory);
  if (process.platform === "win32") return listen(`\\\\.\\pipe\\${name}`, directory);
  const path = join(tmpdir(), `${name}.sock`);
  if (!(await answers(path))) await rm(path, { force: true });
  return listen(path, directory);
}

function listen(path: string, directory: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        error.code === "EADDRINUSE"
          ? new Error(
              `Cannot use ${directory}: another process has this database open, and the embedded database allows one. ` +
                "Stop the other process, choose another data directory, or set DATABASE_URL to a PostgreSQL server.",
            )
          : error,
      ),
    );
    server.listen(path, () => {
      server.unref();
      resolve(server);
    });
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => resolve(true));
    socket.on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
}

function unlock(lock: Server | undefined): Promise<void> {
  return new Promise((resolve) => (lock ? lock.close(() => resolve()) : resolve()));
}

function withoutPassword(databaseUrl: string): string {
  const url = URL.parse(databaseUrl);
  return url ? `${url.protocol}//${url.host}${url.pathname}` : "DATABASE_URL (which is not a URL)";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || String(error.cause ?? error.name) : String(error);
}
