import { execFile } from "node:child_process";
import { createHmac, generateKeyPairSync } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { type ApplicationFunction, createNodeMiddleware, createProbot, ProbotOctokit } from "probot";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { gitEnvironment } from "./local-github/git.ts";
import { type LocalGitHub, type LocalGitHubOptions, startLocalGitHub } from "./local-github/index.ts";
import { OpenApi } from "./local-github/openapi.ts";
import { ROUTES } from "./local-github/routes/index.ts";
import type { Installation, ReviewComment, Thread } from "./local-github/types.ts";

const run = promisify(execFile);
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const PEM = privateKey.export({ type: "pkcs1", format: "pem" }).toString();
const SECRET = "a secret of this test";
const REPO = { owner: "acme", repo: "shop" };

let directory: string;
let gh: LocalGitHub;
let now: Date | undefined;
let installation: Installation;

async function start(options: Partial<LocalGitHubOptions> = {}): Promise<void> {
  gh = await startLocalGitHub({
    dataDir: directory,
    app: { id: 77, slug: "builder", name: "Builder", privateKey: PEM, webhookSecret: SECRET },
    clock: () => now ?? new Date(),
    ...options,
  });
  gh.createUser("acme", { type: "Organization" });
  await gh.createRepository({
    owner: "acme",
    name: "shop",
    files: { "README.md": "# Shop\n", "src/price.js": "export const price = 1;\n" },
    collaborators: { alice: "write", bob: "triage", carol: "read" },
  });
  installation = gh.install({ owner: "acme" });
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "local-github-"));
  now = undefined;
  await start();
});

afterEach(async () => {
  await gh.close();
  await rm(directory, { recursive: true, force: true });
  expect(gh.violations).toEqual([]);
});

const EVENTS = [
  "check_run.completed",
  "check_run.created",
  "create",
  "delete",
  "installation.created",
  "installation.deleted",
  "installation.suspend",
  "installation.unsuspend",
  "installation_repositories.added",
  "installation_repositories.removed",
  "issue_comment.created",
  "issue_comment.deleted",
  "issues.assigned",
  "issues.closed",
  "issues.edited",
  "issues.labeled",
  "issues.locked",
  "issues.opened",
  "issues.reopened",
  "issues.unlabeled",
  "pull_request.closed",
  "pull_request.converted_to_draft",
  "pull_request.edited",
  "pull_request.labeled",
  "pull_request.opened",
  "pull_request.ready_for_review",
  "pull_request.reopened",
  "pull_request.review_requested",
  "pull_request.unlabeled",
  "pull_request_review.submitted",
  "pull_request_review_comment.created",
  "pull_request_review_comment.edited",
  "pull_request_review_thread.resolved",
  "push",
];

type Octokit = InstanceType<typeof ProbotOctokit>;

/** Probot's own client without its waiting, with a token of the installation. */
function client(token = gh.installationToken(installation), baseUrl = gh.url): Octokit {
  const Plain = ProbotOctokit.defaults({ retry: { enabled: false }, throttle: { enabled: false } });
  return new Plain({ auth: { token }, baseUrl, log: SILENT }) as Octokit;
}

const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** The status and message of a refusal; fails when there is none. */
async function refusal(request: Promise<unknown>): Promise<string> {
  try {
    await request;
  } catch (error) {
    const { status, response } = error as {
      status: number;
      response?: { data?: { message?: string; errors?: unknown } };
    };
    const errors = response?.data?.errors ? ` ${JSON.stringify(response.data.errors)}` : "";
    return `${status} ${response?.data?.message ?? ""}${errors}`;
  }
  throw new Error("the request was not refused");
}

