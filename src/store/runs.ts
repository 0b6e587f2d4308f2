import { and, asc, count, desc, eq, inArray, ne, type SQL, sql } from "drizzle-orm";
import { type FiledIntent, type Intent, runKeyOf, sameLabelling, workKeyOf } from "../pipeline/intent.ts";
import { branchSettled } from "../policy/markers.ts";
import { blobReference } from "./blobs.ts";
import type { Db, Queries } from "./database.ts";
import { auditLog, blobs, notes, repositories, runs, signals, steps, usage } from "./schema.ts";
import type { RunRow, StepRow, Store } from "./store.ts";

type Row = typeof runs.$inferSelect;

/** Queries over `runs` and `steps` for steps, commands and the status comment. */
export function createRuns(db: Db): Store["runs"] {
  const where = async (condition: SQL | undefined): Promise<RunRow[]> =>
    (await db.select().from(runs).where(condition).orderBy(desc(runs.sequence))).map(toRunRow);
  return {
    file: (intents, priorityOf, engine) => fileRuns(db, intents, priorityOf, engine),
    get: async (runKey) => (await where(eq(runs.runKey, runKey)))[0],
    ofWork: (workKey) => where(eq(runs.workKey, workKey)),
    ofSubject: (repositoryId, kind, number) =>
      where(and(eq(runs.repositoryId, repositoryId), eq(runs.subjectKind, kind), eq(runs.subjectNumber, number))),
    setStatusComment: async (runKey, commentId) => {
      await db.update(runs).set({ statusCommentId: commentId }).where(eq(runs.runKey, runKey));
    },
    setWorkKey: async (runKey, workKey) => {
      await db.update(runs).set({ workKey }).where(eq(runs.runKey, runKey));
    },
    steps: async (runKey) =>
      (await db.select().from(steps).where(eq(steps.runKey, runKey)).orderBy(asc(steps.sequence))).map(toStepRow),
    openQuestions: async (repositoryId) => {
      const last = await db
        .selectDistinctOn([runs.subjectNumber], { number: runs.subjectNumber, outcome: runs.outcome })
        .from(runs)
        .where(
          and(
            eq(runs.repositoryId, repositoryId),
            eq(runs.subjectKind, "issue"),
            eq(runs.pipeline, "issue-to-pr"),
            // As authorise-trigger sees it: who was refused has not answered.
            sql`${runs.outcome} ->> 'kind' IS DISTINCT FROM 'refused'`,
          ),
        )
        .orderBy(runs.subjectNumber, desc(runs.sequence));
      return last.filter(({ outcome }) => outcome?.kind === "question").map(({ number }) => number);
    },
    endedWithBranch: async () => {
      const rows = await db
        .select({ run: runs, pushedSha: notes.value })
        .from(runs)
        .innerJoin(notes, and(eq(notes.runKey, runs.runKey), eq(notes.key, "pushed-sha")))
        .where(
          and(
            eq(runs.state, "ended"),
            eq(runs.pipeline, "issue-to-pr"),
            sql`NOT EXISTS (SELECT 1 FROM pull_requests p WHERE p.work_key = ${runs.workKey})`,
            sql`NOT EXISTS (SELECT 1 FROM runs r WHERE r.work_key = ${runs.workKey} AND r.state <> 'ended')`,
            sql`NOT EXISTS (SELECT 1 FROM notes n WHERE n.run_key = ${runs.runKey} AND n.key = ${branchSettled})`,
          ),
        )
        .limit(100);
      return rows.map(({ run, pushedSha }) => ({ run: toRunRow(run), pushedSha }));
    },
    waitingForDecision: () => where(eq(runs.state, "waiting-decision")),
    backlog: async () => {
      const oldestSeconds = sql<number>`coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8`;
      const [row] = await db.select({ queued: count(), oldestSeconds }).from(runs).where(eq(runs.state, "queued"));
      return row ?? { queued: 0, oldestSeconds: 0 };
    },
    active: () => where(ne(runs.state, "ended")),
    cancelRequested: async (runKey) => {
      const [row] = await db.select({ reason: runs.cancelReason }).from(runs).where(eq(runs.runKey, runKey));
      return row?.reason ?? undefined;
    },
    export: (runKey) => exportRun(db, runKey),
  };
}

