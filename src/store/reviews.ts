import { and, desc, eq, sql } from "drizzle-orm";
import type { Db } from "./database.ts";
import { findings, reviews } from "./schema.ts";
import type { Acceptance, FindingRow, ReviewRow, Store } from "./store.ts";

/** What reviews said, finding by finding, through all pushes of a pull request (R6). */
export function createReviews(db: Db): Store["reviews"] {
  return {
    put: async (row) => {
      const { runKey: _, ...rest } = row;
      await db.insert(reviews).values(row).onConflictDoUpdate({ target: reviews.runKey, set: rest });
    },
    last: async (repositoryId, pullNumber) => {
      const [row] = await db
        .select()
        .from(reviews)
        .where(and(eq(reviews.repositoryId, repositoryId), eq(reviews.pullNumber, pullNumber)))
        .orderBy(desc(reviews.createdAt))
        .limit(1);
      return row === undefined ? undefined : reviewOf(row);
    },
    findings: async (repositoryId, pullNumber) => {
      const rows = await db
        .select()
        .from(findings)
        .where(and(eq(findings.repositoryId, repositoryId), eq(findings.pullNumber, pullNumber)))
        .orderBy(findings.createdAt, findings.fingerprint);
      return rows.map(findingOf);
    },
    putFindings: async (rows) => {
      for (const row of rows) {
        const rest = columnsOf(row);
        await db
          .insert(findings)
          .values(rest)
          .onConflictDoUpdate({
            target: [findings.repositoryId, findings.pullNumber, findings.fingerprint],
            // What people said of it stays when it is found again.
            set: { ...rest, accepted: sql`coalesce(${rest.accepted}, ${findings.accepted})`, updatedAt: sql`now()` },
          });
      }
    },
    findingOfComment: async (repositoryId, commentId) => {
      const [row] = await db
        .select()
        .from(findings)
        .where(and(eq(findings.repositoryId, repositoryId), eq(findings.commentId, commentId)));
      return row === undefined ? undefined : findingOf(row);
    },
    acceptance: async (repositoryId) => {
      const result = await db.execute(sql`
        SELECT reviewer.name AS reviewer, f.category,
          count(*)::int AS shown,
          count(*) FILTER (WHERE f.accepted = 'thumbs-up')::int AS "thumbsUp",
          count(*) FILTER (WHERE f.accepted = 'thumbs-down')::int AS "thumbsDown",
          count(*) FILTER (WHERE f.accepted = 'resolved')::int AS resolved,
          count(*) FILTER (WHERE f.accepted = 'changed-line')::int AS "changedLine"
        FROM findings f CROSS JOIN LATERAL unnest(string_to_array(f.reviewer, ',')) AS reviewer(name)
        WHERE f.repository_id = ${repositoryId} AND f.state <> 'suppressed'
        GROUP BY reviewer.name, f.category ORDER BY reviewer.name, f.category`);
      return (result as unknown as { rows: Acceptance[] }).rows;
    },
  };
}

function reviewOf({ createdAt, ...row }: typeof reviews.$inferSelect): ReviewRow {
  return { ...row, createdAt: createdAt.toISOString() };
}

/** Several reviewers of one finding stand in one column, separated by commas: their names have none. */
function findingOf(row: typeof findings.$inferSelect): FindingRow {
  const { createdAt: _, updatedAt: __, reviewer, suppressed, commentId, accepted, ...rest } = row;
  return {
    ...rest,
    reviewers: reviewer.split(","),
    ...(suppressed === null ? {} : { suppressed }),
    ...(commentId === null ? {} : { commentId }),
    ...(accepted === null ? {} : { accepted: accepted as FindingRow["accepted"] }),
  };
}

function columnsOf({ reviewers, suppressed, commentId, accepted, ...row }: FindingRow): typeof findings.$inferInsert {
  return {
    ...row,
    reviewer: reviewers.join(","),
    suppressed: suppressed ?? null,
    commentId: commentId ?? null,
    accepted: accepted ?? null,
  };
}
