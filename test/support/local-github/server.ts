import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { authenticate } from "./auth.ts";
import { ApiError } from "./errors.ts";
import { type FaultRule, type Faults, faultAnswer } from "./faults.ts";
import { serveGit } from "./git-http.ts";
import type { GraphQl } from "./graphql.ts";
import { Call, type Method, orderRoutes, type Principal, type Reply, type Route } from "./http.ts";
import type { OpenApi } from "./openapi.ts";
import { servePage } from "./pages.ts";
import { fullNameOf, type World } from "./world.ts";

const RATE_LIMIT = 5000;
const RATE_WINDOW_SECONDS = 3600;
const MAX_BODY_BYTES = 40 * 1024 * 1024;

export interface RequestRecord {
  method: string;
  /** Without the API prefix, with the query. */
  path: string;
  /** Login of who asked, or "app:<slug>", or "anonymous". */
  actor: string;
  status: number;
  requestBody: unknown;
  answerBody: unknown;
  headers: Record<string, string>;
  at: Date;
  durationMs: number;
  /** Whether it counts against the rate limit: a conditional request answered by 304 does not. */
  counted: boolean;
  /** The OpenAPI path of the route; undefined for git, GraphQL, pages and unknown routes. */
  route: string | undefined;
}

/** `index` counts from 1, over REST, GraphQL and git. */
export type RequestObserver = (request: { index: number; method: string; path: string }) => void | Promise<void>;

/** Something that would not happen on the real GitHub, or that GitHub would refuse as malformed. */
export interface Violation {
  kind: "request" | "answer" | "webhook" | "unknown-route" | "graphql" | "crash";
  where: string;
  problems: string[];
}

export interface ServerParts {
  world: World;
  routes: Route[];
  openApi: OpenApi;
  graphql: GraphQl;
  faults: Faults;
  requests: RequestRecord[];
  violations: Violation[];
  validateAnswers: boolean;
  /** Called before each request is handled, in order; the request waits for it. */
  observers: Set<RequestObserver>;
  arrived: { count: number };
  /** Judges an answer when somebody asks for violations, so that compiling schemas slows no request. */
  judgeLater(kind: Violation["kind"], where: string, check: () => string[]): void;
}

/** Starts the server on loopback and returns it with its port. */
export async function listen(parts: ServerParts, port: number): Promise<{ server: Server; port: number }> {
  const routes = orderRoutes(parts.routes);
  const server = createServer((request, response) => {
    serve({ ...parts, routes }, request, response).catch((error: unknown) => {
      // Whoever asked has hung up meanwhile.
      if (request.destroyed && (error as { code?: string }).code === "ECONNRESET") return;
      const where = `${request.method} ${request.url}`;
      parts.violations.push({ kind: "crash", where, problems: [String((error as Error).stack ?? error)] });
      if (!response.headersSent) response.writeHead(500, { "content-type": "application/json" });
      response.end(JSON.stringify({ message: "Server Error" }));
    });
  });
  server.keepAliveTimeout = 5_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return { server, port: (server.address() as AddressInfo).port };
}

async function serve(parts: ServerParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const started = performance.now();
  // Clients work out by this header how far their clock is from GitHub's.
  response.setHeader("date", parts.world.now().toUTCString());
  const url = new URL(request.url ?? "/", parts.world.url);
  const path = url.pathname.replace(/^\/api\/v3(?=\/|$)/, "") || "/";
  // HEAD is GET without the body.
  const method = request.method === "HEAD" ? "GET" : (request.method ?? "GET");
  parts.arrived.count += 1;
  const { count: index } = parts.arrived;
  for (const observe of parts.observers) await observe({ index, method, path });
  const rules = parts.faults.meet(method, path);
  for (const rule of rules) if (rule.latencyMs) await sleep(rule.latencyMs);
  const before = rules.find((rule) => (rule.when ?? "before") === "before" && isFatal(rule));
  const after = rules.find((rule) => rule.when === "after" && isFatal(rule));
  if (/^\/[^/]+\/[^/]+\/(info\/refs|git-upload-pack|git-receive-pack)$/.test(path)) {
    const status = await serveGit(parts.world, { path, query: url.search, before, after }, request, response);
    note(parts, { method, path: path + url.search, status: status.status, actor: status.actor, started });
    return;
  }
  const body = await readBody(request);
  if (before) {
    answerFault(parts, before, { method, path: path + url.search, body, started }, request, response);
    return;
  }
  const posted = { body: body.toString(), authorization: request.headers.authorization };
  if (await servePage(parts.world, method, path, url, posted, response)) {
    note(parts, { method, path: path + url.search, status: response.statusCode, actor: "browser", started });
    return;
  }
  const outcome = await api(parts, request, { method: method as Method, path, url, body });
  if (after) {
    answerFault(parts, after, { method, path: path + url.search, body, started }, request, response);
    return;
  }
  const record = note(parts, { method, path: path + url.search, started, ...outcome });
  send(response, outcome.reply, outcome.limits, request.method === "HEAD");
  record.headers = Object.fromEntries(
    Object.entries(response.getHeaders()).map(([name, value]) => [name, String(value)]),
  );
}

