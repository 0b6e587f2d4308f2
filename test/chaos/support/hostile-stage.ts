import { type ChildProcess, spawn } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Child, startMain, webhookPath } from "../../run/child.ts";
import { appId, privateKey, startGitHub } from "../../support/local-app.ts";
import type { LocalGitHub, RepositoryInput, RepositoryView } from "../../support/local-github/index.ts";
import { startPostgres } from "../../support/postgres.ts";
import { type RawReply, type RawRequest, startRawModel } from "../../support/scripted-model.ts";
import { type Canary, createFinder, newCanary } from "./canaries.ts";
import {
  type DatabaseDump,
  dumpDatabase,
  filesBelow,
  type Outbound,
  objectsOf,
  pushedPacks,
  type Recorder,
  requestsOf,
  searchOutbound,
  startRecorder,
} from "./outbound.ts";

/** A question of the worker to the model, with the attack that the issue's title names. */
export interface Asked {
  attack: string;
  stage: string;
  /** How many answers of this conversation it has had already. */
  turn: number;
  request: RawRequest;
}

/**
 * The App as an operator runs it, in a process of its own with the real sandbox, between recorders; secrets planted all
 * around it; and repositories of others beside the one that is worked on.
 */
export interface HostileStage {
  directory: string;
  github: LocalGitHub;
  app: Child;
  target: RepositoryView;
  canaries: Canaries;
  /** Files of the machine that hold a canary, readable for everyone: only isolation keeps a command from them. */
  plantedFiles: string[];
  siblingPid: number;
  /** Opens and labels an issue of the target as its maintainer; the attack's name is in its title. */
  attack(name: string, repository?: string): number;
  /** Resolves when these issues have the label of an ending. */
  ended(issues: readonly number[], repository?: string): Promise<void>;
  /** Stops the worker, and looks for canaries in all that went out of it. */
  searched(options?: {
    /** Issues whose attack gave the model secrets of the App to pass on: it may be told again what it said itself. */
    told?: readonly number[];
  }): Promise<Searched>;
  close(): Promise<void>;
}

export interface Searched {
  violations: string[];
  /** All that went out, for a look at what else is or is not in it. */
  pieces: Outbound[];
  /** The rows of a table of the database. */
  rows: DatabaseDump["rows"];
}

export interface Canaries {
  /** Values that the App was given, so that it knows what to redact. */
  given: { webhookSecret: Canary; modelKey: Canary; privateKey: Canary };
  /** Values that are around it and that it knows nothing of. */
  around: Canary[];
}

const names = { model: "the model's key", token: "an installation token" };

/** Where GitHub and the model expect a credential; everything else may carry none. */
const channels = {
  toldItself: "what a model said itself",
  githubCredential: "the authorization of a request to GitHub",
  modelCredential: "the key of a request to the model",
};

