import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { authenticate } from "./auth.ts";
import { refMoved } from "./domain/refs.ts";
import { ApiError } from "./errors.ts";
import { type FaultRule, faultAnswer } from "./faults.ts";
import { gitEnvironment } from "./git.ts";
import { Call, type Principal } from "./http.ts";
import type { Actor, Repository } from "./types.ts";
import { appActor, fullNameOf, permits, roleAtLeast, type World } from "./world.ts";

export interface GitRequest {
  path: string;
  query: string;
  before: FaultRule | undefined;
  after: FaultRule | undefined;
}

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

/**
 * Git's smart HTTP on the real bare repository, by git's own `http-backend`, behind GitHub's access rules.
 * When a push has moved refs, everything that follows from it has happened before the client sees the answer.
 */
export async function serveGit(
  world: World,
  asked: GitRequest,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<{ status: number; actor: string }> {
  let actor = "anonymous";
  let answer: Answer;
  if (asked.before) {
    request.resume();
    answer = faulty(asked.before);
  } else {
    try {
      const access = admit(world, asked, request.headers.authorization);
      actor = access.actor?.user.login ?? "anonymous";
      answer = await run(world, asked, access, request);
      if (asked.after) answer = faulty(asked.after);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      request.resume();
      answer = { status: error.status, headers: error.headers, body: Buffer.from(`${error.message}\n`) };
    }
  }
  const rule = asked.before ?? asked.after;
  if (rule?.dropConnection) {
    request.socket.destroy();
    return { status: 0, actor };
  }
  response.writeHead(answer.status, { "content-type": "text/plain", ...answer.headers });
  response.end(answer.body);
  return { status: answer.status, actor };
}

interface Access {
  repository: Repository;
  actor: Actor | undefined;
  writes: boolean;
  mayChangeWorkflows: boolean;
}

function admit(world: World, asked: GitRequest, authorization: string | undefined): Access {
  const [, owner, name] = /^\/([^/]+)\/([^/]+?)(?:\.git)?\//.exec(asked.path) ?? [];
  const writes = asked.path.endsWith("/git-receive-pack") || asked.query.includes("service=git-receive-pack");
  const challenge = { "www-authenticate": 'Basic realm="GitHub"' };
  let principal: Principal;
  try {
    principal = authenticate(world, authorization);
  } catch {
    throw new ApiError(401, "Invalid username or token.", undefined, challenge);
  }
  const renamed = world.formerly(`${owner}/${name}`);
  if (renamed) {
    const rest = asked.path.replace(/^\/[^/]+\/[^/]+/, "");
    const location = `${world.url}/${fullNameOf(renamed)}.git${rest}${asked.query}`;
    throw new ApiError(301, "Moved Permanently", undefined, { location });
  }
  const repository = world.repository(`${owner}/${name}`);
  if (principal.kind !== "token") {
    if (repository && !repository.private && !writes) {
      return { repository, actor: undefined, writes, mayChangeWorkflows: false };
    }
    throw new ApiError(401, "No anonymous access.", undefined, challenge);
  }
  const { token } = principal;
  const sees = new Call({
    ...{ world, principal, method: "GET", params: {}, body: {}, accept: "" },
    url: new URL(world.url),
  });
  if (!repository || !sees.sees(repository)) throw new ApiError(404, "Repository not found.");
  const held = token.permissions ?? {};
  if (token.installation) {
    const covered =
      world.covers(token.installation, repository) && (token.repositoryIds?.includes(repository.id) ?? true);
    if (repository.private && !permits(held, "contents:read")) throw new ApiError(403, "Permission denied.");
    if (writes && !(covered && permits(held, "contents:write"))) {
      throw new ApiError(403, "Write access to repository not granted.");
    }
  } else if (writes && !roleAtLeast(world.role(repository, token.user), "write")) {
    throw new ApiError(403, `Permission to ${owner}/${name}.git denied to ${token.user.login}.`);
  }
  if (writes && repository.archived) throw new ApiError(403, "This repository was archived so it is read-only.");
  const actor = token.installation ? appActor(token.installation.app) : { user: token.user, app: null };
  return { repository, actor, writes, mayChangeWorkflows: !token.installation || permits(held, "workflows:write") };
}

async function run(world: World, asked: GitRequest, access: Access, request: IncomingMessage): Promise<Answer> {
  const { repository, actor } = access;
  const record = join(repository.gitDir, `push-${randomUUID()}`);
  const service = asked.path.replace(/^\/[^/]+\/[^/]+\//, "");
  const child = spawn("git", ["http-backend"], {
    env: gitEnvironment({
      GIT_HTTP_EXPORT_ALL: "1",
      PATH_TRANSLATED: join(repository.gitDir, service),
      QUERY_STRING: asked.query.replace(/^\?/, ""),
      REQUEST_METHOD: request.method ?? "GET",
      REMOTE_USER: actor?.user.login ?? "",
      REMOTE_ADDR: "127.0.0.1",
      PUSH_RECORD: record,
      PUSH_WORKFLOWS: access.mayChangeWorkflows ? "allowed" : "refused",
      ...header("CONTENT_TYPE", request.headers["content-type"]),
      ...header("CONTENT_LENGTH", request.headers["content-length"]),
      ...header("HTTP_CONTENT_ENCODING", request.headers["content-encoding"]),
      ...header("GIT_PROTOCOL", request.headers["git-protocol"] as string | undefined),
    }),
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.on("error", () => undefined); // the backend may answer before it has read everything
  request.pipe(child.stdin);
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => resolve());
  });
  if (access.writes && actor) await follow(world, repository, actor, record);
  return parse(Buffer.concat(chunks));
}

function header(name: string, value: string | undefined): Record<string, string> {
  return value === undefined ? {} : { [name]: value };
}

/** The refs that the post-receive hook noted, in the order of the push. */
async function follow(world: World, repository: Repository, actor: Actor, record: string): Promise<void> {
  const text = await readFile(record, "utf8").catch(() => "");
  await rm(record, { force: true });
  for (const line of text.split("\n").filter(Boolean)) {
    const [before = "", after = "", ref = ""] = line.split(" ");
    await refMoved(world, repository, actor, { ref, before, after });
  }
}

function parse(output: Buffer): Answer {
  const end = output.indexOf("\r\n\r\n");
  const headers: Record<string, string> = {};
  let status = 200;
  for (const line of output.subarray(0, end).toString().split("\r\n")) {
    const [name = "", ...value] = line.split(":");
    if (name.toLowerCase() === "status") status = Number.parseInt(value.join(":"), 10);
    else headers[name.toLowerCase()] = value.join(":").trim();
  }
  return { status, headers, body: output.subarray(end + 4) };
}

function faulty(rule: FaultRule): Answer {
  const { status, headers, body } = faultAnswer(rule);
  return { status, headers, body: Buffer.from(JSON.stringify(body)) };
}
