import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { drizzle as drizzlePostgres } from "drizzle-orm/node-postgres";
import { migrate as migratePostgres } from "drizzle-orm/node-postgres/migrator";
import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";
import pg from "pg";
import type { Logger } from "pino";
import { type EmbeddedDatabase, openEmbeddedDatabase } from "./embedded/embedded-database.ts";
import * as schema from "./schema.ts";

export type Db = PgDatabase<PgQueryResultHKT, typeof schema>;
/** The database or one of its transactions. Inside a transaction on PGlite only the transaction may be used. */
export type Queries = Pick<Db, "select" | "selectDistinctOn" | "insert" | "update" | "delete" | "execute">;

/** An open, migrated database: embedded (one process) or PostgreSQL (many). */
export type Database = {
  db: Db;
  /** Gives every connection back; the next query makes new ones. */
  rest(): Promise<void>;
  close(): Promise<void>;
} & ({ kind: "pglite"; embedded: EmbeddedDatabase } | { kind: "postgres"; databaseUrl: string; pool: pg.Pool });

export interface DatabaseOptions {
  /** A PostgreSQL URL; without it PGlite is kept in `<dataDirectory>/database`. */
  databaseUrl?: string;
  /** `"memory"` keeps PGlite in memory, which tests use. */
  dataDirectory: string;
  log: Pick<Logger, "info" | "warn" | "error">;
  /** Connections of this process. */
  maxConnections?: number;
  /** A server that does not answer for so long counts as down; by default it is waited for. */
  connectSeconds?: number;
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
  const connectionTimeoutMillis = (options.connectSeconds ?? 0) * 1000;
  const connection = { connectionString: databaseUrl, connectionTimeoutMillis };
  // An idle connection that is cut (a database restart) is replaced by the pool; without a listener it ends the process.
  const lost = (error: Error) => options.log.warn({ error: error.message }, "a database connection was lost");
  const openPool = (): pg.Pool => {
    const opened = new pg.Pool({ ...connection, max: options.maxConnections ?? 10 });
    opened.on("error", lost);
    // The pool listens only while a connection is idle; one that is cut inside a transaction would end the process too.
    opened.on("connect", (client) => client.on("error", lost));
    return opened;
  };
  let pool = openPool();
  const client = new pg.Client(connection);
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
  const db = drizzleOn({
    query: ((...query: Parameters<pg.Pool["query"]>) => pool.query(...query)) as EmbeddedDatabase["query"],
    connect: () => pool.connect() as never,
    end: () => pool.end(),
  });
  return {
    kind: "postgres",
    db,
    databaseUrl,
    get pool() {
      return pool;
    },
    async rest() {
      const used = pool;
      pool = openPool();
      await used.end();
    },
    close: () => pool.end(),
  };
}

/** Drizzle never gives a connection back whose BEGIN failed: after a few database restarts the pool would be empty. */
async function transaction<T>(
  pool: pg.Pool | EmbeddedDatabase,
  body: (tx: Parameters<Parameters<Db["transaction"]>[0]>[0]) => Promise<T>,
) {
  const client = await pool.connect();
  let broken = true;
  try {
    const result = await drizzlePostgres({ client: client as pg.PoolClient }).transaction((tx) => body(tx as never));
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
  const cannotOpen = (error: unknown) =>
    new Error(`Cannot open the embedded database in ${directory}: ${messageOf(error)}`, { cause: error });
  const embedded = await openEmbeddedDatabase(memory ? undefined : directory, options.log).catch((error: unknown) => {
    throw cannotOpen(error);
  });
  try {
    const client = await embedded.connect();
    await migratePostgres(drizzlePostgres({ client: client as unknown as pg.PoolClient }), {
      migrationsFolder,
    }).finally(() => client.release());
    return {
      kind: "pglite",
      db: drizzleOn(embedded),
      embedded,
      rest: () => Promise.resolve(),
      close: () => embedded.end(),
    };
  } catch (error) {
    await embedded.end();
    throw cannotOpen(error);
  }
}

/** Drizzle on a pool or on the embedded database, with transactions that give their connection back in any case. */
export function drizzleOn(pool: pg.Pool | EmbeddedDatabase): Db {
  const db: Db = drizzlePostgres({ client: pool as pg.Pool, schema });
  db.transaction = (body) => transaction(pool, body);
  return db;
}

function withoutPassword(databaseUrl: string): string {
  const url = URL.parse(databaseUrl);
  return url ? `${url.protocol}//${url.host}${url.pathname}` : "DATABASE_URL (which is not a URL)";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || String(error.cause ?? error.name) : String(error);
}
