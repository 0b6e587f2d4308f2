import { commitOf } from "../domain/pulls.ts";
import { moveRef } from "../domain/refs.ts";
import { ApiError, forbidden, notFound } from "../errors.ts";
import {
  diffFiles,
  GitError,
  git,
  gitBytes,
  type Identity,
  readCommit,
  readCommits,
  refSha,
  resolveObject,
  tryGit,
  writeBlob,
  writeCommit,
  writeTree,
  ZERO_SHA,
} from "../git.ts";
import { type Call, created, noContent, ok, type Reply, type Route, route } from "../http.ts";
import { commitJson, fileJson, htmlUrl, noReplyAddress, repositoryUrl, time } from "../serialise.ts";
import type { Repository } from "../types.ts";
import { permits } from "../world.ts";
import { gitCommit } from "./repositories.ts";

const READ = { needs: ["contents:read"] };
const WRITE = { needs: ["contents:write"] };
const REPO = "/repos/{owner}/{repo}";
const EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

export const gitDataRoutes: Route[] = [
  route(`GET ${REPO}/git/ref/{ref}`, READ, async (call) => {
    const ref = `refs/${call.params.ref}`;
    const sha = await refSha(call.repository.gitDir, ref);
    await refuseEmptyRepository(call.repository);
    if (!sha) throw notFound();
    return ok(await refJson(call, ref, sha));
  }),
  route(`GET ${REPO}/git/matching-refs/{ref}`, READ, async (call) => {
    const text = await git(call.repository.gitDir, ["for-each-ref", "--format=%(objectname) %(refname)"]);
    const lines = text.split("\n").filter((line) => line.split(" ")[1]?.startsWith(`refs/${call.params.ref}`));
    const refs = lines.map((line) => line.split(" ") as [string, string]);
    return ok(await Promise.all(refs.map(([sha, ref]) => refJson(call, ref, sha))));
  }),
  route(`POST ${REPO}/git/refs`, WRITE, async (call) => {
    const { ref, sha } = call.body;
    const { repository } = call;
    if (!/^refs\/[^/]+\/.+/.test(ref))
      throw new ApiError(422, "Reference name must start with 'refs/' and have at least two slashes");
    if (!(await tryGit(repository.gitDir, ["check-ref-format", ref]).then((answer) => answer !== undefined))) {
      throw new ApiError(422, `${ref} is not a valid ref name.`);
    }
    if (!(await resolveObject(repository.gitDir, sha, "object"))) throw new ApiError(422, "Object does not exist");
    if (await refSha(repository.gitDir, ref)) throw new ApiError(422, "Reference already exists");
    await refuseWorkflows(call, sha);
    await moveRef(call.world, repository, call.actor, { ref, before: ZERO_SHA, after: sha }).catch(
      refuse("Reference already exists"),
    );
    return created(await refJson(call, ref, sha));
  }),
  route(`PATCH ${REPO}/git/refs/{ref}`, WRITE, async (call) => {
    const { sha, force = false } = call.body;
    const { repository } = call;
    const ref = `refs/${call.params.ref}`;
    const before = await refSha(repository.gitDir, ref);
    if (!before) throw new ApiError(422, "Reference does not exist");
    if (!(await resolveObject(repository.gitDir, sha, "object"))) throw new ApiError(422, "Object does not exist");
    const forward = (await tryGit(repository.gitDir, ["merge-base", "--is-ancestor", before, sha])) !== undefined;
    if (!forward && !force) throw new ApiError(422, "Update is not a fast forward");
    refuseProtected(repository, ref, forward);
    await refuseWorkflows(call, sha);
    if (before !== sha) {
      await moveRef(call.world, repository, call.actor, { ref, before, after: sha }).catch(
        refuse("Update is not a fast forward"),
      );
    }
    return ok(await refJson(call, ref, sha));
  }),
  route(`DELETE ${REPO}/git/refs/{ref}`, WRITE, async (call) => {
    const { repository } = call;
    const ref = `refs/${call.params.ref}`;
    const before = await refSha(repository.gitDir, ref);
    if (!before) throw new ApiError(422, "Reference does not exist");
    refuseProtected(repository, ref, false);
    await moveRef(call.world, repository, call.actor, { ref, before, after: ZERO_SHA }).catch(
      refuse("Reference does not exist"),
    );
    return noContent();
  }),
  route(`POST ${REPO}/git/blobs`, WRITE, async (call) => {
    const { content, encoding = "utf-8" } = call.body;
    const bytes = Buffer.from(content, encoding === "base64" ? "base64" : "utf8");
    const sha = await writeBlob(call.repository.gitDir, bytes);
    return created({ sha, url: `${repositoryUrl(call.world, call.repository)}/git/blobs/${sha}` });
  }),
  route(`GET ${REPO}/git/blobs/{file_sha}`, READ, async (call) => {
    const sha = await resolveObject(call.repository.gitDir, call.params.file_sha ?? "", "blob");
    if (!sha) throw notFound();
    const bytes = await gitBytes(call.repository.gitDir, ["cat-file", "blob", sha]);
    const url = `${repositoryUrl(call.world, call.repository)}/git/blobs/${sha}`;
    return ok({
      sha,
      node_id: `B_${sha}`,
      size: bytes.length,
      url,
      content: bytes.toString("base64"),
      encoding: "base64",
    });
  }),
  route(`POST ${REPO}/git/trees`, WRITE, async (call) => {
    const { repository } = call;
    const { base_tree: base, tree } = call.body;
    if (base && !(await resolveObject(repository.gitDir, base, "tree")))
      throw new ApiError(422, "base_tree is not a valid tree oid");
    const changes = await Promise.all(tree.map((entry: TreeEntry) => treeChange(repository, entry)));
    const sha = await writeTree(repository.gitDir, base, changes);
    return created(await treeJson(call, sha, false));
  }),
  route(`GET ${REPO}/git/trees/{tree_sha}`, READ, async (call) => {
    const name = call.params.tree_sha ?? "";
    const commit = await commitOf(call.repository, name);
    const sha = await resolveObject(call.repository.gitDir, commit ?? name, "tree");
    if (!sha) throw notFound();
    return ok(await treeJson(call, sha, call.query.recursive !== undefined));
  }),
  route(`POST ${REPO}/git/commits`, WRITE, async (call) => {
    const { repository, actor, world } = call;
    const { message, tree, parents = [] } = call.body;
    if (!(await resolveObject(repository.gitDir, tree, "tree"))) throw new ApiError(422, "Tree SHA does not exist");
    for (const parent of parents) {
      if (!(await resolveObject(repository.gitDir, parent)))
        throw new ApiError(422, "Parent SHA does not exist or is not a commit object");
    }
    const own = { name: actor.user.name ?? actor.user.login, email: noReplyAddress(actor.user), date: world.now() };
    const author = identity(call.body.author, own);
    const committer = identity(call.body.committer, author);
    const sha = await writeCommit(repository.gitDir, { tree, parents, message, author, committer });
    // GitHub signs what a bot commits under its own name.
    if (actor.app && !call.body.author && !call.body.committer) repository.signedCommits.add(sha);
    return created(await gitCommit(call, sha));
  }),
  route(`GET ${REPO}/git/commits/{commit_sha}`, READ, async (call) => {
    const sha = await resolveObject(call.repository.gitDir, call.params.commit_sha ?? "");
    if (!sha) throw notFound();
    return ok(await gitCommit(call, sha));
  }),
  route(`POST ${REPO}/git/tags`, WRITE, async (call) => {
    const { repository, actor, world } = call;
    const { tag, message, object, type, tagger } = call.body;
    const who = identity(tagger, { name: actor.user.login, email: noReplyAddress(actor.user), date: world.now() });
    const seconds = Math.floor(who.date.getTime() / 1000);
    const content = `object ${object}\ntype ${type}\ntag ${tag}\ntagger ${who.name} <${who.email}> ${seconds} +0000\n\n${message}\n`;
    const sha = await git(repository.gitDir, ["mktag"], { input: content }).catch(refuse("Object does not exist"));
    return created(tagJson(call, { sha, tag, message, object: { type, sha: object }, tagger: who }));
  }),
  route(`GET ${REPO}/git/tags/{tag_sha}`, READ, async (call) => {
    const sha = await resolveObject(call.repository.gitDir, call.params.tag_sha ?? "", "tag");
    if (!sha) throw notFound();
    const text = await git(call.repository.gitDir, ["cat-file", "tag", sha]);
    const head = (name: string): string => new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1] ?? "";
    const [, name = "", email = "", seconds = "0"] = /^(.*) <(.*)> (\d+)/.exec(head("tagger")) ?? [];
    const tagger = { name, email, date: new Date(Number(seconds) * 1000) };
    const message = text.slice(text.indexOf("\n\n") + 2);
    const object = { type: head("type"), sha: head("object") };
    return ok(tagJson(call, { sha, tag: head("tag"), message, object, tagger }));
  }),

  route(`GET ${REPO}/commits`, READ, async (call) => {
    await refuseEmptyRepository(call.repository);
    const start = await commitOf(call.repository, call.query.sha ?? call.repository.defaultBranch);
    if (!start) throw notFound();
    const { since, until, path, author } = call.query;
    const args = [
      ...(since ? [`--since=${since}`] : []),
      ...(until ? [`--until=${until}`] : []),
      ...(author ? [`--author=${author}`] : []),
      start,
      ...(path ? ["--", path] : []),
    ];
    return call.page(await readCommits(call.repository.gitDir, args), (commit) =>
      commitJson(call.world, call.repository, commit),
    );
  }),
  route(`GET ${REPO}/commits/{ref}`, READ, async (call) => {
    const sha = await commitOf(call.repository, call.params.ref ?? "");
    if (!sha) throw new ApiError(422, `No commit found for SHA: ${call.params.ref}`);
    if (/\.sha\b/.test(call.accept)) {
      return { status: 200, text: { content: sha, type: "application/vnd.github.sha; charset=utf-8" } };
    }
    const commit = await readCommit(call.repository.gitDir, sha);
    const files = await diffFiles(call.repository.gitDir, commit.parents[0] ?? EMPTY_TREE, sha);
    return ok(commitJson(call.world, call.repository, commit, files));
  }),
  route(`GET ${REPO}/compare/{basehead}`, READ, (call) => compare(call)),
  route(`GET ${REPO}/branches`, READ, async (call) => {
    const text = await git(call.repository.gitDir, [
      "for-each-ref",
      "--format=%(objectname) %(refname:lstrip=2)",
      "refs/heads",
    ]);
    const branches = text
      .split("\n")
      .filter(Boolean)
      .map((line) => line.split(" ") as [string, string]);
    const root = repositoryUrl(call.world, call.repository);
    const wanted = call.query.protected === undefined ? undefined : call.query.protected === "true";
    const shown = branches.filter(
      ([, name]) => wanted === undefined || call.repository.protections.has(name) === wanted,
    );
    return call.page(shown, ([sha, name]) => ({
      name,
      commit: { sha, url: `${root}/commits/${sha}` },
      protected: call.repository.protections.has(name),
    }));
  }),
  route(`GET ${REPO}/branches/{branch}`, READ, async (call) => {
    const name = call.params.branch ?? "";
    const sha = await refSha(call.repository.gitDir, `refs/heads/${name}`);
    if (!sha) throw new ApiError(404, "Branch not found");
    const url = `${repositoryUrl(call.world, call.repository)}/branches/${encodeURIComponent(name)}`;
    const protection = call.repository.protections.get(name);
    return ok({
      name,
      commit: commitJson(call.world, call.repository, await readCommit(call.repository.gitDir, sha)),
      _links: { self: url, html: `${htmlUrl(call.world, call.repository)}/tree/${name}` },
      protected: protection !== undefined,
      protection: {
        enabled: protection !== undefined,
        required_status_checks: { enforcement_level: "off", contexts: protection?.requiredChecks ?? [], checks: [] },
      },
      protection_url: `${url}/protection`,
    });
  }),
];

