import { pullCommits, pullFigures, pullFiles } from "../domain/announce.ts";
import { mergePull } from "../domain/merge.ts";
import { changePull, openPull, pullsOf, requestReviewers } from "../domain/pulls.ts";
import { invalid, notFound } from "../errors.ts";
import { git } from "../git.ts";
import { type Call, created, noContent, ok, type Reply, type Route, route } from "../http.ts";
import { commitJson, fileJson, fullPull, simplePull, simpleUser } from "../serialise.ts";
import type { Pull } from "../types.ts";

const READ = ["pull_requests:read"];
const WRITE = ["pull_requests:write"];
const PULLS = "/repos/{owner}/{repo}/pulls";
const PULL = `${PULLS}/{pull_number}`;

export const pullRoutes: Route[] = [
  route(`GET ${PULLS}`, { needs: READ }, (call) => {
    const pulls = pullsOf(call.repository).filter((pull) => listed(call, pull));
    return call.page(ordered(call, pulls), (pull) => simplePull(call.world, pull));
  }),
  route(`POST ${PULLS}`, { needs: WRITE, role: "read" }, async (call) => {
    const { title, body, head, base, draft, maintainer_can_modify: maintainerCanModify } = call.body;
    if (title === undefined) throw invalid("PullRequest", "title", "missing_field");
    const input = { title, body, head, base, draft, maintainerCanModify };
    return created(await shown(call, await openPull(call.world, call.repository, call.actor, input)));
  }),
  route(`GET ${PULL}`, { needs: READ }, async (call) => {
    if (/\.(diff|patch)\b/.test(call.accept)) return asDiff(call);
    return ok(await shown(call, call.pull));
  }),
  route(`PATCH ${PULL}`, { needs: WRITE }, async (call) => {
    const { title, body, state, base } = call.body;
    const { pull } = call;
    await changePull(call.world, pull, call.actor, { title, body, state, base });
    return ok(await shown(call, pull));
  }),
  route(`GET ${PULL}/files`, { needs: READ }, async (call) => {
    const { pull } = call;
    return call.page(await pullFiles(pull), (file) => fileJson(call.world, call.repository, pull.headSha, file));
  }),
  route(`GET ${PULL}/commits`, { needs: READ }, async (call) =>
    call.page(await pullCommits(call.pull), (commit) => commitJson(call.world, call.repository, commit)),
  ),
  route(`GET ${PULL}/requested_reviewers`, { needs: READ }, (call) =>
    ok({ users: call.pull.requestedReviewers.map((user) => simpleUser(call.world, user)), teams: [] }),
  ),
  route(`POST ${PULL}/requested_reviewers`, { needs: WRITE }, (call) => {
    requestReviewers(call.world, call.pull, call.actor, call.body.reviewers ?? []);
    return created(simplePull(call.world, call.pull));
  }),
  route(`DELETE ${PULL}/requested_reviewers`, { needs: WRITE }, (call) => {
    const { pull } = call;
    pull.requestedReviewers = pull.requestedReviewers.filter((user) => !call.body.reviewers.includes(user.login));
    return ok(simplePull(call.world, pull));
  }),
  route(`GET ${PULL}/merge`, { needs: READ }, (call) => {
    if (!call.pull.mergedAt) throw notFound();
    return noContent();
  }),
  route(`PUT ${PULL}/merge`, { needs: ["contents:write"] }, async (call) => {
    const { merge_method: method, commit_title: title, commit_message: message, sha } = call.body;
    const merged = await mergePull(call.world, call.pull, call.actor, { method, title, message, sha });
    return ok({ sha: merged, merged: true, message: "Pull Request successfully merged" });
  }),
  route("GET /repos/{owner}/{repo}/commits/{commit_sha}/pulls", { needs: READ }, async (call) => {
    const sha = call.params.commit_sha ?? "";
    const found: Pull[] = [];
    for (const pull of pullsOf(call.repository)) {
      // What only a fork has is associated with nothing here: its own repository lists it.
      if (pull.headRepository !== call.repository && pull.mergeCommitSha !== sha) continue;
      const commits = await pullCommits(pull);
      if (pull.mergeCommitSha === sha || commits.some((commit) => commit.sha === sha)) found.push(pull);
    }
    return call.page(found, (pull) => simplePull(call.world, pull));
  }),
];

async function shown(call: Call, pull: Pull): Promise<unknown> {
  return fullPull(call.world, pull, await pullFigures(pull, true));
}

async function asDiff(call: Call): Promise<Reply> {
  const { pull } = call;
  const content = await git(call.repository.gitDir, ["diff", "--no-color", `${pull.baseSha}...${pull.headSha}`]);
  return { status: 200, text: { content: `${content}\n`, type: "application/vnd.github.diff; charset=utf-8" } };
}

function listed(call: Call, pull: Pull): boolean {
  const { state = "open", head, base } = call.query;
  if (state !== "all" && pull.issue.state !== state) return false;
  if (base && pull.baseRef !== base) return false;
  // GitHub ignores a head that does not say whose it is.
  if (head?.includes(":"))
    return `${pull.headRepository.owner.login}:${pull.headRef}`.toLowerCase() === head.toLowerCase();
  return true;
}

function ordered(call: Call, pulls: Pull[]): Pull[] {
  const { sort = "created", direction = sort === "created" ? "desc" : "asc" } = call.query;
  const key = (pull: Pull): number => (sort === "updated" ? pull.issue.updatedAt : pull.issue.createdAt).getTime();
  const ascending = [...pulls].sort((a, b) => key(a) - key(b) || a.issue.number - b.issue.number);
  return direction === "asc" ? ascending : ascending.reverse();
}
