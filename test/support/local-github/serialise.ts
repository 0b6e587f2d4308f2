import type { ChangedFile, CommitFacts } from "./git.ts";
import type {
  App,
  Authored,
  CheckRun,
  Comment,
  CommitStatus,
  Installation,
  Issue,
  IssueEvent,
  Label,
  Pull,
  Reaction,
  Repository,
  Review,
  ReviewComment,
  User,
} from "./types.ts";
import { fullNameOf, type World } from "./world.ts";

type Json = Record<string, unknown>;

/** GitHub's JSON of everything, with the names of its OpenAPI description. Times are ISO 8601 without fractions. */
export function time(date: Date): string {
  return date.toISOString().replace(/\.\d{3}Z$/, "Z");
}

function timeOrNull(date: Date | undefined): string | null {
  return date ? time(date) : null;
}

export function simpleUser(world: World, account: User): Json {
  const user = world.shown(account);
  const url = `${world.url}/users/${encodeURIComponent(user.login)}`;
  return {
    login: user.login,
    id: user.id,
    node_id: user.nodeId,
    avatar_url: `${world.url}/avatars/${user.id}`,
    gravatar_id: "",
    url,
    html_url:
      user.type === "Bot" ? `${world.url}/apps/${user.login.replace(/\[bot\]$/, "")}` : `${world.url}/${user.login}`,
    followers_url: `${url}/followers`,
    following_url: `${url}/following{/other_user}`,
    gists_url: `${url}/gists{/gist_id}`,
    starred_url: `${url}/starred{/owner}{/repo}`,
    subscriptions_url: `${url}/subscriptions`,
    organizations_url: `${url}/orgs`,
    repos_url: `${url}/repos`,
    events_url: `${url}/events{/privacy}`,
    received_events_url: `${url}/received_events`,
    type: user.type,
    user_view_type: "public",
    site_admin: false,
  };
}

export function publicUser(world: World, user: User): Json {
  return {
    ...simpleUser(world, user),
    name: user.name,
    company: null,
    blog: "",
    location: null,
    email: null,
    hireable: null,
    bio: null,
    public_repos: [...world.repositories.values()].filter((repository) => repository.owner === user).length,
    public_gists: 0,
    followers: 0,
    following: 0,
    created_at: time(user.createdAt),
    updated_at: time(user.createdAt),
  };
}

export function integration(world: World, app: App): Json {
  return {
    id: app.id,
    client_id: app.clientId,
    slug: app.slug,
    node_id: app.nodeId,
    owner: simpleUser(world, app.owner),
    name: app.name,
    description: "",
    external_url: `${world.url}/apps/${app.slug}`,
    html_url: `${world.url}/apps/${app.slug}`,
    created_at: time(app.createdAt),
    updated_at: time(app.createdAt),
    permissions: app.permissions,
    events: app.events,
  };
}

export function installationJson(world: World, installation: Installation): Json {
  const { account } = installation;
  return {
    id: installation.id,
    client_id: installation.app.clientId,
    account: simpleUser(world, account),
    repository_selection: installation.selection,
    access_tokens_url: `${world.url}/app/installations/${installation.id}/access_tokens`,
    repositories_url: `${world.url}/installation/repositories`,
    html_url: `${world.url}/settings/installations/${installation.id}`,
    app_id: installation.app.id,
    app_slug: installation.app.slug,
    target_id: account.id,
    target_type: account.type === "Organization" ? "Organization" : "User",
    permissions: installation.permissions,
    events: installation.app.events,
    created_at: time(installation.createdAt),
    updated_at: time(installation.updatedAt),
    single_file_name: null,
    has_multiple_single_files: false,
    single_file_paths: [],
    suspended_by: null,
    suspended_at: timeOrNull(installation.suspendedAt),
  };
}

