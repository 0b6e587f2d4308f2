import type { Swept } from "../../../src/run/reconcile/reconciler.ts";
import type { RunRow } from "../../../src/store/store.ts";
import type { Comment } from "../../support/local-github/types.ts";
import { startPostgres } from "../../support/postgres.ts";
import { analysis, finish, type Scenario, startScenario, useTools } from "../../support/scenario.ts";
import { type ChaosOptions, type ChaosScenario, type Findings, sum } from "../chaos.ts";

/**
 * security.md M10: deliveries that never come are made good by one sweep over GitHub's lists, and nothing is done twice
 * because of it. Counted are the runs that each act of a person led to, and what people see of them.
 */
export const reconciler: ChaosScenario = {
  name: "reconciler",
  about:
    "20 % and all of the deliveries are dropped: after one sweep nothing is lost or doubled; a sweep over 1,000 events on 100 repositories is counted, cold and unchanged (M10)",
  databases: ["pglite", "postgres"],
  async run(options) {
    const postgres = options.database === "postgres" ? await startPostgres() : undefined;
    const environment = { ...generous, ...(postgres && { DATABASE_URL: await postgres.createDatabase() }) };
    try {
      const s = await startScenario({ model, environment, repository: { fromDirectory: undefined, files } });
      const parts: Findings[] = [];
      try {
        // The short version loses deliveries on the one database, and none on the other.
        const inShort = postgres === undefined ? [0] : [0.5];
        for (const drop of options.scale === "short" ? inShort : [0.2, 0.2, 0.2, 0.5, 1, 0]) {
          parts.push(await loseDeliveries(s, drop, options.seed + parts.length, options.say));
        }
        if (options.scale === "long" || postgres === undefined) parts.push(await changeTexts(s, options.say));
        // What is counted does not depend on the database.
        if (options.scale === "long" || postgres === undefined) parts.push(await countRequests(s, options));
      } finally {
        await s.close();
      }
      return sum(parts);
    } finally {
      await postgres?.stop();
    }
  },
};

const generous = {
  MILLWRIGHT_SUBJECT_DAY_RUNS: "1000",
  MILLWRIGHT_REPOSITORY_DAY_RUNS: "100000",
  MILLWRIGHT_ACCOUNT_DAY_RUNS: "100000",
  MILLWRIGHT_REPOSITORY_CONCURRENCY: "8",
  MILLWRIGHT_CONCURRENCY: "8",
};
const trigger = "agent:builder";
/** Nothing to set up and nothing to check: what a run does in between is not what is tried here. */
const files = { "README.md": "# Things\n", ".github/millwright.yml": "plan: ask\n" };

/** What an issue asks for decides how its run goes: most end at once, because nothing is to be done. */
const model: NonNullable<Parameters<typeof startScenario>[0]["model"]> = (asked) => {
  const said = JSON.stringify(asked.request.body);
  if (asked.stage === "address-review") return finish("Nothing is to be changed.");
  if (asked.stage !== "analyse-issue" && asked.stage !== "revise-plan") {
    const change = { file_path: "README.md", old_string: "# Things", new_string: "# Things\n\nAll of them." };
    return asked.turn > 0 ? finish("They are described.") : useTools(["edit", change]);
  }
  if (said.includes("BUILD")) return analysis();
  if (said.includes("ASK") && !said.includes("the blue one")) {
    return analysis({ doable: "needs-answers", openQuestions: ["Which one?"] });
  }
  return analysis({ doable: "already-done" });
};

/** An act of a person, and how one sees that it was heard exactly once. */
interface Act {
  what: string;
  /** How often it was heard; 1 is right. */
  heard(): Promise<number>;
}

/**
 * Every kind of act, of which a share is not told to the App, or none; then one sweep, and at last all that was dropped
 * comes late.
 */
