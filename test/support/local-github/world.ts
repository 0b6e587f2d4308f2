import { createPublicKey, randomBytes } from "node:crypto";
import { join } from "node:path";
import { initBare } from "./git.ts";
import type {
  Actor,
  App,
  Installation,
  Issue,
  Level,
  Permissions,
  Repository,
  Role,
  Token,
  User,
  UserType,
} from "./types.ts";
import type { Webhooks } from "./webhooks.ts";

/** Permissions of an App that may do all that a GitHub App of our kind does; narrowed by `createApp({ permissions })`. */
export const DEFAULT_PERMISSIONS: Permissions = {
  actions: "write",
  checks: "write",
  contents: "write",
  issues: "write",
  metadata: "read",
  pull_requests: "write",
  statuses: "write",
};

export const DEFAULT_EVENTS = [
  "check_run",
  "create",
  "delete",
  "issue_comment",
  "issues",
  "pull_request",
  "pull_request_review",
  "pull_request_review_comment",
  "pull_request_review_thread",
  "push",
  "repository",
  "status",
  "workflow_job",
  "workflow_run",
];

/** Events that every App gets without subscribing. */
export const UNASKED_EVENTS = ["installation", "installation_repositories"];

const TOKEN_LIFETIME_MILLISECONDS = 60 * 60 * 1000;

export interface AppInput {
  id: number;
  slug: string;
  name: string;
  /** PEM, PKCS#1 or PKCS#8. */
  privateKey: string;
  webhookSecret: string;
  webhookUrl?: string;
  owner?: string;
  permissions?: Permissions;
  events?: string[];
}

/** All state of the local GitHub except git objects, which are in bare repositories below `dataDir`. */
export class World {
  readonly dataDir: string;
  readonly now: () => Date;
  readonly users = new Map<string, User>();
  readonly apps = new Map<number, App>();
  readonly installations = new Map<number, Installation>();
  readonly repositories = new Map<number, Repository>();
  readonly tokens = new Map<string, Token>();
  readonly nodes = new Map<string, { kind: string; value: unknown }>();
  /** Manifests that were posted and wait for their conversion, by code. */
  readonly manifests = new Map<string, Record<string, unknown>>();
  readonly ghost: User;
  /** Base of every URL in answers; set once the server listens. */
  url = "";
  webhooks!: Webhooks;
  private readonly formerNames = new Map<string, Repository>();
  private lastId = 1000;

  constructor(dataDir: string, now: () => Date) {
    this.dataDir = dataDir;
    // GitHub's times have whole seconds.
    this.now = () => new Date(Math.floor(now().getTime() / 1000) * 1000);
    this.ghost = this.createUser("ghost", "User");
  }

  /** A new id and its node id; the node can then be found by GraphQL's `node(id)`. */
  identify<T>(kind: string, prefix: string, value: T): T & { id: number; nodeId: string } {
    this.lastId += 1;
    const identified = Object.assign(value as object, { id: this.lastId, nodeId: `${prefix}_${this.lastId}` });
    this.nodes.set(identified.nodeId, { kind, value: identified });
    return identified as T & { id: number; nodeId: string };
  }

  createUser(login: string, type: UserType = "User", name: string | null = null): User {
    const known = this.users.get(login.toLowerCase());
    if (known) throw new Error(`Cannot create the user ${login}: the login is taken`);
    const user = this.identify(type, type === "Organization" ? "O" : "U", {
      login,
      type,
      name,
      createdAt: this.now(),
      deleted: false,
    });
    this.users.set(login.toLowerCase(), user);
    return user;
  }

  user(login: string): User {
    const user = this.users.get(login.toLowerCase());
    if (!user) throw new Error(`There is no user ${login}: call createUser first`);
    return user;
  }

  /** Who is shown for something that this user did: the ghost after the account was deleted. */
  shown(user: User): User {
    return user.deleted ? this.ghost : user;
  }

  createApp(input: AppInput): App {
    const owner = this.users.get((input.owner ?? "github").toLowerCase()) ?? this.createUser(input.owner ?? "github");
    const app: App = {
      id: input.id,
      nodeId: `A_${input.id}`,
      slug: input.slug,
      name: input.name,
      owner,
      bot: this.createUser(`${input.slug}[bot]`, "Bot", input.name),
      publicKey: createPublicKey(input.privateKey).export({ type: "spki", format: "pem" }).toString(),
      clientId: `Iv23li${randomBytes(7).toString("hex")}`,
      permissions: input.permissions ?? DEFAULT_PERMISSIONS,
      events: input.events ?? DEFAULT_EVENTS,
      webhookSecret: input.webhookSecret,
      webhookUrl: input.webhookUrl,
      createdAt: this.now(),
    };
    this.apps.set(app.id, app);
    return app;
  }

  async createRepository(input: {
    owner: string;
    name: string;
    description?: string;
    private?: boolean;
    archived?: boolean;
    drafts?: boolean;
    defaultBranch?: string;
    collaborators?: Record<string, Role>;
    fork?: Repository;
    sizeKilobytes?: number;
  }): Promise<Repository> {
    const owner = this.users.get(input.owner.toLowerCase()) ?? this.createUser(input.owner);
    if (this.repository(`${input.owner}/${input.name}`)) {
      throw new Error(`Cannot create ${input.owner}/${input.name}: the name is taken`);
    }
    const now = this.now();
    const repository = this.identify("Repository", "R", {
      owner,
      name: input.name,
      description: input.description ?? null,
      private: input.private ?? false,
      archived: input.archived ?? false,
      drafts: input.drafts ?? true,
      fork: input.fork,
      defaultBranch: input.defaultBranch ?? "main",
      gitDir: join(this.dataDir, "git", owner.login, `${input.name}.git`),
      sizeKilobytes: input.sizeKilobytes,
      createdAt: now,
      updatedAt: now,
      pushedAt: now,
      collaborators: new Map<string, Role>(),
      labels: new Map(),
      issues: new Map(),
      events: [],
      checkRuns: [],
      statuses: [],
      workflowRuns: [],
      protections: new Map(),
      signedCommits: new Set<string>(),
      lastNumber: 0,
      deletedNumbers: new Set<number>(),
      transferred: new Map<number, Issue>(),
    });
    for (const [login, role] of Object.entries(input.collaborators ?? {})) {
      if (!this.users.has(login.toLowerCase())) this.createUser(login);
      repository.collaborators.set(login.toLowerCase(), role);
    }
    await initBare(repository.gitDir, repository.defaultBranch);
    this.repositories.set(repository.id, repository);
    return repository;
  }