/**
 * Files intents as queued runs, each with its text as a blob, in one short transaction whatever their number.
 * Returns for each intent its run's key and whether that run was there already: a run's key is taken for ever.
 */
async function fileRuns(
  db: Queries & Pick<Db, "transaction">,
  intents: readonly Intent[],
  priorityOf: (intent: Intent) => number,
  engine = "local",
): Promise<{ runKey: string; repeated: boolean }[]> {
  const unique = new Map(intents.map((intent) => [runKeyOf(intent), intent]));
  const filed = new Map([...unique].map(([runKey, intent]) => [runKey, fileText(runKey, intent)]));
  const texts = new Map([...filed.values()].flatMap(({ text }) => (text ? [[text.reference, text] as const] : [])));
  const twins = new Map<string, string>();
  const created = await db.transaction(async (tx) => {
    await rememberRepositories(tx, intents);
    for (const [runKey, twin] of await findTwins(tx, unique)) {
      twins.set(runKey, twin);
      filed.delete(runKey);
    }
    if (filed.size === 0) return [];
    if (texts.size > 0) {
      await tx
        .insert(blobs)
        .values([...texts.values()])
        .onConflictDoUpdate({ target: blobs.reference, set: { usedAt: sql`now()` } });
    }
    return tx
      .insert(runs)
      .values([...filed].map(([runKey, { intent }]) => toNewRow(runKey, intent, priorityOf(intent), engine)))
      .onConflictDoNothing()
      .returning({ runKey: runs.runKey });
  });
  const fresh = new Set(created.map((row) => row.runKey));
  // The same intent twice in one batch starts one run: only its first mention is not a repetition.
  return intents.map((intent) => {
    const runKey = runKeyOf(intent);
    return { runKey: twins.get(runKey) ?? runKey, repeated: !fresh.delete(runKey) };
  });
}

/**
 * Label intents whose labelling has a run under another id: one of the two came by webhook, the other was found by the
 * reconciler. Returns the run that stands for each. One at a time for each issue, whichever of the two comes first.
 */
async function findTwins(tx: Queries, intents: ReadonlyMap<string, Intent>): Promise<Map<string, string>> {
  const labels = [...intents].filter(([, { trigger }]) => trigger.kind === "label");
  const twins = new Map<string, string>();
  if (labels.length === 0) return twins;
  const subjects = labels.map(([, { work }]) => `${work.repositoryId}:${work.subject.number}`);
  // In the same order everywhere, so that two batches cannot wait for each other.
  await tx.execute(sql`SELECT pg_advisory_xact_lock(hashtextextended('millwright:labels:' || subject, 0))
    FROM unnest(${sql.param([...new Set(subjects)].sort())}::text[]) AS subject`);
  const filed = await tx
    .select({ runKey: runs.runKey, repositoryId: runs.repositoryId, number: runs.subjectNumber, intent: runs.intent })
    .from(runs)
    .where(
      and(
        eq(runs.subjectKind, "issue"),
        inArray(runs.repositoryId, [...new Set(labels.map(([, { work }]) => work.repositoryId))]),
        inArray(runs.subjectNumber, [...new Set(labels.map(([, { work }]) => work.subject.number ?? 0))]),
        eq(runs.pipeline, "issue-to-pr"),
      ),
    );
  for (const [runKey, intent] of labels) {
    const { repositoryId, subject } = intent.work;
    const ofIssue = filed.filter((run) => run.repositoryId === repositoryId && run.number === subject.number);
    const twin = ofIssue.find((run) => run.runKey !== runKey && sameLabelling(intent, run.intent));
    if (ofIssue.some((run) => run.runKey === runKey)) continue;
    if (twin !== undefined) twins.set(runKey, twin.runKey);
    else filed.push({ runKey, repositoryId, number: subject.number ?? 0, intent });
  }
  return twins;
}

