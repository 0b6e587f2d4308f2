import { sql } from "drizzle-orm";
import {
  bigint,
  bigserial,
  boolean,
  customType,
  doublePrecision,
  index,
  integer,
  json,
  pgTable,
  primaryKey,
  text,
  timestamp,
} from "drizzle-orm/pg-core";
import type { FiledIntent } from "../pipeline/intent.ts";
import type { Outcome } from "../pipeline/outcome.ts";
import type { Decision } from "../pipeline/run.ts";

// One schema for PGlite and PostgreSQL. JSON is kept as `json`, not `jsonb`: jsonb refuses the escape \u0000, which a
// stranger can put into any text of a webhook.

const bytes = customType<{ data: Uint8Array; driverData: Uint8Array }>({ dataType: () => "bytea" });
const instant = (name: string) => timestamp(name, { withTimezone: true, mode: "date" });
const githubId = (name: string) => bigint(name, { mode: "number" });

/** How a step that failed for good is kept, so that it replays as the same typed error. */
export interface StoredError {
  name: string;
  message: string;
  userFacing: boolean;
  transient: boolean;
  advice?: string;
}

export const runs = pgTable(
  "runs",
  {
    runKey: text("run_key").primaryKey(),
    /** Order of arrival; breaks ties of equal priority. */
    sequence: bigserial("sequence", { mode: "number" }).notNull(),
    workKey: text("work_key").notNull(),
    installationId: githubId("installation_id").notNull(),
    repositoryId: githubId("repository_id").notNull(),
    /** The owner's login in lower case: what account limits are summed over. */
    account: text("account").notNull(),
    subjectKind: text("subject_kind").notNull(),
    subjectNumber: githubId("subject_number").notNull(),
    pipeline: text("pipeline").notNull(),
    priority: integer("priority").notNull(),
    state: text("state").$type<"queued" | "running" | "waiting-turn" | "waiting-decision" | "ended">().notNull(),
    intent: json("intent").$type<FiledIntent>().notNull(),
    statusCommentId: githubId("status_comment_id"),
    outcome: json("outcome").$type<Outcome>(),
    cancelReason: text("cancel_reason"),
    /** `front`: nothing but steps that need no turn has been done; `work`: its steps need the work's turn and a lease. */
    stage: text("stage").$type<"front" | "work">().notNull().default("front"),
    /** Counts what happened to the run from outside, so that a run that goes to sleep notices what it has not seen. */
    wakes: integer("wakes").notNull().default(0),
    wakeAt: instant("wake_at"),
    /** Who advances the run now: the fence against workers that were frozen (architecture.md rule 13). */
    executionId: text("execution_id"),
    executionJob: text("execution_job"),
    executionExpiresAt: instant("execution_expires_at"),
    /** Which engine has the run; it never changes. */
    engine: text("engine").notNull().default("local"),
    /** The platform's own name of the one execution that tells this run (AWS durable functions, Temporal). */
    platformExecution: text("platform_execution"),
    /** What the platform is told to wake the run that sleeps. */
    waker: text("waker"),
    createdAt: instant("created_at").notNull().defaultNow(),
    startedAt: instant("started_at"),
    endedAt: instant("ended_at"),
  },
  (table) => [
    index("runs_work").on(table.workKey, table.sequence),
    index("runs_subject").on(table.repositoryId, table.subjectKind, table.subjectNumber, table.sequence),
    index("runs_installation").on(table.installationId),
    index("runs_day").on(table.createdAt),
    index("runs_waiting").on(table.repositoryId, table.priority, table.sequence).where(sql`state = 'waiting-turn'`),
    index("runs_active").on(table.sequence).where(sql`state <> 'ended'`),
  ],
);