const REPOSITORY_LINKS = {
  archive_url: "/{archive_format}{/ref}",
  assignees_url: "/assignees{/user}",
  blobs_url: "/git/blobs{/sha}",
  branches_url: "/branches{/branch}",
  collaborators_url: "/collaborators{/collaborator}",
  comments_url: "/comments{/number}",
  commits_url: "/commits{/sha}",
  compare_url: "/compare/{base}...{head}",
  contents_url: "/contents/{+path}",
  contributors_url: "/contributors",
  deployments_url: "/deployments",
  downloads_url: "/downloads",
  events_url: "/events",
  forks_url: "/forks",
  git_commits_url: "/git/commits{/sha}",
  git_refs_url: "/git/refs{/sha}",
  git_tags_url: "/git/tags{/sha}",
  hooks_url: "/hooks",
  issue_comment_url: "/issues/comments{/number}",
  issue_events_url: "/issues/events{/number}",
  issues_url: "/issues{/number}",
  keys_url: "/keys{/key_id}",
  labels_url: "/labels{/name}",
  languages_url: "/languages",
  merges_url: "/merges",
  milestones_url: "/milestones{/number}",
  notifications_url: "/notifications{?since,all,participating}",
  pulls_url: "/pulls{/number}",
  releases_url: "/releases{/id}",
  stargazers_url: "/stargazers",
  statuses_url: "/statuses/{sha}",
  subscribers_url: "/subscribers",
  subscription_url: "/subscription",
  tags_url: "/tags",
  teams_url: "/teams",
  trees_url: "/git/trees{/sha}",
};

export function repositoryUrl(world: World, repository: Repository): string {
  return `${world.url}/repos/${fullNameOf(repository)}`;
}

export function htmlUrl(world: World, repository: Repository): string {
  return `${world.url}/${fullNameOf(repository)}`;
}

function minimalRepository(world: World, repository: Repository): Json {
  const url = repositoryUrl(world, repository);
  return {
    id: repository.id,
    node_id: repository.nodeId,
    name: repository.name,
    full_name: fullNameOf(repository),
    private: repository.private,
    owner: simpleUser(world, repository.owner),
    html_url: htmlUrl(world, repository),
    description: repository.description,
    fork: repository.fork !== undefined,
    url,
    ...Object.fromEntries(Object.entries(REPOSITORY_LINKS).map(([name, path]) => [name, `${url}${path}`])),
  };
}

/** The `repository` shape of the REST description. */
export function repositoryJson(world: World, repository: Repository): Json {
  const html = htmlUrl(world, repository);
  const open = [...repository.issues.values()].filter((issue) => issue.state === "open").length;
  return {
    ...minimalRepository(world, repository),
    git_url: html.replace(/^http/, "git").concat(".git"),
    ssh_url: `git@127.0.0.1:${fullNameOf(repository)}.git`,
    clone_url: `${html}.git`,
    svn_url: html,
    homepage: null,
    size: repository.sizeKilobytes ?? 0,
    stargazers_count: 0,
    watchers_count: 0,
    language: null,
    has_issues: true,
    has_projects: false,
    has_downloads: false,
    has_wiki: false,
    has_pages: false,
    has_discussions: false,
    forks_count: 0,
    mirror_url: null,
    archived: repository.archived,
    disabled: false,
    open_issues_count: open,
    license: null,
    allow_forking: true,
    is_template: false,
    web_commit_signoff_required: false,
    topics: [],
    visibility: repository.private ? "private" : "public",
    forks: 0,
    open_issues: open,
    watchers: 0,
    default_branch: repository.defaultBranch,
    created_at: time(repository.createdAt),
    updated_at: time(repository.updatedAt),
    pushed_at: time(repository.pushedAt),
  };
}

export function fullRepository(world: World, repository: Repository): Json {
  return {
    ...repositoryJson(world, repository),
    network_count: 0,
    subscribers_count: 0,
    allow_rebase_merge: true,
    allow_squash_merge: true,
    allow_merge_commit: true,
    allow_auto_merge: false,
    delete_branch_on_merge: false,
    allow_update_branch: false,
  };
}

export function webhookRepository(world: World, repository: Repository): Json {
  return { ...repositoryJson(world, repository), custom_properties: {} };
}

export function labelJson(world: World, repository: Repository, label: Label): Json {
  return {
    id: label.id,
    node_id: label.nodeId,
    url: `${repositoryUrl(world, repository)}/labels/${encodeURIComponent(label.name)}`,
    name: label.name,
    color: label.color,
    default: label.isDefault,
    description: label.description,
  };
}

export function reactionJson(world: World, reaction: Reaction): Json {
  return {
    id: reaction.id,
    node_id: reaction.nodeId,
    user: simpleUser(world, reaction.user),
    content: reaction.content,
    created_at: time(reaction.createdAt),
  };
}

