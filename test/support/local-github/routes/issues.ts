import {
  addLabels,
  assign,
  changeIssue,
  createComment,
  createLabel,
  deleteComment,
  editComment,
  lockIssue,
  openIssue,
  removeLabel,
  replaceLabels,
  unassign,
  unlockIssue,
} from "../domain/issues.ts";
import { ApiError, forbidden, invalid, notFound } from "../errors.ts";
import { type Call, created, noContent, ok, type Route, route } from "../http.ts";
import { commentJson, issueJson, labelJson } from "../serialise.ts";
import type { Comment, Issue } from "../types.ts";
import { roleAtLeast } from "../world.ts";

const READ = ["issues:read", "pull_requests:read"];
const WRITE = ["issues:write", "pull_requests:write"];
const ISSUES = "/repos/{owner}/{repo}/issues";
const ISSUE = `${ISSUES}/{issue_number}`;
const COMMENT = `${ISSUES}/comments/{comment_id}`;
const LABELS = "/repos/{owner}/{repo}/labels";

export const issueRoutes: Route[] = [
  route(`GET ${ISSUES}`, { needs: READ }, (call) => {
    const issues = [...call.repository.issues.values()].filter((issue) => listed(call, issue));
    return call.page(ordered(call, issues), (issue) => issueJson(call.world, issue));
  }),
  route(`POST ${ISSUES}`, { needs: ["issues:write"], role: "read" }, (call) => {
    const { title, body, labels, assignees } = call.body;
    const names = (labels ?? []).map((label: string | { name: string }) =>
      typeof label === "string" ? label : label.name,
    );
    const issue = openIssue(call.world, call.repository, call.actor, {
      title: String(title),
      body,
      labels: names,
      assignees,
    });
    return created(issueJson(call.world, issue));
  }),
  route(`GET ${ISSUE}`, { needs: READ }, (call) => ok(issueJson(call.world, call.issue))),
  route(`PATCH ${ISSUE}`, { needs: WRITE, role: "triage" }, (call) => {
    const { title, body, state, state_reason: stateReason, labels, assignees } = call.body;
    const names = labels?.map((label: string | { name: string }) => (typeof label === "string" ? label : label.name));
    const { issue } = call;
    changeIssue(call.world, issue, call.actor, {
      ...(title === undefined || title === null ? {} : { title: String(title) }),
      body,
      state,
      stateReason,
      labels: names,
      assignees,
    });
    return ok(issueJson(call.world, issue));
  }),
  route(`PUT ${ISSUE}/lock`, { needs: WRITE }, (call) => {
    lockIssue(call.world, call.issue, call.actor, call.body.lock_reason ?? null);
    return noContent();
  }),
  route(`DELETE ${ISSUE}/lock`, { needs: WRITE }, (call) => {
    unlockIssue(call.world, call.issue, call.actor);
    return noContent();
  }),
  route(`POST ${ISSUE}/assignees`, { needs: WRITE }, (call) => {
    const { issue } = call;
    for (const login of call.body.assignees ?? []) {
      const user = call.world.users.get(login.toLowerCase());
      // GitHub leaves out silently who cannot be assigned.
      if (user && roleAtLeast(call.world.role(call.repository, user), "triage"))
        assign(call.world, issue, call.actor, user);
    }
    return created(issueJson(call.world, issue));
  }),
  route(`DELETE ${ISSUE}/assignees`, { needs: WRITE }, (call) => {
    const { issue } = call;
    for (const user of issue.assignees.filter((each) => call.body.assignees?.includes(each.login))) {
      unassign(call.world, issue, call.actor, user);
    }
    return ok(issueJson(call.world, issue));
  }),

  route(`GET ${ISSUE}/labels`, { needs: READ }, (call) => issueLabels(call)),
  route(`POST ${ISSUE}/labels`, { needs: WRITE, role: "triage" }, (call) => {
    addLabels(call.world, call.issue, call.actor, labelNames(call));
    return allLabels(call);
  }),
  route(`PUT ${ISSUE}/labels`, { needs: WRITE, role: "triage" }, (call) => {
    replaceLabels(call.world, call.issue, call.actor, labelNames(call));
    return allLabels(call);
  }),
  route(`DELETE ${ISSUE}/labels`, { needs: WRITE, role: "triage" }, (call) => {
    replaceLabels(call.world, call.issue, call.actor, []);
    return noContent();
  }),
  route(`DELETE ${ISSUE}/labels/{name}`, { needs: WRITE, role: "triage" }, (call) => {
    removeLabel(call.world, call.issue, call.actor, call.params.name ?? "");
    return allLabels(call);
  }),
  route(`GET ${LABELS}`, { needs: READ }, (call) =>
    call.page([...call.repository.labels.values()], (label) => labelJson(call.world, call.repository, label)),
  ),
  route(`POST ${LABELS}`, { needs: WRITE }, (call) => {
    const { name, color, description } = call.body;
    if (color !== undefined && !/^[0-9a-f]{6}$/i.test(color)) throw invalid("Label", "color", "invalid");
    const label = createLabel(call.world, call.repository, name, color, description ?? null);
    return created(labelJson(call.world, call.repository, label));
  }),
  route(`GET ${LABELS}/{name}`, { needs: READ }, (call) => {
    const label = call.repository.labels.get((call.params.name ?? "").toLowerCase());
    if (!label) throw notFound();
    return ok(labelJson(call.world, call.repository, label));
  }),
  route(`PATCH ${LABELS}/{name}`, { needs: WRITE }, (call) => {
    const { labels } = call.repository;
    const label = labels.get((call.params.name ?? "").toLowerCase());
    if (!label) throw notFound();
    const { new_name: newName, color, description } = call.body;
    if (newName && newName.toLowerCase() !== label.name.toLowerCase() && labels.has(newName.toLowerCase())) {
      throw invalid("Label", "name", "already_exists");
    }
    labels.delete(label.name.toLowerCase());
    Object.assign(label, { name: newName ?? label.name, color: color ?? label.color });
    if (description !== undefined) label.description = description;
    labels.set(label.name.toLowerCase(), label);
    return ok(labelJson(call.world, call.repository, label));
  }),
  route(`DELETE ${LABELS}/{name}`, { needs: WRITE }, (call) => {
    const { labels, issues } = call.repository;
    const label = labels.get((call.params.name ?? "").toLowerCase());
    if (!label) throw notFound();
    labels.delete(label.name.toLowerCase());
    for (const issue of issues.values()) issue.labels = issue.labels.filter((each) => each !== label);
    return noContent();
  }),

  route(`GET ${ISSUE}/comments`, { needs: READ }, (call) => {
    const comments = call.issue.comments.filter((comment) => since(call, comment.updatedAt));
    return call.page(comments, (comment) => commentJson(call.world, comment));
  }),
  route(`POST ${ISSUE}/comments`, { needs: WRITE, role: "read" }, (call) => {
    const { issue } = call;
    const role = call.world.role(call.repository, call.actor.user);
    if (issue.locked && !call.actor.app && !roleAtLeast(role, "write")) {
      throw forbidden("Unable to create comment because issue is locked.");
    }
    return created(commentJson(call.world, createComment(call.world, issue, call.actor, call.body.body)));
  }),
  route(`GET ${ISSUES}/comments`, { needs: READ }, (call) => {
    const all = [...call.repository.issues.values()].flatMap((issue) => issue.comments);
    const comments = all.filter((comment) => since(call, comment.updatedAt));
    return call.page(orderedComments(call, comments), (comment) => commentJson(call.world, comment));
  }),
  route(`GET ${COMMENT}`, { needs: READ }, (call) => ok(commentJson(call.world, call.comment))),
  route(`PATCH ${COMMENT}`, { needs: WRITE, role: "read" }, (call) => {
    const { comment } = call;
    mayChange(call, comment);
    editComment(call.world, comment, call.actor, call.body.body);
    return ok(commentJson(call.world, comment));
  }),
  route(`DELETE ${COMMENT}`, { needs: WRITE, role: "read" }, (call) => {
    const { comment } = call;
    mayChange(call, comment);
    deleteComment(call.world, comment, call.actor);
    return noContent();
  }),

  route(`GET ${ISSUE}/sub_issues`, { needs: ["issues:read"] }, (call) =>
    call.page(call.issue.children, (child) => issueJson(call.world, child)),
  ),
  route(`POST ${ISSUE}/sub_issues`, { needs: ["issues:write"], role: "triage" }, (call) => {
    const child = [...call.world.repositories.values()]
      .filter((repository) => call.sees(repository))
      .flatMap((repository) => [...repository.issues.values()])
      .find((candidate) => candidate.id === call.body.sub_issue_id);
    if (!child) throw new ApiError(404, "The provided sub-issue does not exist");
    if (child.parent && !call.body.replace_parent) {
      throw new ApiError(422, "Validation Failed", ["Sub-issue already has a parent"]);
    }
    if (child.parent) child.parent.children = child.parent.children.filter((each) => each !== child);
    child.parent = call.issue;
    call.issue.children.push(child);
    return created(issueJson(call.world, call.issue));
  }),
  route(`GET ${ISSUE}/parent`, { needs: ["issues:read"] }, (call) => {
    if (!call.issue.parent) throw notFound();
    return ok(issueJson(call.world, call.issue.parent));
  }),
];