describe("issues", () => {
  test("an App labels, comments, reacts and edits, and everything shows who did it", async () => {
    const issue = gh.as("carol").openIssue("acme/shop", { title: "Wrong price", body: "It is 1." });
    const { rest } = client();
    const target = { ...REPO, issue_number: issue.number };
    await rest.issues.createLabel({ ...REPO, name: "build", color: "00ff00" });
    await rest.issues.addLabels({ ...target, labels: ["build", "new-one"] });
    const comment = await rest.issues.createComment({ ...target, body: "on it" });
    expect(comment.data.user?.login).toBe("builder[bot]");
    expect(comment.data.performed_via_github_app?.slug).toBe("builder");
    await rest.issues.updateComment({ ...REPO, comment_id: comment.data.id, body: "done" });
    const first = await rest.reactions.createForIssueComment({ ...REPO, comment_id: comment.data.id, content: "eyes" });
    const second = await rest.reactions.createForIssueComment({
      ...REPO,
      comment_id: comment.data.id,
      content: "eyes",
    });
    expect([first.status, second.status]).toEqual([201, 200]);
    expect(second.data.id).toBe(first.data.id);
    const { data } = await rest.issues.get(target);
    expect(data.labels.map((label) => (typeof label === "string" ? label : label.name))).toEqual(["build", "new-one"]);
    expect(data.author_association).toBe("NONE");
    const events = await rest.issues.listEventsForRepo(REPO);
    expect(events.data.map((event) => `${event.event} by ${event.actor?.login}`)).toEqual([
      "labeled by builder[bot]",
      "labeled by builder[bot]",
    ]);
    expect((await rest.issues.listEventsForTimeline(target)).data).toHaveLength(3);
  });

  test("a list is paged with Link headers that lead to every item once", async () => {
    for (let at = 0; at < 7; at += 1) gh.as("alice").openIssue("acme/shop", { title: `Issue ${at}` });
    const { rest, paginate } = client();
    const first = await rest.issues.listForRepo({ ...REPO, per_page: 3 });
    expect(first.headers.link).toContain('rel="next"');
    const all = await paginate(rest.issues.listForRepo, { ...REPO, per_page: 3 });
    expect(all.map((issue) => issue.number)).toEqual([7, 6, 5, 4, 3, 2, 1]);
  });

  test("a comment list of the repository is sorted, and since includes its own second", async () => {
    now = new Date("2026-01-01T00:00:00Z");
    const { number } = gh.as("alice").openIssue("acme/shop", { title: "A" });
    const early = gh.as("alice").comment("acme/shop", number, "early");
    now = new Date("2026-01-01T00:00:10Z");
    gh.as("bob").comment("acme/shop", number, "late");
    const { rest } = client();
    const since = await rest.issues.listCommentsForRepo({ ...REPO, since: "2026-01-01T00:00:10Z" });
    expect(since.data.map((comment) => comment.body)).toEqual(["late"]);
    now = new Date("2026-01-01T00:00:20Z");
    gh.as("alice").editComment(early, "edited");
    const sorted = await rest.issues.listCommentsForRepo({ ...REPO, sort: "updated", direction: "desc" });
    expect(sorted.data.map((comment) => comment.body)).toEqual(["edited", "late"]);
  });

  test("a conditional request is answered by 304 and does not count", async () => {
    const issue = gh.as("alice").openIssue("acme/shop", { title: "A" });
    const { rest, request } = client();
    const first = await rest.issues.get({ ...REPO, issue_number: issue.number });
    const headers = { "if-none-match": first.headers.etag as string };
    const route = "GET /repos/{owner}/{repo}/issues/{issue_number}";
    const asked = { ...REPO, issue_number: issue.number, headers };
    expect(await refusal(request(route, asked))).toMatch(/^304/);
    expect(gh.requests.at(-1)).toMatchObject({ status: 304, counted: false, headers: { "x-ratelimit-used": "1" } });
    gh.as("alice").comment("acme/shop", issue.number, "news");
    expect((await request(route, asked)).status).toBe(200);
  });

  test("a deleted issue is gone, an unknown one is not found", async () => {
    const issue = gh.as("alice").openIssue("acme/shop", { title: "A" });
    gh.as("alice").deleteIssue("acme/shop", issue.number);
    const { rest } = client();
    expect(await refusal(rest.issues.get({ ...REPO, issue_number: issue.number }))).toMatch(/^410/);
    expect(await refusal(rest.issues.get({ ...REPO, issue_number: 99 }))).toMatch(/^404/);
  });

  test("a transferred issue leads on to its new place, for whoever may see that", async () => {
    await gh.createRepository({ owner: "acme", name: "open" });
    await gh.createRepository({ owner: "acme", name: "closed", private: true });
    const [first, second] = ["A", "B"].map((title) => gh.as("alice").openIssue("acme/shop", { title }).number);
    const moved = gh.as("alice").transferIssue("acme/shop", first!, "acme/open");
    gh.as("alice").transferIssue("acme/shop", second!, "acme/closed");
    const { rest } = client(gh.world.mintInstallationToken(installation, { issues: "write" }, [shopId()]).value);
    const { data } = await rest.issues.get({ ...REPO, issue_number: first! });
    expect(data).toMatchObject({ number: moved.number, title: "A", repository_url: `${gh.url}/repos/acme/open` });
    expect(await refusal(rest.issues.get({ ...REPO, issue_number: second! }))).toMatch(/^404/);
    expect(await refusal(rest.issues.createComment({ ...REPO, issue_number: first!, body: "x" }))).toMatch(/^404/);
    expect(gh.deliveries.map(({ event, action }) => `${event}.${action}`)).toContain("issues.transferred");
  });

  test("a ticked box is an edit of the comment", async () => {
    const issue = gh.as("alice").openIssue("acme/shop", { title: "A" });
    const comment = gh.asApp(gh.app).comment("acme/shop", issue.number, "Choose:\n- [ ] retry\n- [ ] stop");
    gh.as("alice").tick(comment, "stop");
    await gh.settled();
    const edited = gh.deliveries.at(-1);
    expect([edited?.event, edited?.action]).toEqual(["issue_comment", "edited"]);
    expect(edited?.payload).toMatchObject({
      sender: { login: "alice" },
      changes: { body: { from: "Choose:\n- [ ] retry\n- [ ] stop" } },
      comment: { body: "Choose:\n- [ ] retry\n- [x] stop" },
    });
    const { rest } = client();
    const target = { ...REPO, comment_id: comment.id };
    expect((await rest.issues.getComment(target)).data.performed_via_github_app?.id).toBe(77);
    await rest.issues.deleteComment(target);
    expect(await refusal(rest.issues.getComment(target))).toMatch(/^404/);
  });

  test("labels are made, changed and removed", async () => {
    const issue = gh.as("alice").openIssue("acme/shop", { title: "A", labels: ["bug"] });
    const { rest } = client();
    expect(await refusal(rest.issues.createLabel({ ...REPO, name: "Bug" }))).toContain("already_exists");
    await rest.issues.updateLabel({ ...REPO, name: "bug", new_name: "defect", description: "wrong" });
    const target = { ...REPO, issue_number: issue.number };
    expect((await rest.issues.listLabelsOnIssue(target)).data[0]?.name).toBe("defect");
    expect((await rest.issues.listForRepo({ ...REPO, labels: "defect" })).data).toHaveLength(1);
    await rest.issues.removeLabel({ ...target, name: "defect" });
    expect(await refusal(rest.issues.removeLabel({ ...target, name: "defect" }))).toBe("404 Label does not exist");
    await rest.issues.setLabels({ ...target, labels: ["x"] });
    await rest.issues.lock(target);
    await rest.issues.update({ ...target, state: "closed", state_reason: "not_planned" });
    expect((await rest.issues.get(target)).data).toMatchObject({
      locked: true,
      state: "closed",
      state_reason: "not_planned",
    });
    await rest.issues.listLabelsForRepo(REPO);
    await rest.issues.listEvents(target);
    await rest.issues.listEventsForTimeline(target);
  });

  test("sub-issues show their parent", async () => {
    const parent = gh.as("alice").openIssue("acme/shop", { title: "Whole" });
    const child = gh.as("alice").openIssue("acme/shop", { title: "Part" });
    const { request } = client();
    const path = "/repos/{owner}/{repo}/issues/{issue_number}";
    await request(`POST ${path}/sub_issues`, { ...REPO, issue_number: parent.number, sub_issue_id: child.id });
    const found = await request(`GET ${path}/parent`, { ...REPO, issue_number: child.number });
    expect(found.data.number).toBe(parent.number);
    expect(await refusal(request(`GET ${path}/parent`, { ...REPO, issue_number: parent.number }))).toMatch(/^404/);
  });
});

