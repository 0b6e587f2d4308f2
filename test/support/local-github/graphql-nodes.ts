import { pullCommits } from "./domain/announce.ts";
import { allComments } from "./domain/reviews.ts";
import { htmlUrl, time } from "./serialise.ts";
import type {
  Authored,
  Comment,
  Edit,
  Issue,
  Label,
  Pull,
  Reaction,
  Repository,
  Review,
  ReviewComment,
  Thread,
  User,
} from "./types.ts";
import { fullNameOf, type World } from "./world.ts";

/** A value of GraphQL: a plain object whose functions are fields with arguments or fields that are made when asked for. */
export type Node = { __typename: string } & Record<string, unknown>;
export type Field = (args: Record<string, unknown>) => unknown;

/** The GraphQL view of an entity of the world. */
export function node(world: World, kind: string, value: unknown): Node {
  const make = VIEWS[kind];
  if (!make) throw new Error(`There is no GraphQL view of ${kind}`);
  return make(world, value);
}

// biome-ignore lint/suspicious/noExplicitAny: the key names the type of the value.
const VIEWS: Record<string, (world: World, value: any) => Node> = {
  User: viewUser,
  Bot: viewUser,
  Organization: viewUser,
  Mannequin: viewUser,
  Repository: viewRepository,
  Issue: viewIssue,
  PullRequest: viewPull,
  IssueComment: viewComment,
  PullRequestReview: viewReview,
  PullRequestReviewComment: viewReviewComment,
  PullRequestReviewThread: viewThread,
  Label: viewLabel,
  UserContentEdit: viewEdit,
};

/** A connection in GitHub's form: first/last/after/before, edges, nodes, totalCount and pageInfo. */
function connection<T>(type: string, items: T[], view: (item: T) => unknown): Field {
  return (args) => {
    const { first, last, after, before } = args as { first?: number; last?: number; after?: string; before?: string };
    const from = after ? Number(Buffer.from(after, "base64").toString()) + 1 : 0;
    const to = before ? Number(Buffer.from(before, "base64").toString()) : items.length;
    let slice = items.map((item, at) => ({ item, at })).slice(from, to);
    const hasNextPage = first !== undefined && first !== null && slice.length > first;
    const hasPreviousPage = last !== undefined && last !== null && slice.length > last;
    if (first !== undefined && first !== null) slice = slice.slice(0, first);
    if (last !== undefined && last !== null) slice = slice.slice(-last);
    const edges = slice.map(({ item, at }) => ({
      __typename: `${type}Edge`,
      cursor: Buffer.from(String(at)).toString("base64"),
      node: view(item),
    }));
    return {
      __typename: `${type}Connection`,
      totalCount: items.length,
      nodes: edges.map((edge) => edge.node),
      edges,
      pageInfo: {
        __typename: "PageInfo",
        hasNextPage,
        hasPreviousPage: hasPreviousPage || from > 0,
        startCursor: edges[0]?.cursor ?? null,
        endCursor: edges.at(-1)?.cursor ?? null,
      },
    };
  };
}

function viewUser(world: World, account: User): Node {
  const user = world.shown(account);
  return {
    __typename: user.type,
    id: user.nodeId,
    databaseId: user.id,
    // GraphQL names a bot without the suffix that REST has.
    login: user.login.replace(/\[bot\]$/, ""),
    name: user.name,
    url: `${world.url}/${user.login}`,
    resourcePath: `/${user.login}`,
  };
}

function viewRepository(world: World, repository: Repository): Node {
  const issues = [...repository.issues.values()];
  const open = (state: unknown, item: Issue): boolean =>
    !Array.isArray(state) || state.includes(item.pull?.mergedAt ? "MERGED" : item.state.toUpperCase());
  return {
    __typename: "Repository",
    id: repository.nodeId,
    databaseId: repository.id,
    name: repository.name,
    nameWithOwner: fullNameOf(repository),
    isPrivate: repository.private,
    isArchived: repository.archived,
    url: htmlUrl(world, repository),
    owner: viewUser(world, repository.owner),
    defaultBranchRef: { __typename: "Ref", name: repository.defaultBranch, prefix: "refs/heads/" },
    issue: ((args) => {
      const issue = repository.issues.get(Number(args.number));
      return issue && !issue.pull ? viewIssue(world, issue) : null;
    }) satisfies Field,
    pullRequest: ((args) => {
      const pull = repository.issues.get(Number(args.number))?.pull;
      return pull ? viewPull(world, pull) : null;
    }) satisfies Field,
    issueOrPullRequest: ((args) => {
      const issue = repository.issues.get(Number(args.number));
      if (!issue) return null;
      return issue.pull ? viewPull(world, issue.pull) : viewIssue(world, issue);
    }) satisfies Field,
    issues: ((args) => {
      const listed = issues.filter((issue) => !issue.pull && open(args.states, issue));
      return connection("Issue", listed, (issue) => viewIssue(world, issue))(args);
    }) satisfies Field,
    pullRequests: ((args) => {
      const listed = issues.filter((issue) => issue.pull && open(args.states, issue));
      return connection("PullRequest", listed, (issue) => viewPull(world, issue.pull as Pull))(args);
    }) satisfies Field,
  };
}

