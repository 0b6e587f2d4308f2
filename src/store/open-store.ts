import { and, asc, desc, eq, sql } from "drizzle-orm";
import { createBlobs } from "./blobs.ts";
import type { Bucket } from "./bucket.ts";
import { createBucketBlobs } from "./bucket-blobs.ts";
import { createChecks } from "./checks.ts";
import { type Database, type DatabaseOptions, openDatabase } from "./database.ts";
import { createData } from "./forget.ts";
import { createNotifications } from "./notifications.ts";
import { createReviews } from "./reviews.ts";
import { createRuns } from "./runs.ts";
import { auditLog, notes, pullRequests, rateLimits } from "./schema.ts";
import type { PullRequestRow, Store } from "./store.ts";
import { createSweeps } from "./sweeps.ts";
import { createUsage } from "./usage.ts";

/** A store with the database beneath it, which the local engine shares. */
export interface OpenStore extends Store {
  database: Database;
}

export interface StoreOptions {
  /** Where the bytes of blobs lie; in the database when absent. */
  bucket?: Bucket;
}

/**
 * Opens the store: PostgreSQL when `databaseUrl` is given, else PGlite in `<dataDirectory>/database`; migrated.
 * Throws as `openDatabase` does.
 */
export async function openStore({ bucket, ...options }: DatabaseOptions & StoreOptions): Promise<OpenStore> {
  return createStore(await openDatabase(options), { bucket });
}

/** The store's queries over a database that is open and migrated already; closing the store closes it. */
export function createStore(database: Database, { bucket }: StoreOptions = {}): OpenStore {
  const { db } = database;
  return {
    database,
    runs: createRuns(db),
    usage: createUsage(db),
    pullRequests: createPullRequests(database),
    ...createChecks(db),
    reviews: createReviews(db),
    blobs: bucket ? createBucketBlobs(db, bucket) : createBlobs(db),
    notifications: createNotifications(db),
    notes: createNotes(database),
    audit: createAudit(database),
    rateLimit: async (key, times, windowSeconds) => {
      const now = sql`date_bin(make_interval(secs => ${windowSeconds}), now(), to_timestamp(0))`;
      const counted = await db
        .insert(rateLimits)
        .values({ key, windowStart: now, windowEnd: sql`${now} + make_interval(secs => ${windowSeconds})`, count: 1 })
        .onConflictDoUpdate({
          target: [rateLimits.key, rateLimits.windowStart],
          set: { count: sql`${rateLimits.count} + 1` },
          setWhere: sql`${rateLimits.count} < ${times}`,
        })
        .returning({ count: rateLimits.count });
      return times > 0 && counted.length > 0;
    },
    sweeps: createSweeps(db),
    data: createData(db, bucket),
    ping: async () => {
      await db.execute(sql`SELECT 1`);
    },
    close: () => database.close(),
  };
}

function createPullRequests({ db }: Database): Store["pullRequests"] {
  const all = (rows: (typeof pullRequests.$inferSelect)[]): PullRequestRow[] =>
    rows.map(({ createdAt: _, updatedAt: __, ...row }) => row);
  const first = (rows: (typeof pullRequests.$inferSelect)[]): PullRequestRow | undefined => all(rows)[0];
  return {
    put: async (row) => {
      await db
        .insert(pullRequests)
        .values(row)
        .onConflictDoUpdate({
          target: [pullRequests.repositoryId, pullRequests.number],
          set: { ...row, updatedAt: sql`now()` },
        });
    },
    ofWork: async (workKey) =>
      first(
        await db
          .select()
          .from(pullRequests)
          .where(eq(pullRequests.workKey, workKey))
          .orderBy(desc(pullRequests.number))
          .limit(1),
      ),
    byNumber: async (repositoryId, number) =>
      first(
        await db
          .select()
          .from(pullRequests)
          .where(and(eq(pullRequests.repositoryId, repositoryId), eq(pullRequests.number, number))),
      ),
    open: async () => all(await db.select().from(pullRequests).where(eq(pullRequests.state, "open"))),
  };
}

function createNotes({ db }: Database): Store["notes"] {
  return {
    get: async (runKey, key) => {
      const [row] = await db
        .select({ value: notes.value })
        .from(notes)
        .where(and(eq(notes.runKey, runKey), eq(notes.key, key)));
      return row?.value;
    },
    set: async (runKey, key, value) => {
      await db
        .insert(notes)
        .values({ runKey, key, value })
        .onConflictDoUpdate({ target: [notes.runKey, notes.key], set: { value, updatedAt: sql`now()` } });
    },
  };
}

function createAudit({ db }: Database): Store["audit"] {
  return {
    add: async (row) => {
      await db.insert(auditLog).values(row);
    },
    ofRun: async (runKey) => {
      const rows = await db.select().from(auditLog).where(eq(auditLog.runKey, runKey)).orderBy(asc(auditLog.sequence));
      return rows.map(({ sequence: _, at, ...row }) => ({ ...row, at: at.toISOString() }));
    },
  };
}
