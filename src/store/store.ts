import type { CallRecord, Usage } from "../agent/model.ts";
import type { FiledIntent, Intent, Work } from "../pipeline/intent.ts";
import type { Outcome } from "../pipeline/outcome.ts";

/** One row of `runs` as the status comment, the limits and the commands need it. Times are ISO 8601. */
export interface RunRow {
  runKey: string;
  workKey: string;
  pipeline: string;
  state: "queued" | "running" | "waiting-turn" | "waiting-decision" | "ended";
  intent: FiledIntent;
  work: Work;
  /** GitHub's id of the status comment, once it exists. */
  statusCommentId?: number;
  outcome?: Outcome;
  cancelReason?: string;
  createdAt: string;
  startedAt?: string;
  endedAt?: string;
}

export interface StepRow {
  path: string;
  name: string;
  attempt: number;
  status: "running" | "done" | "failed";
  output?: unknown;
  error?: { name: string; message: string; userFacing: boolean };
  startedAt: string;
  endedAt?: string;
}

export interface PullRequestRow {
  repositoryId: number;
  number: number;
  workKey: string;
  issueNumber: number;
  branch: string;
  /** What we pushed last; anything else on the branch came from a person. */
  headSha: string;
  baseRef: string;
  nodeId: string;
  url: string;
  /** security.md M13: commits carry `[skip ci]` until a person approves. */
  ciWaits: boolean;
  state: "open" | "closed" | "merged";
}

/** Sums that limits are checked against. `day` is the UTC day. */
export interface Spent {
  run: Usage;
  repositoryDay: Usage & { runs: number };
  accountDay: Usage & { runs: number };
  day: Usage & { runs: number };
  /** Runs of this subject (issue or pull request) today (security.md M11). */
  subjectDayRuns: number;
}

export interface AuditRow {
  runKey: string;
  repositoryId: number;
  effect: string;
  /** Method and path, or `git push <branch>`; never a token. */
  target: string;
  result: "ok" | "failed";
  at: string;
}

/** Where a sweep is in one page of one list; `schema.ts` says what the fields mean. */
export interface SweepList {
  installationId: number;
  repositoryId: number;
  list: string;
  etag: string;
  readUntil?: Date;
  content?: unknown;
}

/** Everything that is remembered between steps and runs. PGlite and PostgreSQL alike. */
export interface Store {
  runs: {
    /**
     * Files intents as queued runs, each text as a blob. A run's key is taken for ever: `repeated` says that this intent
     * was filed before. Greater priorities go first. The engine that they are filed for (`local` unless given) keeps them.
     */
    file(
      intents: readonly Intent[],
      priorityOf: (intent: Intent) => number,
      engine?: string,
    ): Promise<{ runKey: string; repeated: boolean }[]>;
    get(runKey: string): Promise<RunRow | undefined>;
    /** Runs of one work or one subject, newest first. */
    ofWork(workKey: string): Promise<RunRow[]>;
    ofSubject(repositoryId: number, kind: string, number: number): Promise<RunRow[]>;
    setStatusComment(runKey: string, commentId: number): Promise<void>;
    /** `authorise-trigger` resolved the work's key (a pull request that we opened keeps its issue's key). */
    setWorkKey(runKey: string, workKey: string): Promise<void>;
    steps(runKey: string): Promise<StepRow[]>;
    waitingForDecision(): Promise<RunRow[]>;
    /** Numbers of the issues whose last build ended as a question. */
    openQuestions(repositoryId: number): Promise<number[]>;
    /** Builds that ended after they had pushed a branch, and whose work has no pull request and no active run. */
    endedWithBranch(): Promise<{ run: RunRow; pushedSha: string }[]>;
    /** How many runs nobody has begun, and for how long the oldest waits. */
    backlog(): Promise<{ queued: number; oldestSeconds: number }>;
    /** Every run that has not ended, newest first. */
    active(): Promise<RunRow[]>;
    cancelRequested(runKey: string): Promise<string | undefined>;
    /** Everything of one run as JSON: run, steps, usage, audit. */
    export(runKey: string): Promise<unknown>;
  };
  usage: {
    record(runKey: string, call: CallRecord): Promise<void>;
    ofRun(runKey: string): Promise<Usage>;
    spent(runKey: string): Promise<Spent>;
    /** Counts the run among those of its day unless `whyNot` names a reason, which is returned; no other run is counted in between. */
    admit<T>(runKey: string, whyNot: (spent: Spent) => T | undefined): Promise<T | undefined>;
  };
  pullRequests: {
    /** Find-or-create by repository and number; updates what changed. */
    put(row: PullRequestRow): Promise<void>;
    ofWork(workKey: string): Promise<PullRequestRow | undefined>;
    byNumber(repositoryId: number, number: number): Promise<PullRequestRow | undefined>;
    /** All that are open as far as we know. */
    open(): Promise<PullRequestRow[]>;
  };
  blobs: {
    /** Content-addressed: returns the reference. The repository is kept for P15, the run for retention. */
    put(
      content: Uint8Array | string,
      owner: { repositoryId: number; runKey: string; kind: "text" | "transcript" | "bundle" | "log" | "config" },
    ): Promise<string>;
    get(reference: string): Promise<Buffer | undefined>;
    text(reference: string): Promise<string | undefined>;
  };
  /** A small remembered value per key, for example the transcript reference of a slice; last write wins. */
  notes: {
    get(runKey: string, key: string): Promise<string | undefined>;
    set(runKey: string, key: string, value: string): Promise<void>;
  };
  audit: {
    add(row: Omit<AuditRow, "at">): Promise<void>;
    ofRun(runKey: string): Promise<AuditRow[]>;
  };
  /** How often something happened in a window, for example help replies to one person; true when it may happen (and counts it). */
  rateLimit(key: string, times: number, windowSeconds: number): Promise<boolean>;
  /** The reconciler's memory (architecture.md rule 9). */
  sweeps: {
    /** When the App was started for the first time on this database; remembered by the first call. */
    firstStart(): Promise<Date>;
    /** True when `holder` may sweep now: nobody else does, and nobody else did within the pause. */
    take(holder: string, leaseSeconds: number, pauseSeconds: number): Promise<boolean>;
    /** False when another one has taken over. */
    renew(holder: string, leaseSeconds: number): Promise<boolean>;
    end(holder: string): Promise<void>;
    /** All lists of an installation. */
    lists(installationId: number): Promise<SweepList[]>;
    keep(list: SweepList): Promise<void>;
    /** Of an installation, everything but that of these repositories. */
    forgetOthers(installationId: number, repositoryIds: number[]): Promise<void>;
  };
  data: {
    /** Every repository that something is kept of. */
    known(): Promise<{ installationId: number; repositoryId: number; owner: string; repo: string }[]>;
    /** Deletes everything of a repository, or of an installation (P15). */
    forgetRepository(repositoryId: number): Promise<void>;
    forgetInstallation(installationId: number): Promise<number[]>;
    /** Removes blobs and transcripts older than their retention in days; returns how many rows. */
    retain(days: { transcripts: number; logs: number; blobs: number }): Promise<number>;
  };
  /** Resolves when the database answers; throws otherwise. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
