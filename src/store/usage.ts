import { eq, sql } from "drizzle-orm";
import type { CallRecord, Usage } from "../agent/model.ts";
import type { Db, Queries } from "./database.ts";
import { notes, runs, usage } from "./schema.ts";
import type { Spent, Store } from "./store.ts";

/** What models were asked and what it cost; the sums that limits are checked against. */
export function createUsage(db: Db): Store["usage"] {
  return {
    record: async (runKey, call) => {
      const [run] = await db
        .select({ repositoryId: runs.repositoryId, account: runs.account })
        .from(runs)
        .where(eq(runs.runKey, runKey));
      // Money that belongs to nobody would escape every limit.
      if (!run) throw new Error(`Cannot record a model call: there is no run ${runKey}`);
      await db.insert(usage).values({ runKey, ...run, ...columnsOf(call) });
    },
    ofRun: async (runKey) => (await readSpent(db, runKey)).run,
    spent: (runKey) => readSpent(db, runKey),
    admit: (runKey, whyNot) =>
      db.transaction(async (tx) => {
        // One at a time for each account: of many that ask at once, each has to count those before it.
        await tx.execute(sql`SELECT pg_advisory_xact_lock(hashtextextended('millwright:admissions:' || account, 0))
          FROM runs WHERE run_key = ${runKey}`);
        const reason = whyNot(await readSpent(tx, runKey));
        if (reason === undefined)
          await tx.insert(notes).values({ runKey, key: admitted, value: "yes" }).onConflictDoNothing();
        return reason;
      }),
  };
}

/** The note of a run that was begun: it counts for the limits of its day. */
const admitted = "admitted";

function columnsOf(call: CallRecord): CallRecord {
  const { provider, model, prompt, promptVersion, inputTokens, outputTokens } = call;
  const { cacheReadTokens, cacheWriteTokens, costUsd, durationMs, ending } = call;
  return {
    provider,
    model,
    prompt,
    promptVersion,
    inputTokens,
    outputTokens,
    cacheReadTokens,
    cacheWriteTokens,
    costUsd,
    durationMs,
    ending,
  };
}

/**
 * All sums in one query. A day is a UTC day. Runs are counted once they were admitted (a stranger's refused request
 * uses nothing up), plus the asking run itself; commands are not counted.
 */
async function readSpent(db: Pick<Queries, "execute">, runKey: string): Promise<Spent> {
  const result = await db.execute(sql`
    WITH me AS (SELECT run_key, repository_id, account, subject_kind, subject_number FROM runs WHERE run_key = ${runKey}),
    today AS (SELECT (date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') AS start),
    spending AS (
      SELECT u.*, u.run_key = ${runKey} AS mine, u.created_at >= today.start AS today,
        u.repository_id = me.repository_id AS repository, u.account = me.account AS account_matches
      FROM usage u CROSS JOIN today LEFT JOIN me ON true
      WHERE u.created_at >= today.start OR u.run_key = ${runKey}
    ),
    started AS (
      SELECT r.repository_id = me.repository_id AS repository, r.account = me.account AS account_matches,
        r.repository_id = me.repository_id AND r.subject_kind = me.subject_kind
          AND r.subject_number = me.subject_number AS subject
      FROM runs r CROSS JOIN today LEFT JOIN me ON true
      WHERE r.created_at >= today.start AND r.pipeline <> 'answer-command'
        AND (r.run_key = ${runKey} OR EXISTS (SELECT 1 FROM notes n WHERE n.run_key = r.run_key AND n.key = ${admitted}))
    )
    SELECT
      (SELECT json_build_object(
        'run', ${usageSum(sql`mine`)},
        'repositoryDay', ${usageSum(sql`today AND repository`)},
        'accountDay', ${usageSum(sql`today AND account_matches`)},
        'day', ${usageSum(sql`today`)}) FROM spending) AS sums,
      (SELECT json_build_object(
        'repositoryDay', count(*) FILTER (WHERE repository),
        'accountDay', count(*) FILTER (WHERE account_matches),
        'day', count(*),
        'subjectDay', count(*) FILTER (WHERE subject)) FROM started) AS runs`);
  const [row] = (result as unknown as { rows: SpentRow[] }).rows;
  if (!row) throw new Error(`Cannot sum up what run ${runKey} spent: the database returned no row`);
  return {
    run: row.sums.run,
    repositoryDay: { ...row.sums.repositoryDay, runs: row.runs.repositoryDay },
    accountDay: { ...row.sums.accountDay, runs: row.runs.accountDay },
    day: { ...row.sums.day, runs: row.runs.day },
    subjectDayRuns: row.runs.subjectDay,
  };
}

interface SpentRow {
  sums: Record<"run" | "repositoryDay" | "accountDay" | "day", Usage>;
  runs: Record<"repositoryDay" | "accountDay" | "day" | "subjectDay", number>;
}

function usageSum(condition: ReturnType<typeof sql>): ReturnType<typeof sql> {
  const sum = (column: string) => sql`coalesce(sum(${sql.raw(column)}) FILTER (WHERE ${condition}), 0)`;
  return sql`json_build_object(
    'calls', count(*) FILTER (WHERE ${condition}),
    'inputTokens', ${sum("input_tokens")},
    'outputTokens', ${sum("output_tokens")},
    'cacheReadTokens', ${sum("cache_read_tokens")},
    'cacheWriteTokens', ${sum("cache_write_tokens")},
    'costUsd', ${sum("cost_usd")})`;
}
