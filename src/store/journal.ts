import { and, asc, eq, inArray, isNull, sql } from "drizzle-orm";
import type { Decision } from "../pipeline/run.ts";
import type { Db, Queries } from "./database.ts";
import { runs, type StoredError, signals, steps } from "./schema.ts";

/** The right to advance a run: every write of an execution is refused once another one holds the run. */
export interface Fence {
  runKey: string;
  executionId: string;
}

/** Thrown when another execution holds the run: this one ends without a further write. */
export class ExecutionLost extends Error {
  override name = "ExecutionLost";
  constructor({ runKey, executionId }: Fence) {
    super(`Execution ${executionId} no longer holds run ${runKey}`);
  }
}

export type StepRecord = typeof steps.$inferSelect;

/** The recorded steps of a run in the order in which they were first begun. */
export function readSteps(db: Queries, runKey: string): Promise<StepRecord[]> {
  return db.select().from(steps).where(eq(steps.runKey, runKey)).orderBy(asc(steps.sequence));
}

export async function readStep(db: Queries, runKey: string, path: string): Promise<StepRecord | undefined> {
  const [step] = await db
    .select()
    .from(steps)
    .where(and(eq(steps.runKey, runKey), eq(steps.path, path)));
  return step;
}

/** The number of a step's attempt that is under way: an earlier one may not write any more. */
export async function latestAttempt(db: Queries, runKey: string, path: string): Promise<number | undefined> {
  const step = await readStep(db, runKey, path);
  return step?.status === "running" ? step.attempt : undefined;
}

/** Records that a step is tried, and returns which attempt this is, counted across crashes. */
export async function beginStep(
  db: Db,
  fence: Fence,
  step: { path: string; name: string; inputHash: string },
): Promise<number> {
  const result = await db.execute(sql`
    INSERT INTO steps (run_key, path, name, attempt, status, input_hash)
    SELECT run_key, ${step.path}, ${step.name}, 1, 'running', ${step.inputHash} FROM runs WHERE ${holds(fence)}
    ON CONFLICT (run_key, path) DO UPDATE SET attempt = steps.attempt + 1, status = 'running', retry_at = NULL
    RETURNING attempt`);
  const [row] = (result as unknown as { rows: { attempt: number }[] }).rows;
  if (!row) throw new ExecutionLost(fence);
  return row.attempt;
}

/** Records that a wait began, once: a wait that began before keeps its deadline, which is returned. */
export async function beginWait(
  db: Db,
  fence: Fence,
  wait: { path: string; name: string; inputHash: string; timeoutMinutes: number },
): Promise<Date> {
  const result = await db.execute(sql`
    INSERT INTO steps (run_key, path, name, attempt, status, input_hash, retry_at)
    SELECT run_key, ${wait.path}, ${wait.name}, 1, 'running', ${wait.inputHash},
      now() + make_interval(secs => ${wait.timeoutMinutes * 60}) FROM runs WHERE ${holds(fence)}
    ON CONFLICT (run_key, path) DO UPDATE SET status = 'running'
    RETURNING extract(epoch FROM retry_at)::float8 AS deadline`);
  const [row] = (result as unknown as { rows: { deadline: number }[] }).rows;
  if (!row) throw new ExecutionLost(fence);
  return new Date(row.deadline * 1000);
}

export type StepEnd =
  | { status: "done"; output: unknown }
  | { status: "failed"; error: StoredError }
  /** Tried again not before `pauseSeconds` from now; `counted: false` gives the attempt back. */
  | { status: "running"; error?: StoredError; pauseSeconds: number; counted: boolean };

/**
 * Records how an attempt ended. `output: undefined` is kept as absent and replays as undefined. With `attempt`, only if no
 * later one was begun meanwhile. Returns the key of the run's work, which the step may have changed.
 */
export async function endStep(
  db: Queries,
  fence: Fence,
  path: string,
  end: StepEnd,
  attempt?: number,
): Promise<string> {
  const changed = await db
    .update(steps)
    .set({ status: end.status, ...columnsOf(end) })
    .from(runs)
    .where(
      and(
        eq(steps.runKey, fence.runKey),
        eq(steps.path, path),
        attempt === undefined ? undefined : eq(steps.attempt, attempt),
        eq(runs.runKey, steps.runKey),
        holds(fence),
      ),
    )
    .returning({ workKey: runs.workKey });
  if (!changed[0]) throw new ExecutionLost(fence);
  return changed[0].workKey;
}

function columnsOf(end: StepEnd) {
  switch (end.status) {
    case "done":
      return { output: end.output ?? null, error: null, retryAt: null, transientSince: null, endedAt: sql`now()` };
    case "failed":
      return { error: end.error, retryAt: null, endedAt: sql`now()` };
    case "running":
      return {
        retryAt: sql`now() + make_interval(secs => ${end.pauseSeconds})`,
        ...(end.error ? { error: end.error } : {}),
        ...(end.counted
          ? { transientSince: null }
          : {
              attempt: sql`greatest(0, ${steps.attempt} - 1)`,
              ...(end.error ? { transientSince: sql`coalesce(${steps.transientSince}, now())` } : {}),
            }),
      };
  }
}

/** Forgets steps that the story no longer takes; signals that they took can be taken again. */
export async function dropSteps(db: Db, fence: Fence, paths: string[]): Promise<void> {
  await db.transaction(async (tx) => {
    const held = await tx.select({ runKey: runs.runKey }).from(runs).where(holds(fence)).for("update");
    if (held.length === 0) throw new ExecutionLost(fence);
    await tx.delete(steps).where(and(eq(steps.runKey, fence.runKey), inArray(steps.path, paths)));
    await tx
      .update(signals)
      .set({ consumedBy: null })
      .where(and(eq(signals.runKey, fence.runKey), inArray(signals.consumedBy, paths)));
  });
}

/** The oldest signal that no wait has taken, now taken by the wait at `path`; undefined when there is none. */
export async function takeSignal(db: Db, fence: Fence, name: string, path: string): Promise<Decision | undefined> {
  return db.transaction(async (tx) => {
    const [next] = await tx
      .select({ sequence: signals.sequence, payload: signals.payload })
      .from(signals)
      .where(and(eq(signals.runKey, fence.runKey), eq(signals.name, name), isNull(signals.consumedBy)))
      .orderBy(asc(signals.sequence))
      .limit(1);
    if (!next) return undefined;
    await tx.update(signals).set({ consumedBy: path }).where(eq(signals.sequence, next.sequence));
    await endStep(tx, fence, path, { status: "done", output: next.payload });
    return next.payload;
  });
}

/** The condition on `runs` that the fence's execution is still the one that holds the run. */
export function holds({ runKey, executionId }: Fence) {
  return and(eq(runs.runKey, runKey), eq(runs.executionId, executionId));
}