interface TreeEntry {
  path: string;
  mode: string;
  sha?: string | null;
  content?: string;
}

async function treeChange(repository: Repository, entry: TreeEntry) {
  const { path, mode, sha, content } = entry;
  if (content !== undefined) return { path, mode, sha: await writeBlob(repository.gitDir, content) };
  if (sha && mode !== "160000" && !(await resolveObject(repository.gitDir, sha, "object"))) {
    throw new ApiError(422, `tree.sha ${sha} is not a valid ${mode === "040000" ? "tree" : "blob"}`);
  }
  return { path, mode, sha: sha ?? null };
}

function identity(given: { name: string; email: string; date?: string } | undefined, fallback: Identity): Identity {
  if (!given) return fallback;
  return { name: given.name, email: given.email, date: given.date ? new Date(given.date) : fallback.date };
}

/** Turns a refusal of git, such as a lost compare-and-set, into GitHub's 422. */
function refuse(message: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof GitError) throw new ApiError(422, message);
    throw error;
  };
}

function refuseProtected(repository: Repository, ref: string, forward: boolean): void {
  const protection = repository.protections.get(ref.replace(/^refs\/heads\//, ""));
  if (!protection) return;
  if (protection.requirePullRequest) throw new ApiError(422, "Changes must be made through a pull request.");
  if (!forward && !protection.allowForcePushes) throw new ApiError(422, "Cannot force-push to this branch");
}

/** Refs that bring new commits which touch workflows need a permission of their own, as in a push. */
async function refuseWorkflows(call: Call, sha: string): Promise<void> {
  const token = call.principal.kind === "token" ? call.principal.token : undefined;
  if (!token?.installation || permits(token.permissions ?? {}, "workflows:write")) return;
  const args = ["log", "--format=", "--name-only", sha, "--not", "--all", "--", ".github/workflows"];
  if (await tryGit(call.repository.gitDir, args)) throw forbidden();
}

async function refuseEmptyRepository(repository: Repository): Promise<void> {
  if ((await git(repository.gitDir, ["for-each-ref", "--count=1"])) === "") {
    throw new ApiError(409, "Git Repository is empty.");
  }
}

async function refJson(call: Call, ref: string, sha: string): Promise<unknown> {
  const root = repositoryUrl(call.world, call.repository);
  const type = await git(call.repository.gitDir, ["cat-file", "-t", sha]);
  return {
    ref,
    node_id: `REF_${Buffer.from(`${call.repository.id}:${ref}`).toString("base64url")}`,
    url: `${root}/git/${ref}`,
    object: { sha, type, url: `${root}/git/${type}s/${sha}` },
  };
}

async function treeJson(call: Call, sha: string, recursive: boolean): Promise<unknown> {
  const root = repositoryUrl(call.world, call.repository);
  const text = await git(call.repository.gitDir, ["ls-tree", "-z", "-l", ...(recursive ? ["-r", "-t"] : []), sha]);
  const tree = text
    .split("\0")
    .filter(Boolean)
    .map((line) => {
      const [facts = "", path = ""] = line.split("\t");
      const [mode = "", type = "", object = "", size = ""] = facts.split(/\s+/);
      return {
        path,
        mode,
        type,
        sha: object,
        ...(type === "blob" ? { size: Number(size) } : {}),
        ...(type === "commit" ? {} : { url: `${root}/git/${type}s/${object}` }),
      };
    });
  return { sha, url: `${root}/git/trees/${sha}`, tree, truncated: false };
}

function tagJson(
  call: Call,
  tag: { sha: string; tag: string; message: string; object: { type: string; sha: string }; tagger: Identity },
): unknown {
  const root = repositoryUrl(call.world, call.repository);
  return {
    node_id: `TA_${tag.sha}`,
    tag: tag.tag,
    sha: tag.sha,
    url: `${root}/git/tags/${tag.sha}`,
    message: tag.message,
    tagger: { name: tag.tagger.name, email: tag.tagger.email, date: time(tag.tagger.date) },
    object: { ...tag.object, url: `${root}/git/${tag.object.type}s/${tag.object.sha}` },
    verification: { verified: false, reason: "unsigned", signature: null, payload: null, verified_at: null },
  };
}

async function compare(call: Call): Promise<Reply> {
  const { repository, world } = call;
  const [base = "", head = ""] = (call.params.basehead ?? "").split("...");
  const [baseSha, headSha] = await Promise.all([commitOf(repository, base), commitOf(repository, head)]);
  if (!baseSha || !headSha) throw notFound();
  const mergeBase = await tryGit(repository.gitDir, ["merge-base", baseSha, headSha]);
  if (!mergeBase) throw new ApiError(404, `No common ancestor between ${base} and ${head}.`);
  const [counts, commits, files] = await Promise.all([
    git(repository.gitDir, ["rev-list", "--left-right", "--count", `${baseSha}...${headSha}`]),
    readCommits(repository.gitDir, ["--reverse", `${baseSha}..${headSha}`]),
    diffFiles(repository.gitDir, mergeBase, headSha),
  ]);
  const [behind = 0, ahead = 0] = counts.split("\t").map(Number);
  const status = ahead && behind ? "diverged" : ahead ? "ahead" : behind ? "behind" : "identical";
  const html = `${htmlUrl(world, repository)}/compare/${base}...${head}`;
  const paged = call.page(commits, (commit) => commitJson(world, repository, commit));
  return {
    ...paged,
    body: {
      url: `${repositoryUrl(world, repository)}/compare/${base}...${head}`,
      html_url: html,
      permalink_url: html,
      diff_url: `${html}.diff`,
      patch_url: `${html}.patch`,
      base_commit: commitJson(world, repository, await readCommit(repository.gitDir, baseSha)),
      merge_base_commit: commitJson(world, repository, await readCommit(repository.gitDir, mergeBase)),
      status,
      ahead_by: ahead,
      behind_by: behind,
      total_commits: commits.length,
      commits: paged.body,
      files: files.map((file) => fileJson(world, repository, headSha, file)),
    },
  };
}
