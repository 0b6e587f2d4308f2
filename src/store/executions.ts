import { and, asc, desc, eq, inArray, isNull, ne, notInArray, or, sql } from "drizzle-orm";
import type { Outcome } from "../pipeline/outcome.ts";
import type { Decision } from "../pipeline/run.ts";
import type { Db, Queries } from "./database.ts";
import { type Fence, holds } from "./journal.ts";
import { leases, runs, signals, turns } from "./schema.ts";

export type RunRecord = typeof runs.$inferSelect;

/**
 * Makes `executionId` the one execution that may advance the run. Undefined when the run has ended, is unknown, or when
 * another live execution holds it. The same job delivered again takes over at once: its queue has given its worker up.
 */
export async function claimRun(
  db: Db,
  claim: Fence & {
    jobId: string;
    leaseSeconds: number;
    /** The execution is a platform's: it becomes the one that tells the run, for ever (architecture.md rule 13), or gets nothing. */
    ofPlatform?: boolean;
  },
): Promise<RunRecord | undefined> {
  const [row] = await db
    .update(runs)
    .set({
      executionId: claim.executionId,
      executionJob: claim.jobId,
      executionExpiresAt: inSeconds(claim.leaseSeconds),
      state: sql`CASE WHEN ${runs.state} = 'queued' THEN 'running' ELSE ${runs.state} END`,
      startedAt: sql`coalesce(${runs.startedAt}, now())`,
      wakeAt: null,
      ...(claim.ofPlatform === true ? { platformExecution: claim.executionId } : {}),
    })
    .where(
      and(
        eq(runs.runKey, claim.runKey),
        ne(runs.state, "ended"),
        claim.ofPlatform === true ? toldBy(claim.executionId) : undefined,
        or(
          isNull(runs.executionId),
          sql`${runs.executionExpiresAt} <= clock_timestamp()`,
          eq(runs.executionJob, claim.jobId),
        ),
      ),
    )
    .returning();
  return row;
}

/** That no other execution of a platform tells the run, and that it is none of the local engine's. */
function toldBy(platformExecution: string) {
  return and(
    ne(runs.engine, "local"),
    or(isNull(runs.platformExecution), eq(runs.platformExecution, platformExecution)),
  );
}

/**
 * Makes `successor` tell the run instead of an execution that its platform has given up (`dead: null` when none was ever
 * admitted; `successor: null` leaves the place to the next one that asks). False when meanwhile another one tells it, or when it has ended.
 */
export async function succeedExecution(
  db: Db,
  runKey: string,
  { dead, successor }: { dead: string | null; successor: string | null },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const [run] = await tx
      .select({ state: runs.state, now: runs.platformExecution })
      .from(runs)
      .where(eq(runs.runKey, runKey))
      .for("update");
    if (!run || run.state === "ended") return false;
    if (run.now === successor) return true;
    if (run.now !== dead) return false;
    await tx.delete(leases).where(eq(leases.runKey, runKey));
    await tx
      .update(runs)
      .set({
        platformExecution: successor,
        executionId: null,
        executionJob: null,
        executionExpiresAt: null,
        waker: null,
      })
      .where(eq(runs.runKey, runKey));
    return true;
  });
}

/** A run may sleep in several branches; of the wakers that nobody used, these many are kept. */
const wakersKept = 8;

/**
 * Keeps what its platform is told to wake a run that sleeps. False when something happened to the run since `wakes` was
 * counted, or, without `wakes`, when the run was asked to stop: then it must not sleep.
 */
export async function armWaker(db: Db, runKey: string, waker: string, wakes?: number): Promise<boolean> {
  const quiet = wakes === undefined ? isNull(runs.cancelReason) : eq(runs.wakes, wakes);
  const others = sql`string_to_array(coalesce(${runs.waker}, ''), E'\n')`;
  const armed = await db
    .update(runs)
    .set({ waker: sql`array_to_string((array_prepend(${waker}::text, ${others}))[1:${wakersKept}], E'\n')` })
    .where(and(eq(runs.runKey, runKey), quiet))
    .returning({ runKey: runs.runKey });
  return armed.length > 0;
}

/**
 * What wakes these runs; one that is about to fall asleep will notice that something happened. The wakers stay until
 * they are dropped, so that a wake-up which does not get through can be sent again.
 */
export async function readWakers(db: Db, runKeys: string[]): Promise<{ runKey: string; wakers: string[] }[]> {
  if (runKeys.length === 0) return [];
  const rows = await db
    .update(runs)
    .set({ wakes: sql`${runs.wakes} + 1` })
    .where(and(inArray(runs.runKey, runKeys), ne(runs.state, "ended")))
    .returning({ runKey: runs.runKey, waker: runs.waker });
  return rows.map(({ runKey, waker }) => ({ runKey, wakers: (waker ?? "").split("\n").filter((one) => one !== "") }));
}

