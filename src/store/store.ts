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

/** One review that was posted, or found nothing to say, for one head (R5). */
export interface ReviewRow {
  runKey: string;
  repositoryId: number;
  pullNumber: number;
  baseSha: string;
  headSha: string;
  /** Scores, counts and what was not looked at. */
  content: unknown;
  createdAt: string;
}

/** One finding of a pull request through all its pushes, by its fingerprint (R6). */
export interface FindingRow {
  repositoryId: number;
  pullNumber: number;
  fingerprint: string;
  /** The run that found it last. */
  runKey: string;
  reviewers: string[];
  category: string;
  severity: string;
  path: string;
  line: number;
  title: string;
  state: "open" | "suppressed" | "resolved" | "dismissed";
  /** Why it was not shown. */
  suppressed?: string;
  /** GitHub's id of the comment that shows it. */
  commentId?: number;
  /** How people took it. */
  accepted?: "thumbs-up" | "thumbs-down" | "resolved" | "changed-line";
}

/** How the findings that were shown were taken, by reviewer and category. */
export interface Acceptance {
  reviewer: string;
  category: string;
  shown: number;
  thumbsUp: number;
  thumbsDown: number;
  resolved: number;
  changedLine: number;
}

/** Something that people are to be told on one channel; `key` names what is told to whom. */
export interface NewNotification {
  key: string;
  repositoryId: number;
  runKey: string;
  channel: string;
  content: unknown;
}

/** A notification that one process sends now. */
export interface TakenNotification {
  key: string;
  runKey: string;
  channel: string;
  content: unknown;
  /** 1 when it is sent for the first time. */
  attempt: number;
  createdAt: Date;
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

/** One check on one commit. */
export interface CheckOnCommit {
  repositoryId: number;
  checkName: string;
  sha: string;
}

/** A fix that was made and not pushed; `content` is what publishes it. */
export interface OfferRow {
  /** Of the run that made it. */
  runKey: string;
  repositoryId: number;
  pullNumber: number;
  headSha: string;
  content: unknown;
  state: "open" | "applied" | "rejected";
  decidedBy: string | undefined;
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
  reviews: {
    /** Find-or-create by run. */
    put(row: Omit<ReviewRow, "createdAt">): Promise<void>;
    /** The newest of a pull request. */
    last(repositoryId: number, pullNumber: number): Promise<ReviewRow | undefined>;
    findings(repositoryId: number, pullNumber: number): Promise<FindingRow[]>;
    /** Find-or-create by fingerprint; updates what changed, and keeps how people took it unless that is given. */
    putFindings(rows: FindingRow[]): Promise<void>;
    findingOfComment(repositoryId: number, commentId: number): Promise<FindingRow | undefined>;
    acceptance(repositoryId: number): Promise<Acceptance[]>;
  };
  /** The ledger of checks (product.md F5, F6). */
  checks: {
    /** Each answer is kept once, by its `resultId`. */
    recordResults(rows: readonly (CheckOnCommit & { resultId: string; passed: boolean; at: Date })[]): Promise<void>;
    failures(check: CheckOnCommit): Promise<number>;
    /** Names of the checks that failed on this commit. */
    failedOn(repositoryId: number, sha: string): Promise<string[]>;
    /** Commits on which it failed and passed, and their share of all its commits, where old evidence counts less. */
    flakiness(check: Omit<CheckOnCommit, "sha">): Promise<{ flakyCommits: number; share: number }>;
    /** Once for each run, kind and check. */
    addAttempt(row: CheckOnCommit & { runKey: string; kind: "fix" | "rerun" }): Promise<void>;
    /** How many attempts other runs made, and when the last one began. */
    attempts(
      check: CheckOnCommit,
      kind: "fix" | "rerun",
      exceptRunKey: string,
    ): Promise<{ count: number; lastAt: Date | undefined }>;
    /** The attempts at a head count for the head that a run of ours pushed on it: a fix does not begin the count anew. */
    followPush(repositoryId: number, fromSha: string, toSha: string): Promise<void>;
  };
  /** What a model made of a failure, by the hash of all that it depends on (F4). */
  analyses: {
    get(key: string): Promise<unknown>;
    put(key: string, repositoryId: number, content: unknown): Promise<void>;
  };
  offers: {
    put(row: Omit<OfferRow, "state" | "decidedBy">): Promise<void>;
    get(runKey: string): Promise<OfferRow | undefined>;
    /** Whether one waits for a decision at this head. */
    waits(repositoryId: number, pullNumber: number, headSha: string): Promise<boolean>;
    /** False when it was decided on before. */
    decide(runKey: string, state: "applied" | "rejected", by: string): Promise<boolean>;
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
  /** What people are to be told outside of GitHub (P7). */
  notifications: {
    /** Keeps what was not filed before, by key; returns those keys. */
    file(rows: readonly NewNotification[]): Promise<string[]>;
    /**
     * Gives the channel's most overdue one to one process: nobody else gets it within the lease, or before it is settled.
     * Each time counts as an attempt. Undefined when nothing is due.
     */
    take(channel: string, leaseSeconds: number): Promise<TakenNotification | undefined>;
    /** How it ended. Without effect when the lease ended and another process has taken it meanwhile. */
    sent(taken: TakenNotification): Promise<void>;
    failed(taken: TakenNotification, why: string): Promise<void>;
    /** Due again in so many seconds; `holdChannel`: so is everything else for the channel. */
    retry(taken: TakenNotification, options: { seconds: number; why: string; holdChannel: boolean }): Promise<void>;
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
