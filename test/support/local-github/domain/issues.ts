import { ApiError, invalid } from "../errors.ts";
import { commentJson, issueJson, labelJson, simpleUser, webhookRepository } from "../serialise.ts";
import type {
  Actor,
  Authored,
  Comment,
  Issue,
  IssueEvent,
  Label,
  LockReason,
  Reaction,
  ReactionContent,
  Repository,
  User,
} from "../types.ts";
import type { World } from "../world.ts";
import { announcePull } from "./announce.ts";

const MAX_BODY_CHARACTERS = 65_536;
const DEFAULT_LABEL_COLOR = "ededed";

export interface IssueInput {
  title: string;
  body?: string | null;
  labels?: string[];
  assignees?: string[];
}

/** A new issue; labels given at creation are events of their own, after `opened`. */
export function openIssue(world: World, repository: Repository, actor: Actor, input: IssueInput): Issue {
  const issue = newIssue(world, repository, actor, input.title, input.body ?? null);
  emitIssue(world, issue, "opened", actor.user);
  if (input.labels?.length) addLabels(world, issue, actor, input.labels);
  for (const login of input.assignees ?? []) assign(world, issue, actor, world.user(login));
  return issue;
}

/** An issue record with the next number; pull requests are issues too and announce themselves. */
export function newIssue(
  world: World,
  repository: Repository,
  actor: Actor,
  title: string,
  body: string | null,
): Issue {
  if (title.trim() === "") throw invalid("Issue", "title", "missing_field");
  checkBody(body, "Issue");
  repository.lastNumber += 1;
  const issue: Issue = world.identify("Issue", "I", {
    repository,
    number: repository.lastNumber,
    title,
    state: "open",
    stateReason: null,
    locked: false,
    lockReason: null,
    labels: [],
    assignees: [],
    closedAt: undefined,
    closedBy: undefined,
    comments: [],
    pull: undefined,
    parent: undefined,
    children: [],
    ...authored(world, actor, body),
  });
  repository.issues.set(issue.number, issue);
  return issue;
}

/** The fields of something that this actor writes now. */
export function authored<B extends string | null>(
  world: World,
  actor: Actor,
  body: B,
): Omit<Authored, "id" | "nodeId" | "body"> & { body: B } {
  const now = world.now();
  return { author: actor.user, viaApp: actor.app, body, createdAt: now, updatedAt: now, edits: [], reactions: [] };
}

export function checkBody(body: string | null, resource: string): void {
  if (body !== null && body.length > MAX_BODY_CHARACTERS) {
    throw invalid(resource, "body", "custom", `body is too long (maximum is ${MAX_BODY_CHARACTERS} characters)`);
  }
}

export interface IssueChange {
  title?: string;
  body?: string | null;
  state?: "open" | "closed";
  stateReason?: Issue["stateReason"];
  labels?: string[];
  assignees?: string[];
}

/** Applies a change and announces each part of it, as one PATCH does. */
export function changeIssue(world: World, issue: Issue, actor: Actor, change: IssueChange): void {
  const changes: Record<string, { from: string }> = {};
  if (change.title !== undefined && change.title !== issue.title) {
    changes.title = { from: issue.title };
    record(world, issue, actor, "renamed", { rename: { from: issue.title, to: change.title } });
    issue.title = change.title;
  }
  if (change.body !== undefined && change.body !== issue.body) {
    changes.body = { from: issue.body ?? "" };
    editBody(world, issue, actor, change.body, "Issue");
  }
  if (Object.keys(changes).length > 0) {
    touch(world, issue);
    emitIssue(world, issue, "edited", actor.user, { changes });
  }
  if (change.labels) replaceLabels(world, issue, actor, change.labels);
  if (change.assignees) replaceAssignees(world, issue, actor, change.assignees);
  if (change.state === "closed" && issue.state === "open") closeIssue(world, issue, actor, change.stateReason);
  if (change.state === "open" && issue.state === "closed") reopenIssue(world, issue, actor);
}

/** Replaces a body and remembers what it was. The caller announces it. */
export function editBody(world: World, item: Authored, actor: Actor, body: string | null, resource: string): void {
  checkBody(body, resource);
  const edit = world.identify("UserContentEdit", "UCE", {
    at: world.now(),
    editor: actor.user,
    before: item.body ?? "",
  });
  item.edits.push(edit);
  item.body = body;
  item.updatedAt = edit.at;
}

