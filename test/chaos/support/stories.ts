import { finish, pullOf, type Scenario, simpleWork, type startScenario, useTools } from "../../support/scenario.ts";

export type ScenarioOptions = Parameters<typeof startScenario>[0];
type Model = NonNullable<ScenarioOptions["model"]>;

/** What people do with one issue and what becomes of it, from the label to the last answer. */
export interface Story {
  name: string;
  options: ScenarioOptions;
  /** `begin` is called when what the story is about begins: what comes before is left undisturbed. */
  play(scenario: Scenario, begin: () => void): Promise<void>;
}

/** Works on the issue, and says "makes" where a review of it says so. */
export const obligingModel: Model = (request) => {
  if (/^(write-change|analyse-issue|revise-plan)$/.test(request.stage)) return simpleWork(request);
  if (request.turn > 0) return finish("Said differently.");
  return useTools([
    "edit",
    { file_path: "src/slugify.js", old_string: "/** Turns a title", new_string: "/** Makes a title" },
  ]);
};

const build = async (scenario: Scenario) => {
  const issue = scenario.labelIssue();
  const run = await scenario.ended(issue);
  return { issue, number: pullOf(scenario, run).issue.number };
};

const review = async (scenario: Scenario, number: number) => {
  await scenario.github.as("maintainer").review(scenario.name, number, {
    event: "COMMENT",
    body: "Nearly.",
    comments: [
      { path: "src/slugify.js", line: 4, body: "Say makes." },
      { path: "src/slugify.js", line: 5, body: "Here too." },
    ],
  });
  await scenario.ended(number, { kind: "pull-request" });
};

const say = async (scenario: Scenario, number: number, word: string) => {
  const comment = scenario.github.as("maintainer").comment(scenario.name, number, word);
  await scenario.github.settled();
  await scenario.until(`an answer to ${word}`, async () => {
    const runs = await scenario.app.worker.store.runs.active();
    return !runs.some(({ intent: { trigger } }) => trigger.kind === "comment" && trigger.commentId === comment.id);
  });
};

const agree = async (scenario: Scenario, issue: number) => {
  await scenario.until("a plan that waits", async () => {
    const waiting = await scenario.app.worker.store.runs.waitingForDecision();
    return waiting.some(({ work }) => work.subject.number === issue);
  });
  await say(scenario, issue, "/millwright approve");
};

const open = { private: false };

/** Every kind of run that writes to GitHub, each with what only it writes. */
export const stories: readonly Story[] = [
  {
    name: "an issue becomes a pull request",
    options: { model: obligingModel },
    async play(scenario, begin) {
      begin();
      await build(scenario);
    },
  },
  {
    name: "a review is addressed, with a reply on each thread",
    options: { model: obligingModel },
    async play(scenario, begin) {
      const { number } = await build(scenario);
      begin();
      await review(scenario, number);
    },
  },
  {
    name: "the pull request is opened at the start",
    options: { model: obligingModel, config: "pullRequest:\n  openAt: start\n" },
    async play(scenario, begin) {
      begin();
      await build(scenario);
    },
  },
  {
    name: "CI waits for approval",
    options: { model: obligingModel, repository: open },
    async play(scenario, begin) {
      begin();
      const { number } = await build(scenario);
      await say(scenario, number, "/millwright approve");
    },
  },
  {
    name: "the commit is made through the API",
    options: { model: obligingModel, config: "commit:\n  viaApi: true\n" },
    async play(scenario, begin) {
      begin();
      await build(scenario);
    },
  },
  {
    name: "the plan waits for approval",
    options: { model: obligingModel, config: "plan: ask\n" },
    async play(scenario, begin) {
      begin();
      const issue = scenario.labelIssue();
      await agree(scenario, issue);
      await scenario.ended(issue);
    },
  },
];

/** All of them in one: every kind of write that the App makes happens at least once. */
export const everything: Story = {
  name: "all at once",
  options: {
    model: obligingModel,
    repository: open,
    config: "plan: ask\npullRequest:\n  openAt: start\ncommit:\n  viaApi: true\n",
  },
  async play(scenario, begin) {
    begin();
    const issue = scenario.labelIssue();
    await agree(scenario, issue);
    const { number } = pullOf(scenario, await scenario.ended(issue)).issue;
    await say(scenario, number, "/millwright approve");
    await review(scenario, number);
  },
};

/** Of each kind of write, how many {@link everything} makes, in their order. */
export const writesOfEverything: readonly [method: string, path: RegExp, times: number][] = [
  ["POST", /\/issues\/\d+\/reactions$/, 2],
  ["POST", /\/issues\/\d+\/comments$/, 3],
  ["POST", /\/issues\/comments\/\d+\/reactions$/, 2],
  ["POST", /\/git-receive-pack$/, 1],
  ["POST", /\/pulls$/, 1],
  ["POST", /\/graphql$/, 4],
  ["PATCH", /\/pulls\/\d+$/, 2],
  ["POST", /\/check-runs$/, 3],
  ["POST", /\/requested_reviewers$/, 2],
  ["PATCH", /\/issues\/comments\/\d+$/, 2],
  ["POST", /\/issues\/\d+\/labels$/, 1],
  ["DELETE", /\/issues\/\d+\/labels\/[^/]+$/, 1],
  ["POST", /\/git\/commits$/, 1],
  ["PATCH", /\/git\/refs\/.+$/, 1],
  ["POST", /\/replies$/, 2],
];

