import { and, eq, sql } from "drizzle-orm";
import type { Db, Queries } from "./database.ts";
import { inSeconds } from "./executions.ts";
import { type Fence, holds } from "./journal.ts";
import { leases, runs, turns } from "./schema.ts";

/** A run that may take its turn now; whoever frees a place wakes it. */
export interface Granted {
  runKey: string;
  /** Only its own engine wakes it. */
  engine: string;
  priority: number;
}

export interface TurnLimits {
  perRepositoryConcurrency: number;
  leaseSeconds: number;
}

/**
 * Takes the work's turn (one active run per work) and one of the repository's leases for the run that the fence holds,
 * if nobody with a higher priority or an older claim waits for them. False when it has to wait.
 */
export async function takeTurn(db: Db, fence: Fence, limits: TurnLimits): Promise<boolean> {
  return db.transaction(async (tx) => {
    const repositoryId = await lockRepository(tx, fence.runKey);
    return tryTake(tx, fence, repositoryId, limits);
  });
}

/**
 * Renews the lease of a run that has its turn already, which is nobody else's to take before it sleeps or ends. False when
 * it has to take its turn: for the first time, because its lease expired, or because it turned out to be another work's.
 */
export async function keepTurn(db: Db, fence: Fence, { leaseSeconds }: TurnLimits): Promise<boolean> {
  const kept = await db
    .update(leases)
    .set({ expiresAt: inSeconds(leaseSeconds) })
    .from(runs)
    .innerJoin(turns, and(eq(turns.runKey, runs.runKey), eq(turns.workKey, runs.workKey)))
    .where(
      and(
        eq(leases.runKey, runs.runKey),
        eq(leases.executionId, fence.executionId),
        sql`${leases.expiresAt} > clock_timestamp()`,
        holds(fence),
      ),
    )
    .returning({ runKey: leases.runKey });
  return kept.length > 0;
}

/** Why an execution stops before its run has ended, and what wakes the run again. */
export interface Sleep {
  /** What the execution has seen; a run that something happened to since does not sleep. */
  wakes: number;
  state: "running" | "waiting-turn" | "waiting-decision";
  /** Takes the turn instead of waiting for it, when it has become free meanwhile. */
  wantsTurn: boolean;
  wakeInSeconds?: number;
}

/**
 * Ends an execution whose run goes on later: gives its lease back and keeps its turn. `slept: false` when the run was
 * signalled or cancelled meanwhile, or when the turn that it wanted is free now: then the execution still holds it.
 */
export async function sleepRun(
  db: Db,
  fence: Fence,
  sleep: Sleep,
  limits: TurnLimits,
): Promise<{ slept: boolean; stage: "front" | "work"; granted: Granted[] }> {
  return db.transaction(async (tx) => {
    const repositoryId = await lockRepository(tx, fence.runKey);
    if (sleep.wantsTurn && (await tryTake(tx, fence, repositoryId, limits))) {
      return { slept: false, stage: "work", granted: [] };
    }
    const slept = await tx
      .update(runs)
      .set({
        state: sleep.state,
        ...(sleep.state === "waiting-turn" ? { stage: "work" as const } : {}),
        wakeAt: sleep.wakeInSeconds === undefined ? null : inSeconds(sleep.wakeInSeconds),
        executionId: null,
        executionJob: null,
        executionExpiresAt: null,
      })
      .where(and(holds(fence), eq(runs.wakes, sleep.wakes)))
      .returning({ stage: runs.stage });
    if (!slept[0]) return { slept: false, stage: "front", granted: [] };
    await tx.delete(leases).where(eq(leases.runKey, fence.runKey));
    return { slept: true, stage: slept[0].stage, granted: await grantable(tx, repositoryId, limits) };
  });
}

/** Ends the run: gives turn and lease back. Undefined when the fence does not hold. Returns who may go on. */
export async function endRun(db: Db, fence: Fence, limits: TurnLimits): Promise<Granted[] | undefined> {
  return db.transaction(async (tx) => {
    const repositoryId = await lockRepository(tx, fence.runKey);
    const ended = await tx
      .update(runs)
      .set({
        state: "ended",
        endedAt: sql`now()`,
        wakeAt: null,
        executionId: null,
        executionJob: null,
        executionExpiresAt: null,
      })
      .where(holds(fence))
      .returning({
        othersWait: sql<boolean>`EXISTS (
          SELECT 1 FROM runs other WHERE other.repository_id = ${repositoryId} AND other.state = 'waiting-turn')`,
      });
    if (!ended[0]) return undefined;
    await tx.delete(turns).where(eq(turns.runKey, fence.runKey));
    await tx.delete(leases).where(eq(leases.runKey, fence.runKey));
    return ended[0].othersWait ? grantable(tx, repositoryId, limits) : [];
  });
}