export const steps = pgTable(
  "steps",
  {
    runKey: text("run_key")
      .notNull()
      .references(() => runs.runKey, { onDelete: "cascade" }),
    /** Branch path / name # count of that name in the branch. */
    path: text("path").notNull(),
    sequence: bigserial("sequence", { mode: "number" }).notNull(),
    name: text("name").notNull(),
    attempt: integer("attempt").notNull(),
    status: text("status").$type<"running" | "done" | "failed">().notNull(),
    inputHash: text("input_hash").notNull(),
    output: json("output").$type<unknown>(),
    error: json("error").$type<StoredError>(),
    /** Not before this moment is it tried again; for a wait, when it times out. */
    retryAt: instant("retry_at"),
    /** Since when only transient faults were met, which do not use up attempts but are bounded together. */
    transientSince: instant("transient_since"),
    startedAt: instant("started_at").notNull().defaultNow(),
    endedAt: instant("ended_at"),
  },
  (table) => [primaryKey({ columns: [table.runKey, table.path] })],
);

/** One active run per work. */
export const turns = pgTable("turns", {
  workKey: text("work_key").primaryKey(),
  runKey: text("run_key")
    .notNull()
    .unique()
    .references(() => runs.runKey, { onDelete: "cascade" }),
  takenAt: instant("taken_at").notNull().defaultNow(),
});

/** How many runs of one repository may execute at once; a lease that is not renewed is free again. */
export const leases = pgTable(
  "leases",
  {
    runKey: text("run_key")
      .primaryKey()
      .references(() => runs.runKey, { onDelete: "cascade" }),
    repositoryId: githubId("repository_id").notNull(),
    executionId: text("execution_id").notNull(),
    expiresAt: instant("expires_at").notNull(),
  },
  (table) => [index("leases_repository").on(table.repositoryId)],
);

export const signals = pgTable(
  "signals",
  {
    sequence: bigserial("sequence", { mode: "number" }).primaryKey(),
    runKey: text("run_key")
      .notNull()
      .references(() => runs.runKey, { onDelete: "cascade" }),
    name: text("name").notNull(),
    payload: json("payload").$type<Decision>().notNull(),
    /** The path of the wait that took it. */
    consumedBy: text("consumed_by"),
    createdAt: instant("created_at").notNull().defaultNow(),
  },
  (table) => [index("signals_run").on(table.runKey, table.sequence)],
);

export const usage = pgTable(
  "usage",
  {
    sequence: bigserial("sequence", { mode: "number" }).primaryKey(),
    runKey: text("run_key").notNull(),
    repositoryId: githubId("repository_id").notNull(),
    account: text("account").notNull(),
    provider: text("provider").notNull(),
    model: text("model").notNull(),
    prompt: text("prompt").notNull(),
    promptVersion: text("prompt_version").notNull(),
    inputTokens: githubId("input_tokens").notNull(),
    outputTokens: githubId("output_tokens").notNull(),
    cacheReadTokens: githubId("cache_read_tokens").notNull(),
    cacheWriteTokens: githubId("cache_write_tokens").notNull(),
    costUsd: doublePrecision("cost_usd").notNull(),
    durationMs: doublePrecision("duration_ms").notNull(),
    ending: text("ending").notNull(),
    createdAt: instant("created_at").notNull().defaultNow(),
  },
  (table) => [index("usage_run").on(table.runKey), index("usage_day").on(table.createdAt)],
);

/** Names of repositories that runs were asked for; what people read instead of ids. */
export const repositories = pgTable("repositories", {
  repositoryId: githubId("repository_id").primaryKey(),
  installationId: githubId("installation_id").notNull(),
  owner: text("owner").notNull(),
  repo: text("repo").notNull(),
  seenAt: instant("seen_at").notNull().defaultNow(),
});

export const pullRequests = pgTable(
  "pull_requests",
  {
    repositoryId: githubId("repository_id").notNull(),
    number: githubId("number").notNull(),
    workKey: text("work_key").notNull(),
    issueNumber: githubId("issue_number").notNull(),
    branch: text("branch").notNull(),
    headSha: text("head_sha").notNull(),
    baseRef: text("base_ref").notNull(),
    nodeId: text("node_id").notNull(),
    url: text("url").notNull(),
    ciWaits: boolean("ci_waits").notNull(),
    state: text("state").$type<"open" | "closed" | "merged">().notNull(),
    createdAt: instant("created_at").notNull().defaultNow(),
    updatedAt: instant("updated_at").notNull().defaultNow(),
  },
  (table) => [
    primaryKey({ columns: [table.repositoryId, table.number] }),
    index("pull_requests_work").on(table.workKey),
  ],
);