async function loseDeliveries(s: Scenario, drop: number, seed: number, say: ChaosOptions["say"]): Promise<Findings> {
  const stage = await prepare(s);
  const from = s.github.deliveries.length;
  s.github.disturb({ drop, seed });
  const acts = await act(s, stage);
  await s.github.settled();
  s.github.disturb({});
  const told = s.github.deliveries.slice(from);
  const dropped = told.filter(({ status }) => status === "dropped");
  await s.app.worker.engine.idle();
  const first = await sweep(s);
  await s.app.worker.engine.idle();
  say(`${dropped.length} of ${told.length} deliveries were dropped; the sweep: ${JSON.stringify(first)}`);
  const findings = await judge(acts, `${drop * 100} % dropped`);
  if (dropped.length === 0 && first.started > 0) {
    findings.violations.push(`no delivery was lost, but the sweep started ${first.started}`);
  }
  if (dropped.length > 0 && first.started === 0)
    findings.violations.push("nothing was started although deliveries were lost");
  const second = await sweep(s);
  if (second.started > 0) findings.violations.push(`a second sweep started ${second.started} more`);
  for (const { id } of dropped) await s.github.redeliver(id);
  await s.app.worker.engine.idle();
  return sum([findings, await judge(acts, `${drop * 100} % came after the sweep`)]);
}

interface Stage {
  ticked: number;
  edited: number;
  thumbed: number;
  unlabelled: number;
  closed: number;
  asking: number;
  reviewed: number;
  withdrawn: number;
}

/** What acts refer to: plans that wait, a question that is open, pull requests. All of it is told by webhooks. */
async function prepare(s: Scenario): Promise<Stage> {
  const labelled = (what: string) => s.labelIssue({ title: `Please do this: ${what}`, body: `${what} a thing` });
  const waits = async (issue: number) =>
    s.until(`a plan on ${issue}`, async () =>
      (await buildsOf(s, issue)).some((run) => run.state === "waiting-decision"),
    );
  const [ticked, edited, thumbed, unlabelled, closed] = [1, 2, 3, 4, 5].map(() => labelled("BUILD")) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const asking = labelled("ASK");
  const pulls: number[] = [];
  for (const issue of [labelled("BUILD"), labelled("BUILD")]) {
    await waits(issue);
    s.github.as("maintainer").comment(s.name, issue, "/millwright approve");
    pulls.push((await s.ended(issue)).outcome?.pullRequest?.number ?? 0);
  }
  for (const issue of [ticked, edited, thumbed, unlabelled, closed]) await waits(issue);
  await s.ended(asking);
  const [reviewed, withdrawn] = pulls as [number, number];
  await s.github.settled();
  await s.app.worker.engine.idle();
  // What was told so far is none of the acts that are judged.
  await sweep(s);
  return { ticked, edited, thumbed, unlabelled, closed, asking, reviewed, withdrawn };
}

async function act(s: Scenario, stage: Stage): Promise<Act[]> {
  const { github, name } = s;
  const maintainer = github.as("maintainer");
  const acts: Act[] = [];
  const comment = (who: string, number: number, body: string, kind: "issue" | "pull-request" = "issue"): Comment => {
    const said = github.as(who).comment(name, number, body);
    acts.push({ what: `${who}: ${body}`, heard: () => runsNamed(s, kind, number, `comment:${said.id}`) });
    return said;
  };
  for (let index = 0; index < 3; index += 1) {
    const issue = s.labelIssue({ title: `Nothing is to be done here ${index}`, body: "It is done." });
    acts.push({ what: `labelled ${issue}`, heard: async () => (await buildsOf(s, issue)).length });
    comment("maintainer", s.openIssue({ title: `Nothing to do there ${index}`, body: "It is done." }), "/code please");
  }
  const stranger = comment("stranger", s.openIssue({ title: "A stranger asks", body: "Please." }), "/code now");
  acts.push({ what: "👎 for a stranger", heard: async () => reactionsOf(s, stranger, "-1") });
  const asked = s.openIssue({ title: "Somebody wants to know", body: "What is it?" });
  comment("maintainer", asked, "/millwright status");
  acts.push({ what: "the status is told", heard: async () => answersOn(s, asked) });
  comment("maintainer", stage.asking, "It is the blue one.");

  maintainer.tick(planOf(s, stage.ticked), "Approve this plan");
  const plan = planOf(s, stage.edited);
  maintainer.editComment(plan, plan.body.replace("1. Change it.", "1. Change it with care."));
  maintainer.react(planOf(s, stage.thumbed), "+1");
  for (const [what, issue] of [
    ["a ticked plan", stage.ticked],
    ["a plan with 👍", stage.thumbed],
  ] as const) {
    acts.push({
      what,
      heard: async () => s.repository.pulls.filter((pull) => pull.issue.body?.includes(`Closes #${issue}`)).length,
    });
  }
  acts.push({ what: "an edited plan is asked for anew", heard: async () => plansOf(s, stage.edited).length - 1 });

  maintainer.unlabel(name, stage.unlabelled, trigger);
  maintainer.closeIssue(name, stage.closed);
  for (const [what, issue] of [
    ["a removed label", stage.unlabelled],
    ["a closed issue", stage.closed],
  ] as const) {
    acts.push({
      what,
      heard: async () => (await buildsOf(s, issue)).filter((run) => run.outcome?.kind === "cancelled").length,
    });
  }

  const review = await maintainer.review(name, stage.reviewed, {
    event: "REQUEST_CHANGES",
    body: "Please look again.",
  });
  acts.push({ what: "a review", heard: () => runsNamed(s, "pull-request", stage.reviewed, `review:${review.id}`) });
  comment("maintainer", stage.reviewed, "/millwright help", "pull-request");
  maintainer.closePullRequest(name, stage.withdrawn);
  acts.push({
    what: "a closed pull request is known to be closed",
    heard: async () => {
      const row = await s.app.worker.store.pullRequests.byNumber(s.repository.entity.id, stage.withdrawn);
      return row?.state === "closed" ? 1 : 0;
    },
  });
  return acts;
}