describe("who may", () => {
  function appClient(): Octokit {
    const Plain = ProbotOctokit.defaults({ retry: { enabled: false }, throttle: { enabled: false } });
    return new Plain({ auth: { appId: 77, privateKey: PEM }, baseUrl: gh.url, log: SILENT }) as Octokit;
  }

  test("an App finds its installation, narrows its token, and the token ends after an hour", async () => {
    await gh.createRepository({ owner: "acme", name: "other", private: true, files: { a: "a" } });
    const app = appClient();
    expect((await app.rest.apps.getAuthenticated()).data?.slug).toBe("builder");
    const found = await app.rest.apps.getRepoInstallation(REPO);
    const { data: token } = await app.rest.apps.createInstallationAccessToken({
      installation_id: found.data.id,
      repositories: ["shop"],
      permissions: { issues: "read" },
    });
    expect(token.permissions).toEqual({ issues: "read", metadata: "read" });
    const narrow = client(token.token);
    expect(await refusal(narrow.rest.issues.create({ ...REPO, title: "x" }))).toBe(
      "403 Resource not accessible by integration",
    );
    expect(await refusal(narrow.rest.repos.get({ owner: "acme", repo: "other" }))).toBe("404 Not Found");
    expect((await narrow.rest.issues.listForRepo(REPO)).data).toEqual([]);
    now = new Date(Date.now() + 61 * 60 * 1000);
    expect(await refusal(narrow.rest.issues.listForRepo(REPO))).toBe("401 Bad credentials");
  });

  test("a client whose clock is behind learns the time from the answers", async () => {
    now = new Date(Date.now() + 2 * 60 * 60 * 1000);
    expect((await appClient().rest.apps.getAuthenticated()).data?.slug).toBe("builder");
  });

  test("a person of another account reads a public repository and does not write to it", async () => {
    gh.createUser("mallory");
    const { rest } = client(gh.tokenOf("mallory"));
    const issue = await rest.issues.create({ ...REPO, title: "Hello" });
    expect(issue.data.author_association).toBe("NONE");
    const target = { ...REPO, issue_number: issue.data.number };
    expect(await refusal(rest.issues.addLabels({ ...target, labels: ["build"] }))).toMatch(/^403/);
    gh.setRole("acme/shop", "mallory", "triage");
    expect((await rest.issues.addLabels({ ...target, labels: ["build"] })).status).toBe(200);
    expect((await fetch(`${gh.url}/repos/acme/shop/issues`, { method: "POST", body: '{"title":"x"}' })).status).toBe(
      401,
    );
  });

  test("a token cannot be wider than the installation", async () => {
    const app = appClient();
    const wide = { installation_id: installation.id, permissions: { administration: "write" as const } };
    expect(await refusal(app.rest.apps.createInstallationAccessToken(wide))).toMatch(/^422 The permissions requested/);
    const elsewhere = { installation_id: installation.id, repositories: ["nowhere"] };
    expect(await refusal(app.rest.apps.createInstallationAccessToken(elsewhere))).toMatch(/^422 There is at least one/);
  });

  test("a JSON web token signed by another key is refused", async () => {
    const other = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    const key = other.export({ type: "pkcs1", format: "pem" }).toString();
    const forged = new ProbotOctokit({ auth: { appId: 77, privateKey: key }, baseUrl: gh.url, log: SILENT });
    expect(await refusal(forged.rest.apps.getAuthenticated())).toMatch(/^401/);
  });

  test("permission of a collaborator is told in old words and by role", async () => {
    const { rest } = client();
    const told: string[] = [];
    for (const username of ["acme", "alice", "bob", "carol"]) {
      const { data } = await rest.repos.getCollaboratorPermissionLevel({ ...REPO, username });
      told.push(`${username} ${data.permission} ${data.role_name}`);
    }
    expect(told).toEqual(["acme admin admin", "alice write write", "bob read triage", "carol read read"]);
    gh.deleteUser("alice");
    expect(await refusal(rest.repos.getCollaboratorPermissionLevel({ ...REPO, username: "alice" }))).toMatch(/^404/);
  });

  test("an archived repository takes no writes, by REST or by push", async () => {
    gh.setArchived("acme/shop", true);
    expect(await refusal(client().rest.issues.create({ ...REPO, title: "x" }))).toBe(
      "403 Repository was archived so is read-only.",
    );
    expect((await client().rest.repos.get(REPO)).data.archived).toBe(true);
    const { push } = await cloned();
    await expect(push("main")).rejects.toThrow(/403/);
  });

  test("a renamed repository is found by its old name, by REST and by git, for reading and for writing", async () => {
    const { push, commit } = await cloned();
    gh.renameRepository("acme/shop", "store");
    const { rest } = client();
    expect((await rest.repos.get(REPO)).data.full_name).toBe("acme/store");
    const { data } = await rest.issues.create({ ...REPO, title: "by the old name" });
    expect(gh.repository("acme/store").issue(data.number).title).toBe("by the old name");
    const sha = await commit("a.txt", "a");
    await push("by-the-old-name");
    expect((await gh.repository("acme/store").branches())["by-the-old-name"]).toBe(sha);
    await gh.createRepository({ owner: "acme", name: "shop", files: { a: "a" } });
    expect((await rest.repos.get(REPO)).data.full_name).toBe("acme/shop");
  });
});

const shopId = () => gh.repository("acme/shop").entity.id;

/** A clone over HTTP with a token in a header, and ways to commit and push from it. */
async function cloned(token = gh.installationToken(installation), name = "acme/shop") {
  const tree = await mkdtemp(join(directory, "clone-"));
  const header = `http.extraHeader=Authorization: Basic ${Buffer.from(`x-access-token:${token}`).toString("base64")}`;
  const git = async (...args: string[]): Promise<string> =>
    (
      await run("git", ["-C", tree, "-c", header, "-c", "user.name=T", "-c", "user.email=t@example.com", ...args], {
        env: gitEnvironment(),
      })
    ).stdout.trim();
  await git("clone", "--quiet", `${gh.gitUrl}/${name}.git`, ".");
  const commit = async (path: string, content: string, message = `Change ${path}`): Promise<string> => {
    await mkdir(dirname(join(tree, path)), { recursive: true });
    await writeFile(join(tree, path), content);
    await git("add", "-A");
    await git("commit", "--quiet", "-m", message);
    return git("rev-parse", "HEAD");
  };
  return {
    git,
    commit,
    push: (ref: string, ...flags: string[]) => git("push", "--quiet", ...flags, "origin", `HEAD:refs/heads/${ref}`),
  };
}

describe("git over HTTP", () => {
  test("a private repository is cloned with a token and not without", async () => {
    await gh.createRepository({ owner: "acme", name: "secret", private: true, files: { a: "a" } });
    const { git } = await cloned(undefined, "acme/secret");
    expect(await git("show", "HEAD:a")).toBe("a");
    const url = `${gh.gitUrl}/acme/secret.git`;
    await expect(run("git", ["ls-remote", url], { env: gitEnvironment() })).rejects.toThrow(
      /could not read Username|terminal prompts/,
    );
    const { status } = await fetch(`${url}/info/refs?service=git-upload-pack`);
    expect(status).toBe(401);
  });

  test("a push needs contents:write", async () => {
    const { commit, push } = await cloned(gh.installationToken(installation, { contents: "read" }));
    await commit("a.txt", "a");
    await expect(push("work")).rejects.toThrow(/403/);
  });

  test("a push moves the branch, its pull request follows, and the events say so", async () => {
    const { commit, push } = await cloned();
    await commit("a.txt", "1\n");
    await push("work");
    const { rest } = client();
    const opened = await rest.pulls.create({ ...REPO, title: "Work", head: "work", base: "main" });
    const sha = await commit("a.txt", "2\n", "Second [skip ci]");
    await push("work");
    const pull = await rest.pulls.get({ ...REPO, pull_number: opened.data.number });
    expect(pull.data.head.sha).toBe(sha);
    expect(pull.data.commits).toBe(2);
    await gh.settled();
    const seen = gh.deliveries.map((each) => [each.event, each.action].filter(Boolean).join("."));
    expect(seen).toEqual([
      "installation.created",
      "create",
      "push",
      "pull_request.opened",
      "push",
      "pull_request.synchronize",
    ]);
    const pushed = gh.deliveries.filter((each) => each.event === "push").at(-1)?.payload as {
      head_commit: { message: string };
    };
    expect(pushed.head_commit.message).toBe("Second [skip ci]");
  });

  test("a protected branch refuses a forced push and the pull request rule every push", async () => {
    const { commit, push, git } = await cloned();
    await gh.protect("acme/shop", "main", {});
    await commit("a.txt", "1\n");
    await push("main");
    await git("commit", "--quiet", "--amend", "-m", "other");
    await expect(push("main", "--force")).rejects.toThrow(/GH006/);
    await gh.protect("acme/shop", "main", { requirePullRequest: true });
    await commit("b.txt", "1\n");
    await expect(push("main", "--force")).rejects.toThrow(/through a pull request/);
  });

  test("a workflow needs a permission of its own", async () => {
    const { commit, push } = await cloned();
    await commit(".github/workflows/ci.yml", "on: push\n");
    await expect(push("work")).rejects.toThrow(/without `workflows` permission/);
    const wide = await cloned(gh.installationToken(installation, { contents: "write", workflows: "write" }));
    await wide.commit(".github/workflows/ci.yml", "on: push\n");
    await wide.push("work");
    expect(Object.keys(await gh.repository("acme/shop").branches())).toEqual(["main", "work"]);
  });

  test("a blobless clone and refs outside of branches work", async () => {
    const { git, commit } = await cloned();
    await commit("a.txt", "1\n");
    await git("push", "--quiet", "origin", "HEAD:refs/builder/run-1");
    await git("fetch", "--quiet", "--filter=blob:none", "origin", "refs/builder/run-1:refs/got");
    expect(await git("rev-parse", "refs/got")).toBe(await git("rev-parse", "HEAD"));
  });
});

