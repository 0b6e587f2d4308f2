/** What the local GitHub knows. Entities are plain mutable records; only `serialise.ts` knows GitHub's JSON. */

export type UserType = "User" | "Bot" | "Organization" | "Mannequin";
export type Role = "none" | "read" | "triage" | "write" | "maintain" | "admin";
export type Level = "read" | "write" | "admin";
/** A GitHub App's permissions by their API names, e.g. `{ contents: "write", metadata: "read" }`. */
export type Permissions = Record<string, Level>;
export type ReactionContent = "+1" | "-1" | "laugh" | "confused" | "heart" | "hooray" | "rocket" | "eyes";

export interface User {
  id: number;
  nodeId: string;
  login: string;
  type: UserType;
  name: string | null;
  createdAt: Date;
  deleted: boolean;
}

export interface App {
  id: number;
  nodeId: string;
  slug: string;
  name: string;
  owner: User;
  bot: User;
  /** PEM of the key that verifies the App's JSON Web Tokens; derived from the private key given. */
  publicKey: string;
  clientId: string;
  permissions: Permissions;
  events: string[];
  webhookSecret: string;
  webhookUrl: string | undefined;
  createdAt: Date;
}

export interface Installation {
  id: number;
  nodeId: string;
  app: App;
  account: User;
  selection: "all" | "selected";
  repositories: Repository[];
  permissions: Permissions;
  createdAt: Date;
  updatedAt: Date;
  suspendedAt: Date | undefined;
}

/** An installation token (`ghs_`) or a person's token (`ghp_`). */
export interface Token {
  value: string;
  user: User;
  installation: Installation | undefined;
  permissions: Permissions | undefined;
  /** Undefined: every repository of the installation or of the person. */
  repositoryIds: number[] | undefined;
  expiresAt: Date | undefined;
  used: number;
  revoked: boolean;
}

export interface Label {
  id: number;
  nodeId: string;
  name: string;
  color: string;
  description: string | null;
  isDefault: boolean;
}

export interface Reaction {
  id: number;
  nodeId: string;
  user: User;
  content: ReactionContent;
  createdAt: Date;
}

/** One edit of a body: what it was before, who changed it and when. */
export interface Edit {
  id: number;
  at: Date;
  editor: User;
  before: string;
}

/** What carries a body that people write, react to and edit. */
export interface Authored {
  id: number;
  nodeId: string;
  author: User;
  viaApp: App | null;
  body: string | null;
  createdAt: Date;
  updatedAt: Date;
  edits: Edit[];
  reactions: Reaction[];
}

export type LockReason = "off-topic" | "too heated" | "resolved" | "spam";

export interface Issue extends Authored {
  repository: Repository;
  number: number;
  title: string;
  state: "open" | "closed";
  stateReason: "completed" | "not_planned" | "duplicate" | "reopened" | null;
  locked: boolean;
  lockReason: LockReason | null;
  labels: Label[];
  assignees: User[];
  closedAt: Date | undefined;
  closedBy: User | undefined;
  comments: Comment[];
  pull: Pull | undefined;
  parent: Issue | undefined;
  children: Issue[];
}

export interface Comment extends Authored {
  issue: Issue;
  body: string;
  minimizedReason: string | null;
}

export interface Pull {
  id: number;
  nodeId: string;
  issue: Issue;
  draft: boolean;
  headRepository: Repository;
  headRef: string;
  headSha: string;
  baseRef: string;
  baseSha: string;
  mergedAt: Date | undefined;
  mergedBy: User | undefined;
  mergeCommitSha: string | null;
  maintainerCanModify: boolean;
  requestedReviewers: User[];
  reviews: Review[];
  threads: Thread[];
  /** `base:head` for which mergeability has been worked out; GitHub answers null to whoever asks first. */
  mergeabilityKnownFor: string | undefined;
}

export type ReviewState = "PENDING" | "COMMENTED" | "APPROVED" | "CHANGES_REQUESTED" | "DISMISSED";

export interface Review extends Authored {
  pull: Pull;
  body: string;
  state: ReviewState;
  commitId: string;
  submittedAt: Date | undefined;
}

export interface Thread {
  id: number;
  nodeId: string;
  pull: Pull;
  comments: ReviewComment[];
  resolvedBy: User | undefined;
}

