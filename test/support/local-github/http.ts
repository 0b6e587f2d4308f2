import { ApiError, forbidden, notFound } from "./errors.ts";
import type { Actor, App, Comment, Installation, Issue, Pull, Repository, Role, Token } from "./types.ts";
import { appActor, permits, roleAtLeast, type World } from "./world.ts";

export type Method = "GET" | "POST" | "PATCH" | "PUT" | "DELETE";

/** Who sent a request, by its Authorization header. */
export type Principal = { kind: "anonymous" } | { kind: "app"; app: App } | { kind: "token"; token: Token };

export interface Reply {
  status: number;
  body?: unknown;
  /** For media types other than JSON; then `body` is not sent. */
  text?: { content: string | Buffer; type: string };
  headers?: Record<string, string>;
}

export interface RouteRules {
  /** Permissions of an installation token, any one of which is enough, e.g. `["issues:write", "pull_requests:write"]`. */
  needs?: string[];
  /** What a person's token needs; default read for GET, write for the rest. */
  role?: Role;
  /** Who may call it: the App itself by its JSON Web Token, an installation, or anyone; default by `needs` and `role`. */
  caller?: "app" | "installation" | "anyone";
  /** For a route that GitHub serves without describing it: the operation whose answer it gives. */
  describedAs?: string;
  /** Allowed in an archived repository although it writes. */
  archived?: boolean;
}

export interface Route {
  method: Method;
  /** The path in GitHub's OpenAPI description. */
  template: string;
  rules: RouteRules;
  pattern: RegExp;
  handle(call: Call): Reply | Promise<Reply>;
}

/** Parameters that may hold slashes. */
const DEEP = new Set(["path", "ref", "basehead", "branch"]);

/** A route by its method and OpenAPI path: `route("GET /repos/{owner}/{repo}", { needs: ["metadata:read"] }, …)`. */
export function route(operation: string, rules: RouteRules, handle: (call: Call) => Reply | Promise<Reply>): Route {
  const [method, template = ""] = operation.split(" ");
  const source = template.replaceAll(".", "\\.").replace(/\{(\w+)\}/g, (_all, name: string) => {
    return DEEP.has(name) ? `(?<${name}>.+?)` : `(?<${name}>[^/]+)`;
  });
  // A client leaves out the slash before an empty path: the contents of the root.
  const pattern = new RegExp(`^${source.replace(/\/\(\?<path>\.\+\?\)$/, "(?:/(?<path>.*?))?")}/?$`);
  return { method: method as Method, template, rules, pattern, handle };
}

