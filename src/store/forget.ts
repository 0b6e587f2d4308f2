import { and, eq, inArray, lt, ne, notExists, type SQL, sql } from "drizzle-orm";
import type { Bucket } from "./bucket.ts";
import { blobKey, prefixesOf } from "./bucket-blobs.ts";
import type { Db, Queries } from "./database.ts";
import { deleteRuns } from "./runs.ts";
import {
  analyses,
  auditLog,
  blobs,
  checkAttempts,
  checkResults,
  findings,
  notifications,
  offers,
  pullRequests,
  rateLimits,
  repositories,
  reviews,
  runs,
  sweepLists,
} from "./schema.ts";
import type { Store } from "./store.ts";

/** Deletion on request and by age (P15), in the database and in the bucket if there is one. */
export function createData(db: Db, bucket?: Bucket): Store["data"] {
  // While there are rows somebody can ask again, so the bucket comes first.
  const forgetObjects = async (repositoryId: number) => {
    for (const prefix of prefixesOf(repositoryId)) await bucket?.removeAll(prefix);
  };
  return {
    known: async () => {
      const { installationId, repositoryId, owner, repo } = repositories;
      // Repository 0 stands for an installation as a whole.
      return db.select({ installationId, repositoryId, owner, repo }).from(repositories).where(ne(repositoryId, 0));
    },
    forgetRepository: async (repositoryId) => {
      await forgetObjects(repositoryId);
      await db.transaction((tx) => forgetRepository(tx, repositoryId));
    },
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
        for (const id of ids) {
          await forgetObjects(id);
          await forgetRepository(tx, id);
        }
        await tx.delete(sweepLists).where(eq(sweepLists.installationId, installationId));
        return ids;
      }),
    retain: (days) => retain(db, days, bucket),
  };
}

async function forgetRepository(tx: Queries, repositoryId: number): Promise<void> {
  const mine = await tx.select({ runKey: runs.runKey }).from(runs).where(eq(runs.repositoryId, repositoryId));
  await deleteRuns(
    tx,
    mine.map((row) => row.runKey),
  );
  for (const table of [...checkTables, blobs, auditLog, pullRequests, repositories, sweepLists]) {
    await tx.delete(table).where(eq(table.repositoryId, repositoryId));
  }
}

/** What runs leave about checks and reviews. */
const checkTables = [checkResults, checkAttempts, analyses, offers, reviews, findings, notifications];

/** Rows at once: as long as they are locked, a transaction waits for the bucket. */
const BATCH = 500;

/** Blobs of runs that have not ended are kept whatever their age: a run may wait for a decision for long. */
async function retain(
  db: Db,
  days: { transcripts: number; logs: number; blobs: number },
  bucket: Bucket | undefined,
): Promise<number> {
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
    const condition = and(inArray(blobs.kind, kinds), lt(blobs.usedAt, old), notExists(active));
    if (bucket === undefined) {
      const rows = await db.delete(blobs).where(condition).returning({ reference: blobs.reference });
      deleted += rows.length;
      continue;
    }
    let batch: number;
    do {
      batch = await deleteWithObjects(db, bucket, condition);
      deleted += batch;
    } while (batch === BATCH);
  }
  await db.delete(rateLimits).where(lt(rateLimits.windowEnd, sql`now()`));
  // Evidence loses half of its weight in two weeks (store/checks.ts); after three months it has none.
  await db.delete(checkResults).where(sql`${checkResults.at} < now() - interval '90 days'`);
  await db.delete(checkAttempts).where(sql`${checkAttempts.at} < now() - interval '90 days'`);
  await db.delete(analyses).where(sql`${analyses.createdAt} < now() - make_interval(secs => ${days.logs * 86_400})`);
  // Also what was never sent: its channel was taken from the configuration.
  await db.delete(notifications).where(sql`${notifications.createdAt} < now() - interval '30 days'`);
  // Lists of pull requests and plans that nobody asks for any more; one that is still read is read whole once more.
  await db.delete(sweepLists).where(
    sql`(${sweepLists.list} LIKE 'reviews:%' OR ${sweepLists.list} LIKE 'reactions:%')
      AND ${sweepLists.readAt} < now() - interval '30 days'`,
  );
  return deleted;
}

/** The rows are locked until their objects are gone: whoever stores the same content meanwhile waits and stores it anew. */
async function deleteWithObjects(db: Db, bucket: Bucket, condition: SQL | undefined): Promise<number> {
  return db.transaction(async (tx) => {
    const rows = await tx
      .select({ reference: blobs.reference, repositoryId: blobs.repositoryId })
      .from(blobs)
      .where(condition)
      .limit(BATCH)
      .for("update");
    await bucket.remove(rows.map(({ reference, repositoryId }) => blobKey(repositoryId, reference)));
    const references = rows.map(({ reference }) => reference);
    if (references.length > 0) await tx.delete(blobs).where(inArray(blobs.reference, references));
    return rows.length;
  });
}