/** Forgets wakers that were used, unless others were armed meanwhile. */
export async function dropWakers(db: Db, { runKey, wakers }: { runKey: string; wakers: string[] }): Promise<void> {
  const used = sql`array_to_string(array_remove(string_to_array(${runs.waker}, E'\n'), ''), E'\n') = ${wakers.join("\n")}`;
  await db
    .update(runs)
    .set({ waker: null })
    .where(and(eq(runs.runKey, runKey), used));
}

/**
 * Renews executions and their leases. Returns the ids that are still held; the others were taken over or had expired:
 * what has expired is not renewed, so that a frozen worker loses.
 */
export async function renewExecutions(db: Db, executionIds: string[], leaseSeconds: number): Promise<Set<string>> {
  const rows = await db
    .update(runs)
    .set({ executionExpiresAt: inSeconds(leaseSeconds) })
    .where(and(inArray(runs.executionId, executionIds), sql`${runs.executionExpiresAt} > clock_timestamp()`))
    .returning({ executionId: runs.executionId });
  const held = rows.map((row) => row.executionId as string);
  if (held.length > 0) {
    await db
      .update(leases)
      .set({ expiresAt: inSeconds(leaseSeconds) })
      .where(inArray(leases.executionId, held));
  }
  return new Set(held);
}

/** Whether the execution holds its run, and the repository's lease if it needs one, at this moment. */
export async function holdsNow(db: Db, fence: Fence, needsLease: boolean): Promise<boolean> {
  const rows = await db
    .select({ lease: leases.runKey })
    .from(runs)
    .leftJoin(
      leases,
      and(
        eq(leases.runKey, runs.runKey),
        eq(leases.executionId, fence.executionId),
        sql`${leases.expiresAt} > clock_timestamp()`,
      ),
    )
    .where(and(holds(fence), ne(runs.state, "ended"), sql`${runs.executionExpiresAt} > clock_timestamp()`));
  return rows.length > 0 && (!needsLease || rows[0]?.lease !== null);
}

/** The run as it is now; undefined when the fence does not hold any more. */
export async function readHeld(db: Db, fence: Fence): Promise<RunRecord | undefined> {
  const [row] = await db.select().from(runs).where(holds(fence));
  return row;
}

/** Reasons of the runs among these that were asked to stop, by run key. */
export async function cancelReasons(db: Db, runKeys: string[]): Promise<Map<string, string>> {
  const rows = await db
    .select({ runKey: runs.runKey, reason: runs.cancelReason })
    .from(runs)
    .where(and(inArray(runs.runKey, runKeys), sql`${runs.cancelReason} IS NOT NULL`));
  return new Map(rows.map((row) => [row.runKey, row.reason as string]));
}

/** A run that something was told to; only its own engine wakes it. */
interface Told {
  runKey: string;
  engine: string;
  priority: number;
  stage: "front" | "work";
}

/**
 * Asks runs to stop, unless their outcome is settled already. Returns those that were asked, now or before; they need
 * to be woken.
 */
export async function requestCancel(
  db: Db,
  which: { runKey: string } | { workKey: string } | { repositoryId: number } | { installationId: number },
  reason: string,
  except: { pipelines: readonly string[] },
): Promise<Told[]> {
  const mine =
    "runKey" in which
      ? eq(runs.runKey, which.runKey)
      : "workKey" in which
        ? eq(runs.workKey, which.workKey)
        : "repositoryId" in which
          ? eq(runs.repositoryId, which.repositoryId)
          : eq(runs.installationId, which.installationId);
  return db
    .update(runs)
    .set({ cancelReason: sql`coalesce(${runs.cancelReason}, ${reason})`, wakes: sql`${runs.wakes} + 1` })
    .where(and(mine, ne(runs.state, "ended"), isNull(runs.outcome), notInArray(runs.pipeline, [...except.pipelines])))
    .returning({ runKey: runs.runKey, engine: runs.engine, priority: runs.priority, stage: runs.stage });
}

/**
 * Stores a signal for the work's active run: the one that has the turn, else the oldest that has not ended.
 * Returns it, to be woken; undefined when no run of this work is active.
 */
export async function addSignal(
  db: Db,
  workKey: string,
  name: string,
  payload: Decision,
  except: { pipelines: readonly string[] },
): Promise<Told | undefined> {
  return db.transaction(async (tx) => {
    const [active] = await tx
      .select({ runKey: runs.runKey })
      .from(runs)
      .leftJoin(turns, eq(turns.runKey, runs.runKey))
      .where(
        and(
          eq(runs.workKey, workKey),
          ne(runs.state, "ended"),
          isNull(runs.outcome),
          notInArray(runs.pipeline, [...except.pipelines]),
        ),
      )
      .orderBy(sql`${turns.runKey} IS NULL`, asc(runs.sequence))
      .limit(1);
    if (!active) return undefined;
    await tx.insert(signals).values({ runKey: active.runKey, name, payload });
    const [woken] = await tx
      .update(runs)
      .set({ wakes: sql`${runs.wakes} + 1` })
      .where(eq(runs.runKey, active.runKey))
      .returning({ runKey: runs.runKey, engine: runs.engine, priority: runs.priority, stage: runs.stage });
    return woken;
  });
}

