import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import { join, relative, sep } from "node:path";
import { allComments } from "./domain/reviews.ts";
import { Faults } from "./faults.ts";
import { git, type TreeChange, writeBlob, writeCommit, writeTree } from "./git.ts";
import { GraphQl } from "./graphql.ts";
import { OpenApi } from "./openapi.ts";
import { Person } from "./people.ts";
import { ROUTES } from "./routes/index.ts";
import { installationJson, noReplyAddress, simpleUser } from "./serialise.ts";
import { listen, type RequestObserver, type RequestRecord, type Violation } from "./server.ts";
import type {
  App,
  Comment,
  Installation,
  Issue,
  Permissions,
  Protection,
  Pull,
  Repository,
  ReviewComment,
  Role,
  User,
  UserType,
} from "./types.ts";
import { type Delivery, type Disturbance, Webhooks } from "./webhooks.ts";
import { type AppInput, appActor, fullNameOf, World } from "./world.ts";

export interface LocalGitHubOptions {
  /** 0 or nothing: any free port of 127.0.0.1. */
  port?: number;
  /** Where the bare repositories go. */
  dataDir: string;
  app: AppInput;
  /** Time for everything that is dated, and for the expiry of tokens. Default: the machine's. */
  clock?: () => Date;
  /** Check every answer and webhook against GitHub's OpenAPI description. Default true; requests are always checked. */
  validateAnswers?: boolean;
}

export interface RepositoryInput {
  owner: string;
  name: string;
  description?: string;
  /** The first commit's files. */
  files?: Record<string, string>;
  /** A directory whose files make the first commit (`.git` and `node_modules` are left out). */
  fromDirectory?: string;
  /** A bare repository or clone to take all branches and tags from. */
  fromGit?: string;
  private?: boolean;
  archived?: boolean;
  drafts?: boolean;
  defaultBranch?: string;
  collaborators?: Record<string, Role>;
  /** `owner/name` of the repository that this one is a fork of; takes its branches. */
  forkOf?: string;
  /** What REST says the size is, in kilobytes; default what git counts. */
  sizeKilobytes?: number;
}

/** What a test may look at in a repository. */
export interface RepositoryView {
  readonly entity: Repository;
  /** Path of the real bare repository. */
  readonly gitDir: string;
  /** Plain issues, by number. */
  readonly issues: Issue[];
  readonly pulls: Pull[];
  /** All comments on issues and pull requests, oldest first. */
  readonly comments: Comment[];
  readonly reviewComments: ReviewComment[];
  issue(number: number): Issue;
  pull(number: number): Pull;
  /** Branch name → SHA. */
  branches(): Promise<Record<string, string>>;
  /** The text of a file at a branch, tag or commit; undefined where there is none. */
  file(path: string, ref?: string): Promise<string | undefined>;
  /** Runs git on the bare repository and returns its output. */
  git(...args: string[]): Promise<string>;
}

/** Shared by all instances of the process: schemas are compiled once. */
const openApi = new OpenApi();

/** Collects violations; judgements that need compiled schemas wait until somebody asks. */
class Judge {
  readonly known: Violation[] = [];
  private readonly pending: { kind: Violation["kind"]; where: string; check: () => string[] }[] = [];

  later(kind: Violation["kind"], where: string, check: () => string[]): void {
    this.pending.push({ kind, where, check });
  }

  violations(): Violation[] {
    for (const { kind, where, check } of this.pending.splice(0)) {
      const problems = check();
      if (problems.length > 0) this.known.push({ kind, where, problems });
    }
    return this.known;
  }
}

/** A GitHub of one process, on real bare git repositories, for tests and the demo. */
export class LocalGitHub {
  /** Base of REST, also below `/api/v3`; GraphQL is at `/graphql` and `/api/graphql`. */
  readonly url: string;
  /** Base of git over HTTP: `${gitUrl}/owner/repo.git`. */
  readonly gitUrl: string;
  readonly app: App;
  readonly faults: Faults;
  readonly requests: RequestRecord[];
  readonly world: World;
  private readonly server: Server;
  private readonly judge: Judge;
  private readonly observers: Set<RequestObserver>;

  constructor(parts: {
    world: World;
    server: Server;
    app: App;
    faults: Faults;
    requests: RequestRecord[];
    judge: Judge;
    observers: Set<RequestObserver>;
  }) {
    this.world = parts.world;
    this.server = parts.server;
    this.app = parts.app;
    this.faults = parts.faults;
    this.requests = parts.requests;
    this.judge = parts.judge;
    this.observers = parts.observers;
    this.url = parts.world.url;
    this.gitUrl = parts.world.url;
  }