  /** The repository called `owner/name`, in any case; undefined where there is none. */
  repository(fullName: string): Repository | undefined {
    const wanted = fullName.toLowerCase();
    for (const repository of this.repositories.values()) {
      if (fullNameOf(repository).toLowerCase() === wanted) return repository;
    }
    return undefined;
  }

  /** From now on it has this name; GitHub sends whoever asks for the old one on. */
  rename(repository: Repository, name: string): void {
    if (this.repository(`${repository.owner.login}/${name}`)) throw new Error(`The name ${name} is taken`);
    this.formerNames.set(fullNameOf(repository).toLowerCase(), repository);
    repository.name = name;
  }

  /** From now on it is this account's; GitHub sends whoever asks for the old name on. */
  transfer(repository: Repository, owner: User): void {
    if (this.repository(`${owner.login}/${repository.name}`)) throw new Error(`${owner.login} has ${repository.name}`);
    this.formerNames.set(fullNameOf(repository).toLowerCase(), repository);
    repository.owner = owner;
  }

  /** The repository that had this name before, unless another has it now. */
  formerly(fullName: string): Repository | undefined {
    return this.repository(fullName) ? undefined : this.formerNames.get(fullName.toLowerCase());
  }

  /** What a person may do in a repository: owner admin, then collaborators, then read where it is public. */
  role(repository: Repository, user: User): Role {
    if (user.deleted) return "none";
    if (user === repository.owner) return "admin";
    const role = repository.collaborators.get(user.login.toLowerCase());
    if (role && role !== "none") return role;
    return repository.private ? "none" : "read";
  }

  /** GitHub's author_association of a person in a repository. */
  association(repository: Repository, user: User): "OWNER" | "COLLABORATOR" | "MEMBER" | "CONTRIBUTOR" | "NONE" {
    if (user === repository.owner) return "OWNER";
    const role = repository.collaborators.get(user.login.toLowerCase());
    if (role && role !== "none" && role !== "read") {
      return repository.owner.type === "Organization" ? "MEMBER" : "COLLABORATOR";
    }
    const contributed = [...repository.issues.values()].some((issue) => issue.pull?.mergedAt && issue.author === user);
    return contributed ? "CONTRIBUTOR" : "NONE";
  }

  installationFor(app: App, repository: Repository): Installation | undefined {
    for (const installation of this.installations.values()) {
      if (installation.app === app && this.covers(installation, repository)) return installation;
    }
    return undefined;
  }

  covers(installation: Installation, repository: Repository): boolean {
    if (installation.account !== repository.owner) return false;
    return installation.selection === "all" || installation.repositories.includes(repository);
  }

  repositoriesOf(installation: Installation): Repository[] {
    return [...this.repositories.values()].filter((repository) => this.covers(installation, repository));
  }

  /** A new installation token, valid for one hour by the world's clock. */
  mintInstallationToken(installation: Installation, permissions: Permissions, repositoryIds?: number[]): Token {
    return this.keep({
      value: `ghs_${randomBytes(18).toString("hex")}`,
      user: installation.app.bot,
      installation,
      permissions,
      repositoryIds,
      expiresAt: new Date(this.now().getTime() + TOKEN_LIFETIME_MILLISECONDS),
      used: 0,
      revoked: false,
    });
  }

  /** A person's token, for git and REST; it does not expire. */
  mintUserToken(user: User): Token {
    return this.keep({
      value: `ghp_${randomBytes(18).toString("hex")}`,
      user,
      installation: undefined,
      permissions: undefined,
      repositoryIds: undefined,
      expiresAt: undefined,
      used: 0,
      revoked: false,
    });
  }

  /** The token with this value if it is still good. */
  token(value: string): Token | undefined {
    const token = this.tokens.get(value);
    if (!token || token.revoked) return undefined;
    if (token.expiresAt && token.expiresAt <= this.now()) return undefined;
    if (token.installation?.suspendedAt || (token.installation && !this.installations.has(token.installation.id))) {
      return undefined;
    }
    return token;
  }

  private keep(token: Token): Token {
    this.tokens.set(token.value, token);
    return token;
  }
}

const ROLES: Role[] = ["none", "read", "triage", "write", "maintain", "admin"];
const LEVELS: Level[] = ["read", "write", "admin"];

export function roleAtLeast(role: Role, wanted: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(wanted);
}

/** Whether permissions hold `"issues:write"` and the like; a higher level includes the lower. */
export function permits(permissions: Permissions, wanted: string): boolean {
  const [name = "", level = ""] = wanted.split(":");
  const held = permissions[name];
  return held !== undefined && LEVELS.indexOf(held) >= LEVELS.indexOf(level as Level);
}

export function fullNameOf(repository: Repository): string {
  return `${repository.owner.login}/${repository.name}`;
}

export function appActor(app: App): Actor {
  return { user: app.bot, app };
}