describe("refs and pull requests by REST", () => {
  test("a ref that exists, an update that is no fast forward and a ref that is gone are 422", async () => {
    const { rest } = client();
    const main = (await rest.git.getRef({ ...REPO, ref: "heads/main" })).data.object.sha;
    await rest.git.createRef({ ...REPO, ref: "refs/heads/work", sha: main });
    expect(await refusal(rest.git.createRef({ ...REPO, ref: "refs/heads/work", sha: main }))).toBe(
      "422 Reference already exists",
    );
    const next = await gh.as("alice").push("acme/shop", { branch: "work", message: "x", files: { "x.txt": "x" } });
    expect(next).not.toBe(main);
    expect(await refusal(rest.git.updateRef({ ...REPO, ref: "heads/work", sha: main }))).toBe(
      "422 Update is not a fast forward",
    );
    await rest.git.updateRef({ ...REPO, ref: "heads/work", sha: main, force: true });
    await rest.git.deleteRef({ ...REPO, ref: "heads/work" });
    expect(await refusal(rest.git.deleteRef({ ...REPO, ref: "heads/work" }))).toBe("422 Reference does not exist");
  });

  test("a commit made by blobs and trees is signed and readable", async () => {
    const { rest } = client();
    const main = (await rest.git.getRef({ ...REPO, ref: "heads/main" })).data.object.sha;
    const parent = (await rest.git.getCommit({ ...REPO, commit_sha: main })).data;
    const blob = await rest.git.createBlob({ ...REPO, content: "c2l4", encoding: "base64" });
    const tree = await rest.git.createTree({
      ...REPO,
      base_tree: parent.tree.sha,
      tree: [
        { path: "deep/six.txt", mode: "100644", type: "blob", sha: blob.data.sha },
        { path: "README.md", mode: "100644", type: "blob", sha: null },
      ],
    });
    const commit = await rest.git.createCommit({ ...REPO, message: "Six", tree: tree.data.sha, parents: [main] });
    expect(commit.data.verification.verified).toBe(true);
    await rest.git.updateRef({ ...REPO, ref: "heads/main", sha: commit.data.sha });
    const file = await rest.repos.getContent({ ...REPO, path: "deep/six.txt" });
    expect(Buffer.from((file.data as { content: string }).content, "base64").toString()).toBe("six");
    const root = await rest.repos.getContent({ ...REPO, path: "" });
    expect((root.data as { name: string; type: string }[]).map((entry) => `${entry.type} ${entry.name}`)).toEqual([
      "dir deep",
      "dir src",
    ]);
    expect(await refusal(rest.repos.getContent({ ...REPO, path: "README.md" }))).toBe("404 Not Found");
    const compared = await rest.repos.compareCommitsWithBasehead({ ...REPO, basehead: `${main}...main` });
    expect(compared.data).toMatchObject({ status: "ahead", ahead_by: 1, behind_by: 0 });
    expect(compared.data.files?.map((each) => `${each.status} ${each.filename}`)).toEqual([
      "removed README.md",
      "added deep/six.txt",
    ]);
    await rest.repos.getCommit({ ...REPO, ref: "main" });
    await rest.repos.listCommits(REPO);
    await rest.repos.listBranches(REPO);
    await rest.repos.getBranch({ ...REPO, branch: "main" });
    await rest.repos.listLanguages(REPO);
    await rest.git.getTree({ ...REPO, tree_sha: "main", recursive: "1" });
    await rest.git.listMatchingRefs({ ...REPO, ref: "heads/" });
    const tag = await rest.git.createTag({
      ...REPO,
      tag: "v1",
      message: "one",
      object: commit.data.sha,
      type: "commit",
    });
    await rest.git.getTag({ ...REPO, tag_sha: tag.data.sha });
    await rest.git.getBlob({ ...REPO, file_sha: blob.data.sha });
  });

  test("of two callers at the same time one creates and one is refused", async () => {
    const { rest } = client();
    const sha = await gh.as("alice").push("acme/shop", { branch: "a", message: "A", files: { "a.txt": "a\n" } });
    const ref = { ...REPO, ref: "refs/heads/work", sha };
    const refs = await Promise.allSettled([rest.git.createRef(ref), rest.git.createRef(ref)]);
    expect(refs.map((each) => each.status).sort()).toEqual(["fulfilled", "rejected"]);
    const pull = { ...REPO, title: "Work", head: "work", base: "main" };
    const pulls = await Promise.allSettled([rest.pulls.create(pull), rest.pulls.create(pull)]);
    expect(pulls.map((each) => each.status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(gh.repository("acme/shop").pulls).toHaveLength(1);
  });

  test("a pull request from a fork follows the fork's branch", async () => {
    gh.createUser("dave");
    await gh.createRepository({ owner: "dave", name: "shop", forkOf: "acme/shop" });
    await gh.as("dave").push("dave/shop", { branch: "idea", message: "Idea", files: { "idea.txt": "1\n" } });
    const opened = await client(gh.tokenOf("dave")).rest.pulls.create({
      ...REPO,
      title: "Idea",
      head: "dave:idea",
      base: "main",
    });
    expect(opened.data.head.repo?.full_name).toBe("dave/shop");
    const sha = await gh
      .as("dave")
      .push("dave/shop", { branch: "idea", message: "More", files: { "idea.txt": "2\n" } });
    expect(gh.repository("acme/shop").pull(opened.data.number).headSha).toBe(sha);
    expect(await gh.repository("acme/shop").git("rev-parse", `refs/pull/${opened.data.number}/head`)).toBe(sha);
  });

  test("a file is written only over the version that the caller knows", async () => {
    const { rest } = client();
    const file = { ...REPO, path: "notes.md", content: Buffer.from("one").toString("base64"), message: "Note" };
    const made = await rest.repos.createOrUpdateFileContents(file);
    expect(made.status).toBe(201);
    expect(await refusal(rest.repos.createOrUpdateFileContents(file))).toMatch(/^422/);
    const sha = made.data.content?.sha as string;
    expect((await rest.repos.createOrUpdateFileContents({ ...file, sha })).status).toBe(200);
    expect(
      await refusal(rest.repos.deleteFile({ ...REPO, path: "notes.md", message: "x", sha: "0".repeat(40) })),
    ).toMatch(/^409/);
  });

  test("a second pull request, one without commits and a draft where there are none are 422", async () => {
    const { rest } = client();
    await gh.as("alice").push("acme/shop", { branch: "work", message: "Work", files: { "a.txt": "a\n" } });
    const input = { ...REPO, title: "Work", head: "work", base: "main" };
    const { data } = await rest.pulls.create(input);
    expect(data.mergeable).toBe(null);
    expect((await rest.pulls.get({ ...REPO, pull_number: data.number })).data.mergeable).toBe(true);
    expect(await refusal(rest.pulls.create(input))).toContain("A pull request already exists for acme:work.");
    expect(await refusal(rest.pulls.create({ ...input, head: "main" }))).toContain("No commits between main and main");
    expect(await refusal(rest.pulls.create({ ...input, head: "none" }))).toMatch(/^422/);
    expect((await rest.pulls.list({ ...REPO, head: "acme:work", state: "open" })).data).toHaveLength(1);
    gh.repository("acme/shop").entity.drafts = false;
    await gh.as("alice").push("acme/shop", { branch: "more", message: "More", files: { "b.txt": "b\n" } });
    expect(await refusal(rest.pulls.create({ ...input, head: "more", draft: true }))).toMatch(
      /^422 Draft pull requests/,
    );
    await rest.pulls.listFiles({ ...REPO, pull_number: data.number });
    await rest.pulls.listCommits({ ...REPO, pull_number: data.number });
    const diff = await rest.pulls.get({ ...REPO, pull_number: data.number, mediaType: { format: "diff" } });
    expect(String(diff.data)).toContain("+++ b/a.txt");
  });

  test("deleting a branch closes its pull request", async () => {
    await gh.as("alice").push("acme/shop", { branch: "work", message: "Work", files: { "a.txt": "a\n" } });
    const pull = await gh.as("alice").openPullRequest("acme/shop", { title: "Work", head: "work" });
    await client().rest.git.deleteRef({ ...REPO, ref: "heads/work" });
    expect(pull.issue.state).toBe("closed");
  });

  test("merging closes the issues that the pull request closes", async () => {
    const issue = gh.as("carol").openIssue("acme/shop", { title: "Bug" });
    await gh.as("alice").push("acme/shop", { branch: "work", message: "Work", files: { "a.txt": "a\n" } });
    const { number } = (
      await gh.as("alice").openPullRequest("acme/shop", { title: "Fix", body: `Closes #${issue.number}`, head: "work" })
    ).issue;
    const merged = await client().rest.pulls.merge({ ...REPO, pull_number: number, merge_method: "squash" });
    expect(merged.data.merged).toBe(true);
    expect(issue.state).toBe("closed");
    expect(await gh.repository("acme/shop").file("a.txt")).toBe("a");
    expect(gh.repository("acme/shop").pull(number).mergedAt).toBeDefined();
  });

  test("conflicting changes are not mergeable", async () => {
    await gh.as("alice").push("acme/shop", { branch: "work", message: "A", files: { "README.md": "# A\n" } });
    const { number } = (await gh.as("alice").openPullRequest("acme/shop", { title: "A", head: "work" })).issue;
    await gh.as("alice").push("acme/shop", { branch: "main", message: "B", files: { "README.md": "# B\n" } });
    const { rest } = client();
    await rest.pulls.get({ ...REPO, pull_number: number });
    const { data } = await rest.pulls.get({ ...REPO, pull_number: number });
    expect([data.mergeable, data.mergeable_state]).toEqual([false, "dirty"]);
    expect(await refusal(rest.pulls.merge({ ...REPO, pull_number: number }))).toMatch(/^405/);
  });

  test("a review has inline comments with threads, replies and a refusal for lines outside of the diff", async () => {
    await gh
      .as("alice")
      .push("acme/shop", { branch: "work", message: "A", files: { "src/price.js": "export const price = 2;\n" } });
    const { number } = (await gh.asApp(gh.app).openPullRequest("acme/shop", { title: "A", head: "work" })).issue;
    const review = await gh.as("alice").review("acme/shop", number, {
      event: "REQUEST_CHANGES",
      comments: [{ path: "src/price.js", line: 1, body: "Why 2?" }],
    });
    const { rest } = client();
    const target = { ...REPO, pull_number: number };
    const [comment] = (await rest.pulls.listReviewComments(target)).data;
    expect(comment?.diff_hunk).toContain("+export const price = 2;");
    const reply = await rest.pulls.createReplyForReviewComment({
      ...target,
      comment_id: comment?.id as number,
      body: "Because.",
    });
    expect(reply.data.in_reply_to_id).toBe(comment?.id);
    await rest.reactions.createForPullRequestReviewComment({
      ...REPO,
      comment_id: comment?.id as number,
      content: "+1",
    });
    expect((await rest.pulls.listReviews(target)).data[0]).toMatchObject({ id: review.id, state: "CHANGES_REQUESTED" });
    await rest.pulls.listCommentsForReview({ ...target, review_id: review.id });
    const outside = { ...target, event: "COMMENT" as const, comments: [{ path: "src/price.js", line: 99, body: "?" }] };
    expect(await refusal(rest.pulls.createReview(outside))).toMatch(/^422/);
    expect(await refusal(rest.pulls.createReview({ ...target, event: "APPROVE" }))).toContain("your own pull request");
    await rest.pulls.requestReviewers({ ...target, reviewers: ["alice"] });
    await gh.settled();
    expect(gh.deliveries.map((each) => `${each.event}.${each.action}`)).toEqual(
      expect.arrayContaining(["pull_request_review.submitted", "pull_request_review_comment.created"]),
    );
  });

  test("check runs and statuses are listed by commit", async () => {
    const { rest } = client();
    const sha = (await rest.git.getRef({ ...REPO, ref: "heads/main" })).data.object.sha;
    const run = await rest.checks.create({ ...REPO, name: "build", head_sha: sha, status: "in_progress" });
    await rest.checks.update({
      ...REPO,
      check_run_id: run.data.id,
      conclusion: "success",
      output: { title: "ok", summary: "fine" },
    });
    const runs = await rest.checks.listForRef({ ...REPO, ref: "main" });
    expect(runs.data.check_runs.map((each) => `${each.name} ${each.conclusion}`)).toEqual(["build success"]);
    await rest.repos.createCommitStatus({ ...REPO, sha, state: "failure", context: "lint" });
    expect((await rest.repos.getCombinedStatusForRef({ ...REPO, ref: sha })).data.state).toBe("failure");
    await rest.repos.listCommitStatusesForRef({ ...REPO, ref: sha });
  });
});

describe("GitHub Actions", () => {
  test("a failed run has jobs with logs and can be run again", async () => {
    const { main = "" } = await gh.repository("acme/shop").branches();
    const jobs = [
      { name: "test", conclusion: "failure" as const, log: "1 test failed\n" },
      { name: "lint", conclusion: "success" as const },
    ];
    const run = gh.as("alice").workflowRun("acme/shop", { headBranch: "main", headSha: main, jobs });
    const { rest } = client();
    const runs = await rest.actions.listWorkflowRunsForRepo({ ...REPO, status: "failure" });
    expect(runs.data.workflow_runs.map((each) => each.id)).toEqual([run.id]);
    const [first] = (await rest.actions.listJobsForWorkflowRun({ ...REPO, run_id: run.id })).data.jobs;
    const place = { ...REPO, job_id: first?.id as number };
    expect((await rest.actions.downloadJobLogsForWorkflowRun(place)).data).toBe("1 test failed\n");
    await rest.actions.reRunWorkflowFailedJobs({ ...REPO, run_id: run.id });
    expect((await rest.actions.getWorkflowRun({ ...REPO, run_id: run.id })).data).toMatchObject({
      status: "queued",
      run_attempt: 2,
    });
    expect(await refusal(rest.actions.reRunJobForWorkflowRun(place))).toMatch(/^403 .*already running/);
    gh.as("alice").completeRun(run, { test: { conclusion: "success" } });
    const ends = async (attempt: number) =>
      (
        await rest.actions.listJobsForWorkflowRunAttempt({ ...REPO, run_id: run.id, attempt_number: attempt })
      ).data.jobs.map((job) => `${job.name} ${job.run_attempt} ${job.conclusion}`);
    expect(await ends(1)).toEqual(["test 1 failure", "lint 1 success"]);
    expect(await ends(2)).toEqual(["test 2 success", "lint 1 success"]);
    expect((await rest.actions.getWorkflowRun({ ...REPO, run_id: run.id })).data.conclusion).toBe("success");
  });

  test("each job is a check run, and ends before its workflow run does", async () => {
    const { main = "" } = await gh.repository("acme/shop").branches();
    const job = { name: "test", conclusion: null };
    const run = gh.as("alice").workflowRun("acme/shop", { headBranch: "main", headSha: main, jobs: [job] });
    const { rest } = client();
    const listed = async (filter: "latest" | "all") =>
      (await rest.checks.listForRef({ ...REPO, ref: main, filter })).data.check_runs.map(
        (each) => `${each.app?.slug} ${each.name} ${each.conclusion}`,
      );
    expect(await listed("latest")).toEqual(["github-actions test null"]);
    gh.as("alice").completeRun(run, { conclusion: "timed_out" });
    gh.as("alice").rerun(run);
    gh.as("alice").completeRun(run, { conclusion: "success" });
    expect(await listed("latest")).toEqual(["github-actions test success"]);
    expect(await listed("all")).toEqual(["github-actions test success", "github-actions test timed_out"]);
    const [check] = (await rest.checks.listForRef({ ...REPO, ref: main })).data.check_runs;
    expect(check?.details_url).toMatch(new RegExp(`/actions/runs/${run.id}/job/${check?.id}$`));
    await gh.settled();
    expect(gh.deliveries.map(({ event, action }) => `${event}.${action}`).filter((each) => /run/.test(each))).toEqual([
      "check_run.completed",
      "workflow_run.completed",
      "check_run.created",
      "workflow_run.requested",
      "check_run.completed",
      "workflow_run.completed",
    ]);
  });
});

describe("buttons", () => {
  test("only the App whose check run it is hears of a button and of a wish to run again", async () => {
    const { main = "" } = await gh.repository("acme/shop").branches();
    const other = gh.createApp({ id: 78, slug: "other", name: "Other", privateKey: PEM, webhookSecret: "s" });
    gh.install({ owner: "acme", app: other });
    const actions = [{ label: "Again", description: "Once more", identifier: "again" }];
    const check = gh
      .asApp(other)
      .checkRun("acme/shop", { name: "scan", headSha: main, conclusion: "failure", actions });
    gh.as("alice").pressButton(check, "again");
    expect(() => gh.as("alice").pressButton(check, "apply")).toThrow(/has no button apply/);
    gh.as("alice").rerequest(check);
    await gh.settled();
    const heard = gh.deliveries
      .filter(({ event, action }) => event === "check_run" && action !== "completed")
      .map(({ app, action }) => `${app.slug} ${action}`);
    expect(heard).toEqual(["other requested_action", "other rerequested"]);
    const { rest } = client();
    expect(await refusal(rest.checks.rerequestRun({ ...REPO, check_run_id: check.id }))).toMatch(/^403/);
  });
});

describe("webhooks", () => {
  interface Received {
    headers: Record<string, string>;
    body: string;
  }
  let receiver: Server;
  let received: Received[];

  beforeEach(async () => {
    received = [];
    receiver = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      received.push({ headers: request.headers as Record<string, string>, body: Buffer.concat(chunks).toString() });
      response.end("ok");
    });
    await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
    gh.setWebhookUrl(`http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`);
  });

  afterEach(() => {
    receiver.closeAllConnections();
    receiver.close();
  });

  test("a delivery is signed, has a UUID and names installation and sender", async () => {
    const issue = gh.as("carol").openIssue("acme/shop", { title: "A" });
    gh.as("alice").label("acme/shop", issue.number, "build");
    await gh.settled();
    const labelled = received.find((each) => each.body.includes('"labeled"')) as Received;
    expect(labelled.headers["x-github-event"]).toBe("issues");
    expect(labelled.headers["x-github-delivery"]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4/);
    const payload = JSON.parse(labelled.body);
    expect(payload).toMatchObject({
      label: { name: "build" },
      sender: { login: "alice" },
      installation: { id: installation.id },
    });
    const given = labelled.headers["x-hub-signature-256"] as string;
    const expected = (secret: string): string =>
      `sha256=${createHmac("sha256", secret).update(labelled.body).digest("hex")}`;
    expect(given).toBe(expected(SECRET));
    expect(given).not.toBe(expected("another secret"));
  });

  test("a redelivery has the same id", async () => {
    gh.as("carol").openIssue("acme/shop", { title: "A" });
    await gh.settled();
    await gh.redeliver(gh.deliveries.at(-1)?.id as string);
    expect(received).toHaveLength(2);
    expect(received[0]?.headers["x-github-delivery"]).toBe(received[1]?.headers["x-github-delivery"]);
  });

  test("losses and doubles are the same for the same seed", async () => {
    const outcome = async (seed: number): Promise<string> => {
      const from = gh.deliveries.length;
      gh.disturb({ drop: 0.3, duplicate: 0.3, reorder: 0.2, seed });
      for (let at = 0; at < 20; at += 1) gh.as("carol").openIssue("acme/shop", { title: "A" });
      await gh.settled();
      return gh.deliveries
        .slice(from)
        .map((each) => each.attempts)
        .join("");
    };
    const first = await outcome(7);
    expect(first).toMatch(/0/);
    expect(first).toMatch(/2/);
    expect(await outcome(7)).toBe(first);
    expect(await outcome(8)).not.toBe(first);
  });

  test("everything that people do sends the events that GitHub describes", async () => {
    await gh.createRepository({ owner: "acme", name: "second", files: { a: "a" } });
    gh.uninstall(installation, "acme");
    const some = gh.install({ owner: "acme", repositories: ["shop"] });
    gh.addRepository(some, "acme/second");
    gh.removeRepository(some, "acme/second");
    gh.suspend(some);
    gh.suspend(some, false);
    const [alice, app] = [gh.as("alice"), gh.asApp(gh.app)];
    const { number } = alice.openIssue("acme/shop", { title: "A", assignees: ["bob"] });
    alice.editIssue("acme/shop", number, { title: "B", body: "b" });
    alice.label("acme/shop", number, "x");
    alice.unlabel("acme/shop", number, "x");
    alice.closeIssue("acme/shop", number, "not_planned");
    alice.reopenIssue("acme/shop", number);
    alice.lock("acme/shop", number, "spam");
    alice.deleteComment(app.comment("acme/shop", number, "c"));
    const sha = await alice.push("acme/shop", { branch: "work", message: "W", files: { "README.md": "# W\n" } });
    const pull = (await app.openPullRequest("acme/shop", { title: "W", head: "work", draft: true })).issue.number;
    app.markReady("acme/shop", pull);
    app.convertToDraft("acme/shop", pull);
    app.markReady("acme/shop", pull);
    await app.editPullRequestBody("acme/shop", pull, "body");
    app.label("acme/shop", pull, "y");
    app.unlabel("acme/shop", pull, "y");
    app.requestReview("acme/shop", pull, "alice");
    alice.comment("acme/shop", pull, "on a pull request");
    await alice.review("acme/shop", pull, { event: "COMMENT", comments: [{ path: "README.md", line: 1, body: "?" }] });
    await alice.review("acme/shop", pull, { event: "APPROVE" });
    const [thread] = gh.repository("acme/shop").pull(pull).threads;
    alice.editReviewComment(app.reply(thread?.comments[0] as ReviewComment, "!"), "!!");
    alice.resolve(thread as Thread);
    app.checkRun("acme/shop", { name: "build", headSha: sha });
    app.checkRun("acme/shop", { name: "test", headSha: sha, conclusion: "failure", summary: "1 failed" });
    app.closePullRequest("acme/shop", pull);
    await app.reopenPullRequest("acme/shop", pull);
    await alice.merge("acme/shop", pull);
    await alice.deleteBranch("acme/shop", "work");
    await gh.settled();
    expect(gh.violations).toEqual([]);
    const seen = new Set(gh.deliveries.map((each) => [each.event, each.action].filter(Boolean).join(".")));
    expect([...seen].sort()).toEqual(EVENTS);
    expect(gh.deliveries.every((each) => each.status === "delivered" || each.number === 1)).toBe(true);
  });

  test("an App that did not subscribe gets nothing, and a narrowed installation only its own", async () => {
    gh.app.events = ["issue_comment"];
    const issue = gh.as("carol").openIssue("acme/shop", { title: "A" });
    gh.as("carol").comment("acme/shop", issue.number, "hello");
    await gh.settled();
    expect(received.map((each) => each.headers["x-github-event"])).toEqual(["issue_comment"]);
    gh.uninstall(installation, "acme");
    gh.as("carol").comment("acme/shop", issue.number, "again");
    await gh.settled();
    expect(received.map((each) => each.headers["x-github-event"])).toEqual(["issue_comment", "installation"]);
  });
});

