import { addWorkflowRun, completeRun, type JobEnding, rerun, type WorkflowRunInput } from "./domain/actions.ts";
import {
  type CheckRunInput,
  createCheckRun,
  createStatus,
  requestAction,
  rerequest,
  type StatusInput,
} from "./domain/checks.ts";
import {
  addLabels,
  assign,
  changeIssue,
  closeIssue,
  createComment,
  deleteComment,
  deleteIssue,
  editComment,
  lockIssue,
  openIssue,
  react,
  removeLabel,
  reopenIssue,
  transferIssue,
} from "./domain/issues.ts";
import { mergePull } from "./domain/merge.ts";
import { changePull, closePull, openPull, requestReviewers, setDraft } from "./domain/pulls.ts";
import { moveRef } from "./domain/refs.ts";
import { createReview, editReviewComment, replyTo, resolveThread } from "./domain/reviews.ts";
import { refSha, writeBlob, writeCommit, writeTree, ZERO_SHA } from "./git.ts";
import { noReplyAddress } from "./serialise.ts";
import type {
  Actor,
  CheckRun,
  Comment,
  CommitStatus,
  Issue,
  LockReason,
  Pull,
  ReactionContent,
  Repository,
  Review,
  ReviewComment,
  Thread,
  WorkflowRun,
} from "./types.ts";
import type { World } from "./world.ts";

/**
 * A person at work on the web site. What they do changes the world and sends the events that GitHub sends.
 * Nobody asks here whether GitHub would let them: a test may need what a person did before a right was taken away.
 */
export class Person {
  readonly actor: Actor;
  private readonly world: World;

  constructor(world: World, actor: Actor) {
    this.world = world;
    this.actor = actor;
  }

  openIssue(
    repository: string,
    input: { title: string; body?: string; labels?: string[]; assignees?: string[] },
  ): Issue {
    return openIssue(this.world, this.repo(repository), this.actor, input);
  }

  editIssue(repository: string, number: number, change: { title?: string; body?: string }): void {
    changeIssue(this.world, this.issue(repository, number), this.actor, change);
  }

  closeIssue(repository: string, number: number, reason: "completed" | "not_planned" = "completed"): void {
    closeIssue(this.world, this.issue(repository, number), this.actor, reason);
  }

  reopenIssue(repository: string, number: number): void {
    reopenIssue(this.world, this.issue(repository, number), this.actor);
  }

  deleteIssue(repository: string, number: number): void {
    deleteIssue(this.world, this.issue(repository, number), this.actor);
  }

  /** Moves an issue with its comments to another repository of the same owner; returns it there. */
  transferIssue(repository: string, number: number, target: string): Issue {
    return transferIssue(this.world, this.issue(repository, number), this.actor, this.repo(target));
  }

  lock(repository: string, number: number, reason: LockReason | null = null): void {
    lockIssue(this.world, this.issue(repository, number), this.actor, reason);
  }

  assign(repository: string, number: number, login: string): void {
    assign(this.world, this.issue(repository, number), this.actor, this.world.user(login));
  }

  label(repository: string, number: number, ...names: string[]): void {
    addLabels(this.world, this.issue(repository, number), this.actor, names);
  }

  unlabel(repository: string, number: number, name: string): void {
    removeLabel(this.world, this.issue(repository, number), this.actor, name);
  }

  comment(repository: string, number: number, body: string): Comment {
    return createComment(this.world, this.issue(repository, number), this.actor, body);
  }

  /** Changes a comment, one's own or another's: ticking a box in a list is such an edit. */
  editComment(comment: Comment, body: string): void {
    editComment(this.world, comment, this.actor, body);
  }

  /** Ticks (or unticks) the box on the line that contains the text; throws when there is no such box. */
  tick(item: Comment | Pull, text: string, ticked = true): void {
    const body = ("issue" in item && "headRef" in item ? item.issue.body : (item as Comment).body) ?? "";
    const lines = body.split("\n");
    const at = lines.findIndex((line) => /^\s*[-*+] \[[ xX]\]/.test(line) && line.includes(text));
    if (at < 0) throw new Error(`There is no box with ${JSON.stringify(text)} in ${JSON.stringify(body)}`);
    lines[at] = (lines[at] ?? "").replace(/\[[ xX]\]/, ticked ? "[x]" : "[ ]");
    const changed = lines.join("\n");
    if ("headRef" in item) changeIssue(this.world, item.issue, this.actor, { body: changed });
    else this.editComment(item, changed);
  }

  deleteComment(comment: Comment): void {
    deleteComment(this.world, comment, this.actor);
  }

  /** A reaction on an issue, a pull request, a comment or a review comment. GitHub sends no event for it. */
  react(item: Issue | Comment | ReviewComment, content: ReactionContent): void {
    react(this.world, item, this.actor, content);
  }

  unreact(item: Issue | Comment | ReviewComment, content: ReactionContent): void {
    item.reactions = item.reactions.filter(({ user, content: kept }) => user !== this.actor.user || kept !== content);
  }

  openPullRequest(
    repository: string,
    input: { title: string; body?: string; head: string; base?: string; draft?: boolean },
  ): Promise<Pull> {
    const repo = this.repo(repository);
    return openPull(this.world, repo, this.actor, { base: repo.defaultBranch, ...input });
  }

  editPullRequest(
    repository: string,
    number: number,
    change: { title?: string; body?: string; base?: string },
  ): Promise<void> {
    return changePull(this.world, this.pull(repository, number), this.actor, change);
  }

  editPullRequestBody(repository: string, number: number, body: string): Promise<void> {
    return this.editPullRequest(repository, number, { body });
  }

  closePullRequest(repository: string, number: number): void {
    closePull(this.world, this.pull(repository, number), this.actor);
  }