/**
 * Settles how the run ends, once and for all: what was settled before stays, and a run that was asked to stop ends as
 * cancelled whatever its pipeline returned. Undefined when the fence does not hold.
 */
export async function settleOutcome(db: Db, fence: Fence, outcome: Outcome): Promise<Outcome | undefined> {
  const [row] = await db
    .update(runs)
    .set({
      outcome: sql`coalesce(${runs.outcome}, CASE WHEN ${runs.cancelReason} IS NOT NULL
        THEN json_build_object('kind', 'cancelled', 'reason', ${runs.cancelReason})
        ELSE ${JSON.stringify(outcome)}::json END)`,
    })
    .where(holds(fence))
    .returning({ outcome: runs.outcome });
  return row?.outcome ?? undefined;
}

/** How a run ended that this execution of a platform has ended; else undefined. */
export async function outcomeEndedBy(db: Db, { runKey, executionId }: Fence): Promise<Outcome | undefined> {
  const [row] = await db
    .select({ outcome: runs.outcome })
    .from(runs)
    .where(and(eq(runs.runKey, runKey), eq(runs.state, "ended"), eq(runs.platformExecution, executionId)));
  return row?.outcome ?? undefined;
}

/** Runs of an engine that should be advancing and are not: no live execution, and nothing that they wait for is in the future. */
export async function idleRuns(
  db: Db,
  engine: string,
): Promise<{ runKey: string; priority: number; stage: "front" | "work"; ending: boolean }[]> {
  const ending = sql<boolean>`${runs.cancelReason} IS NOT NULL OR ${runs.outcome} IS NOT NULL`;
  return db
    .select({ runKey: runs.runKey, priority: runs.priority, stage: runs.stage, ending })
    .from(runs)
    .where(
      and(
        eq(runs.engine, engine),
        ne(runs.state, "ended"),
        or(isNull(runs.executionId), sql`${runs.executionExpiresAt} <= clock_timestamp()`),
        or(isNull(runs.wakeAt), sql`${runs.wakeAt} <= now()`, ending),
        or(ne(runs.state, "waiting-turn"), ending),
      ),
    )
    .orderBy(desc(runs.priority), asc(runs.sequence));
}

/** Gives up an execution that failed; its job is tried again. */
export async function releaseExecution(db: Db, fence: Fence): Promise<void> {
  await db.update(runs).set({ executionId: null, executionJob: null, executionExpiresAt: null }).where(holds(fence));
  await db.delete(leases).where(eq(leases.executionId, fence.executionId));
}

/** After a start of the only process that may use this database: nobody else can hold a run. */
export async function releaseAllExecutions(db: Queries): Promise<void> {
  await db.delete(leases);
  await db
    .update(runs)
    .set({ executionId: null, executionJob: null, executionExpiresAt: null })
    .where(and(ne(runs.state, "ended"), sql`${runs.executionId} IS NOT NULL`));
}

/** A moment relative to the database's clock, the only clock that all workers share. */
export function inSeconds(seconds: number) {
  return sql`clock_timestamp() + make_interval(secs => ${seconds})`;
}

/** A run of a platform's engine that has not ended. */
export interface PlatformRun {
  runKey: string;
  /** Null until its execution did its first act. */
  platformExecution: string | null;
  ageSeconds: number;
  /** An execution does an act of it at this moment. */
  held: boolean;
  /** Something happened to it that it has not seen: it should not sleep. */
  news: boolean;
}

/** The runs of an engine that have not ended, oldest first. */
export async function platformRuns(db: Db, engine: string): Promise<PlatformRun[]> {
  return db
    .select({
      runKey: runs.runKey,
      platformExecution: runs.platformExecution,
      ageSeconds: sql<number>`extract(epoch FROM now() - ${runs.createdAt})::float8`,
      held: sql<boolean>`coalesce(${runs.executionExpiresAt} > clock_timestamp(), false)`,
      news: sql<boolean>`(${runs.waker} IS NOT NULL OR ${runs.engine} = 'temporal') AND (${runs.cancelReason} IS NOT NULL OR
        (${runs.state} = 'waiting-decision' AND EXISTS (
          SELECT 1 FROM signals s WHERE s.run_key = runs.run_key AND s.consumed_by IS NULL)))`,
    })
    .from(runs)
    .where(and(eq(runs.engine, engine), ne(runs.state, "ended")))
    .orderBy(asc(runs.sequence));
}