  /** What would not have happened on the real GitHub; a test ends with `expect(gh.violations).toEqual([])`. */
  get violations(): Violation[] {
    return this.judge.violations();
  }

  get deliveries(): Delivery[] {
    return this.world.webhooks.deliveries;
  }

  /** Stops the server; open connections are cut after pending deliveries have ended. */
  async close(): Promise<void> {
    await this.settled();
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeAllConnections();
    await closed;
  }

  /** Resolves when all webhook deliveries under way have been answered or have failed. */
  settled(): Promise<void> {
    return this.world.webhooks.settled();
  }

  setWebhookUrl(url: string | undefined): void {
    this.app.webhookUrl = url;
  }

  /** Calls back before each request is handled, e.g. to let somebody edit an issue at the n-th call. Returns the way to stop. */
  onRequest(observer: RequestObserver): () => void {
    this.observers.add(observer);
    return () => this.observers.delete(observer);
  }

  redeliver(id: string): Promise<Delivery> {
    return this.world.webhooks.redeliver(id);
  }

  /** From now on loses, doubles and reorders shares of webhook deliveries, repeatably by seed. `{}` ends it. */
  disturb(disturbance: Disturbance): void {
    this.world.webhooks.disturb(disturbance);
  }

  createUser(login: string, { type = "User", name }: { type?: UserType; name?: string } = {}): User {
    return this.world.createUser(login, type, name ?? null);
  }

  /** The account is gone: what it wrote shows the ghost, and it may do nothing. */
  deleteUser(login: string): void {
    this.world.user(login).deleted = true;
  }

  /** Another App besides the one under test. */
  createApp(input: AppInput): App {
    return this.world.createApp(input);
  }

  setRole(repository: string, login: string, role: Role): void {
    this.repository(repository).entity.collaborators.set(login.toLowerCase(), role);
  }

  /** Gives a repository another name; the old one goes on leading to it. */
  renameRepository(repository: string, name: string): void {
    const { entity } = this.repository(repository);
    const from = entity.name;
    this.world.rename(entity, name);
    const changes = { repository: { name: { from } } };
    this.world.webhooks.emit({
      event: "repository",
      action: "renamed",
      repository: entity,
      sender: entity.owner,
      body: { changes },
    });
  }

  /** Gives a repository to another account, whose installations see it from now on; the old name goes on leading to it. */
  transferRepository(repository: string, owner: string): void {
    const { entity } = this.repository(repository);
    const from = { user: simpleUser(this.world, entity.owner) };
    const { owner: sender } = entity;
    this.world.transfer(entity, this.world.user(owner));
    const changes = { owner: { from } };
    this.world.webhooks.emit({
      event: "repository",
      action: "transferred",
      repository: entity,
      sender,
      body: { changes },
    });
  }

  /** The repository is gone, with everything in it. */
  deleteRepository(repository: string): void {
    const { entity } = this.repository(repository);
    this.world.webhooks.emit({
      event: "repository",
      action: "deleted",
      repository: entity,
      sender: entity.owner,
      body: {},
    });
    this.world.repositories.delete(entity.id);
  }

  setArchived(repository: string, archived: boolean): void {
    this.repository(repository).entity.archived = archived;
  }

  /** Rules for a branch, for pushes and for REST alike; undefined takes them away. */
  async protect(repository: string, branch: string, protection: Partial<Protection> | undefined): Promise<void> {
    const { entity } = this.repository(repository);
    if (protection) {
      const rules = { requirePullRequest: false, allowForcePushes: false, requiredChecks: [], ...protection };
      entity.protections.set(branch, rules);
    } else {
      entity.protections.delete(branch);
    }
    await writeProtections(entity);
  }

  async createRepository(input: RepositoryInput): Promise<RepositoryView> {
    const fork = input.forkOf ? this.repository(input.forkOf).entity : undefined;
    const { files, fromDirectory, fromGit, forkOf: _forkOf, ...facts } = input;
    const repository = await this.world.createRepository({ ...facts, fork });
    const source = fromGit ?? fork?.gitDir;
    if (source) {
      const refs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
      await git(repository.gitDir, ["fetch", "--quiet", source, ...refs]);
    } else if (fromDirectory || files) {
      const all = { ...(fromDirectory ? await filesBelow(fromDirectory) : {}), ...fromStrings(files ?? {}) };
      await firstCommit(this.world, repository, all);
    }
    return this.repository(fullNameOf(repository));
  }

