import {
  buildSchema,
  execute,
  type GraphQLSchema,
  Kind,
  type OperationDefinitionNode,
  parse,
  Source,
  validate,
} from "graphql";
import { setDraft } from "./domain/pulls.ts";
import { moveRef } from "./domain/refs.ts";
import { resolveThread } from "./domain/reviews.ts";
import { ApiError } from "./errors.ts";
import { GitError, refSha, writeBlob, writeCommit, writeTree } from "./git.ts";
import { type Field, type Node, node } from "./graphql-nodes.ts";
import { Call, type Principal } from "./http.ts";
import { noReplyAddress } from "./serialise.ts";
import type { Actor, Comment, Pull, Repository, ReviewComment, Thread } from "./types.ts";
import { permits, roleAtLeast, type World } from "./world.ts";

interface Asked {
  query?: unknown;
  variables?: unknown;
  operationName?: unknown;
}

interface Context {
  world: World;
  principal: Principal;
  actor: Actor;
}

/**
 * The GraphQL operations that have no REST route, executed against GitHub's published schema. A query which that
 * schema refuses gets GitHub's error and is reported; so is a field that this stand-in does not know.
 */
export class GraphQl {
  private readonly world: World;
  private readonly report: (where: string, problems: string[]) => void;

  constructor(world: World, report: (where: string, problems: string[]) => void) {
    this.world = world;
    this.report = report;
  }

  /** Answers `{ data, errors? }`; read at the first call, which takes about a second. */
  async execute(body: unknown, principal: Principal, actor: Actor): Promise<unknown> {
    const { query, variables, operationName } = (body ?? {}) as Asked;
    if (typeof query !== "string") throw new ApiError(400, "A query attribute must be specified and must be a string.");
    const published = await publishedSchema();
    try {
      const document = parse(new Source(query));
      const errors = validate(published, document);
      if (errors.length > 0) {
        this.report(
          nameOf(document.definitions[0] as OperationDefinitionNode),
          errors.map((error) => error.message),
        );
        return { errors: errors.map((error) => error.toJSON()) };
      }
      const result = await execute({
        schema: published,
        document,
        rootValue: undefined,
        contextValue: { world: this.world, principal, actor } satisfies Context,
        variableValues: (variables ?? {}) as Record<string, unknown>,
        operationName: typeof operationName === "string" ? operationName : undefined,
        fieldResolver: (source, args, context, info) =>
          this.resolve(source, args, context, info.parentType.name, info.fieldName),
        typeResolver: (value) => (value as Node).__typename,
      });
      return {
        data: result.data,
        ...(result.errors
          ? {
              errors: result.errors.map((error) => ({
                ...(error.originalError instanceof GraphQlError ? { type: error.originalError.type } : {}),
                message: error.message,
                path: error.path,
                locations: error.locations,
              })),
            }
          : {}),
      };
    } catch (error) {
      this.report("document", [(error as Error).message]);
      return { errors: [{ message: (error as Error).message }] };
    }
  }

  private async resolve(
    source: Node | undefined,
    args: Record<string, unknown>,
    context: Context,
    type: string,
    field: string,
  ): Promise<unknown> {
    const root = type === "Query" ? QUERIES[field] : type === "Mutation" ? MUTATIONS[field] : undefined;
    if (root) return root(args, context);
    const value = source && field in source ? source[field] : undefined;
    if (value === undefined) {
      this.report(`${type}.${field}`, ["is in GitHub's schema but not in this stand-in"]);
      throw new GraphQlError("NOT_IMPLEMENTED", `${type}.${field} is not known here`);
    }
    return typeof value === "function" ? (value as Field)(args) : value;
  }
}

let reading: Promise<GraphQLSchema> | undefined;

/** GitHub's schema, read once for all instances of the process, when it is first needed. */
function publishedSchema(): Promise<GraphQLSchema> {
  reading ??= import("@octokit/graphql-schema").then(({ schema }) =>
    buildSchema(schema.idl, { assumeValidSDL: true, noLocation: true }),
  );
  return reading;
}

