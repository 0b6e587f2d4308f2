import { basename, extname } from "node:path";
import { commitOf } from "../domain/pulls.ts";
import { moveRef } from "../domain/refs.ts";
import { ApiError, notFound } from "../errors.ts";
import {
  git,
  gitBytes,
  readCommit,
  refSha,
  resolveObject,
  writeBlob,
  writeCommit,
  writeTree,
  ZERO_SHA,
} from "../git.ts";
import { type Call, ok, type Reply, type Route, route } from "../http.ts";
import { commitJson, fullRepository, htmlUrl, noReplyAddress, repositoryUrl, simpleUser } from "../serialise.ts";
import type { Repository, Role } from "../types.ts";
import { fullNameOf, roleAtLeast } from "../world.ts";

const REPO = "/repos/{owner}/{repo}";
const CONTENTS = `${REPO}/contents/{path}`;

export const repositoryRoutes: Route[] = [
  route(`GET ${REPO}`, { needs: ["metadata:read"] }, async (call) => {
    const { repository } = call;
    const sizeKilobytes = repository.sizeKilobytes ?? (await packedKilobytes(repository));
    return ok({ ...fullRepository(call.world, repository), size: sizeKilobytes });
  }),
  route(`GET ${REPO}/languages`, { needs: ["metadata:read"] }, async (call) => ok(await languages(call.repository))),
  route(`GET ${REPO}/collaborators/{username}/permission`, { needs: ["metadata:read"] }, (call) => {
    const user = call.world.users.get((call.params.username ?? "").toLowerCase());
    if (!user || user.deleted) throw new ApiError(404, `${call.params.username} is not a user`);
    const role = call.world.role(call.repository, user);
    const shown = { ...simpleUser(call.world, user), permissions: flags(role), role_name: role };
    return ok({ permission: legacyPermission(role), role_name: role, user: shown });
  }),
  route(`GET ${REPO}/contents/{path}`, { needs: ["contents:read"] }, (call) => contents(call)),
  route(`PUT ${CONTENTS}`, { needs: ["contents:write"] }, (call) => putFile(call)),
  route(`DELETE ${CONTENTS}`, { needs: ["contents:write"] }, (call) => deleteFile(call)),
  route(`GET ${REPO}/readme`, { needs: ["contents:read"] }, async (call) => {
    const sha = await commitAt(call);
    const names = (await git(call.repository.gitDir, ["ls-tree", "--name-only", sha])).split("\n");
    const readme = names.find((name) => /^readme(\.|$)/i.test(name));
    if (!readme) throw notFound();
    return fileReply(call, sha, readme);
  }),
];

/** GitHub's own three or four words of old: https://docs.github.com/rest/collaborators/collaborators */
function legacyPermission(role: Role): "none" | "read" | "write" | "admin" {
  if (role === "maintain") return "write";
  if (role === "triage") return "read";
  return role;
}

function flags(role: Role): Record<string, boolean> {
  return {
    pull: roleAtLeast(role, "read"),
    triage: roleAtLeast(role, "triage"),
    push: roleAtLeast(role, "write"),
    maintain: roleAtLeast(role, "maintain"),
    admin: roleAtLeast(role, "admin"),
  };
}

async function packedKilobytes(repository: Repository): Promise<number> {
  const lines = (await git(repository.gitDir, ["count-objects", "-v"])).split("\n");
  const figure = (name: string): number =>
    Number(lines.find((line) => line.startsWith(`${name}: `))?.split(" ")[1] ?? 0);
  return figure("size") + figure("size-pack");
}

const LANGUAGES: Record<string, string> = {
  ".c": "C",
  ".go": "Go",
  ".java": "Java",
  ".js": "JavaScript",
  ".mjs": "JavaScript",
  ".py": "Python",
  ".rb": "Ruby",
  ".rs": "Rust",
  ".sh": "Shell",
  ".ts": "TypeScript",
};