  /** Installs an App (default: the one under test) on an account, on all its repositories or on some. */
  install(input: {
    owner: string;
    repositories?: string[];
    permissions?: Permissions;
    app?: App;
    sender?: string;
  }): Installation {
    const { world } = this;
    const account = world.user(input.owner);
    const app = input.app ?? this.app;
    const repositories = (input.repositories ?? []).map((name) => this.named(input.owner, name));
    const installation = world.identify("Installation", "IN", {
      app,
      account,
      selection: input.repositories ? ("selected" as const) : ("all" as const),
      repositories,
      permissions: input.permissions ?? app.permissions,
      createdAt: world.now(),
      updatedAt: world.now(),
      suspendedAt: undefined,
    });
    world.installations.set(installation.id, installation);
    const shown = world.repositoriesOf(installation).map(brief);
    this.announce(installation, "created", input.sender, { repositories: shown, requester: null });
    return installation;
  }

  uninstall(installation: Installation, sender?: string): void {
    const repositories = this.world.repositoriesOf(installation).map(brief);
    this.announce(installation, "deleted", sender, { repositories, requester: null });
    this.world.installations.delete(installation.id);
  }

  suspend(installation: Installation, suspended = true, sender?: string): void {
    installation.suspendedAt = suspended ? this.world.now() : undefined;
    this.announce(installation, suspended ? "suspend" : "unsuspend", sender, {});
  }

  addRepository(installation: Installation, repository: string, sender?: string): void {
    const { entity } = this.repository(repository);
    installation.repositories.push(entity);
    this.announceRepositories(installation, "added", [entity], sender);
  }

  removeRepository(installation: Installation, repository: string, sender?: string): void {
    const { entity } = this.repository(repository);
    installation.repositories = installation.repositories.filter((candidate) => candidate !== entity);
    this.announceRepositories(installation, "removed", [entity], sender);
  }

  /** A person (or bot account) at work; an App acts by `asApp`. */
  as(login: string): Person {
    return new Person(this.world, { user: this.world.user(login), app: null });
  }

  asApp(app: App): Person {
    return new Person(this.world, appActor(app));
  }

  /** A token of a person, for REST and for git (`x-access-token:<token>`). */
  tokenOf(login: string): string {
    return this.world.mintUserToken(this.world.user(login)).value;
  }

  /** A token of an installation, as the App would get it by REST. */
  installationToken(installation: Installation, permissions: Permissions = installation.permissions): string {
    return this.world.mintInstallationToken(installation, permissions).value;
  }

  repository(fullName: string): RepositoryView {
    const entity = this.world.repository(fullName);
    if (!entity) throw new Error(`There is no repository ${fullName}`);
    return view(entity);
  }

  /** Forgets the violations so far, for tests that provoke them. Returns what was forgotten. */
  forgiveViolations(): Violation[] {
    return this.violations.splice(0);
  }

  private named(owner: string, name: string): Repository {
    return this.repository(name.includes("/") ? name : `${owner}/${name}`).entity;
  }

  private announce(
    installation: Installation,
    action: string,
    sender: string | undefined,
    extra: Record<string, unknown>,
  ): void {
    this.world.webhooks.emit({
      event: "installation",
      action,
      sender: sender ? this.world.user(sender) : installation.account,
      installation,
      body: { installation: installationJson(this.world, installation), ...extra },
    });
  }

  private announceRepositories(
    installation: Installation,
    action: "added" | "removed",
    repositories: Repository[],
    sender: string | undefined,
  ): void {
    const shown = repositories.map(brief);
    this.world.webhooks.emit({
      event: "installation_repositories",
      action,
      sender: sender ? this.world.user(sender) : installation.account,
      installation,
      body: {
        installation: installationJson(this.world, installation),
        repository_selection: installation.selection,
        repositories_added: action === "added" ? shown : [],
        repositories_removed: action === "removed" ? shown : [],
        requester: null,
      },
    });
  }
}

/**
 * Starts a local GitHub on 127.0.0.1: REST, GraphQL, git over HTTP and signed webhooks, with one App registered.
 * Throws when the port is taken.
 */