describe("Probot", () => {
  test("an App gets an event, mints its token and comments", async () => {
    const probot = createProbot({
      overrides: { appId: 77, privateKey: PEM, secret: SECRET, baseUrl: gh.url, logLevel: "fatal" },
    });
    const app: ApplicationFunction = (robot) => {
      robot.on("issues.opened", async (context) => {
        await context.octokit.rest.issues.createComment(context.issue({ body: "seen" }));
      });
    };
    const server = createServer(await createNodeMiddleware(app, { probot, webhooksPath: "/hook" }));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    gh.setWebhookUrl(`http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`);
    gh.as("carol").openIssue("acme/shop", { title: "A" });
    await gh.settled();
    server.closeAllConnections();
    server.close();
    expect(gh.deliveries.at(-2)).toMatchObject({ event: "issues", status: "delivered", answerStatus: 200 });
    expect(gh.repository("acme/shop").comments.map((each) => `${each.author.login}: ${each.body}`)).toEqual([
      "builder[bot]: seen",
    ]);
  });
});

describe("faults", () => {
  test("before: nothing happened; after: it happened and the answer is an error", async () => {
    const { rest } = client();
    const path = /\/issues$/;
    gh.faults.add({ method: "POST", path, status: 502, times: 1 });
    expect(await refusal(rest.issues.create({ ...REPO, title: "A" }))).toMatch(/^502/);
    expect(gh.repository("acme/shop").issues).toHaveLength(0);
    gh.faults.add({ method: "POST", path, status: 500, times: 1, when: "after" });
    expect(await refusal(rest.issues.create({ ...REPO, title: "A" }))).toMatch(/^500/);
    expect(gh.repository("acme/shop").issues).toHaveLength(1);
    expect((await rest.issues.create({ ...REPO, title: "B" })).status).toBe(201);
  });

  test("a secondary limit says when to come back", async () => {
    gh.faults.add({ status: 403, retryAfter: 3, times: 1 });
    const answer = await fetch(`${gh.url}/repos/acme/shop`);
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([403, "3"]);
    expect(((await answer.json()) as { message: string }).message).toContain("secondary rate limit");
  });

  test("a dropped connection and latency", async () => {
    gh.faults.add({ dropConnection: true, times: 1 });
    await expect(fetch(`${gh.url}/meta`)).rejects.toThrow();
    gh.faults.add({ latencyMs: 120, times: 1 });
    const started = performance.now();
    await fetch(`${gh.url}/meta`);
    expect(performance.now() - started).toBeGreaterThan(110);
  });

  test("a push that fails after it happened has moved the branch", async () => {
    const { commit, push } = await cloned();
    const sha = await commit("a.txt", "a");
    gh.faults.add({ path: /git-receive-pack$/, method: "POST", status: 500, when: "after", times: 1 });
    await expect(push("work")).rejects.toThrow(/500/);
    expect((await gh.repository("acme/shop").branches()).work).toBe(sha);
  });

  test("somebody acts between two requests", async () => {
    const issue = gh.as("carol").openIssue("acme/shop", { title: "A", body: "before" });
    const stop = gh.onRequest(({ index }) => {
      if (index === 2) gh.as("carol").editIssue("acme/shop", issue.number, { body: "after" });
    });
    const { rest } = client();
    const target = { ...REPO, issue_number: issue.number };
    const bodies = [(await rest.issues.get(target)).data.body, (await rest.issues.get(target)).data.body];
    stop();
    expect(bodies).toEqual(["before", "after"]);
  });

  test("a share of requests fails, repeatably by seed", async () => {
    const outcome = async (seed: number): Promise<string> => {
      const fault = gh.faults.add({ status: 500, probability: 0.5, seed });
      let text = "";
      for (let at = 0; at < 20; at += 1) text += (await fetch(`${gh.url}/meta`)).status === 200 ? "." : "x";
      fault.remove();
      return text;
    };
    const first = await outcome(3);
    expect(first).toMatch(/x.*\./);
    expect(await outcome(3)).toBe(first);
  });
});