/** What {@link everything} leaves behind, as `inventory` says it. */
export const leftByEverything: readonly string[] = [
  ...["a comment was created on 1", "a comment was created on 1", "a comment was created on 2"],
  "a pull request was opened",
  ...Array(2).fill("a reply in src/slugify.js: Addressed in …. Please look whether it is what you meant."),
  ...Array(5).fill("a request to the model"),
  ...["answer-command on 1: ended, answered", "answer-command on 2: ended, answered"],
  ...["check run Millwright: neutral", "check run Millwright: neutral", "check run Millwright: success"],
  ...["issue 1 is open", "issue 1 is called slugify loses accented letters", "issue 1 has the label agent:done"],
  ...["issue 1: eyes on itself", "issue 1: +1 on a comment"],
  ...["issue 1: a plan comment", "issue 1: a status comment, folded"],
  "issue 1: a status that begins ### ✅ Pull request is ready for review",
  ...["issue-to-pr on 1: ended, ready", "iterate-pr on 2: ended, ready"],
  "main has the commit Initial commit",
  "millwright/issue-1 has the commit Initial commit",
  "millwright/issue-1 has the commit chore: start on #1",
  "millwright/issue-1 has the commit fix: change it",
  "millwright/issue-1 has the commit chore: run CI",
  "millwright/issue-1 has the commit fix: address the review by maintainer",
  ...["pull request 2 is open", "pull request 2 is ready", "pull request 2 is called fix: change it"],
  "pull request 2 waits for maintainer",
  // A reply on a thread is shown by GitHub as a review of its own.
  ...["pull request 2 has a review of ours", "pull request 2 has a review of ours"],
  ...["pull request 2: eyes on itself", "pull request 2: +1 on a comment"],
  ...["pull request 2: a status comment"],
  "pull request 2: a status that begins ### ✅ Pull request is ready for review",
];

/**
 * What a story leaves on GitHub and in the runs, one line for each thing, without what differs from one playing to the
 * next. A comment counts twice: as it is, and as it was created, so that one that was taken away again is seen too.
 */
export async function inventory(scenario: Scenario): Promise<string[]> {
  const { github, repository, app } = scenario;
  const { bot } = github.app;
  const lines: string[] = [];
  for (const issue of repository.entity.issues.values()) {
    const name = `${issue.pull === undefined ? "issue" : "pull request"} ${issue.number}`;
    lines.push(`${name} is ${issue.state}`, `${name} is called ${issue.title}`);
    lines.push(...issue.labels.map((label) => `${name} has the label ${label.name}`));
    for (const item of [issue, ...issue.comments]) {
      const what = item === issue ? "itself" : "a comment";
      const ours = item.reactions.filter(({ user }) => user === bot);
      lines.push(...ours.map(({ content }) => `${name}: ${content} on ${what}`));
    }
    for (const { body, minimizedReason, author } of issue.comments) {
      if (author !== bot) continue;
      const kind = /millwright:(\w+)/.exec(body)?.[1] ?? "unknown";
      lines.push(`${name}: a ${kind} comment${minimizedReason === null ? "" : ", folded"}`);
      if (kind === "status") lines.push(`${name}: a status that begins ${body.split("\n")[0]}`);
    }
  }
  for (const pull of repository.pulls) {
    const name = `pull request ${pull.issue.number}`;
    lines.push(`${name} is ${pull.draft ? "a draft" : "ready"}`);
    lines.push(...pull.requestedReviewers.map(({ login }) => `${name} waits for ${login}`));
    lines.push(...pull.reviews.filter(({ author }) => author === bot).map(() => `${name} has a review of ours`));
  }
  for (const { path, body, author } of repository.reviewComments)
    if (author === bot) lines.push(`a reply in ${path}: ${body.replace(/[0-9a-f]{12,}/g, "…").split("\n")[0]}`);
  for (const { name, conclusion } of repository.entity.checkRuns) lines.push(`check run ${name}: ${conclusion}`);
  for (const branch of Object.keys(await repository.branches())) {
    const log = await repository.git("log", "--format=%s", branch);
    const name = branch.replace(/-[0-9a-f]{8}$/, "");
    for (const subject of log.trim().split("\n")) lines.push(`${name} has the commit ${subject}`);
  }
  for (const { event, action, payload } of github.deliveries) {
    const sender = (payload["sender"] as { login?: string } | undefined)?.login;
    if (event === "issue_comment" && action === "created" && sender === bot.login)
      lines.push(`a comment was created on ${(payload["issue"] as { number: number }).number}`);
    if (event === "pull_request" && action === "opened") lines.push("a pull request was opened");
  }
  const subjects = [...repository.entity.issues.values()];
  for (const { number, pull } of subjects) {
    const kind = pull === undefined ? "issue" : "pull-request";
    // What a pull request's own events start is not switched on in these stories: it ends as refused, or as cancelled before.
    for (const run of await app.worker.store.runs.ofSubject(repository.entity.id, kind, number))
      if (run.intent.trigger.kind !== "state" || run.pipeline === "answer-command")
        lines.push(`${run.pipeline} on ${number}: ${run.state}, ${run.outcome?.kind}`);
  }
  lines.push(...Array.from({ length: scenario.modelRequests() }, () => "a request to the model"));
  return lines.sort();
}

/** How two inventories differ: what is missing in the second, and what it has more than once too often. */
export function compare(wanted: readonly string[], found: readonly string[]): { missing: string[]; surplus: string[] } {
  const left = new Map<string, number>();
  for (const line of wanted) left.set(line, (left.get(line) ?? 0) + 1);
  const surplus: string[] = [];
  for (const line of found) {
    const count = left.get(line) ?? 0;
    if (count === 0) surplus.push(line);
    else left.set(line, count - 1);
  }
  const missing = [...left].flatMap(([line, count]) => Array.from({ length: count }, () => line));
  return { missing, surplus };
}