function listed(call: Call, issue: Issue): boolean {
  const { state = "open", labels, creator, assignee } = call.query;
  if (state !== "all" && issue.state !== state) return false;
  if (!since(call, issue.updatedAt)) return false;
  if (creator && issue.author.login.toLowerCase() !== creator.toLowerCase()) return false;
  if (assignee === "none" && issue.assignees.length > 0) return false;
  if (assignee === "*" && issue.assignees.length === 0) return false;
  if (assignee && assignee !== "none" && assignee !== "*" && !issue.assignees.some((user) => user.login === assignee)) {
    return false;
  }
  const wanted = labels ? labels.split(",").map((name) => name.trim().toLowerCase()) : [];
  return wanted.every((name) => issue.labels.some((label) => label.name.toLowerCase() === name));
}

function ordered(call: Call, issues: Issue[]): Issue[] {
  const { sort = "created", direction = "desc" } = call.query;
  const key = (issue: Issue): number => {
    if (sort === "comments") return issue.comments.length;
    return (sort === "updated" ? issue.updatedAt : issue.createdAt).getTime();
  };
  const ascending = [...issues].sort((a, b) => key(a) - key(b) || a.number - b.number);
  return direction === "asc" ? ascending : ascending.reverse();
}

function orderedComments(call: Call, comments: Comment[]): Comment[] {
  const { sort, direction } = call.query;
  const key = (comment: Comment): number => {
    if (sort === undefined) return comment.id;
    return (sort === "updated" ? comment.updatedAt : comment.createdAt).getTime();
  };
  const ascending = [...comments].sort((a, b) => key(a) - key(b) || a.id - b.id);
  return sort !== undefined && direction !== "asc" ? ascending.reverse() : ascending;
}

/** GitHub's `since` includes the second that it names. */
function since(call: Call, updatedAt: Date): boolean {
  return call.query.since === undefined || updatedAt >= new Date(call.query.since);
}

/** A person changes own comments, with write access also those of others, as an App with issues:write does. */
function mayChange(call: Call, comment: Comment): void {
  const { user, app } = call.actor;
  if (app || comment.author === user) return;
  if (!roleAtLeast(call.world.role(call.repository, user), "write"))
    throw forbidden("Must have admin rights to Repository.");
}

function labelNames(call: Call): string[] {
  const labels = Array.isArray(call.body) ? call.body : (call.body.labels ?? []);
  return labels.map((label: string | { name: string }) => (typeof label === "string" ? label : label.name));
}

function issueLabels(call: Call) {
  return call.page(call.issue.labels, (label) => labelJson(call.world, call.repository, label));
}

function allLabels(call: Call) {
  return ok(call.issue.labels.map((label) => labelJson(call.world, call.repository, label)));
}