const REACTION_CONTENTS = ["+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"];

function reactionRollup(authored: Authored, url: string): Json {
  const counts = REACTION_CONTENTS.map((content) => [
    content,
    authored.reactions.filter((reaction) => reaction.content === content).length,
  ]);
  return { url: `${url}/reactions`, total_count: authored.reactions.length, ...Object.fromEntries(counts) };
}

export function issueJson(world: World, issue: Issue): Json {
  const { repository, pull } = issue;
  const url = `${repositoryUrl(world, repository)}/issues/${issue.number}`;
  const html = `${htmlUrl(world, repository)}/${pull ? "pull" : "issues"}/${issue.number}`;
  const closedChildren = issue.children.filter((child) => child.state === "closed").length;
  return {
    url,
    repository_url: repositoryUrl(world, repository),
    labels_url: `${url}/labels{/name}`,
    comments_url: `${url}/comments`,
    events_url: `${url}/events`,
    html_url: html,
    id: issue.id,
    node_id: issue.nodeId,
    number: issue.number,
    title: issue.title,
    user: simpleUser(world, issue.author),
    labels: issue.labels.map((label) => labelJson(world, repository, label)),
    state: issue.state,
    locked: issue.locked,
    assignee: issue.assignees[0] ? simpleUser(world, issue.assignees[0]) : null,
    assignees: issue.assignees.map((user) => simpleUser(world, user)),
    milestone: null,
    comments: issue.comments.length,
    created_at: time(issue.createdAt),
    updated_at: time(issue.updatedAt),
    closed_at: timeOrNull(issue.closedAt),
    author_association: world.association(repository, issue.author),
    active_lock_reason: issue.lockReason,
    ...(pull
      ? {
          draft: pull.draft,
          pull_request: {
            url: `${repositoryUrl(world, repository)}/pulls/${issue.number}`,
            html_url: html,
            diff_url: `${html}.diff`,
            patch_url: `${html}.patch`,
            merged_at: timeOrNull(pull.mergedAt),
          },
        }
      : {
          sub_issues_summary: {
            total: issue.children.length,
            completed: closedChildren,
            percent_completed: issue.children.length ? Math.floor((100 * closedChildren) / issue.children.length) : 0,
          },
          ...(issue.parent
            ? { parent_issue_url: `${repositoryUrl(world, issue.parent.repository)}/issues/${issue.parent.number}` }
            : {}),
        }),
    body: issue.body,
    closed_by: issue.closedBy ? simpleUser(world, issue.closedBy) : null,
    reactions: reactionRollup(issue, url),
    timeline_url: `${url}/timeline`,
    performed_via_github_app: issue.viaApp ? integration(world, issue.viaApp) : null,
    state_reason: issue.stateReason,
  };
}

export function commentJson(world: World, comment: Comment): Json {
  const { issue } = comment;
  const root = repositoryUrl(world, issue.repository);
  const url = `${root}/issues/comments/${comment.id}`;
  return {
    url,
    html_url: `${htmlUrl(world, issue.repository)}/${issue.pull ? "pull" : "issues"}/${issue.number}#issuecomment-${comment.id}`,
    issue_url: `${root}/issues/${issue.number}`,
    id: comment.id,
    node_id: comment.nodeId,
    user: simpleUser(world, comment.author),
    created_at: time(comment.createdAt),
    updated_at: time(comment.updatedAt),
    author_association: world.association(issue.repository, comment.author),
    body: comment.body,
    reactions: reactionRollup(comment, url),
    performed_via_github_app: comment.viaApp ? integration(world, comment.viaApp) : null,
  };
}

