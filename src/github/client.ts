import type { Logger } from "pino";
import { ProbotOctokit } from "probot";
import type { Permissions } from "../pipeline/step.ts";
import type { Redactor } from "../policy/redact.ts";
import { assertInsideEffect } from "./effect-scope.ts";

/** Which App we are, as `GET /app` says. */
export interface AppIdentity {
  id: number;
  slug: string;
  owner: string;
}

type ReadPermissions = Partial<Record<keyof Permissions, "read">>;

/** GitHub asked us to slow down: tried again after the pause, without using up an attempt. */
class RateLimited extends Error {
  override name = "RateLimited";
  readonly retryAfterSeconds: number;
  constructor(message: string, retryAfterSeconds: number) {
    super(message);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** GitHub gives no token for this repository: trying again does not help, and there is nowhere to say so. */
class NoAccess extends Error {
  override name = "NoAccess";
  readonly permanent = true;
  readonly status = 404;
  readonly forPeople = {
    reason: "The App has no access to this repository any more.",
    advice:
      "It was deleted, transferred or taken out of the installation, or the installation was removed or suspended.",
  };
}

/** The installation is older than a permission that the App asks for since: its owner has to grant it. */
class NotGranted extends Error {
  override name = "NotGranted";
  readonly permanent = true;
  readonly forPeople: { reason: string; advice: string };
  constructor(message: string, permissions: Permissions, options: { cause: unknown }) {
    super(message, options);
    const wanted = Object.entries(permissions).map(([name, access]) => `\`${name}: ${access}\``);
    this.forPeople = {
      reason: `The App was not granted what this needs here: ${wanted.join(", ")}.`,
      advice: "Whoever owns the installation accepts the App's new permissions in its settings on GitHub.",
    };
  }
}

export interface GitHubApp {
  /** Asked once, then remembered. Throws while GitHub cannot be reached. */
  identity(): Promise<AppIdentity>;
  /** The id of the App's own user `<slug>[bot]`, which makes the commit author that GitHub shows as the App. */
  botUserId(client: () => Promise<ProbotOctokit>): Promise<number>;
  /** The identity if it is known already. */
  known(): AppIdentity | undefined;
  /** A new token for one repository and these permissions alone, valid for an hour. */
  token(place: { installationId: number; repositoryId: number }, permissions: Permissions): Promise<string>;
  /** The App's own client: lists its installations. */
  asApp(): Promise<ProbotOctokit>;
  /** A new token for all repositories of an installation, to read alone; valid until `expiresAt`. */
  readToken(installationId: number, permissions: ReadPermissions): Promise<{ token: string; expiresAt: Date }>;
  /** A client that reads with `token`, and writes only inside `ctx.effect`. */
  client(token: string, signal: AbortSignal): ProbotOctokit;
}

/**
 * `authenticate` is Probot's: it supplies the App's own client, which mints installation tokens.
 * Redacts every string of a request that writes.
 */
export function createGitHubApp(options: {
  appId: number;
  apiUrl: string;
  authenticate: () => Promise<ProbotOctokit>;
  redactor: Redactor;
  log: Logger;
}): GitHubApp {
  let identity: AppIdentity | undefined;
  let botUserId: number | undefined;
  return {
    known: () => identity,
    async botUserId(client) {
      if (botUserId !== undefined) return botUserId;
      const octokit = await client();
      botUserId = (await octokit.rest.users.getByUsername({ username: `${(await this.identity()).slug}[bot]` })).data
        .id;
      return botUserId;
    },
    async identity() {
      if (identity === undefined) {
        const octokit = await options.authenticate();
        const app = (await octokit.request("GET /app")).data;
        if (app === null) throw new Error("GitHub does not know this App: GET /app answered nothing");
        const slug = app.slug ?? app.name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
        const owner = app.owner !== null && "login" in app.owner ? app.owner.login : "";
        identity = { id: Number(app.id), slug, owner };
      }
      return identity as AppIdentity;
    },
    asApp: options.authenticate,
    async readToken(installationId, permissions) {
      const octokit = await options.authenticate();
      const { data } = await octokit.request("POST /app/installations/{installation_id}/access_tokens", {
        installation_id: installationId,
        permissions,
        request: { retries: 0 },
      });
      options.redactor.add("installation-token", data.token);
      return { token: data.token, expiresAt: new Date(data.expires_at) };
    },
    async token({ installationId, repositoryId }, permissions) {
      const octokit = await options.authenticate();
      const asked = octokit.request("POST /app/installations/{installation_id}/access_tokens", {
        installation_id: installationId,
        repository_ids: [repositoryId],
        permissions,
        request: { retries: 0 },
      });
      const { data } = await asked.catch((error: unknown) => {
        throw withoutPermission(error, permissions) ?? withoutAccess(error) ?? slowedDown(error) ?? error;
      });
      const { token } = data;
      options.redactor.add("installation-token", token);
      return token;
    },
    client(token, signal) {
      const octokit = new ProbotOctokit({
        auth: { token },
        baseUrl: options.apiUrl,
        log: options.log,
        throttle: { enabled: false },
        retry: { enabled: false },
        request: { signal },
      });
      octokit.hook.wrap("request", async (request, parameters) => {
        const written = parameters.method !== "GET" && parameters.method !== "HEAD" && !readsByGraphql(parameters);
        if (written) assertInsideEffect(`${parameters.method} ${parameters.url}`);
        try {
          // In place: hooks further in were bound to this very object, and would send what was not redacted.
          if (written) Object.assign(parameters, redacted(parameters, options.redactor));
          return await request(parameters);
        } catch (error) {
          throw slowedDown(error) ?? error;
        }
      });
      return octokit;
    },
  };
}

function readsByGraphql(parameters: Record<string, unknown>): boolean {
  const { url, query } = parameters as { url: string; query?: unknown };
  return /\/graphql$/.test(url) && typeof query === "string" && !/\b(mutation|subscription)\b/.test(query);
}

function redacted<T>(value: T, redactor: Redactor): T {
  const skipped = new Set(["headers", "request", "baseUrl", "method", "url", "mediaType"]);
  const visit = (item: unknown): unknown => {
    if (typeof item === "string") return redactor.redact(item);
    if (Array.isArray(item)) return item.map(visit);
    if (item !== null && typeof item === "object" && Object.getPrototypeOf(item) === Object.prototype) {
      return Object.fromEntries(Object.entries(item).map(([key, inner]) => [key, visit(inner)]));
    }
    return item;
  };
  const fields = Object.entries(value as Record<string, unknown>);
  return Object.fromEntries(fields.map(([key, item]) => [key, skipped.has(key) ? item : visit(item)])) as T;
}

function withoutPermission(error: unknown, permissions: Permissions): NotGranted | undefined {
  const { message } = error as Error;
  if (statusOf(error) !== 422 || !/permissions requested are not granted/i.test(message)) return undefined;
  return new NotGranted(message, permissions, { cause: error });
}

/** https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app */
function withoutAccess(error: unknown): NoAccess | undefined {
  const { message } = error as Error;
  const status = statusOf(error);
  const gone =
    status === 404 ||
    (status === 403 && /suspended/i.test(message)) ||
    (status === 422 && /does not exist or is not accessible/i.test(message));
  return gone ? new NoAccess(message, { cause: error }) : undefined;
}

/** https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit */
function slowedDown(error: unknown): RateLimited | undefined {
  const { status, response } = error as {
    status?: number;
    response?: { headers?: Record<string, string | number | undefined> };
  };
  if (status !== 403 && status !== 429) return undefined;
  const headers = response?.headers ?? {};
  const retryAfter = Number(headers["retry-after"]);
  if (Number.isFinite(retryAfter) && retryAfter > 0) return new RateLimited((error as Error).message, retryAfter);
  if (String(headers["x-ratelimit-remaining"]) === "0") {
    const untilReset = Number(headers["x-ratelimit-reset"]) - Date.now() / 1000;
    return new RateLimited((error as Error).message, Math.max(1, Math.ceil(untilReset)));
  }
  return status === 429 || /secondary rate limit/i.test((error as Error).message)
    ? new RateLimited((error as Error).message, 60)
    : undefined;
}

/** The HTTP status of an error that GitHub answered with. */
export function statusOf(error: unknown): number | undefined {
  const status = (error as { status?: unknown } | null)?.status;
  return typeof status === "number" ? status : undefined;
}
