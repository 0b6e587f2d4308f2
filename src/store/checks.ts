import { and, count, eq, max, ne, sql } from "drizzle-orm";
import type { Db } from "./database.ts";
import { analyses, checkAttempts, checkResults, offers } from "./schema.ts";
import type { Store } from "./store.ts";

/** Evidence that a check is flaky loses half of its weight in two weeks: what made it so may be mended by then. */
const halfLifeDays = 14;

/** What is remembered of checks, by repository and name (product.md F4–F8). */
export function createChecks(db: Db): Pick<Store, "checks" | "analyses" | "offers"> {
  return {
    checks: {
      recordResults: async (rows) => {
        if (rows.length > 0)
          await db
            .insert(checkResults)
            .values([...rows])
            .onConflictDoNothing();
      },
      failures: async ({ repositoryId, checkName, sha }) => {
        const { repositoryId: repository, checkName: name, sha: commit, passed } = checkResults;
        const here = and(eq(repository, repositoryId), eq(name, checkName), eq(commit, sha), eq(passed, false));
        return (await db.select({ n: count() }).from(checkResults).where(here))[0]?.n ?? 0;
      },
      failedOn: async (repositoryId, sha) => {
        const rows = await db
          .selectDistinct({ checkName: checkResults.checkName })
          .from(checkResults)
          .where(
            and(eq(checkResults.repositoryId, repositoryId), eq(checkResults.sha, sha), eq(checkResults.passed, false)),
          );
        return rows.map(({ checkName }) => checkName);
      },
      flakiness: async ({ repositoryId, checkName }) => {
        const { rows } = (await db.execute(sql`
          SELECT count(*) FILTER (WHERE mixed)::int AS commits,
                 coalesce(sum(weight) FILTER (WHERE mixed) / nullif(sum(weight), 0), 0)::float8 AS share
          FROM (
            SELECT bool_or(passed) AND bool_or(NOT passed) AS mixed,
                   power(0.5, extract(epoch FROM now() - max(at)) / ${halfLifeDays * 86_400}) AS weight
            FROM check_results
            WHERE repository_id = ${repositoryId} AND check_name = ${checkName}
            GROUP BY sha
          ) AS by_commit`)) as unknown as { rows: { commits: number; share: number }[] };
        return { flakyCommits: rows[0]?.commits ?? 0, share: rows[0]?.share ?? 0 };
      },
      addAttempt: async (row) => {
        await db.insert(checkAttempts).values(row).onConflictDoNothing();
      },
      attempts: async ({ repositoryId, checkName, sha }, kind, exceptRunKey) => {
        const here = and(
          eq(checkAttempts.repositoryId, repositoryId),
          eq(checkAttempts.checkName, checkName),
          eq(checkAttempts.sha, sha),
          eq(checkAttempts.kind, kind),
          ne(checkAttempts.runKey, exceptRunKey),
        );
        const [row] = await db
          .select({ count: count(), lastAt: max(checkAttempts.at) })
          .from(checkAttempts)
          .where(here);
        return { count: row?.count ?? 0, lastAt: row?.lastAt ?? undefined };
      },
      followPush: async (repositoryId, fromSha, toSha) => {
        await db
          .update(checkAttempts)
          .set({ sha: toSha })
          .where(
            and(
              eq(checkAttempts.repositoryId, repositoryId),
              eq(checkAttempts.sha, fromSha),
              eq(checkAttempts.kind, "fix"),
            ),
          );
      },
    },
    analyses: {
      get: async (key) => (await db.select().from(analyses).where(eq(analyses.key, key)))[0]?.content,
      put: async (key, repositoryId, content) => {
        await db.insert(analyses).values({ key, repositoryId, content }).onConflictDoNothing();
      },
    },
    offers: {
      put: async ({ runKey, repositoryId, pullNumber, headSha, content }) => {
        await db
          .insert(offers)
          .values({ runKey, repositoryId, pullNumber, headSha, content, state: "open" })
          .onConflictDoNothing();
      },
      get: async (runKey) => {
        const [row] = await db.select().from(offers).where(eq(offers.runKey, runKey));
        if (row === undefined) return undefined;
        const { repositoryId, pullNumber, headSha, content, state, decidedBy } = row;
        return { runKey, repositoryId, pullNumber, headSha, content, state, decidedBy: decidedBy ?? undefined };
      },
      waits: async (repositoryId, pullNumber, headSha) => {
        const here = and(eq(offers.repositoryId, repositoryId), eq(offers.pullNumber, pullNumber));
        const open = and(here, eq(offers.headSha, headSha), eq(offers.state, "open"));
        return (await db.select({ runKey: offers.runKey }).from(offers).where(open).limit(1)).length > 0;
      },
      decide: async (runKey, state, decidedBy) => {
        const decided = await db
          .update(offers)
          .set({ state, decidedBy, updatedAt: sql`now()` })
          .where(and(eq(offers.runKey, runKey), eq(offers.state, "open")))
          .returning({ runKey: offers.runKey });
        return decided.length > 0;
      },
    },
  };
}
