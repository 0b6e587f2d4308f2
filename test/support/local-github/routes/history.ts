import { pullCommits } from "../domain/announce.ts";
import { notFound } from "../errors.ts";
import { type Call, ok, type Route, route } from "../http.ts";
import { commentJson, eventJson, repositoryUrl, reviewJson, simpleUser, time, verification } from "../serialise.ts";
import type { Issue } from "../types.ts";

const READ = ["issues:read", "pull_requests:read"];
const ISSUES = "/repos/{owner}/{repo}/issues";

export const historyRoutes: Route[] = [
  // Newest first, as GitHub lists the events of a repository.
  route(`GET ${ISSUES}/events`, { needs: READ }, (call) =>
    call.page(call.repository.events.toReversed(), (event) => eventJson(call.world, event, true)),
  ),
  route(`GET ${ISSUES}/events/{event_id}`, { needs: READ }, (call) => {
    const event = call.repository.events.find((candidate) => candidate.id === Number(call.params.event_id));
    if (!event) throw notFound();
    return ok(eventJson(call.world, event, true));
  }),
  route(`GET ${ISSUES}/{issue_number}/events`, { needs: READ }, (call) => {
    const { issue } = call;
    const events = call.repository.events.filter((event) => event.issue === issue);
    return call.page(events, (event) => eventJson(call.world, event, false));
  }),
  route(`GET ${ISSUES}/{issue_number}/timeline`, { needs: READ }, async (call) => {
    const entries = await timeline(call, call.issue);
    return call.page(entries, (entry) => entry.json);
  }),
];

interface Entry {
  at: Date;
  json: unknown;
}

/** Commits, events, comments and reviews in the order in which they happened. */
async function timeline(call: Call, issue: Issue): Promise<Entry[]> {
  const { world, repository } = call;
  const events = repository.events.filter((event) => event.issue === issue);
  const entries: Entry[] = [
    ...events.map((event) => ({ at: event.createdAt, json: eventJson(world, event, false) })),
    ...issue.comments.map((comment) => ({
      at: comment.createdAt,
      json: { ...commentJson(world, comment), event: "commented", actor: simpleUser(world, comment.author) },
    })),
  ];
  if (issue.pull) {
    for (const commit of await pullCommits(issue.pull)) {
      const url = `${repositoryUrl(world, repository)}/git/commits/${commit.sha}`;
      const html = `${world.url}/${repository.owner.login}/${repository.name}/commit/`;
      entries.push({
        at: commit.committer.date,
        json: {
          event: "committed",
          sha: commit.sha,
          node_id: `C_${commit.sha}`,
          url,
          html_url: `${html}${commit.sha}`,
          author: { name: commit.author.name, email: commit.author.email, date: time(commit.author.date) },
          committer: { name: commit.committer.name, email: commit.committer.email, date: time(commit.committer.date) },
          tree: { sha: commit.tree, url: `${repositoryUrl(world, repository)}/git/trees/${commit.tree}` },
          message: commit.message,
          parents: commit.parents.map((sha) => ({
            sha,
            url: `${repositoryUrl(world, repository)}/git/commits/${sha}`,
            html_url: `${html}${sha}`,
          })),
          verification: verification(repository, commit.sha),
        },
      });
    }
    for (const review of issue.pull.reviews.filter((each) => each.state !== "PENDING")) {
      entries.push({
        at: review.submittedAt ?? review.createdAt,
        json: { ...reviewJson(world, review), event: "reviewed" },
      });
    }
  }
  return entries.sort((a, b) => a.at.getTime() - b.at.getTime());
}