/** One entry of an issue's event list; with the issue inside for the list of a repository. */
export function eventJson(world: World, event: IssueEvent, withIssue: boolean): Json {
  const root = repositoryUrl(world, event.issue.repository);
  return {
    id: event.id,
    node_id: event.nodeId,
    url: `${root}/issues/events/${event.id}`,
    actor: simpleUser(world, event.actor),
    event: event.event,
    commit_id: event.commitId ?? null,
    commit_url: event.commitId ? `${root}/commits/${event.commitId}` : null,
    created_at: time(event.createdAt),
    performed_via_github_app: event.viaApp ? integration(world, event.viaApp) : null,
    ...(event.label ? { label: { name: event.label.name, color: event.label.color } } : {}),
    ...(event.rename ? { rename: event.rename } : {}),
    ...(event.event === "locked" ? { lock_reason: event.lockReason ?? null } : {}),
    ...(event.assignee
      ? { assignee: simpleUser(world, event.assignee), assigner: simpleUser(world, event.actor) }
      : {}),
    ...(event.requestedReviewer
      ? {
          requested_reviewer: simpleUser(world, event.requestedReviewer),
          review_requester: simpleUser(world, event.actor),
        }
      : {}),
    ...(withIssue ? { issue: issueJson(world, event.issue) } : {}),
  };
}

function branchEnd(world: World, repository: Repository, ref: string, sha: string): Json {
  return {
    label: `${repository.owner.login}:${ref}`,
    ref,
    sha,
    user: simpleUser(world, repository.owner),
    repo: repositoryJson(world, repository),
  };
}

/** The pull request as lists and review events show it. */
export function simplePull(world: World, pull: Pull): Json {
  const { issue } = pull;
  const { repository } = issue;
  const root = repositoryUrl(world, repository);
  const url = `${root}/pulls/${issue.number}`;
  const issueUrl = `${root}/issues/${issue.number}`;
  const html = `${htmlUrl(world, repository)}/pull/${issue.number}`;
  const statuses = `${root}/statuses/${pull.headSha}`;
  return {
    url,
    id: pull.id,
    node_id: pull.nodeId,
    html_url: html,
    diff_url: `${html}.diff`,
    patch_url: `${html}.patch`,
    issue_url: issueUrl,
    number: issue.number,
    state: issue.state,
    locked: issue.locked,
    title: issue.title,
    user: simpleUser(world, issue.author),
    body: issue.body,
    created_at: time(issue.createdAt),
    updated_at: time(issue.updatedAt),
    closed_at: timeOrNull(issue.closedAt),
    merged_at: timeOrNull(pull.mergedAt),
    merge_commit_sha: pull.mergeCommitSha,
    assignee: issue.assignees[0] ? simpleUser(world, issue.assignees[0]) : null,
    assignees: issue.assignees.map((user) => simpleUser(world, user)),
    requested_reviewers: pull.requestedReviewers.map((user) => simpleUser(world, user)),
    requested_teams: [],
    labels: issue.labels.map((label) => labelJson(world, repository, label)),
    milestone: null,
    draft: pull.draft,
    commits_url: `${url}/commits`,
    review_comments_url: `${url}/comments`,
    review_comment_url: `${root}/pulls/comments{/number}`,
    comments_url: `${issueUrl}/comments`,
    statuses_url: statuses,
    head: branchEnd(world, pull.headRepository, pull.headRef, pull.headSha),
    base: branchEnd(world, repository, pull.baseRef, pull.baseSha),
    _links: {
      self: { href: url },
      html: { href: html },
      issue: { href: issueUrl },
      comments: { href: `${issueUrl}/comments` },
      review_comments: { href: `${url}/comments` },
      review_comment: { href: `${root}/pulls/comments{/number}` },
      commits: { href: `${url}/commits` },
      statuses: { href: statuses },
    },
    author_association: world.association(repository, issue.author),
    auto_merge: null,
    active_lock_reason: issue.lockReason,
  };
}

export interface PullFigures {
  mergeable: boolean | null;
  commits: number;
  additions: number;
  deletions: number;
  changedFiles: number;
}

export function fullPull(world: World, pull: Pull, figures: PullFigures): Json {
  return {
    ...simplePull(world, pull),
    merged: pull.mergedAt !== undefined,
    mergeable: figures.mergeable,
    rebaseable: figures.mergeable,
    mergeable_state: mergeableState(pull, figures.mergeable),
    merged_by: pull.mergedBy ? simpleUser(world, pull.mergedBy) : null,
    comments: pull.issue.comments.length,
    review_comments: pull.threads.flatMap((thread) => thread.comments).length,
    maintainer_can_modify: pull.maintainerCanModify,
    commits: figures.commits,
    additions: figures.additions,
    deletions: figures.deletions,
    changed_files: figures.changedFiles,
  };
}

