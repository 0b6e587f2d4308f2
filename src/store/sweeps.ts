import { and, eq, notInArray, sql } from "drizzle-orm";
import type { Db } from "./database.ts";
import { inSeconds } from "./executions.ts";
import { sweepLease, sweepLists } from "./schema.ts";
import type { Store } from "./store.ts";

const name = "sweep";

/** What the reconciler remembers between sweeps, and which worker sweeps. */
export function createSweeps(db: Db): Store["sweeps"] {
  return {
    firstStart: async () => {
      await db.insert(sweepLease).values({ name }).onConflictDoNothing();
      const [row] = await db.select({ at: sweepLease.firstStartAt }).from(sweepLease).where(eq(sweepLease.name, name));
      if (!row) throw new Error("The row of the first start vanished");
      return row.at;
    },
    take: async (holder, leaseSeconds, pauseSeconds) => {
      // Whoever swept last goes first: GitHub knows its token, so that what did not change costs nothing.
      const rested = sql`(ended_at IS NULL OR ended_at <= now() - make_interval(secs =>
        CASE WHEN holder = ${holder} THEN 0 ELSE ${pauseSeconds}::float8 END))`;
      const taken = await db
        .update(sweepLease)
        .set({ holder, expiresAt: inSeconds(leaseSeconds) })
        .where(and(eq(sweepLease.name, name), sql`(expires_at IS NULL OR expires_at <= clock_timestamp())`, rested))
        .returning({ name: sweepLease.name });
      return taken.length > 0;
    },
    renew: async (holder, leaseSeconds) => {
      const kept = await db
        .update(sweepLease)
        .set({ expiresAt: inSeconds(leaseSeconds) })
        .where(and(eq(sweepLease.holder, holder), sql`expires_at > clock_timestamp()`))
        .returning({ name: sweepLease.name });
      return kept.length > 0;
    },
    end: async (holder) => {
      await db.update(sweepLease).set({ expiresAt: null, endedAt: sql`now()` }).where(eq(sweepLease.holder, holder));
    },
    lists: async (installationId) => {
      const rows = await db.select().from(sweepLists).where(eq(sweepLists.installationId, installationId));
      return rows.map(({ readAt: _, readUntil, content, ...row }) => ({
        ...row,
        readUntil: readUntil ?? undefined,
        content: content ?? undefined,
      }));
    },
    keep: async (row) => {
      await db
        .insert(sweepLists)
        .values(row)
        .onConflictDoUpdate({
          target: [sweepLists.installationId, sweepLists.repositoryId, sweepLists.list],
          set: { etag: row.etag, readUntil: row.readUntil ?? null, content: row.content ?? null, readAt: sql`now()` },
        });
    },
    forgetOthers: async (installationId, repositoryIds) => {
      await db
        .delete(sweepLists)
        .where(
          and(
            eq(sweepLists.installationId, installationId),
            notInArray(sweepLists.repositoryId, [0, ...repositoryIds]),
          ),
        );
    },
  };
}