async function languages(repository: Repository): Promise<Record<string, number>> {
  const head = await refSha(repository.gitDir, `refs/heads/${repository.defaultBranch}`);
  if (!head) return {};
  const bytes: Record<string, number> = {};
  for (const line of (await git(repository.gitDir, ["ls-tree", "-r", "-l", head])).split("\n")) {
    const [facts = "", path = ""] = line.split("\t");
    const language = LANGUAGES[extname(path)];
    if (language) bytes[language] = (bytes[language] ?? 0) + (Number(facts.trim().split(/\s+/)[3]) || 0);
  }
  return bytes;
}

/** The commit that `?ref=` names, or the default branch's. */
async function commitAt(call: Call): Promise<string> {
  const { repository } = call;
  const wanted = call.query.ref ?? repository.defaultBranch;
  const sha = await commitOf(repository, wanted);
  if (sha) return sha;
  if (call.query.ref === undefined) throw new ApiError(404, "This repository is empty.");
  throw new ApiError(404, `No commit found for the ref ${wanted}`);
}

interface Entry {
  mode: string;
  type: string;
  sha: string;
  size: number;
  path: string;
}

async function entriesOf(repository: Repository, args: string[]): Promise<Entry[]> {
  const text = await git(repository.gitDir, ["ls-tree", "-z", "-l", "--full-tree", ...args]);
  return text
    .split("\0")
    .filter(Boolean)
    .map((line) => {
      const [facts = "", path = ""] = line.split("\t");
      const [mode = "", type = "", sha = "", size = ""] = facts.split(/\s+/);
      return { mode, type, sha, size: Number(size) || 0, path };
    });
}

async function contents(call: Call): Promise<Reply> {
  const sha = await commitAt(call);
  const path = (call.params.path ?? "").replace(/^\/+|\/+$/g, "");
  if (path === "" || (await resolveObject(call.repository.gitDir, `${sha}:${path}`, "tree"))) {
    const entries = await entriesOf(call.repository, [sha, ...(path ? [`${path}/`] : [])]);
    return ok(entries.map((entry) => directoryEntry(call, sha, entry)));
  }
  return fileReply(call, sha, path);
}

function entryType(entry: Entry): "dir" | "file" | "symlink" | "submodule" {
  if (entry.type === "tree") return "dir";
  if (entry.type === "commit") return "submodule";
  return entry.mode === "120000" ? "symlink" : "file";
}

function places(call: Call, sha: string, entry: Entry) {
  const path = entry.path.split("/").map(encodeURIComponent).join("/");
  const kind = entry.type === "tree" ? "tree" : "blob";
  const url = `${repositoryUrl(call.world, call.repository)}/contents/${path}?ref=${sha}`;
  const gitUrl = `${repositoryUrl(call.world, call.repository)}/git/${kind}s/${entry.sha}`;
  const html = `${htmlUrl(call.world, call.repository)}/${kind}/${sha}/${path}`;
  return {
    name: basename(entry.path),
    path: entry.path,
    sha: entry.sha,
    size: entry.size,
    url,
    html_url: html,
    git_url: gitUrl,
    download_url: entry.type === "blob" ? `${htmlUrl(call.world, call.repository)}/raw/${sha}/${path}` : null,
    _links: { self: url, git: gitUrl, html },
  };
}

function directoryEntry(call: Call, sha: string, entry: Entry): unknown {
  // A directory's list calls a submodule a file: https://docs.github.com/rest/repos/contents#get-repository-content
  const type = entryType(entry);
  return { type: type === "submodule" ? "file" : type, ...places(call, sha, entry) };
}

async function fileReply(call: Call, sha: string, path: string): Promise<Reply> {
  const [entry] = await entriesOf(call.repository, [sha, path]);
  if (!entry) throw notFound();
  const type = entryType(entry);
  if (type === "submodule") return ok({ type, submodule_git_url: "", ...places(call, sha, entry) });
  const bytes = await gitBytes(call.repository.gitDir, ["cat-file", "blob", entry.sha]);
  if (/\.raw\b/.test(call.accept)) {
    return { status: 200, text: { content: bytes, type: "application/vnd.github.raw; charset=utf-8" } };
  }
  if (type === "symlink") return ok({ type, target: bytes.toString(), ...places(call, sha, entry) });
  const content = bytes.toString("base64").replace(/(.{60})/g, "$1\n");
  return ok({ type: "file", encoding: "base64", content: `${content}\n`, ...places(call, sha, entry) });
}