/** What everything with a body has in common. */
function written(world: World, item: Authored, repository: Repository): Record<string, unknown> {
  const last = item.edits.at(-1);
  return {
    id: item.nodeId,
    databaseId: item.id,
    fullDatabaseId: String(item.id),
    author: item.author.deleted ? null : viewUser(world, item.author),
    authorAssociation: world.association(repository, item.author),
    body: item.body ?? "",
    createdAt: time(item.createdAt),
    updatedAt: time(item.updatedAt),
    lastEditedAt: last ? time(last.at) : null,
    editor: last ? viewUser(world, last.editor) : null,
    includesCreatedEdit: item.edits.length > 0,
    userContentEdits: connection("UserContentEdit", item.edits.toReversed(), (edit) => viewEdit(world, edit)),
    reactions: reactions(world, item),
    repository: () => viewRepository(world, repository),
  };
}

function reactions(world: World, item: Authored): Field {
  const name = (content: string): string =>
    ({ "+1": "THUMBS_UP", "-1": "THUMBS_DOWN" })[content] ?? content.toUpperCase();
  return (args) => {
    const listed = item.reactions.filter((reaction) => !args.content || name(reaction.content) === args.content);
    return connection("Reaction", listed, (reaction: Reaction) => ({
      __typename: "Reaction",
      id: reaction.nodeId,
      databaseId: reaction.id,
      content: name(reaction.content),
      createdAt: time(reaction.createdAt),
      user: reaction.user.type === "User" ? viewUser(world, reaction.user) : null,
    }))(args);
  };
}

function viewEdit(world: World, edit: Edit & { nodeId?: string }): Node {
  return {
    __typename: "UserContentEdit",
    id: edit.nodeId ?? String(edit.id),
    editedAt: time(edit.at),
    createdAt: time(edit.at),
    updatedAt: time(edit.at),
    deletedAt: null,
    deletedBy: null,
    diff: edit.before,
    editor: viewUser(world, edit.editor),
  };
}

function viewLabel(_world: World, label: Label): Node {
  return {
    __typename: "Label",
    id: label.nodeId,
    name: label.name,
    color: label.color,
    description: label.description,
    isDefault: label.isDefault,
  };
}

function viewIssue(world: World, issue: Issue): Node {
  return {
    __typename: "Issue",
    ...subject(world, issue),
    url: `${htmlUrl(world, issue.repository)}/issues/${issue.number}`,
    state: issue.state.toUpperCase(),
    stateReason: issue.stateReason?.toUpperCase() ?? null,
    parent: () => (issue.parent ? viewIssue(world, issue.parent) : null),
    subIssues: connection("Issue", issue.children, (child) => viewIssue(world, child)),
  };
}

function subject(world: World, issue: Issue): Record<string, unknown> {
  return {
    ...written(world, issue, issue.repository),
    number: issue.number,
    title: issue.title,
    closed: issue.state === "closed",
    closedAt: issue.closedAt ? time(issue.closedAt) : null,
    locked: issue.locked,
    labels: connection("Label", issue.labels, (label) => viewLabel(world, label)),
    comments: connection("IssueComment", issue.comments, (comment) => viewComment(world, comment)),
    timelineItems: renames(issue),
  };
}

/** Of the timeline only the changes of the title. */
function renames(issue: Issue): Field {
  return (args) => {
    if (JSON.stringify(args.itemTypes) !== '["RENAMED_TITLE_EVENT"]') {
      throw new Error("Only RENAMED_TITLE_EVENT of a timeline is known here");
    }
    const events = issue.repository.events.filter((event) => event.issue === issue && event.event === "renamed");
    return connection("IssueTimelineItems", events, (event) => ({
      __typename: "RenamedTitleEvent",
      id: event.nodeId,
      createdAt: time(event.createdAt),
      previousTitle: event.rename?.from ?? "",
      currentTitle: event.rename?.to ?? "",
    }))(args);
  };
}