describe("GitHub's published descriptions", () => {
  test("no route of the stand-in is absent from the OpenAPI description", () => {
    const openApi = new OpenApi();
    const absent = ROUTES.filter((route) => !openApi.has(route.method, route.rules.describedAs ?? route.template));
    expect(absent.map((route) => `${route.method} ${route.template}`)).toEqual([]);
    const served = ROUTES.filter((route) => route.rules.describedAs);
    expect(served.map((route) => route.template)).toEqual(["/repositories/{repository_id}"]);
    expect(ROUTES.length).toBeGreaterThan(100);
  });

  test("a request that GitHub would refuse is a violation", async () => {
    const { request } = client();
    const create = "POST /repos/{owner}/{repo}/issues";
    expect(await refusal(request(create, { ...REPO, title: "x", labels: 7 as never }))).toMatch(/^422/);
    expect(await refusal(request(create, { ...REPO, title: "x", lables: ["a"] }))).toContain(
      "lables is not a property",
    );
    expect(await refusal(request("GET /repos/{owner}/{repo}/issues", { ...REPO, stat: "all" }))).toContain(
      "stat is not a parameter",
    );
    expect(await refusal(request("GET /repos/{owner}/{repo}/nothing", REPO))).toBe("404 Not Found");
    expect(gh.forgiveViolations().map((each) => each.kind)).toEqual(["request", "request", "request", "unknown-route"]);
  });

  test("an answer or an event that GitHub would not give is a violation", async () => {
    const issue = gh.as("carol").openIssue("acme/shop", { title: "A" });
    await gh.settled();
    expect(gh.violations).toEqual([]);
    issue.state = "half-open" as "open";
    issue.locked = "perhaps" as unknown as boolean;
    await client().rest.issues.get({ ...REPO, issue_number: issue.number });
    gh.as("alice").label("acme/shop", issue.number, "x");
    await gh.settled();
    expect(gh.forgiveViolations().map((each) => each.kind)).toEqual(["answer", "webhook"]);
  });

  test("GraphQL is validated by the published schema", async () => {
    const { graphql } = client();
    await expect(graphql('{ repository(owner: "acme", name: "shop") { nonsense } }')).rejects.toThrow(/nonsense/);
    expect(gh.forgiveViolations()).toMatchObject([{ kind: "graphql" }]);
  });
});