export function closeIssue(world: World, issue: Issue, actor: Actor, reason?: Issue["stateReason"]): void {
  if (issue.state === "closed") return;
  issue.state = "closed";
  issue.stateReason = issue.pull ? null : (reason ?? "completed");
  issue.closedAt = world.now();
  issue.closedBy = actor.user;
  record(world, issue, actor, "closed");
  touch(world, issue);
  if (!issue.pull) emitIssue(world, issue, "closed", actor.user);
}

export function reopenIssue(world: World, issue: Issue, actor: Actor): void {
  if (issue.state === "open") return;
  issue.state = "open";
  issue.stateReason = issue.pull ? null : "reopened";
  issue.closedAt = undefined;
  issue.closedBy = undefined;
  record(world, issue, actor, "reopened");
  touch(world, issue);
  if (!issue.pull) emitIssue(world, issue, "reopened", actor.user);
}

/** Takes an issue away for ever; its number is not used again. */
export function deleteIssue(world: World, issue: Issue, actor: Actor): void {
  const { repository } = issue;
  repository.issues.delete(issue.number);
  repository.deletedNumbers.add(issue.number);
  world.nodes.delete(issue.nodeId);
  emitIssue(world, issue, "deleted", actor.user);
}

/** Moves an issue: here it is gone, there it has the next number. Labels stay behind. */
export function transferIssue(world: World, issue: Issue, actor: Actor, target: Repository): Issue {
  const { repository, number } = issue;
  const moved = newIssue(world, target, { user: issue.author, app: issue.viaApp }, issue.title, issue.body);
  moved.comments = issue.comments.map((comment) => ({ ...comment, issue: moved }));
  emitIssue(world, moved, "opened", actor.user);
  const changes = { new_issue: issueJson(world, moved), new_repository: webhookRepository(world, target) };
  emitIssue(world, issue, "transferred", actor.user, { changes });
  repository.issues.delete(number);
  repository.transferred.set(number, moved);
  world.nodes.delete(issue.nodeId);
  return moved;
}

export function createLabel(
  world: World,
  repository: Repository,
  name: string,
  color = DEFAULT_LABEL_COLOR,
  description: string | null = null,
): Label {
  if (repository.labels.has(name.toLowerCase())) throw invalid("Label", "name", "already_exists");
  const label = world.identify("Label", "LA", { name, color, description, isDefault: false });
  repository.labels.set(name.toLowerCase(), label);
  return label;
}

/** Adds labels by name, makes those that the repository does not have; one that is there already is no event. */
export function addLabels(world: World, issue: Issue, actor: Actor, names: string[]): void {
  for (const name of names) {
    if (name.trim() === "") throw invalid("Label", "name", "missing_field");
    const label = issue.repository.labels.get(name.toLowerCase()) ?? createLabel(world, issue.repository, name);
    if (issue.labels.includes(label)) continue;
    issue.labels.push(label);
    record(world, issue, actor, "labeled", { label });
    touch(world, issue);
    emitIssue(world, issue, "labeled", actor.user, { label: labelJson(world, issue.repository, label) });
  }
}

export function removeLabel(world: World, issue: Issue, actor: Actor, name: string): void {
  const label = issue.labels.find((candidate) => candidate.name.toLowerCase() === name.toLowerCase());
  if (!label) throw new ApiError(404, "Label does not exist");
  issue.labels = issue.labels.filter((candidate) => candidate !== label);
  record(world, issue, actor, "unlabeled", { label });
  touch(world, issue);
  emitIssue(world, issue, "unlabeled", actor.user, { label: labelJson(world, issue.repository, label) });
}

export function replaceLabels(world: World, issue: Issue, actor: Actor, names: string[]): void {
  const wanted = new Set(names.map((name) => name.toLowerCase()));
  for (const label of [...issue.labels]) {
    if (!wanted.has(label.name.toLowerCase())) removeLabel(world, issue, actor, label.name);
  }
  addLabels(world, issue, actor, names);
}

export function assign(world: World, issue: Issue, actor: Actor, assignee: User): void {
  if (issue.assignees.includes(assignee)) return;
  issue.assignees.push(assignee);
  record(world, issue, actor, "assigned", { assignee });
  touch(world, issue);
  emitIssue(world, issue, "assigned", actor.user, { assignee: simpleUser(world, assignee) });
}