export interface ReviewComment extends Authored {
  pull: Pull;
  review: Review;
  thread: Thread;
  body: string;
  path: string;
  line: number | undefined;
  startLine: number | undefined;
  side: "LEFT" | "RIGHT";
  position: number;
  diffHunk: string;
  commitId: string;
  originalCommitId: string;
  subjectType: "line" | "file";
  minimizedReason: string | null;
}

export interface IssueEvent {
  id: number;
  nodeId: string;
  event: string;
  actor: User;
  viaApp: App | null;
  createdAt: Date;
  issue: Issue;
  label?: Label;
  commitId?: string;
  rename?: { from: string; to: string };
  lockReason?: LockReason | null;
  assignee?: User;
  requestedReviewer?: User;
}

export interface CheckRun {
  id: number;
  nodeId: string;
  repository: Repository;
  app: App;
  name: string;
  headSha: string;
  status: "queued" | "in_progress" | "completed" | "waiting" | "requested" | "pending";
  conclusion: string | null;
  detailsUrl: string | null;
  externalId: string | null;
  startedAt: Date;
  completedAt: Date | undefined;
  output: { title: string | null; summary: string | null; text: string | null };
  annotations: Record<string, unknown>[];
  /** The buttons that it has now. */
  actions: { label: string; description: string; identifier: string }[];
  suiteId: number;
}

export interface CommitStatus {
  id: number;
  nodeId: string;
  sha: string;
  state: "error" | "failure" | "pending" | "success";
  context: string;
  description: string | null;
  targetUrl: string | null;
  creator: User;
  createdAt: Date;
}

export type JobConclusion =
  | "success"
  | "failure"
  | "neutral"
  | "cancelled"
  | "skipped"
  | "timed_out"
  | "action_required";

/** One attempt of a job; a check run of the App `github-actions` has the same id. */
export interface WorkflowJob {
  id: number;
  nodeId: string;
  run: WorkflowRun;
  name: string;
  /** Of the run, from 1: a job that was not run again keeps its last one. */
  attempt: number;
  status: "queued" | "in_progress" | "completed";
  conclusion: JobConclusion | null;
  steps: { name: string; conclusion: JobConclusion | null }[];
  /** Undefined: GitHub has it no more. */
  log: string | undefined;
  startedAt: Date;
  completedAt: Date | undefined;
}

export interface WorkflowRun {
  id: number;
  nodeId: string;
  repository: Repository;
  name: string;
  path: string;
  event: string;
  headBranch: string;
  headSha: string;
  status: "queued" | "in_progress" | "completed";
  conclusion: JobConclusion | "startup_failure" | null;
  attempt: number;
  suiteId: number;
  actor: User;
  createdAt: Date;
  updatedAt: Date;
  /** Of all attempts, oldest first. */
  jobs: WorkflowJob[];
}

export interface Protection {
  requirePullRequest: boolean;
  allowForcePushes: boolean;
  requiredChecks: string[];
}

export interface Repository {
  id: number;
  nodeId: string;
  owner: User;
  name: string;
  description: string | null;
  private: boolean;
  archived: boolean;
  /** False: a draft pull request is refused with 422, as in private repositories of a free plan. */
  drafts: boolean;
  fork: Repository | undefined;
  defaultBranch: string;
  /** The real bare repository behind REST and git. */
  gitDir: string;
  sizeKilobytes: number | undefined;
  createdAt: Date;
  updatedAt: Date;
  pushedAt: Date;
  collaborators: Map<string, Role>;
  labels: Map<string, Label>;
  issues: Map<number, Issue>;
  events: IssueEvent[];
  checkRuns: CheckRun[];
  statuses: CommitStatus[];
  workflowRuns: WorkflowRun[];
  protections: Map<string, Protection>;
  /** Commits that the API made for an App without a custom author: GitHub signs those. */
  signedCommits: Set<string>;
  lastNumber: number;
  /** Numbers of issues that were deleted: GitHub answers 410 for them. */
  deletedNumbers: Set<number>;
  /** Issues that moved to another repository, by the number that they had here. */
  transferred: Map<number, Issue>;
}

/** Who does something: a person, or the bot of an App through its API. */
export interface Actor {
  user: User;
  app: App | null;
}