function fileText(
  runKey: string,
  { text, ...intent }: Intent,
): { intent: FiledIntent; text?: typeof blobs.$inferInsert } {
  if (!text) return { intent };
  const content = Buffer.from(JSON.stringify(text));
  const { repositoryId } = intent.work;
  const reference = blobReference(repositoryId, content);
  return {
    intent: { ...intent, textBlob: reference },
    text: { reference, repositoryId, runKey, kind: "text", content },
  };
}

function toNewRow(runKey: string, intent: FiledIntent, priority: number, engine: string): typeof runs.$inferInsert {
  const { work } = intent;
  return {
    runKey,
    workKey: workKeyOf(work),
    installationId: work.installationId,
    repositoryId: work.repositoryId,
    account: work.owner.toLowerCase(),
    subjectKind: work.subject.kind,
    subjectNumber: work.subject.number ?? 0,
    pipeline: intent.pipeline,
    priority,
    state: "queued",
    intent,
    engine,
  };
}

function toRunRow(row: Row): RunRow {
  return {
    runKey: row.runKey,
    workKey: row.workKey,
    pipeline: row.pipeline,
    state: row.state,
    intent: row.intent,
    work: row.intent.work,
    statusCommentId: row.statusCommentId ?? undefined,
    outcome: row.outcome ?? undefined,
    cancelReason: row.cancelReason ?? undefined,
    createdAt: row.createdAt.toISOString(),
    startedAt: row.startedAt?.toISOString(),
    endedAt: row.endedAt?.toISOString(),
  };
}

function toStepRow(row: typeof steps.$inferSelect): StepRow {
  return {
    path: row.path,
    name: row.name,
    attempt: row.attempt,
    status: row.status,
    output: row.output ?? undefined,
    error: row.error ?? undefined,
    startedAt: row.startedAt.toISOString(),
    endedAt: row.endedAt?.toISOString(),
  };
}

async function exportRun(db: Db, runKey: string): Promise<unknown> {
  const [row] = await db.select().from(runs).where(eq(runs.runKey, runKey));
  if (!row) return undefined;
  return {
    run: toRunRow(row),
    steps: (await db.select().from(steps).where(eq(steps.runKey, runKey)).orderBy(asc(steps.sequence))).map(toStepRow),
    signals: await db.select().from(signals).where(eq(signals.runKey, runKey)).orderBy(asc(signals.sequence)),
    usage: await db.select().from(usage).where(eq(usage.runKey, runKey)).orderBy(asc(usage.sequence)),
    notes: await db.select().from(notes).where(eq(notes.runKey, runKey)),
    audit: await db.select().from(auditLog).where(eq(auditLog.runKey, runKey)).orderBy(asc(auditLog.sequence)),
  };
}

/** Remembers the names behind the ids of repositories that runs are filed for. */
async function rememberRepositories(db: Queries, intents: readonly Intent[]): Promise<void> {
  const rows = new Map(
    intents.map(({ work: { repositoryId, installationId, owner, repo } }) => [
      repositoryId,
      { repositoryId, installationId, owner, repo },
    ]),
  );
  await db
    .insert(repositories)
    .values([...rows.values()])
    .onConflictDoUpdate({
      target: repositories.repositoryId,
      set: {
        installationId: sql`excluded.installation_id`,
        owner: sql`excluded.owner`,
        repo: sql`excluded.repo`,
        seenAt: sql`now()`,
      },
    });
}

/** Deletes runs with everything that belongs to them alone. */
export async function deleteRuns(tx: Queries, runKeys: string[]): Promise<void> {
  if (runKeys.length === 0) return;
  for (const table of [usage, notes, auditLog]) await tx.delete(table).where(inArray(table.runKey, runKeys));
  // Steps, signals, turns and leases go with the run.
  await tx.delete(runs).where(inArray(runs.runKey, runKeys));
}