/** What people see of texts that were changed after they had asked, when no webhook brought the text as it was. */
async function changeTexts(s: Scenario, say: ChaosOptions["say"]): Promise<Findings> {
  const maintainer = s.github.as("maintainer");
  s.github.disturb({ drop: 1 });
  const labelled = s.labelIssue({ title: "Nothing is to be done here", body: "It is done." });
  const renamed = s.labelIssue({ title: "Nothing is to be done at all", body: "It is done." });
  const told = s.openIssue({ title: "Nothing to do with this one", body: "It is done." });
  const command = maintainer.comment(s.name, told, "/code this");
  // GitHub's times have whole seconds.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  maintainer.editIssue(s.name, labelled, { body: "Delete everything." });
  maintainer.editIssue(s.name, renamed, { title: "Delete all there is" });
  maintainer.editComment(command, "/code something else");
  s.github.disturb({});
  const swept = await sweep(s);
  await s.app.worker.engine.idle();
  say(`changed texts: ${JSON.stringify(swept)}`);
  const acts = [labelled, renamed, told].map((issue) => ({
    what: `please trigger ${issue} again`,
    heard: async () =>
      answersOn(s, issue, "Please trigger again") === 1 && (await buildsOf(s, issue)).length === 0 ? 1 : 0,
  }));
  return judge(acts, "text changed");
}

/** 1,000 events on 100 repositories, some of them triggers that nobody told; the short version has a quarter of both. */
async function countRequests(s: Scenario, { scale, say }: ChaosOptions): Promise<Findings> {
  const repositories = scale === "long" ? 100 : 25;
  // Two lists for each, and 20 for what does not depend on their number.
  const mostCold = 2 * repositories + 20;
  const { github } = s;
  github.uninstall(s.installation);
  await github.settled();
  await s.app.worker.engine.idle();
  github.createUser("hundred", { type: "Organization" });
  const names = Array.from({ length: repositories }, (_, index) => `hundred/repository-${index}`);
  for (const name of names) {
    await github.createRepository({ owner: "hundred", name: name.split("/")[1]!, collaborators: { stranger: "read" } });
  }
  await s.restartApp({ MILLWRIGHT_ACCOUNTS: "hundred" });
  github.install({ owner: "hundred" });
  await github.settled();
  github.setWebhookUrl(undefined);
  const asked: { name: string; comment: Comment }[] = [];
  for (const [index, name] of names.entries()) {
    // Ten events: four of the list of events, six of the list of comments.
    const { number } = github.as("stranger").openIssue(name, { title: "An issue", body: "Of many." });
    github.as("stranger").label(name, number, "bug", "wontfix", "later");
    github.as("stranger").unlabel(name, number, "later");
    for (let count = 0; count < 5; count += 1) github.as("stranger").comment(name, number, `Me too, ${count} times.`);
    const asks = index % 5 === 0;
    const comment = github.as("stranger").comment(name, number, asks ? "/code this" : "And me.");
    if (asks) asked.push({ name, comment });
  }
  await s.app.worker.github.identity();
  const cold = await counted(s);
  await s.app.worker.engine.idle();
  const answering = await counted(s);
  const warm = await counted(s);
  say(
    `cold: ${JSON.stringify(cold)}; after the answers: ${JSON.stringify(answering)}; unchanged: ${JSON.stringify(warm)}`,
  );
  const findings = await judge(
    asked.map(({ name, comment }) => ({
      what: `👎 in ${name}`,
      heard: async () => comment.reactions.filter(({ content }) => content === "-1").length,
    })),
    `${repositories} repositories`,
  );
  const { violations } = findings;
  if (cold.repositories !== repositories || cold.failed > 0 || !cold.complete)
    violations.push("the cold sweep was not complete");
  if (cold.requests > mostCold)
    violations.push(`a cold sweep took ${cold.requests} requests instead of at most ${mostCold}`);
  if (warm.repositories !== repositories) violations.push("the unchanged sweep did not look at every repository");
  if (warm.counting > 20) violations.push(`an unchanged sweep took ${warm.counting} that count instead of at most 20`);
  for (const sweep of [cold, answering, warm]) {
    if (sweep.requests !== sweep.seen)
      violations.push(`${sweep.requests} requests were told, but GitHub saw ${sweep.seen}`);
    if (sweep.counting !== sweep.requests - sweep.notModified) violations.push("GitHub counted others than were told");
  }
  return findings;
}