describe("GraphQL", () => {
  test("a comment is minimized, and its edits are told", async () => {
    const issue = gh.as("carol").openIssue("acme/shop", { title: "A" });
    const comment = gh.as("carol").comment("acme/shop", issue.number, "first");
    const ask = `query ($id: ID!) { node(id: $id) { ... on IssueComment { body lastEditedAt isMinimized
      userContentEdits(first: 5) { totalCount nodes { editedAt editor { login } } } } } }`;
    const { graphql } = client();
    expect(await graphql(ask, { id: comment.nodeId })).toMatchObject({
      node: { lastEditedAt: null, isMinimized: false },
    });
    gh.as("alice").editComment(comment, "second");
    const minimize = `mutation ($id: ID!) { minimizeComment(input: { subjectId: $id, classifier: OUTDATED }) {
      minimizedComment { isMinimized minimizedReason } } }`;
    expect(await graphql(minimize, { id: comment.nodeId })).toEqual({
      minimizeComment: { minimizedComment: { isMinimized: true, minimizedReason: "outdated" } },
    });
    const told = await graphql(ask, { id: comment.nodeId });
    expect(told).toMatchObject({
      node: { body: "second", userContentEdits: { totalCount: 1, nodes: [{ editor: { login: "alice" } }] } },
    });
  });

  test("a draft becomes ready and back, and a thread is resolved", async () => {
    await gh.as("alice").push("acme/shop", { branch: "work", message: "A", files: { "README.md": "# B\n" } });
    const pull = await gh.as("bob").openPullRequest("acme/shop", { title: "A", head: "work", draft: true });
    const { graphql } = client();
    const ready = `mutation ($id: ID!) { markPullRequestReadyForReview(input: { pullRequestId: $id }) { pullRequest { isDraft } } }`;
    expect(await graphql(ready, { id: pull.nodeId })).toEqual({
      markPullRequestReadyForReview: { pullRequest: { isDraft: false } },
    });
    const back = `mutation ($id: ID!) { convertPullRequestToDraft(input: { pullRequestId: $id }) { pullRequest { isDraft } } }`;
    await graphql(back, { id: pull.nodeId });
    expect(pull.draft).toBe(true);
    const { number } = pull.issue;
    await gh
      .as("alice")
      .review("acme/shop", number, { event: "COMMENT", comments: [{ path: "README.md", line: 1, body: "?" }] });
    const threads = `query { repository(owner: "acme", name: "shop") { pullRequest(number: ${number}) {
      reviewThreads(first: 10) { nodes { id isResolved comments(first: 1) { nodes { body } } } } } } }`;
    const found = (await graphql(threads)) as {
      repository: { pullRequest: { reviewThreads: { nodes: { id: string }[] } } };
    };
    const [thread] = found.repository.pullRequest.reviewThreads.nodes;
    const resolve = `mutation ($id: ID!) { resolveReviewThread(input: { threadId: $id }) { thread { isResolved } } }`;
    expect(await graphql(resolve, { id: thread?.id })).toEqual({
      resolveReviewThread: { thread: { isResolved: true } },
    });
  });

  test("everything is also below the paths of an Enterprise Server", async () => {
    const { rest, graphql } = client(undefined, `${gh.url}/api/v3`);
    expect((await rest.repos.get(REPO)).data.full_name).toBe("acme/shop");
    expect(await graphql("{ viewer { login } }")).toEqual({ viewer: { login: "builder[bot]" } });
    expect(gh.requests.at(-1)?.path).toBe("/api/graphql");
  });

  test("a field that the schema has and the stand-in has not is a violation, not a null", async () => {
    const ask = '{ repository(owner: "acme", name: "shop") { stargazerCount } }';
    await expect(client().graphql(ask)).rejects.toThrow(/stargazerCount is not known here/);
    expect(gh.forgiveViolations()).toMatchObject([{ kind: "graphql", where: "Repository.stargazerCount" }]);
  });

  test("createCommitOnBranch is compare-and-set on the head", async () => {
    const commit = `mutation ($input: CreateCommitOnBranchInput!) { createCommitOnBranch(input: $input) { commit { oid } } }`;
    const head = (await gh.repository("acme/shop").branches()).main;
    const input = {
      branch: { repositoryNameWithOwner: "acme/shop", branchName: "main" },
      message: { headline: "By API" },
      expectedHeadOid: head,
      fileChanges: { additions: [{ path: "api.txt", contents: Buffer.from("hi").toString("base64") }] },
    };
    const { graphql, rest } = client();
    const made = (await graphql(commit, { input })) as { createCommitOnBranch: { commit: { oid: string } } };
    const { oid } = made.createCommitOnBranch.commit;
    expect((await rest.git.getCommit({ ...REPO, commit_sha: oid })).data.verification.verified).toBe(true);
    await expect(graphql(commit, { input })).rejects.toThrow(/Expected branch to point to/);
    await expect(
      client(gh.installationToken(installation, { contents: "read" })).graphql(commit, { input }),
    ).rejects.toThrow(/not accessible by integration/);
  });
});