function isFatal(rule: FaultRule): boolean {
  return rule.status !== undefined || rule.dropConnection === true;
}

interface Outcome {
  reply: Reply;
  status: number;
  actor: string;
  requestBody: unknown;
  answerBody: unknown;
  counted: boolean;
  route: string | undefined;
  limits: Record<string, string>;
}

async function api(
  parts: ServerParts,
  request: IncomingMessage,
  asked: { method: Method; path: string; url: URL; body: Buffer },
): Promise<Outcome> {
  const { method, path, url } = asked;
  let principal: Principal = { kind: "anonymous" };
  let matched: Route | undefined;
  let requestBody: unknown;
  let reply: Reply;
  try {
    requestBody = parseBody(asked.body);
    principal = authenticate(parts.world, request.headers.authorization);
    if (/^(\/api)?\/graphql$/.test(path) && method === "POST") {
      const actor = new Call({ world: parts.world, principal, method, url, params: {}, body: {}, accept: "" }).actor;
      reply = { status: 200, body: await parts.graphql.execute(requestBody, principal, actor) };
    } else {
      throwIfRenamed(parts.world, principal, asked);
      const found =
        findRoute(parts.routes, method, path) ?? findRoute(parts.routes, method, namedPath(parts.world, path));
      if (!found) {
        if (!path.startsWith("/favicon")) {
          parts.violations.push({
            kind: "unknown-route",
            where: `${method} ${path}`,
            problems: ["no such route here"],
          });
        }
        throw new ApiError(404, "Not Found");
      }
      matched = found.route;
      reply = await runRoute(parts, found, { ...asked, principal, requestBody, accept: request.headers.accept ?? "" });
    }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    reply = errorReply(error);
  }
  const etag = reply.status === 200 && method === "GET" ? etagOf(reply, request.headers.authorization) : undefined;
  if (etag) {
    reply.headers = { ...reply.headers, etag };
    if (request.headers["if-none-match"] === etag) {
      reply = { status: 304, headers: { etag, ...(reply.headers.link ? { link: reply.headers.link } : {}) } };
    }
  }
  if (matched && parts.validateAnswers && !reply.text) {
    const template = matched.rules.describedAs ?? matched.template;
    const { status } = reply;
    const shown = jsonOf(reply.body);
    parts.judgeLater("answer", `${method} ${path}`, () => parts.openApi.checkAnswer(method, template, status, shown));
  }
  const counted = reply.status !== 304 && path !== "/rate_limit";
  if (counted && principal.kind === "token") principal.token.used += 1;
  return {
    reply,
    status: reply.status,
    actor: nameOf(principal),
    requestBody,
    answerBody: reply.body,
    counted,
    route: matched?.template,
    limits: limitHeaders(parts.world, principal),
  };
}

/**
 * A repository's old name leads on to its id, for whoever may see it.
 * https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
 */
function throwIfRenamed(
  world: World,
  principal: Principal,
  { method, path, url }: { method: Method; path: string; url: URL },
): void {
  const [, owner, name, rest = ""] = /^\/repos\/([^/]+)\/([^/]+)(\/.*)?$/.exec(path) ?? [];
  const repository = world.formerly(`${owner}/${name}`);
  if (!repository) return;
  if (!new Call({ world, principal, method, url, params: {}, body: {}, accept: "" }).sees(repository)) return;
  const location = `${world.url}/repositories/${repository.id}${rest}${url.search}`;
  if (method === "GET") throw new ApiError(301, "Moved Permanently", undefined, { location });
  throw new ApiError(307, "Temporary Redirect", undefined, { location });
}

/** `/repositories/<id>/…` as `/repos/<owner>/<name>/…`. */
function namedPath(world: World, path: string): string {
  const [, id, rest = ""] = /^\/repositories\/(\d+)(\/.*)?$/.exec(path) ?? [];
  const repository = world.repositories.get(Number(id));
  return repository ? `/repos/${fullNameOf(repository)}${rest}` : path;
}