/** One sweep, with the requests that GitHub saw of it; those of runs are others. */
async function counted(s: Scenario): Promise<Swept & { seen: number; counting: number }> {
  const from = s.github.requests.length;
  const swept = await sweep(s);
  const seen = s.github.requests
    .slice(from)
    .filter(
      ({ route, path, requestBody }) =>
        sweepRoutes.has(route ?? path.split("?")[0]!) ||
        (/access_tokens$/.test(path) && (requestBody as { repository_ids?: unknown }).repository_ids === undefined),
    );
  return { ...swept, seen: seen.length, counting: seen.filter((request) => request.counted).length };
}

const sweepRoutes = new Set([
  "/app/installations",
  "/app/installations/{installation_id}",
  "/installation/repositories",
  "/repos/{owner}/{repo}/issues/events",
  "/repos/{owner}/{repo}/issues/comments",
  "/graphql",
]);

async function sweep(s: Scenario): Promise<Swept> {
  const swept = await s.app.worker.housekeeping.sweep();
  if (swept === undefined) throw new Error("Another worker sweeps, although there is none");
  return swept;
}

async function judge(acts: readonly Act[], when: string): Promise<Findings> {
  const findings: Findings = { tries: 0, lost: 0, duplicated: 0, violations: [] };
  for (const { what, heard } of acts) {
    const times = await heard();
    findings.tries += 1;
    if (times < 1) findings.lost += 1;
    if (times > 1) findings.duplicated += times - 1;
    if (times !== 1) findings.violations.push(`${when}: ${what}: heard ${times} times`);
  }
  return findings;
}

async function runsOf(s: Scenario, kind: "issue" | "pull-request", number: number): Promise<RunRow[]> {
  return s.app.worker.store.runs.ofSubject(s.repository.entity.id, kind, number);
}

async function buildsOf(s: Scenario, issue: number): Promise<RunRow[]> {
  return (await runsOf(s, "issue", issue)).filter((run) => run.pipeline === "issue-to-pr");
}

/** Ended ones: what was heard and came to no end was lost all the same. */
async function runsNamed(s: Scenario, kind: "issue" | "pull-request", number: number, id: string): Promise<number> {
  return (await runsOf(s, kind, number)).filter((run) => run.intent.id === id && run.state === "ended").length;
}

function plansOf(s: Scenario, issue: number): Comment[] {
  return s.repository.issue(issue).comments.filter((comment) => comment.body.includes("millwright:plan"));
}

function planOf(s: Scenario, issue: number): Comment {
  const plan = plansOf(s, issue).at(-1);
  if (plan === undefined) throw new Error(`There is no plan on ${issue}`);
  return plan;
}

function reactionsOf({ github }: Scenario, comment: Comment, content: string): number {
  return comment.reactions.filter((reaction) => reaction.content === content && reaction.user === github.app.bot)
    .length;
}

function answersOn({ repository, github }: Scenario, issue: number, text = ""): number {
  return repository
    .issue(issue)
    .comments.filter((comment) => comment.author === github.app.bot && comment.body.includes(text)).length;
}