describe("set-up", () => {
  test("a posted manifest becomes an App with a key that works", async () => {
    const manifest = {
      name: "My Builder",
      url: "http://127.0.0.1/",
      redirect_url: "http://127.0.0.1:9/probot/setup",
      hook_attributes: { url: "http://127.0.0.1:9/" },
    };
    const posted = await fetch(`${gh.url}/settings/apps/new`, {
      method: "POST",
      redirect: "manual",
      body: new URLSearchParams({ manifest: JSON.stringify(manifest) }),
    });
    const back = new URL(posted.headers.get("location") as string);
    expect(back.pathname).toBe("/probot/setup");
    const code = back.searchParams.get("code") as string;
    const convert = (): Promise<Response> =>
      fetch(`${gh.url}/api/v3/app-manifests/${code}/conversions`, { method: "POST" });
    const converted = await convert();
    expect(converted.status).toBe(201);
    const data = (await converted.json()) as { id: number; pem: string };
    const own = new ProbotOctokit({
      auth: { appId: data.id, privateKey: data.pem },
      baseUrl: `${gh.url}/api/v3`,
      log: SILENT,
    });
    expect((await own.rest.apps.getAuthenticated()).data?.slug).toBe("my-builder");
    expect((await convert()).status).toBe(404);
  });

  test("a repository is taken from a directory or from a bare repository", async () => {
    const source = gh.repository("acme/shop");
    await gh.createRepository({ owner: "acme", name: "copy", fromGit: source.gitDir });
    expect(await gh.repository("acme/copy").file("README.md")).toBe("# Shop");
    await gh.createRepository({
      owner: "acme",
      name: "dir",
      fromDirectory: join(import.meta.dirname, "local-github", "domain"),
    });
    expect(await gh.repository("acme/dir").file("refs.ts")).toContain("moveRef");
    await gh.createRepository({ owner: "acme", name: "empty" });
    const { rest } = client();
    expect(await refusal(rest.git.getRef({ owner: "acme", repo: "empty", ref: "heads/main" }))).toBe(
      "409 Git Repository is empty.",
    );
  });
});