  reopenPullRequest(repository: string, number: number): Promise<void> {
    return changePull(this.world, this.pull(repository, number), this.actor, { state: "open" });
  }

  markReady(repository: string, number: number): void {
    setDraft(this.world, this.pull(repository, number), this.actor, false);
  }

  convertToDraft(repository: string, number: number): void {
    setDraft(this.world, this.pull(repository, number), this.actor, true);
  }

  requestReview(repository: string, number: number, ...logins: string[]): void {
    requestReviewers(this.world, this.pull(repository, number), this.actor, logins);
  }

  merge(repository: string, number: number, method: "merge" | "squash" | "rebase" = "merge"): Promise<string> {
    return mergePull(this.world, this.pull(repository, number), this.actor, { method });
  }

  review(
    repository: string,
    number: number,
    input: {
      event: "APPROVE" | "REQUEST_CHANGES" | "COMMENT";
      body?: string;
      comments?: { path: string; line: number; body: string; side?: "LEFT" | "RIGHT" }[];
    },
  ): Promise<Review> {
    return createReview(this.world, this.pull(repository, number), this.actor, input);
  }

  reply(comment: ReviewComment, body: string): ReviewComment {
    return replyTo(this.world, comment.thread.comments[0] ?? comment, this.actor, body);
  }

  editReviewComment(comment: ReviewComment, body: string): void {
    editReviewComment(this.world, comment, this.actor, body);
  }

  resolve(thread: Thread, resolved = true): void {
    resolveThread(this.world, thread, this.actor, resolved);
  }

  /** Commits files (null deletes) on a branch, from `from` (default: default branch) where it is new. Returns the SHA. */
  async push(
    repository: string,
    input: { branch: string; message: string; files: Record<string, string | null>; from?: string; force?: boolean },
  ): Promise<string> {
    const repo = this.repo(repository);
    const ref = `refs/heads/${input.branch}`;
    const before = await refSha(repo.gitDir, ref);
    const start = input.force ? undefined : before;
    const parent = start ?? (await refSha(repo.gitDir, `refs/heads/${input.from ?? repo.defaultBranch}`));
    const changes = Object.entries(input.files).map(async ([path, content]) => ({
      path,
      mode: "100644",
      sha: content === null ? null : await writeBlob(repo.gitDir, content),
    }));
    const { user } = this.actor;
    const identity = { name: user.name ?? user.login, email: noReplyAddress(user), date: this.world.now() };
    const after = await writeCommit(repo.gitDir, {
      tree: await writeTree(repo.gitDir, parent, await Promise.all(changes)),
      parents: parent ? [parent] : [],
      message: input.message,
      author: identity,
      committer: identity,
    });
    await moveRef(this.world, repo, this.actor, { ref, before: before ?? ZERO_SHA, after });
    return after;
  }

  async deleteBranch(repository: string, branch: string): Promise<void> {
    const repo = this.repo(repository);
    const ref = `refs/heads/${branch}`;
    const before = await refSha(repo.gitDir, ref);
    if (!before) throw new Error(`There is no branch ${branch} in ${repository}`);
    await moveRef(this.world, repo, this.actor, { ref, before, after: ZERO_SHA });
  }

  /** A check run of this App; only for a Person that acts as an App. */
  checkRun(
    repository: string,
    { summary, ...input }: CheckRunInput & { name: string; headSha: string; summary?: string },
  ): CheckRun {
    if (!this.actor.app) throw new Error(`${this.actor.user.login} is no App: only Apps make check runs`);
    const output = summary === undefined ? input.output : { title: input.name, summary };
    return createCheckRun(this.world, this.repo(repository), this.actor.app, { ...input, output });
  }

  /** Presses a button that the check run has. */
  pressButton(check: CheckRun, identifier: string): void {
    if (!check.actions.some((action) => action.identifier === identifier))
      throw new Error(`The check run ${check.name} has no button ${identifier}: ${JSON.stringify(check.actions)}`);
    requestAction(this.world, check, this.actor.user, identifier);
  }

  /** Asks for a check run to be done again. */
  rerequest(check: CheckRun): void {
    rerequest(this.world, check, this.actor.user);
  }

  /** A commit status, as a service outside of GitHub sets it. */
  status(
    repository: string,
    input: Pick<StatusInput, "sha" | "state" | "context"> & Partial<StatusInput>,
  ): Promise<CommitStatus> {
    const facts = { description: null, targetUrl: null, ...input };
    return createStatus(this.world, this.repo(repository), this.actor, facts);
  }

  /** A run of GitHub Actions, triggered by this person; a job whose conclusion is null goes on until `completeRun`. */
  workflowRun(repository: string, input: WorkflowRunInput): WorkflowRun {
    return addWorkflowRun(this.world, this.repo(repository), this.actor.user, input);
  }

  /** *Re-run failed jobs* on the web site, or *Re-run all jobs*. */
  rerun(run: WorkflowRun, which: "failed" | "all" = "failed"): void {
    rerun(this.world, run, which);
  }

  /** Ends the jobs that are queued or running: all in the same way, or each by its name. */
  completeRun(run: WorkflowRun, endings: JobEnding | Record<string, JobEnding>): void {
    completeRun(this.world, run, endings);
  }

  private repo(name: string): Repository {
    const repository = this.world.repository(name);
    if (!repository) throw new Error(`There is no repository ${name}`);
    return repository;
  }

  private issue(repository: string, number: number): Issue {
    const issue = this.repo(repository).issues.get(number);
    if (!issue) throw new Error(`There is no issue or pull request ${repository}#${number}`);
    return issue;
  }

  private pull(repository: string, number: number): Pull {
    const { pull } = this.issue(repository, number);
    if (!pull) throw new Error(`${repository}#${number} is not a pull request`);
    return pull;
  }
}