/** Runs of every repository that wait although they could go on: their wake-up was lost, or a lease expired. */
export async function grantableEverywhere(db: Db, limits: TurnLimits): Promise<Granted[]> {
  const repositories = await db
    .selectDistinctOn([runs.repositoryId], { id: runs.repositoryId })
    .from(runs)
    .where(eq(runs.state, "waiting-turn"));
  const granted: Granted[] = [];
  for (const { id } of repositories) granted.push(...(await grantable(db, id, limits)));
  return granted;
}

/** Place of a waiting run among those of its repository; 1 is next. */
export async function placeOf(db: Db, runKey: string): Promise<number | undefined> {
  const result = await db.execute(sql`
    SELECT count(other.run_key)::int AS place FROM runs me JOIN runs other
      ON other.repository_id = me.repository_id AND other.state = 'waiting-turn'
      AND (other.priority, -other.sequence) >= (me.priority, -me.sequence)
    WHERE me.run_key = ${runKey} AND me.state = 'waiting-turn'`);
  const [row] = (result as unknown as { rows: { place: number }[] }).rows;
  return row?.place || undefined;
}

async function tryTake(tx: Queries, fence: Fence, repositoryId: number, limits: TurnLimits): Promise<boolean> {
  const granted = await grantable(tx, repositoryId, limits, fence.runKey);
  if (!granted.some((run) => run.runKey === fence.runKey)) return false;
  const [run] = await tx
    .update(runs)
    .set({ state: "running", stage: "work" })
    .where(holds(fence))
    .returning({ workKey: runs.workKey });
  if (!run) return false;
  await tx.insert(turns).values({ workKey: run.workKey, runKey: fence.runKey }).onConflictDoNothing();
  await tx
    .insert(leases)
    .values({ ...fence, repositoryId, expiresAt: inSeconds(limits.leaseSeconds) })
    .onConflictDoUpdate({
      target: leases.runKey,
      set: { executionId: fence.executionId, expiresAt: inSeconds(limits.leaseSeconds) },
    });
  return true;
}

/**
 * The waiting runs of a repository (and `candidate`) that fit into its free places, best first: priority, then age, one
 * per work, none whose work's turn another run has.
 */
async function grantable(tx: Queries, repositoryId: number, limits: TurnLimits, candidate = ""): Promise<Granted[]> {
  const result = await tx.execute(sql`
    WITH free AS (
      SELECT ${limits.perRepositoryConcurrency}::int - count(*)::int AS places FROM leases
      WHERE repository_id = ${repositoryId} AND expires_at > clock_timestamp() AND run_key <> ${candidate}
    ),
    candidates AS (
      SELECT DISTINCT ON (r.work_key) r.run_key, r.engine, r.priority, r.sequence
      FROM runs r LEFT JOIN turns t ON t.work_key = r.work_key
      WHERE (SELECT places FROM free) > 0
        AND r.repository_id = ${repositoryId} AND (r.state = 'waiting-turn' OR r.run_key = ${candidate})
        AND (t.run_key IS NULL OR t.run_key = r.run_key)
      ORDER BY r.work_key, (t.run_key = r.run_key) DESC NULLS LAST, r.priority DESC, r.sequence
    )
    SELECT run_key AS "runKey", engine, priority FROM candidates
    ORDER BY priority DESC, sequence LIMIT greatest(0, (SELECT places FROM free))`);
  return (result as unknown as { rows: Granted[] }).rows;
}

/** One at a time per repository, on every engine and machine; held until the transaction ends. */
async function lockRepository(tx: Queries, runKey: string): Promise<number> {
  const result = await tx.execute(sql`
    SELECT repository_id::float8 AS id, pg_advisory_xact_lock(hashtextextended('millwright:turns', repository_id))
    FROM runs WHERE run_key = ${runKey}`);
  const [row] = (result as unknown as { rows: { id: number }[] }).rows;
  if (!row) throw new Error(`Cannot take or give back a turn: there is no run ${runKey}`);
  return row.id;
}