/** The routes in the order in which they are tried: literal before parameter, so `/issues/comments` before `/issues/{n}`. */
export function orderRoutes(routes: Route[]): Route[] {
  const key = (template: string): string =>
    template
      .replace(/\{(path|ref|basehead|branch)\}$/, "\uffff")
      .replace(/\{(path|ref|basehead|branch)\}/g, "~~")
      .replace(/\{/g, "~");
  return [...routes].sort((a, b) => (key(a.template) < key(b.template) ? -1 : 1));
}

const DEFAULT_PER_PAGE = 30;
const MAX_PER_PAGE = 100;

/** One request on its way through a route: who, what, and the answers in GitHub's form. */
export class Call {
  readonly world: World;
  readonly principal: Principal;
  readonly method: Method;
  readonly url: URL;
  readonly params: Record<string, string>;
  readonly query: Record<string, string>;
  // biome-ignore lint/suspicious/noExplicitAny: the body was validated against the OpenAPI description before.
  readonly body: any;
  readonly accept: string;

  constructor(input: {
    world: World;
    principal: Principal;
    method: Method;
    url: URL;
    params: Record<string, string>;
    body: unknown;
    accept: string;
  }) {
    this.world = input.world;
    this.principal = input.principal;
    this.method = input.method;
    this.url = input.url;
    this.params = input.params;
    this.query = Object.fromEntries(input.url.searchParams);
    this.body = input.body ?? {};
    this.accept = input.accept;
  }

  get app(): App {
    if (this.principal.kind !== "app") throw new ApiError(401, "A JSON web token could not be decoded");
    return this.principal.app;
  }

  /** The installation whose token this is. */
  get installation(): Installation {
    const installation = this.principal.kind === "token" ? this.principal.token.installation : undefined;
    if (!installation)
      throw forbidden("You must authenticate with an installation access token in order to use this endpoint.");
    return installation;
  }

  /** The person or bot that acts; 401 without one. */
  get actor(): Actor {
    if (this.principal.kind !== "token") throw new ApiError(401, "Requires authentication");
    const { token } = this.principal;
    return token.installation ? appActor(token.installation.app) : { user: token.user, app: null };
  }

  /** The repository in the path; 404 where the caller may not know of it. */
  get repository(): Repository {
    const { owner, repo, repository_id: id } = this.params;
    const repository =
      id === undefined ? this.world.repository(`${owner}/${repo}`) : this.world.repositories.get(Number(id));
    if (!repository || !this.sees(repository)) throw notFound();
    return repository;
  }

  /** The issue or pull request in the path. */
  get issue(): Issue {
    const number = Number(this.params.issue_number);
    const issue = this.repository.issues.get(number);
    if (issue) return issue;
    const moved = this.repository.transferred.get(number);
    // Only whoever may read it where it is now is told where that is.
    if (moved && this.method === "GET" && this.sees(moved.repository) && /\/issues\/\d+$/.test(this.url.pathname)) {
      const location = `${this.world.url}/repositories/${moved.repository.id}/issues/${moved.number}`;
      throw new ApiError(301, "Moved Permanently", undefined, { location });
    }
    throw this.repository.deletedNumbers.has(number) ? new ApiError(410, "This issue was deleted") : notFound();
  }

  get pull(): Pull {
    const pull = this.repository.issues.get(Number(this.params.pull_number))?.pull;
    if (!pull) throw notFound();
    return pull;
  }

  get comment(): Comment {
    for (const issue of this.repository.issues.values()) {
      const comment = issue.comments.find((candidate) => candidate.id === Number(this.params.comment_id));
      if (comment) return comment;
    }
    throw notFound();
  }

  sees(repository: Repository): boolean {
    if (!repository.private) return true;
    if (this.principal.kind !== "token") return this.principal.kind === "app" && this.appSees(repository);
    const { token } = this.principal;
    return token.installation ? this.covered(repository) : roleAtLeast(this.world.role(repository, token.user), "read");
  }

  /** Throws GitHub's refusal when the caller may not use this route. */
  authorise(rules: RouteRules): void {
    if (rules.caller === "app") {
      this.app;
      return;
    }
    if (rules.caller === "installation") {
      this.installation;
      return;
    }
    if (rules.caller === "anyone") return;
    if (this.principal.kind === "app" && rules.needs) throw forbidden();
    if (this.params.repo === undefined && this.params.repository_id === undefined) {
      if (this.method !== "GET") this.actor;
      return;
    }
    const { repository } = this;
    const writes = this.method !== "GET";
    if (this.principal.kind === "token") this.authoriseToken(this.principal.token, repository, rules, writes);
    else if (writes) throw new ApiError(401, "Requires authentication");
    if (writes && repository.archived && !rules.archived) {
      throw forbidden("Repository was archived so is read-only.");
    }
  }

  private authoriseToken(token: Token, repository: Repository, rules: RouteRules, writes: boolean): void {
    if (!token.installation) {
      const role = this.world.role(repository, token.user);
      if (!roleAtLeast(role, rules.role ?? (writes ? "write" : "read"))) {
        throw writes ? forbidden("Must have admin rights to Repository.") : notFound();
      }
      return;
    }
    if (!this.covered(repository)) {
      if (writes) throw forbidden();
      return;
    }
    const needs = rules.needs ?? [];
    // A plain issue is not reachable by permission on pull requests.
    const issue = repository.issues.get(Number(this.params.issue_number));
    const counted = issue && !issue.pull ? needs.filter((need) => !need.startsWith("pull_requests")) : needs;
    const held: Record<string, "read" | "write" | "admin"> = { metadata: "read", ...token.permissions };
    if (needs.length > 0 && !counted.some((need) => permits(held, need))) throw forbidden();
  }

  private covered(repository: Repository): boolean {
    if (this.principal.kind !== "token" || !this.principal.token.installation) return false;
    const { installation, repositoryIds } = this.principal.token;
    return this.world.covers(installation, repository) && (repositoryIds?.includes(repository.id) ?? true);
  }

  private appSees(repository: Repository): boolean {
    return this.principal.kind === "app" && this.world.installationFor(this.principal.app, repository) !== undefined;
  }

  /** One page of a list with the Link header; `wrap` for lists inside an object with a total count. */
  page<T>(
    items: T[],
    show: (item: T) => unknown,
    wrap: (page: unknown[], total: number) => unknown = (page) => page,
  ): Reply {
    const perPage = Math.min(Math.max(Number(this.query.per_page ?? DEFAULT_PER_PAGE), 1), MAX_PER_PAGE);
    const page = Math.max(Number(this.query.page ?? 1), 1);
    const last = Math.max(Math.ceil(items.length / perPage), 1);
    const shown = items.slice((page - 1) * perPage, page * perPage).map(show);
    const links: string[] = [];
    const link = (number: number, relation: string): void => {
      const url = new URL(this.url);
      url.searchParams.set("page", String(number));
      links.push(`<${url.href}>; rel="${relation}"`);
    };
    if (page > 1) link(page - 1, "prev");
    if (page < last) link(page + 1, "next");
    if (page < last) link(last, "last");
    if (page > 1) link(1, "first");
    return { status: 200, body: wrap(shown, items.length), headers: links.length ? { link: links.join(", ") } : {} };
  }
}

export function ok(body: unknown): Reply {
  return { status: 200, body };
}

export function created(body: unknown): Reply {
  return { status: 201, body };
}

export function noContent(): Reply {
  return { status: 204 };
}