async function putFile(call: Call): Promise<Reply> {
  const { repository } = call;
  const path = call.params.path ?? "";
  const branch = call.body.branch ?? repository.defaultBranch;
  const before = await refSha(repository.gitDir, `refs/heads/${branch}`);
  if (!before && call.body.branch && (await refSha(repository.gitDir, `refs/heads/${repository.defaultBranch}`))) {
    throw new ApiError(404, `Branch ${branch} not found`);
  }
  const known = before ? (await entriesOf(repository, [before, path]))[0] : undefined;
  if (known && call.body.sha === undefined) throw new ApiError(422, 'Invalid request.\n\n"sha" wasn\'t supplied.');
  if (call.body.sha && known?.sha !== call.body.sha) throw new ApiError(409, `${path} does not match ${call.body.sha}`);
  const blob = await writeBlob(repository.gitDir, Buffer.from(call.body.content, "base64"));
  const change = { path, mode: known?.mode ?? "100644", sha: blob };
  const commit = await commitChange(call, branch, before, change);
  const entry = {
    mode: "100644",
    type: "blob",
    sha: blob,
    size: Buffer.from(call.body.content, "base64").length,
    path,
  };
  const shown = { type: "file", ...places(call, commit, entry) };
  return { status: known ? 200 : 201, body: { content: shown, commit: await gitCommit(call, commit) } };
}

async function deleteFile(call: Call): Promise<Reply> {
  const { repository } = call;
  const path = call.params.path ?? "";
  const branch = call.body.branch ?? repository.defaultBranch;
  const before = await refSha(repository.gitDir, `refs/heads/${branch}`);
  const known = before ? (await entriesOf(repository, [before, path]))[0] : undefined;
  if (!known) throw notFound();
  if (known.sha !== call.body.sha) throw new ApiError(409, `${path} does not match ${call.body.sha}`);
  const commit = await commitChange(call, branch, before, { path, mode: known.mode, sha: null });
  return ok({ content: null, commit: await gitCommit(call, commit) });
}

async function commitChange(
  call: Call,
  branch: string,
  before: string | undefined,
  change: { path: string; mode: string; sha: string | null },
): Promise<string> {
  const { repository, world, actor } = call;
  if (repository.protections.get(branch)?.requirePullRequest) {
    throw new ApiError(409, `Repository rule violations found\n\nChanges must be made through a pull request.`);
  }
  const identity = { name: actor.user.name ?? actor.user.login, email: noReplyAddress(actor.user), date: world.now() };
  const custom = call.body.author ?? call.body.committer;
  const named = custom
    ? { name: custom.name, email: custom.email, date: new Date(custom.date ?? world.now()) }
    : identity;
  const after = await writeCommit(repository.gitDir, {
    tree: await writeTree(repository.gitDir, before, [change]),
    parents: before ? [before] : [],
    message: call.body.message,
    author: named,
    committer: named,
  });
  if (!custom) repository.signedCommits.add(after);
  await moveRef(world, repository, actor, { ref: `refs/heads/${branch}`, before: before ?? ZERO_SHA, after }).catch(
    () => {
      throw new ApiError(409, `${fullNameOf(repository)}: ${branch} moved meanwhile`);
    },
  );
  return after;
}

/** A commit in the shape of the git database's routes. */
export async function gitCommit(call: Call, sha: string): Promise<unknown> {
  const shown = commitJson(call.world, call.repository, await readCommit(call.repository.gitDir, sha));
  const { author, committer, message, tree, verification } = shown.commit as Record<string, unknown>;
  const { parents, node_id, html_url } = shown;
  const url = `${repositoryUrl(call.world, call.repository)}/git/commits/${sha}`;
  return { sha, node_id, url, html_url, author, committer, message, tree, verification, parents };
}