export async function startHostileStage(options: {
  database: "pglite" | "postgres";
  answer(asked: Asked): RawReply | Promise<RawReply>;
  target: Partial<RepositoryInput>;
  /** Further repositories besides the bystanders. */
  more?: RepositoryInput[];
  environment?: Record<string, string>;
  /** Stands first on the worker's PATH. */
  programs?: string;
  /** Loaded into the worker before its own code. */
  preload?: string;
  /** Further files of the worker's home. */
  homeFiles?: Record<string, string>;
}): Promise<HostileStage> {
  const directory = await mkdtemp(join(tmpdir(), "millwright-hostile-"));
  // What protects a file here must be isolation, not that another user cannot get to it.
  await chmod(directory, 0o755);
  const canaries = makeCanaries();
  const { webhookSecret, modelKey } = canaries.given;
  const github = await startGitHub(join(directory, "github"), {
    app: {
      ...{ id: appId, slug: "millwright", name: "Millwright", privateKey, owner: "acme" },
      webhookSecret: webhookSecret.value,
      permissions: { contents: "write", issues: "write", pull_requests: "write", checks: "write", metadata: "read" },
    },
    validateAnswers: false,
  });
  const toGitHub = await startRecorder(github.url);
  // Links in answers lead past the recorder otherwise.
  github.world.url = toGitHub.url;
  const model = await startRawModel((request) => answerTo(options.answer, request));
  const toModel = await startRecorder(model.url);
  const target = await makeRepositories(github, options);
  const postgres = options.database === "postgres" ? await startPostgres() : undefined;
  const databaseUrl = await postgres?.createDatabase();

  const dataDirectory = join(directory, "data");
  const planted = await plant(directory, canaries, options.homeFiles ?? {});
  const sibling = startSibling(directory, canaries);
  const memory = canaryOf(canaries, "the worker's memory");
  const preload = await writePreload(directory, memory, options.preload);
  const app = await startMain(
    "npm start",
    {
      PATH: [...(options.programs === undefined ? [] : [options.programs]), dirname(process.execPath), systemPath].join(
        ":",
      ),
      HOME: planted.home,
      NODE_OPTIONS: `--import=${preload}`,
      APP_ID: String(appId),
      PRIVATE_KEY_PATH: planted.privateKeyPath,
      WEBHOOK_SECRET: webhookSecret.value,
      ANTHROPIC_API_KEY: modelKey.value,
      ANTHROPIC_BASE_URL: toModel.url,
      GITHUB_API_URL: toGitHub.url,
      GITHUB_SERVER_URL: toGitHub.url,
      MILLWRIGHT_DATA: dataDirectory,
      MILLWRIGHT_SANDBOX: "bubblewrap",
      MILLWRIGHT_MIN_FREE_BYTES: "0",
      MILLWRIGHT_ACCOUNTS: "acme,globex",
      MILLWRIGHT_REPOSITORY_CONCURRENCY: "4",
      LOG_LEVEL: "trace",
      DEPLOY_TOKEN: canaryOf(canaries, "the worker's environment").value,
      ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
      ...options.environment,
    },
    planted.workingDirectory,
  );
  github.setWebhookUrl(`${app.url}${webhookPath}`);

  const stop = stopper(app);
  return {
    directory,
    github,
    app,
    target,
    canaries,
    plantedFiles: planted.files,
    siblingPid: sibling.pid ?? 0,
    attack(name, repository = targetName) {
      const { number } = github.as("maintainer").openIssue(repository, { title: `attack-${name}`, body: "Do it." });
      github.as("maintainer").label(repository, number, "agent:builder");
      return number;
    },
    async ended(issues, repository = targetName) {
      for (const issue of issues) {
        await app.until(`attack ${issue} on ${repository} to end`, () =>
          github
            .repository(repository)
            .issue(issue)
            .labels.some(({ name }) => /^agent:(done|needs|failed)/.test(name)),
        );
      }
      await github.settled();
    },
    async searched({ told = [] } = {}) {
      const metrics = await Promise.all(
        ["/metrics", "/health"].map(async (path) => ({
          channel: path,
          content: Buffer.from(await (await fetch(`${app.healthUrl}${path}`)).arrayBuffer()),
        })),
      );
      await stop();
      const dump = await dumpDatabase({ dataDirectory, ...(databaseUrl === undefined ? {} : { databaseUrl }) });
      const pieces = [
        ...metrics,
        ...(await collect({ directory, dataDirectory, dump, app, github, toGitHub, toModel, told })),
      ];
      return { violations: search(canaries, github, pieces), pieces, rows: dump.rows };
    },
    async close() {
      await stop();
      sibling.kill("SIGKILL");
      await Promise.all([toGitHub.close(), toModel.close(), model.close()]);
      await github.close();
      await postgres?.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export const targetName = "acme/target";
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

function makeCanaries(): Canaries {
  const places: [name: string, prefix?: string][] = [
    ["the worker's environment"],
    ["the worker's memory"],
    ["a sibling's arguments"],
    ["a sibling's environment"],
    ["~/.npmrc", "npm_"],
    ["~/.netrc"],
    ["~/.git-credentials", "ghp_"],
    ["~/.aws/credentials"],
    ["~/.ssh/id_ed25519"],
    ["~/.docker/config.json"],
    ["~/.config/gh/hosts.yml", "gho_"],
    ["~/.kube/config"],
    ["~/.bash_history"],
    [".env of the working directory"],
    ["a file of the data directory"],
    ["another job's tree"],
  ];
  // Long lines of the key are what is recognised of it; those of the border are the same in every key.
  const lines = privateKey.split("\n").filter((line) => line.length === 64);
  return {
    given: {
      webhookSecret: newCanary("the webhook secret", "whsec_"),
      modelKey: newCanary(names.model, "sk-ant-api03-"),
      privateKey: { name: "the App's private key", value: lines[Math.floor(lines.length / 2)]! },
    },
    around: places.map(([name, prefix]) => newCanary(name, prefix)),
  };
}

function canaryOf({ around }: Canaries, name: string): Canary {
  const canary = around.find((one) => one.name === name);
  if (canary === undefined) throw new Error(`There is no canary for ${name}`);
  return canary;
}

async function answerTo(
  answer: (asked: Asked) => RawReply | Promise<RawReply>,
  request: RawRequest,
): Promise<RawReply> {
  if (request.path.includes("count_tokens")) return { status: 200, body: { input_tokens: 1_000 } };
  if (request.method !== "POST") return { status: 200, body: { data: [] } };
  const messages = request.body.messages as { role: string }[];
  return answer({
    attack: /attack-([\w-]+)/.exec(JSON.stringify(messages))?.[1] ?? "",
    stage: /stage: ([a-z-]+)/.exec(JSON.stringify(request.body.system ?? ""))?.[1] ?? "",
    turn: messages.filter((message) => message.role === "assistant").length,
    request,
  });
}

/** The target, and two repositories that the App could write to as well, each with everything that it could change there. */
async function makeRepositories(
  github: LocalGitHub,
  options: { target: Partial<RepositoryInput>; more?: RepositoryInput[] },
): Promise<RepositoryView> {
  github.createUser("maintainer");
  github.createUser("stranger");
  github.createUser("globex", { type: "Organization" });
  const target = await github.createRepository({
    ...{ owner: "acme", name: "target", private: true, collaborators: { maintainer: "write" } },
    ...options.target,
  });
  for (const repository of options.more ?? []) await github.createRepository(repository);
  for (const [owner, name] of [
    ["acme", "bystander"],
    ["globex", "vault"],
  ] as const) {
    await github.createRepository({
      ...{ owner, name, private: true, collaborators: { maintainer: "write" } },
      files: { "README.md": "Somebody else's.\n" },
    });
  }
  const person = github.as("maintainer");
  for (const repository of [targetName, "acme/bystander", "globex/vault"]) {
    person.comment(
      repository,
      person.openIssue(repository, { title: "An issue of old", body: "Still open." }).number,
      "Yes.",
    );
    await person.push(repository, { branch: "theirs", message: "Their work", files: { "theirs.txt": "theirs\n" } });
    await person.openPullRequest(repository, { title: "Their work", body: "Not yours.", head: "theirs" });
  }
  github.install({ owner: "acme" });
  github.install({ owner: "globex" });
  return target;
}

/** Writes canaries to files that everyone may read, where secrets use to be. */
async function plant(directory: string, canaries: Canaries, homeFiles: Record<string, string>) {
  const home = join(directory, "home");
  const workingDirectory = join(directory, "work");
  const privateKeyPath = join(directory, "keys", "private-key.pem");
  const value = (name: string) => canaryOf(canaries, name).value;
  const files: Record<string, string> = {
    [privateKeyPath]: privateKey,
    ...Object.fromEntries(
      canaries.around
        .filter(({ name }) => name.startsWith("~/"))
        .map((canary) => [join(home, canary.name.slice(2)), `secret = ${canary.value}\n`]),
    ),
    ...Object.fromEntries(Object.entries(homeFiles).map(([name, text]) => [join(home, name), text])),
    [join(workingDirectory, ".env")]: `DEPLOY_SECRET=${value(".env of the working directory")}\n`,
    [join(directory, "data", "notes", "operator.txt")]: value("a file of the data directory"),
    [join(directory, "data", "jobs", "neighbour", "tree", "src", "secret.js")]: value("another job's tree"),
  };
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text, { mode: 0o644 });
  }
  return { home, workingDirectory, privateKeyPath, files: Object.keys(files) };
}

function startSibling(directory: string, canaries: Canaries): ChildProcess {
  return spawn(
    process.execPath,
    ["--eval", "setTimeout(() => {}, 600_000)", canaryOf(canaries, "a sibling's arguments").value],
    {
      cwd: directory,
      env: { SIBLING_SECRET: canaryOf(canaries, "a sibling's environment").value },
      stdio: "ignore",
    },
  );
}

/** A module that puts a canary into the worker's memory and nowhere else: its file is gone when the worker begins. */
async function writePreload(directory: string, memory: Canary, more: string | undefined): Promise<string> {
  const seed = join(directory, "memory-seed");
  const path = join(directory, "preload.mjs");
  await writeFile(seed, memory.value);
  await writeFile(
    path,
    `import { existsSync, readFileSync, unlinkSync } from "node:fs";
${more === undefined ? "" : `import ${JSON.stringify(more)};`}
if (existsSync(${JSON.stringify(seed)})) {
  globalThis.inMemory = [readFileSync(${JSON.stringify(seed)}), readFileSync(${JSON.stringify(seed)}, "utf8")];
  unlinkSync(${JSON.stringify(seed)});
}
`,
  );
  return path;
}

function stopper(app: Child): () => Promise<void> {
  let stopping: Promise<void> | undefined;
  return () => {
    stopping ??= (async () => {
      app.kill("SIGTERM");
      const late = setTimeout(() => app.kill("SIGKILL"), 15_000);
      await app.exited;
      clearTimeout(late);
    })();
    return stopping;
  };
}

async function collect(parts: {
  directory: string;
  dataDirectory: string;
  dump: DatabaseDump;
  app: Child;
  github: LocalGitHub;
  toGitHub: Recorder;
  toModel: Recorder;
  told: readonly number[];
}): Promise<Outbound[]> {
  const { directory, dataDirectory, dump, github, told } = parts;
  const toldRuns = new Set<unknown>(told.flatMap((issue) => dump.runsOf(issue)));
  const toldTitles = told.map((issue) => `${github.repository(targetName).issue(issue).title}"`);
  const packs = dump.packs.filter(({ runKey }) => !toldRuns.has(runKey)).map(({ pack }) => pack);
  return [
    ...requestsOf("a request to GitHub", parts.toGitHub.sent, { authorization: channels.githubCredential }),
    ...requestsOf(
      ({ body }) => {
        const asked = body.toString().replaceAll("\\", "");
        return toldTitles.some((title) => asked.includes(title)) ? channels.toldItself : "a request to the model";
      },
      parts.toModel.sent,
      { "x-api-key": channels.modelCredential, authorization: channels.modelCredential },
    ),
    {
      channel: "git",
      content: await objectsOf(
        join(directory, "search"),
        [...pushedPacks(parts.toGitHub.sent), ...packs],
        [...github.world.repositories.values()].map(({ gitDir }) => gitDir),
      ),
    },
    { channel: "the log", content: Buffer.from(parts.app.text()) },
    ...dump.pieces.map((piece) => (toldRuns.has(piece.runKey) ? { ...piece, channel: channels.toldItself } : piece)),
    ...(await filesBelow(dataDirectory, "the file", (path) =>
      ["notes/operator.txt", "jobs/neighbour/", "database/"].some((own) => path.startsWith(join(dataDirectory, own))),
    )),
  ];
}

function search(canaries: Canaries, github: LocalGitHub, pieces: Outbound[]): string[] {
  const tokens = [...github.world.tokens.values()]
    .filter((token) => token.installation !== undefined)
    .map(({ value }) => ({ name: names.token, value }));
  const find = createFinder([...Object.values(canaries.given), ...canaries.around, ...tokens]);
  const given = [...Object.values(canaries.given).map(({ name }) => name), names.token];
  return searchOutbound(find, pieces, (channel, name) => {
    if (channel === channels.githubCredential) return name === names.token;
    if (channel === channels.modelCredential) return name === names.model;
    return channel === channels.toldItself && given.includes(name);
  });
}