export const blobs = pgTable(
  "blobs",
  {
    /** SHA-256 over the repository's id and the content: one repository cannot name what another one stored. */
    reference: text("reference").primaryKey(),
    repositoryId: githubId("repository_id").notNull(),
    runKey: text("run_key").notNull(),
    kind: text("kind").$type<"text" | "transcript" | "bundle" | "log" | "config">().notNull(),
    content: bytes("content").notNull(),
    usedAt: instant("used_at").notNull().defaultNow(),
  },
  (table) => [index("blobs_repository").on(table.repositoryId), index("blobs_age").on(table.kind, table.usedAt)],
);

export const notes = pgTable(
  "notes",
  {
    runKey: text("run_key").notNull(),
    key: text("key").notNull(),
    value: text("value").notNull(),
    updatedAt: instant("updated_at").notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.runKey, table.key] })],
);

export const auditLog = pgTable(
  "audit_log",
  {
    sequence: bigserial("sequence", { mode: "number" }).primaryKey(),
    runKey: text("run_key").notNull(),
    repositoryId: githubId("repository_id").notNull(),
    effect: text("effect").notNull(),
    target: text("target").notNull(),
    result: text("result").$type<"ok" | "failed">().notNull(),
    at: instant("at").notNull().defaultNow(),
  },
  (table) => [index("audit_log_run").on(table.runKey), index("audit_log_repository").on(table.repositoryId)],
);

export const rateLimits = pgTable(
  "rate_limits",
  {
    key: text("key").notNull(),
    windowStart: instant("window_start").notNull(),
    windowEnd: instant("window_end").notNull(),
    count: integer("count").notNull(),
  },
  (table) => [primaryKey({ columns: [table.key, table.windowStart] }), index("rate_limits_age").on(table.windowEnd)],
);

/** What a check said of a commit, each answer once: one commit with both answers shows that the check is flaky (F5). */
export const checkResults = pgTable(
  "check_results",
  {
    repositoryId: githubId("repository_id").notNull(),
    checkName: text("check_name").notNull(),
    sha: text("sha").notNull(),
    /** Names this answer among those for the commit: the id of the intent that told it. */
    resultId: text("result_id").notNull(),
    passed: boolean("passed").notNull(),
    at: instant("at").notNull().defaultNow(),
  },
  (table) => [
    primaryKey({ columns: [table.repositoryId, table.checkName, table.sha, table.resultId] }),
    index("check_results_age").on(table.at),
  ],
);

/** What runs did about a check on a commit, each once: limits are counted here (F5, F6). */
export const checkAttempts = pgTable(
  "check_attempts",
  {
    runKey: text("run_key").notNull(),
    kind: text("kind").$type<"fix" | "rerun">().notNull(),
    repositoryId: githubId("repository_id").notNull(),
    checkName: text("check_name").notNull(),
    sha: text("sha").notNull(),
    at: instant("at").notNull().defaultNow(),
  },
  (table) => [
    primaryKey({ columns: [table.runKey, table.kind, table.checkName] }),
    index("check_attempts_commit").on(table.repositoryId, table.checkName, table.sha),
  ],
);

/** What a model made of a failure, by the hash of everything that it depends on (F4). */
export const analyses = pgTable(
  "analyses",
  {
    key: text("key").primaryKey(),
    repositoryId: githubId("repository_id").notNull(),
    content: json("content").$type<unknown>().notNull(),
    createdAt: instant("created_at").notNull().defaultNow(),
  },
  (table) => [index("analyses_repository").on(table.repositoryId)],
);

/** A fix that was made and not pushed: a person decides by the buttons of the check run (F8). */
export const offers = pgTable(
  "offers",
  {
    runKey: text("run_key").primaryKey(),
    repositoryId: githubId("repository_id").notNull(),
    pullNumber: githubId("pull_number").notNull(),
    headSha: text("head_sha").notNull(),
    /** The values of the steps that made it, from which it is published. */
    content: json("content").$type<unknown>().notNull(),
    state: text("state").$type<"open" | "applied" | "rejected">().notNull(),
    decidedBy: text("decided_by"),
    updatedAt: instant("updated_at").notNull().defaultNow(),
  },
  (table) => [index("offers_pull").on(table.repositoryId, table.pullNumber)],
);