function viewComment(world: World, comment: Comment): Node {
  const { issue } = comment;
  const path = `${issue.pull ? "pull" : "issues"}/${issue.number}#issuecomment-${comment.id}`;
  return {
    __typename: "IssueComment",
    ...written(world, comment, issue.repository),
    ...minimized(comment.minimizedReason),
    url: `${htmlUrl(world, issue.repository)}/${path}`,
    issue: () => viewIssue(world, issue),
    pullRequest: () => (issue.pull ? viewPull(world, issue.pull) : null),
  };
}

function minimized(reason: string | null): Record<string, unknown> {
  return { isMinimized: reason !== null, minimizedReason: reason };
}

function viewPull(world: World, pull: Pull): Node {
  const { issue } = pull;
  const commit = (sha: string): Node => ({ __typename: "Commit", id: `C_${sha}`, oid: sha });
  return {
    __typename: "PullRequest",
    ...subject(world, issue),
    id: pull.nodeId,
    databaseId: pull.id,
    fullDatabaseId: String(pull.id),
    url: `${htmlUrl(world, issue.repository)}/pull/${issue.number}`,
    state: pull.mergedAt ? "MERGED" : issue.state.toUpperCase(),
    isDraft: pull.draft,
    merged: pull.mergedAt !== undefined,
    headRefName: pull.headRef,
    headRefOid: pull.headSha,
    baseRefName: pull.baseRef,
    baseRefOid: pull.baseSha,
    reviewDecision: null,
    commits: async (args: Record<string, unknown>) =>
      connection("PullRequestCommit", await pullCommits(pull), (each) => ({
        __typename: "PullRequestCommit",
        id: `PRC_${each.sha}`,
        commit: { ...commit(each.sha), message: each.message },
      }))(args),
    reviews: connection(
      "PullRequestReview",
      pull.reviews.filter((review) => review.state !== "PENDING"),
      (review) => viewReview(world, review),
    ),
    reviewThreads: connection("PullRequestReviewThread", pull.threads, (thread) => viewThread(world, thread)),
  };
}

function viewReview(world: World, review: Review): Node {
  const comments = allComments(review.pull).filter((comment) => comment.review === review);
  return {
    __typename: "PullRequestReview",
    ...written(world, review, review.pull.issue.repository),
    state: review.state,
    submittedAt: review.submittedAt ? time(review.submittedAt) : null,
    pullRequest: () => viewPull(world, review.pull),
    comments: connection("PullRequestReviewComment", comments, (comment) => viewReviewComment(world, comment)),
  };
}

function viewReviewComment(world: World, comment: ReviewComment): Node {
  const { pull } = comment;
  const first = comment.thread.comments[0];
  return {
    __typename: "PullRequestReviewComment",
    ...written(world, comment, pull.issue.repository),
    ...minimized(comment.minimizedReason),
    path: comment.path,
    line: comment.line ?? null,
    originalLine: comment.line ?? null,
    startLine: comment.startLine ?? null,
    diffHunk: comment.diffHunk,
    outdated: comment.commitId !== pull.headSha,
    url: `${htmlUrl(world, pull.issue.repository)}/pull/${pull.issue.number}#discussion_r${comment.id}`,
    replyTo: () => (first && first !== comment ? viewReviewComment(world, first) : null),
    pullRequestReview: () => viewReview(world, comment.review),
    pullRequest: () => viewPull(world, pull),
  };
}

function viewThread(world: World, thread: Thread): Node {
  const first = thread.comments[0];
  return {
    __typename: "PullRequestReviewThread",
    id: thread.nodeId,
    isResolved: thread.resolvedBy !== undefined,
    isOutdated: first !== undefined && first.commitId !== thread.pull.headSha,
    isCollapsed: thread.resolvedBy !== undefined,
    path: first?.path ?? "",
    line: first?.line ?? null,
    startLine: first?.startLine ?? null,
    originalLine: first?.line ?? null,
    resolvedBy: thread.resolvedBy ? viewUser(world, thread.resolvedBy) : null,
    pullRequest: () => viewPull(world, thread.pull),
    repository: () => viewRepository(world, thread.pull.issue.repository),
    comments: connection("PullRequestReviewComment", thread.comments, (comment) => viewReviewComment(world, comment)),
  };
}
