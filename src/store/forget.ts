import { and, eq, inArray, lt, ne, notExists, sql } from "drizzle-orm";
import type { Db, Queries } from "./database.ts";
import { deleteRuns } from "./runs.ts";
import { auditLog, blobs, pullRequests, rateLimits, repositories, runs, sweepLists } from "./schema.ts";
import type { Store } from "./store.ts";

/** Deletion on request and by age (P15). */
export function createData(db: Db): Store["data"] {
  return {
    known: async () => {
      const { installationId, repositoryId, owner, repo } = repositories;
      // Repository 0 stands for an installation as a whole.
      return db.select({ installationId, repositoryId, owner, repo }).from(repositories).where(ne(repositoryId, 0));
    },
    forgetRepository: (repositoryId) => db.transaction((tx) => forgetRepository(tx, repositoryId)),
    forgetInstallation: (installationId) =>
      db.transaction(async (tx) => {
        const known = await tx
          .selectDistinctOn([runs.repositoryId], { id: runs.repositoryId })
          .from(runs)
          .where(eq(runs.installationId, installationId));
        const named = await tx
          .select({ id: repositories.repositoryId })
          .from(repositories)
          .where(eq(repositories.installationId, installationId));
        // Repository 0 stands for the installation as a whole: the run that deletes its data.
        const ids = [...new Set([...known, ...named].map((row) => row.id))].filter((id) => id !== 0);
        for (const id of ids) await forgetRepository(tx, id);
        await tx.delete(sweepLists).where(eq(sweepLists.installationId, installationId));
        return ids;
      }),
    retain: (days) => retain(db, days),
  };
}

async function forgetRepository(tx: Queries, repositoryId: number): Promise<void> {
  const mine = await tx.select({ runKey: runs.runKey }).from(runs).where(eq(runs.repositoryId, repositoryId));
  await deleteRuns(
    tx,
    mine.map((row) => row.runKey),
  );
  for (const table of [blobs, auditLog, pullRequests, repositories, sweepLists]) {
    await tx.delete(table).where(eq(table.repositoryId, repositoryId));
  }
}

/** Blobs of runs that have not ended are kept whatever their age: a run may wait for a decision for long. */
async function retain(db: Db, days: { transcripts: number; logs: number; blobs: number }): Promise<number> {
  const active = db
    .select({ one: sql`1` })
    .from(runs)
    .where(and(eq(runs.runKey, blobs.runKey), sql`${runs.state} <> 'ended'`));
  const ages: [("text" | "transcript" | "bundle" | "log" | "config")[], number][] = [
    [["transcript"], days.transcripts],
    [["log"], days.logs],
    [["text", "bundle", "config"], days.blobs],
  ];
  let deleted = 0;
  for (const [kinds, age] of ages) {
    const old = sql`now() - make_interval(secs => ${age * 86_400})`;
    const rows = await db
      .delete(blobs)
      .where(and(inArray(blobs.kind, kinds), lt(blobs.usedAt, old), notExists(active)))
      .returning({ reference: blobs.reference });
    deleted += rows.length;
  }
  await db.delete(rateLimits).where(lt(rateLimits.windowEnd, sql`now()`));
  // Lists of pull requests and plans that nobody asks for any more; one that is still read is read whole once more.
  await db.delete(sweepLists).where(
    sql`(${sweepLists.list} LIKE 'reviews:%' OR ${sweepLists.list} LIKE 'reactions:%')
      AND ${sweepLists.readAt} < now() - interval '30 days'`,
  );
  return deleted;
}