/** One review that was posted, or found nothing to say, for one head (R5). */
export const reviews = pgTable(
  "reviews",
  {
    runKey: text("run_key").primaryKey(),
    repositoryId: githubId("repository_id").notNull(),
    pullNumber: githubId("pull_number").notNull(),
    baseSha: text("base_sha").notNull(),
    headSha: text("head_sha").notNull(),
    /** Scores, counts and what was not looked at, as the check run shows them. */
    content: json("content").$type<unknown>().notNull(),
    createdAt: instant("created_at").notNull().defaultNow(),
  },
  (table) => [index("reviews_pull").on(table.repositoryId, table.pullNumber)],
);

/** One finding of a pull request through all its pushes, by its fingerprint (R6). */
export const findings = pgTable(
  "findings",
  {
    repositoryId: githubId("repository_id").notNull(),
    pullNumber: githubId("pull_number").notNull(),
    fingerprint: text("fingerprint").notNull(),
    runKey: text("run_key").notNull(),
    reviewer: text("reviewer").notNull(),
    category: text("category").notNull(),
    severity: text("severity").notNull(),
    path: text("path").notNull(),
    line: integer("line").notNull(),
    title: text("title").notNull(),
    state: text("state").$type<"open" | "suppressed" | "resolved" | "dismissed">().notNull(),
    /** Why it was not shown, where it was suppressed. */
    suppressed: text("suppressed"),
    /** GitHub's id of the review comment, once it is known. */
    commentId: githubId("comment_id"),
    /** How people took it: `thumbs-up`, `thumbs-down`, `resolved`, `changed-line`. */
    accepted: text("accepted"),
    createdAt: instant("created_at").notNull().defaultNow(),
    updatedAt: instant("updated_at").notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.repositoryId, table.pullNumber, table.fingerprint] })],
);

/** What people are to be told outside of GitHub (P7): filed by a step, sent by whoever keeps house, each once. */
export const notifications = pgTable(
  "notifications",
  {
    /** Names what is told to whom: the same twice is told once. */
    key: text("key").primaryKey(),
    repositoryId: githubId("repository_id").notNull(),
    runKey: text("run_key").notNull(),
    channel: text("channel").notNull(),
    content: json("content").$type<unknown>().notNull(),
    state: text("state").$type<"queued" | "sent" | "failed">().notNull(),
    attempts: integer("attempts").notNull().default(0),
    nextAt: instant("next_at").notNull().defaultNow(),
    lastError: text("last_error"),
    createdAt: instant("created_at").notNull().defaultNow(),
  },
  (table) => [
    index("notifications_due").on(table.nextAt).where(sql`state = 'queued'`),
    index("notifications_repository").on(table.repositoryId),
  ],
);

/** Where the reconciler is in GitHub's lists; repository 0 stands for the installation, installation 0 for the App. */
export const sweepLists = pgTable(
  "sweep_lists",
  {
    installationId: githubId("installation_id").notNull(),
    repositoryId: githubId("repository_id").notNull(),
    /** Which list, and which page of it. */
    list: text("list").notNull(),
    /** By what GitHub says that nothing changed; it belongs to the token that it was read with. */
    etag: text("etag").notNull(),
    /** Everything up to here was looked at. */
    readUntil: instant("read_until"),
    /** What the list said, where it is needed also when it did not change. */
    content: json("content").$type<unknown>(),
    readAt: instant("read_at").notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.installationId, table.repositoryId, table.list] })],
);

/** One worker sweeps at a time. One row. */
export const sweepLease = pgTable("sweep_lease", {
  name: text("name").primaryKey(),
  /** When the App was started for the first time: what happened before is history. */
  firstStartAt: instant("first_start_at").notNull().defaultNow(),
  holder: text("holder"),
  expiresAt: instant("expires_at"),
  endedAt: instant("ended_at"),
});