export function unassign(world: World, issue: Issue, actor: Actor, assignee: User): void {
  if (!issue.assignees.includes(assignee)) return;
  issue.assignees = issue.assignees.filter((user) => user !== assignee);
  record(world, issue, actor, "unassigned", { assignee });
  touch(world, issue);
  emitIssue(world, issue, "unassigned", actor.user, { assignee: simpleUser(world, assignee) });
}

function replaceAssignees(world: World, issue: Issue, actor: Actor, logins: string[]): void {
  const wanted = logins.map((login) => world.user(login));
  for (const user of [...issue.assignees]) if (!wanted.includes(user)) unassign(world, issue, actor, user);
  for (const user of wanted) assign(world, issue, actor, user);
}

export function lockIssue(world: World, issue: Issue, actor: Actor, reason: LockReason | null): void {
  if (issue.locked) return;
  issue.locked = true;
  issue.lockReason = reason;
  record(world, issue, actor, "locked", { lockReason: reason });
  touch(world, issue);
  emitIssue(world, issue, "locked", actor.user);
}

export function unlockIssue(world: World, issue: Issue, actor: Actor): void {
  if (!issue.locked) return;
  issue.locked = false;
  issue.lockReason = null;
  record(world, issue, actor, "unlocked");
  touch(world, issue);
  emitIssue(world, issue, "unlocked", actor.user);
}

export function createComment(world: World, issue: Issue, actor: Actor, body: string): Comment {
  if (body.trim() === "") throw invalid("IssueComment", "body", "missing_field");
  checkBody(body, "IssueComment");
  const comment: Comment = world.identify("IssueComment", "IC", {
    issue,
    minimizedReason: null,
    ...authored(world, actor, body),
  });
  issue.comments.push(comment);
  touch(world, issue);
  emitComment(world, comment, "created", actor.user);
  return comment;
}

export function editComment(world: World, comment: Comment, actor: Actor, body: string): void {
  if (body.trim() === "") throw invalid("IssueComment", "body", "missing_field");
  const from = comment.body;
  editBody(world, comment, actor, body, "IssueComment");
  touch(world, comment.issue);
  emitComment(world, comment, "edited", actor.user, { changes: { body: { from } } });
}

export function deleteComment(world: World, comment: Comment, actor: Actor): void {
  const { issue } = comment;
  issue.comments = issue.comments.filter((candidate) => candidate !== comment);
  world.nodes.delete(comment.nodeId);
  touch(world, issue);
  emitComment(world, comment, "deleted", actor.user);
}

/** Finds the user's reaction of this content or makes it; GitHub sends no event for reactions. */
export function react(
  world: World,
  item: Authored,
  actor: Actor,
  content: ReactionContent,
): { reaction: Reaction; created: boolean } {
  const known = item.reactions.find((reaction) => reaction.user === actor.user && reaction.content === content);
  if (known) return { reaction: known, created: false };
  const reaction = world.identify("Reaction", "REA", { user: actor.user, content, createdAt: world.now() });
  item.reactions.push(reaction);
  return { reaction, created: true };
}

/** Notes an event in the issue's history (`/issues/events`, timeline). */
export function record(
  world: World,
  issue: Issue,
  actor: Actor,
  event: string,
  facts: Partial<IssueEvent> = {},
): IssueEvent {
  const entry = world.identify("IssueEvent", "IE", {
    event,
    actor: actor.user,
    viaApp: actor.app,
    createdAt: world.now(),
    issue,
    ...facts,
  });
  issue.repository.events.push(entry);
  return entry;
}

export function touch(world: World, issue: Issue): void {
  issue.updatedAt = world.now();
}

/** Announces a change of an issue, or of a pull request under its own event name. */
function emitIssue(
  world: World,
  issue: Issue,
  action: string,
  sender: User,
  extra: Record<string, unknown> = {},
): void {
  if (issue.pull) {
    announcePull(world, issue.pull, action, sender, extra);
    return;
  }
  world.webhooks.emit({
    event: "issues",
    action,
    repository: issue.repository,
    sender,
    body: { issue: issueJson(world, issue), ...extra },
  });
}

function emitComment(
  world: World,
  comment: Comment,
  action: string,
  sender: User,
  extra: Record<string, unknown> = {},
): void {
  world.webhooks.emit({
    event: "issue_comment",
    action,
    repository: comment.issue.repository,
    sender,
    body: { issue: issueJson(world, comment.issue), comment: commentJson(world, comment), ...extra },
  });
}