export async function startLocalGitHub(options: LocalGitHubOptions): Promise<LocalGitHub> {
  const world = new World(options.dataDir, options.clock ?? (() => new Date()));
  const judge = new Judge();
  const requests: RequestRecord[] = [];
  const faults = new Faults();
  const observers = new Set<RequestObserver>();
  const validateAnswers = options.validateAnswers ?? true;
  world.webhooks = new Webhooks(world, (event, action, payload) => {
    if (!validateAnswers) return;
    judge.later("webhook", `${event}.${action ?? ""}`, () => openApi.checkWebhook(event, action, payload));
  });
  const violations = judge.known;
  const judgeLater = judge.later.bind(judge);
  const graphql = new GraphQl(world, (where, problems) => violations.push({ kind: "graphql", where, problems }));
  const parts = {
    world,
    routes: ROUTES,
    openApi,
    graphql,
    faults,
    requests,
    violations,
    validateAnswers,
    judgeLater,
    observers,
    arrived: { count: 0 },
  };
  const { server, port } = await listen(parts, options.port ?? 0);
  world.url = `http://127.0.0.1:${port}`;
  const app = world.createApp(options.app);
  return new LocalGitHub({ world, server, app, faults, requests, judge, observers });
}

function brief(repository: Repository) {
  return {
    id: repository.id,
    node_id: repository.nodeId,
    name: repository.name,
    full_name: fullNameOf(repository),
    private: repository.private,
  };
}

function view(entity: Repository): RepositoryView {
  const all = (): Issue[] => [...entity.issues.values()];
  return {
    entity,
    gitDir: entity.gitDir,
    get issues() {
      return all().filter((issue) => !issue.pull);
    },
    get pulls() {
      return all().flatMap((issue) => (issue.pull ? [issue.pull] : []));
    },
    get comments() {
      return all()
        .flatMap((issue) => issue.comments)
        .sort((a, b) => a.id - b.id);
    },
    get reviewComments() {
      return all().flatMap((issue) => (issue.pull ? allComments(issue.pull) : []));
    },
    issue(number) {
      const issue = entity.issues.get(number);
      if (!issue) throw new Error(`There is no issue ${fullNameOf(entity)}#${number}`);
      return issue;
    },
    pull(number) {
      const pull = entity.issues.get(number)?.pull;
      if (!pull) throw new Error(`There is no pull request ${fullNameOf(entity)}#${number}`);
      return pull;
    },
    async branches() {
      const text = await git(entity.gitDir, [
        "for-each-ref",
        "--format=%(refname:lstrip=2) %(objectname)",
        "refs/heads",
      ]);
      return Object.fromEntries(
        text
          .split("\n")
          .filter(Boolean)
          .map((line) => line.split(" ")),
      );
    },
    file(path, ref = entity.defaultBranch) {
      return git(entity.gitDir, ["cat-file", "blob", `${ref}:${path}`]).then(
        (text) => text,
        () => undefined,
      );
    },
    git: (...args) => git(entity.gitDir, args),
  };
}

function fromStrings(files: Record<string, string>): Record<string, { content: Buffer; mode: string }> {
  return Object.fromEntries(
    Object.entries(files).map(([path, content]) => [path, { content: Buffer.from(content), mode: "100644" }]),
  );
}

async function filesBelow(directory: string): Promise<Record<string, { content: Buffer; mode: string }>> {
  const files: Record<string, { content: Buffer; mode: string }> = {};
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name);
    const path = relative(directory, file).split(sep).join("/");
    if (!entry.isFile() || /(^|\/)(\.git|node_modules)(\/|$)/.test(path)) continue;
    const executable = ((await stat(file)).mode & 0o100) !== 0;
    files[path] = { content: await readFile(file), mode: executable ? "100755" : "100644" };
  }
  return files;
}

async function firstCommit(
  world: World,
  repository: Repository,
  files: Record<string, { content: Buffer; mode: string }>,
): Promise<void> {
  const changes: TreeChange[] = [];
  for (const [path, { content, mode }] of Object.entries(files)) {
    changes.push({ path, mode, sha: await writeBlob(repository.gitDir, content) });
  }
  const { owner } = repository;
  const identity = { name: owner.name ?? owner.login, email: noReplyAddress(owner), date: world.now() };
  const tree = await writeTree(repository.gitDir, undefined, changes);
  const commit = { tree, parents: [], message: "Initial commit\n", author: identity, committer: identity };
  const sha = await writeCommit(repository.gitDir, commit);
  await git(repository.gitDir, ["update-ref", `refs/heads/${repository.defaultBranch}`, sha]);
}

/** The file that the update hook reads: one line "ref rule" for each protected branch. */
async function writeProtections(repository: Repository): Promise<void> {
  const lines = [...repository.protections].map(([branch, { requirePullRequest, allowForcePushes }]) => {
    const rule = requirePullRequest ? "pull-request" : allowForcePushes ? "force" : "no-force";
    return `refs/heads/${branch} ${rule}\n`;
  });
  await writeFile(join(repository.gitDir, "protected-branches"), lines.join(""));
}

export type { RequestRecord, Violation } from "./server.ts";
export type { Delivery } from "./webhooks.ts";