function mergeableState(pull: Pull, mergeable: boolean | null): string {
  if (mergeable === null) return "unknown";
  if (!mergeable) return "dirty";
  return pull.draft ? "draft" : "clean";
}

export function reviewJson(world: World, review: Review): Json {
  const { pull } = review;
  const html = `${htmlUrl(world, pull.issue.repository)}/pull/${pull.issue.number}#pullrequestreview-${review.id}`;
  const pullUrl = `${repositoryUrl(world, pull.issue.repository)}/pulls/${pull.issue.number}`;
  return {
    id: review.id,
    node_id: review.nodeId,
    user: simpleUser(world, review.author),
    body: review.body,
    state: review.state,
    html_url: html,
    pull_request_url: pullUrl,
    author_association: world.association(pull.issue.repository, review.author),
    _links: { html: { href: html }, pull_request: { href: pullUrl } },
    ...(review.submittedAt ? { submitted_at: time(review.submittedAt) } : {}),
    commit_id: review.commitId,
  };
}

/** A review in a webhook: the state is in lower case there. */
export function webhookReview(world: World, review: Review): Json {
  return {
    ...reviewJson(world, review),
    state: review.state.toLowerCase(),
    submitted_at: timeOrNull(review.submittedAt),
    updated_at: time(review.updatedAt),
  };
}

export function reviewCommentJson(world: World, comment: ReviewComment): Json {
  const { pull } = comment;
  const root = repositoryUrl(world, pull.issue.repository);
  const url = `${root}/pulls/comments/${comment.id}`;
  const html = `${htmlUrl(world, pull.issue.repository)}/pull/${pull.issue.number}#discussion_r${comment.id}`;
  const pullUrl = `${root}/pulls/${pull.issue.number}`;
  const first = comment.thread.comments[0];
  return {
    url,
    pull_request_review_id: comment.review.id,
    id: comment.id,
    node_id: comment.nodeId,
    diff_hunk: comment.diffHunk,
    path: comment.path,
    commit_id: comment.commitId,
    original_commit_id: comment.originalCommitId,
    ...(first && first !== comment ? { in_reply_to_id: first.id } : {}),
    user: simpleUser(world, comment.author),
    body: comment.body,
    created_at: time(comment.createdAt),
    updated_at: time(comment.updatedAt),
    html_url: html,
    pull_request_url: pullUrl,
    author_association: world.association(pull.issue.repository, comment.author),
    _links: { self: { href: url }, html: { href: html }, pull_request: { href: pullUrl } },
    reactions: reactionRollup(comment, url),
    start_line: comment.startLine ?? null,
    original_start_line: comment.startLine ?? null,
    start_side: comment.startLine === undefined ? null : comment.side,
    line: comment.line ?? null,
    original_line: comment.line ?? null,
    side: comment.side,
    position: comment.position,
    original_position: comment.position,
    subject_type: comment.subjectType,
  };
}

export function checkRunJson(world: World, run: CheckRun): Json {
  const root = repositoryUrl(world, run.repository);
  const url = `${root}/check-runs/${run.id}`;
  const html = `${htmlUrl(world, run.repository)}/runs/${run.id}`;
  return {
    id: run.id,
    name: run.name,
    node_id: run.nodeId,
    head_sha: run.headSha,
    external_id: run.externalId ?? "",
    url,
    html_url: html,
    details_url: run.detailsUrl ?? html,
    status: run.status,
    conclusion: run.conclusion,
    started_at: time(run.startedAt),
    completed_at: timeOrNull(run.completedAt),
    output: {
      title: run.output.title,
      summary: run.output.summary,
      text: run.output.text,
      annotations_count: run.annotations.length,
      annotations_url: `${url}/annotations`,
    },
    check_suite: { id: run.suiteId },
    app: integration(world, run.app),
    pull_requests: pullsAt(world, run.repository, run.headSha),
  };
}

/** Open pull requests of the same repository whose head is at this commit, in their short form. */
export function pullsAt(world: World, repository: Repository, sha: string): Json[] {
  return [...repository.issues.values()]
    .filter(
      (issue) => issue.state === "open" && issue.pull?.headSha === sha && issue.pull.headRepository === repository,
    )
    .map((issue) => minimalPull(world, issue.pull as Pull));
}