class GraphQlError extends Error {
  readonly type: string;
  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

type Resolver = (args: Record<string, unknown>, context: Context) => unknown;

const QUERIES: Record<string, Resolver> = {
  // Only here a bot has the suffix of its REST login.
  viewer: (_args, { world, actor }) => ({ ...node(world, "User", actor.user), login: actor.user.login }),
  node: (args, context) => {
    const found = context.world.nodes.get(String(args.id));
    const repository = found ? repositoryOf(found.value) : undefined;
    if (!found || (repository && !sees(context, repository))) throw unresolved(String(args.id));
    return node(context.world, found.kind, found.value);
  },
  nodes: (args, context) =>
    (args.ids as string[]).map((id) => {
      const found = context.world.nodes.get(id);
      return found ? node(context.world, found.kind, found.value) : null;
    }),
  repository: (args, context) => {
    const name = `${args.owner}/${args.name}`;
    const repository = context.world.repository(name);
    if (!repository || !sees(context, repository)) {
      throw new GraphQlError("NOT_FOUND", `Could not resolve to a Repository with the name '${name}'.`);
    }
    return node(context.world, "Repository", repository);
  },
  rateLimit: () => ({ __typename: "RateLimit", limit: 5000, cost: 1, remaining: 4999, used: 1 }),
};

const MUTATIONS: Record<string, Resolver> = {
  minimizeComment: (args, context) => {
    const { subjectId, classifier, clientMutationId } = input(args);
    const comment = find<Comment | ReviewComment>(context, subjectId, ["IssueComment", "PullRequestReviewComment"]);
    need(context, comment, ["issues:write", "pull_requests:write"]);
    comment.minimizedReason = String(classifier).toLowerCase().replace("_", "-");
    const kind = context.world.nodes.get(comment.nodeId)?.kind ?? "";
    return payload("MinimizeCommentPayload", clientMutationId, {
      minimizedComment: node(context.world, kind, comment),
    });
  },
  unminimizeComment: (args, context) => {
    const { subjectId, clientMutationId } = input(args);
    const comment = find<Comment | ReviewComment>(context, subjectId, ["IssueComment", "PullRequestReviewComment"]);
    need(context, comment, ["issues:write", "pull_requests:write"]);
    comment.minimizedReason = null;
    const kind = context.world.nodes.get(comment.nodeId)?.kind ?? "";
    return payload("UnminimizeCommentPayload", clientMutationId, {
      unminimizedComment: node(context.world, kind, comment),
    });
  },
  markPullRequestReadyForReview: (args, context) => draft(args, context, false, "MarkPullRequestReadyForReviewPayload"),
  convertPullRequestToDraft: (args, context) => draft(args, context, true, "ConvertPullRequestToDraftPayload"),
  resolveReviewThread: (args, context) => resolve(args, context, true, "ResolveReviewThreadPayload"),
  unresolveReviewThread: (args, context) => resolve(args, context, false, "UnresolveReviewThreadPayload"),
  createCommitOnBranch: (args, context) => commitOnBranch(args, context),
};

function draft(args: Record<string, unknown>, context: Context, wanted: boolean, type: string): unknown {
  const { pullRequestId, clientMutationId } = input(args);
  const pull = find<Pull>(context, pullRequestId, ["PullRequest"]);
  need(context, pull, ["pull_requests:write"]);
  if (pull.issue.state === "closed") throw new GraphQlError("UNPROCESSABLE", "Pull request is closed");
  setDraft(context.world, pull, context.actor, wanted);
  return payload(type, clientMutationId, { pullRequest: node(context.world, "PullRequest", pull) });
}

function resolve(args: Record<string, unknown>, context: Context, wanted: boolean, type: string): unknown {
  const { threadId, clientMutationId } = input(args);
  const thread = find<Thread>(context, threadId, ["PullRequestReviewThread"]);
  need(context, thread, ["pull_requests:write"]);
  resolveThread(context.world, thread, context.actor, wanted);
  return payload(type, clientMutationId, { thread: node(context.world, "PullRequestReviewThread", thread) });
}

/** https://docs.github.com/graphql/reference/mutations#createcommitonbranch: a signed commit, compare-and-set on the head. */
async function commitOnBranch(args: Record<string, unknown>, context: Context): Promise<unknown> {
  const { world, actor } = context;
  const { branch, message, expectedHeadOid, fileChanges, clientMutationId } = input(args) as {
    branch: { repositoryNameWithOwner?: string; branchName?: string };
    message: { headline: string; body?: string };
    expectedHeadOid: string;
    fileChanges?: { additions?: { path: string; contents: string }[]; deletions?: { path: string }[] };
    clientMutationId?: string;
  };
  const repository = world.repository(branch.repositoryNameWithOwner ?? "");
  const name = (branch.branchName ?? "").replace(/^refs\/heads\//, "");
  if (!repository || !sees(context, repository)) throw new GraphQlError("NOT_FOUND", "Could not resolve the branch");
  need(context, repository, ["contents:write"]);
  const ref = `refs/heads/${name}`;
  const before = await refSha(repository.gitDir, ref);
  if (!before) throw new GraphQlError("NOT_FOUND", `No such branch ${name}`);
  const stale = new GraphQlError(
    "STALE_DATA",
    `Expected branch to point to "${expectedHeadOid}" but it did not. Pull and try again.`,
  );
  if (before !== expectedHeadOid) throw stale;
  const added = (fileChanges?.additions ?? []).map(async ({ path, contents }) => ({
    path,
    mode: "100644",
    sha: await writeBlob(repository.gitDir, Buffer.from(contents, "base64")),
  }));
  const deleted = (fileChanges?.deletions ?? []).map(({ path }) => ({ path, mode: "0", sha: null }));
  const who = { name: actor.user.login, email: noReplyAddress(actor.user), date: world.now() };
  const sha = await writeCommit(repository.gitDir, {
    tree: await writeTree(repository.gitDir, before, [...(await Promise.all(added)), ...deleted]),
    parents: [before],
    message: [message.headline, message.body].filter(Boolean).join("\n\n"),
    author: who,
    committer: { ...who, name: "GitHub", email: "noreply@github.com" },
  });
  repository.signedCommits.add(sha);
  try {
    await moveRef(world, repository, actor, { ref, before, after: sha });
  } catch (error) {
    throw error instanceof GitError ? stale : error;
  }
  const commit = {
    __typename: "Commit",
    id: `C_${sha}`,
    oid: sha,
    url: `${world.url}/${branch.repositoryNameWithOwner}/commit/${sha}`,
  };
  return payload("CreateCommitOnBranchPayload", clientMutationId, {
    commit,
    ref: { __typename: "Ref", id: `REF_${sha}`, name, prefix: "refs/heads/", target: commit },
  });
}

function input(args: Record<string, unknown>): Record<string, unknown> {
  return args.input as Record<string, unknown>;
}

function payload(type: string, clientMutationId: unknown, fields: Record<string, unknown>): unknown {
  return { __typename: type, clientMutationId: clientMutationId ?? null, ...fields };
}

function find<T>(context: Context, id: unknown, kinds: string[]): T {
  const found = context.world.nodes.get(String(id));
  const repository = found ? repositoryOf(found.value) : undefined;
  if (!found || !kinds.includes(found.kind) || !repository || !sees(context, repository)) throw unresolved(String(id));
  return found.value as T;
}

function unresolved(id: string): GraphQlError {
  return new GraphQlError("NOT_FOUND", `Could not resolve to a node with the global id of '${id}'`);
}

interface Located {
  gitDir?: string;
  repository?: Repository;
  issue?: Located;
  pull?: Located;
}

function repositoryOf(value: unknown): Repository | undefined {
  const located = value as Located | undefined;
  if (!located) return undefined;
  if (located.gitDir) return located as Repository;
  return located.repository ?? repositoryOf(located.issue ?? located.pull);
}

function sees(context: Context, repository: Repository): boolean {
  return callOf(context).sees(repository);
}

function callOf({ world, principal }: Context): Call {
  const url = new URL(world.url);
  return new Call({ world, principal, method: "POST", url, params: {}, body: {}, accept: "" });
}

/** Throws GitHub's FORBIDDEN when the caller's token or role does not reach for a write. */
function need(context: Context, subject: unknown, permissions: string[]): void {
  const repository = repositoryOf(subject);
  const { principal, world, actor } = context;
  const token = principal.kind === "token" ? principal.token : undefined;
  const allowed =
    repository &&
    (token?.installation
      ? world.covers(token.installation, repository) &&
        (token.repositoryIds?.includes(repository.id) ?? true) &&
        permissions.some((permission) => permits(token.permissions ?? {}, permission))
      : roleAtLeast(world.role(repository, actor.user), "write"));
  if (!allowed) throw new GraphQlError("FORBIDDEN", "Resource not accessible by integration");
  if (repository.archived) throw new GraphQlError("UNPROCESSABLE", "Repository was archived so is read-only.");
}

function nameOf(definition: OperationDefinitionNode | undefined): string {
  if (!definition || definition.kind !== Kind.OPERATION_DEFINITION) return "document";
  return `${definition.operation} ${definition.name?.value ?? ""}`.trim();
}