function findRoute(
  routes: Route[],
  method: Method,
  path: string,
): { route: Route; params: Record<string, string> } | undefined {
  for (const route of routes) {
    if (route.method !== method) continue;
    const match = route.pattern.exec(path);
    if (!match) continue;
    const entries = Object.entries(match.groups ?? {}).map(([name, value]) => [name, decodeURIComponent(value ?? "")]);
    return { route, params: Object.fromEntries(entries) };
  }
  return undefined;
}

async function runRoute(
  parts: ServerParts,
  found: { route: Route; params: Record<string, string> },
  asked: {
    method: Method;
    path: string;
    url: URL;
    principal: Principal;
    requestBody: unknown;
    accept: string;
  },
): Promise<Reply> {
  const { route, params } = found;
  const { method, url, principal, accept } = asked;
  const call = new Call({ world: parts.world, principal, method, url, params, body: asked.requestBody, accept });
  call.authorise(route.rules);
  const { describedAs } = route.rules;
  const problems = parts.openApi.checkRequest(method, describedAs ?? route.template, {
    path: describedAs ? { owner: call.repository.owner.login, repo: call.repository.name } : params,
    query: call.query,
    body: asked.requestBody,
  });
  if (problems.length > 0) {
    parts.violations.push({ kind: "request", where: `${method} ${asked.path}`, problems });
    throw new ApiError(422, `Invalid request.\n\n${problems.join("\n")}`);
  }
  return route.handle(call);
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > MAX_BODY_BYTES) throw new Error(`a request body of more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

function parseBody(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  try {
    return JSON.parse(body.toString());
  } catch {
    throw new ApiError(400, "Problems parsing JSON");
  }
}

function errorReply(error: ApiError): Reply {
  const body = {
    message: error.message,
    ...(error.errors ? { errors: error.errors } : {}),
    documentation_url: "https://docs.github.com/rest",
    status: String(error.status),
  };
  return { status: error.status, body, headers: error.headers };
}

/** An ETag belongs to the token that it was read with: https://github.com/github/docs/issues/34689 */
function etagOf(reply: Reply, authorization = ""): string {
  const content = reply.text ? reply.text.content : JSON.stringify(reply.body);
  return `W/"${createHash("sha256")
    .update(content)
    .update(reply.headers?.link ?? "")
    .update(authorization)
    .digest("hex")}"`;
}

/** What a client reads: dates and undefined are gone. */
function jsonOf(body: unknown): unknown {
  return body === undefined ? undefined : JSON.parse(JSON.stringify(body));
}

function nameOf(principal: Principal): string {
  if (principal.kind === "anonymous") return "anonymous";
  return principal.kind === "app" ? `app:${principal.app.slug}` : principal.token.user.login;
}

function limitHeaders(world: World, principal: Principal): Record<string, string> {
  const used = principal.kind === "token" ? principal.token.used : 0;
  return {
    "x-ratelimit-limit": String(RATE_LIMIT),
    "x-ratelimit-remaining": String(Math.max(RATE_LIMIT - used, 0)),
    "x-ratelimit-used": String(used),
    "x-ratelimit-reset": String(Math.floor(world.now().getTime() / 1000) + RATE_WINDOW_SECONDS),
    "x-ratelimit-resource": "core",
  };
}

function send(response: ServerResponse, reply: Reply, limits: Record<string, string>, headersOnly: boolean): void {
  const headers: Record<string, string> = { ...limits, "x-github-media-type": "github.v3", ...reply.headers };
  if (reply.text) headers["content-type"] = reply.text.type;
  else if (reply.body !== undefined) headers["content-type"] = "application/json; charset=utf-8";
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.statusCode = reply.status;
  const content = reply.text ? reply.text.content : reply.body === undefined ? undefined : JSON.stringify(reply.body);
  response.end(headersOnly ? undefined : content);
}

function answerFault(
  parts: ServerParts,
  rule: FaultRule,
  asked: { method: string; path: string; body: Buffer; started: number },
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const answer = faultAnswer(rule);
  const status = rule.dropConnection ? 0 : answer.status;
  note(parts, { ...asked, status, actor: "fault", answerBody: answer.body, requestBody: asked.body.toString() });
  if (rule.dropConnection) {
    request.socket.destroy();
    return;
  }
  response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
  response.end(JSON.stringify(answer.body));
}

function note(
  parts: ServerParts,
  facts: Partial<RequestRecord> & { method: string; path: string; status: number; actor: string; started: number },
): RequestRecord {
  const record: RequestRecord = {
    method: facts.method,
    path: facts.path,
    actor: facts.actor,
    status: facts.status,
    requestBody: facts.requestBody,
    answerBody: facts.answerBody,
    headers: {},
    at: parts.world.now(),
    durationMs: performance.now() - facts.started,
    counted: facts.counted ?? false,
    route: facts.route,
  };
  parts.requests.push(record);
  return record;
}