function minimalPull(world: World, pull: Pull): Json {
  const end = (repository: Repository, ref: string, sha: string): Json => ({
    ref,
    sha,
    repo: { id: repository.id, url: repositoryUrl(world, repository), name: repository.name },
  });
  return {
    id: pull.id,
    number: pull.issue.number,
    url: `${repositoryUrl(world, pull.issue.repository)}/pulls/${pull.issue.number}`,
    head: end(pull.headRepository, pull.headRef, pull.headSha),
    base: end(pull.issue.repository, pull.baseRef, pull.baseSha),
  };
}

export function statusJson(world: World, repository: Repository, status: CommitStatus): Json {
  return {
    url: `${repositoryUrl(world, repository)}/statuses/${status.sha}`,
    avatar_url: `${world.url}/avatars/${status.creator.id}`,
    id: status.id,
    node_id: status.nodeId,
    state: status.state,
    description: status.description,
    target_url: status.targetUrl,
    context: status.context,
    created_at: time(status.createdAt),
    updated_at: time(status.createdAt),
    creator: simpleUser(world, status.creator),
  };
}

export function verification(repository: Repository, sha: string): Json {
  const signed = repository.signedCommits.has(sha);
  return {
    verified: signed,
    reason: signed ? "valid" : "unsigned",
    signature: signed ? "-----BEGIN PGP SIGNATURE-----" : null,
    payload: signed ? `tree of ${sha}` : null,
    verified_at: null,
  };
}

/** A commit as `/repos/{owner}/{repo}/commits` shows it; files and stats where they are given. */
export function commitJson(world: World, repository: Repository, commit: CommitFacts, files?: ChangedFile[]): Json {
  const root = repositoryUrl(world, repository);
  const html = htmlUrl(world, repository);
  const additions = files?.reduce((sum, file) => sum + file.additions, 0) ?? 0;
  const deletions = files?.reduce((sum, file) => sum + file.deletions, 0) ?? 0;
  return {
    sha: commit.sha,
    node_id: `C_${commit.sha}`,
    commit: {
      author: { name: commit.author.name, email: commit.author.email, date: time(commit.author.date) },
      committer: { name: commit.committer.name, email: commit.committer.email, date: time(commit.committer.date) },
      message: commit.message,
      tree: { sha: commit.tree, url: `${root}/git/trees/${commit.tree}` },
      url: `${root}/git/commits/${commit.sha}`,
      comment_count: 0,
      verification: verification(repository, commit.sha),
    },
    url: `${root}/commits/${commit.sha}`,
    html_url: `${html}/commit/${commit.sha}`,
    comments_url: `${root}/commits/${commit.sha}/comments`,
    author: accountOf(world, commit.author.email),
    committer: accountOf(world, commit.committer.email),
    parents: commit.parents.map((sha) => ({
      sha,
      url: `${root}/commits/${sha}`,
      html_url: `${html}/commit/${sha}`,
    })),
    ...(files
      ? {
          stats: { total: additions + deletions, additions, deletions },
          files: files.map((file) => fileJson(world, repository, commit.sha, file)),
        }
      : {}),
  };
}

/** The account whose no-reply address this is: `<id>+<login>@users.noreply.github.com`. */
function accountOf(world: World, email: string): Json | null {
  const login = /^(?:\d+\+)?(.+)@users\.noreply\./.exec(email)?.[1];
  const user = login ? world.users.get(login.toLowerCase()) : undefined;
  return user ? simpleUser(world, user) : null;
}

export function noReplyAddress(user: User): string {
  return `${user.id}+${user.login}@users.noreply.github.com`;
}

export function fileJson(world: World, repository: Repository, sha: string, file: ChangedFile): Json {
  const path = file.path.split("/").map(encodeURIComponent).join("/");
  return {
    sha: file.blobSha,
    filename: file.path,
    status: file.status,
    additions: file.additions,
    deletions: file.deletions,
    changes: file.additions + file.deletions,
    blob_url: `${htmlUrl(world, repository)}/blob/${sha}/${path}`,
    raw_url: `${htmlUrl(world, repository)}/raw/${sha}/${path}`,
    contents_url: `${repositoryUrl(world, repository)}/contents/${path}?ref=${sha}`,
    ...(file.previousPath ? { previous_filename: file.previousPath } : {}),
    ...(file.patch === undefined ? {} : { patch: file.patch }),
  };
}
