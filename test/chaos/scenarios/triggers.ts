import type { RunRow } from "../../../src/store/store.ts";
import { seededRandom } from "../../support/local-github/random.ts";
import type { Comment, Pull, Role, UserType } from "../../support/local-github/types.ts";
import {
  analysis,
  finish,
  press,
  pullOf,
  type Scenario,
  simpleWork,
  startScenario,
  statusesOf,
} from "../../support/scenario.ts";
import { type ChaosOptions, type ChaosScenario, type Findings, sum } from "../chaos.ts";

export const triggers: ChaosScenario = {
  name: "triggers",
  about:
    "every permission × kind of account × trigger, and texts edited or permissions withdrawn at every API call of a run (M4, M11, M14)",
  databases: ["pglite"],
  async run(options) {
    const scenario = await startScenario({
      config: "plan: ask\n",
      // A public repository, so that its CI waits for a person.
      repository: { private: false, collaborators: { maintainer: "admin", stranger: "read" } },
      environment: {
        // Also by an operator's mistake nothing of our own is heard.
        MILLWRIGHT_ALLOWED_BOTS: "listed-bot,listed-reader,millwright[bot]",
        MILLWRIGHT_ACCOUNTS: "acme",
        MILLWRIGHT_SUBJECT_DAY_RUNS: "10000",
        MILLWRIGHT_REPOSITORY_DAY_RUNS: "10000",
        MILLWRIGHT_ACCOUNT_DAY_RUNS: "10000",
        MILLWRIGHT_RECONCILE_MINUTES: "0.05",
      },
      model: (request) => {
        const text = JSON.stringify(request.request.body);
        if (text.includes("doable-work")) return simpleWork(request);
        if (request.stage === "analyse-issue")
          return analysis({ doable: "needs-answers", openQuestions: ["Which one?"] });
        return finish("There is nothing to change.");
      },
    });
    try {
      const parts = [
        await matrix(scenario, options),
        await answersToQuestions(scenario, options),
        await editsAtEveryCall(scenario, options),
        await mostOfADay(scenario, options),
      ];
      // GitHub's description knows no deliveries by mannequins, which exist only as authors of what was imported.
      const others = scenario.github
        .forgiveViolations()
        .filter(({ problems }) => !problems.some((problem) => /\/(?:user|sender)/.test(problem)));
      return sum([
        ...parts,
        { tries: 0, lost: 0, duplicated: 0, violations: others.map((other) => JSON.stringify(other)) },
      ]);
    } finally {
      await scenario.close();
    }
  },
};

const roles: readonly Role[] = ["none", "read", "triage", "write", "maintain", "admin"];
const kinds = ["User", "Bot", "Organization", "Mannequin", "ghost"] as const;

interface Account {
  login: string;
  role: Role;
  kind: (typeof kinds)[number] | "listed bot";
}

/** Every permission × kind of account; `suffix` makes them others than those that were deleted meanwhile. */
function everybody(suffix: string): Account[] {
  const accounts = kinds.flatMap((kind) =>
    roles.map((role): Account => ({ login: `${kind}-${role}${suffix}`.toLowerCase(), role, kind })),
  );
  return [...accounts, { login: `listed-bot`, role: "write", kind: "listed bot" }];
}

function create({ github, name }: Scenario, { login, role, kind }: Account): void {
  const type = kind === "ghost" ? "User" : kind === "listed bot" ? "Bot" : (kind satisfies UserType);
  github.createUser(login, { type });
  github.setRole(name, login, role);
}

/** M4 in plain words: people who may write, and bots that the operator names. */
function mayAsk({ role, kind }: Account): boolean {
  if (kind === "listed bot") return true;
  return kind === "User" && (role === "write" || role === "maintain" || role === "admin");
}

/** What happened to one act: which runs are its own, and whether one of them may have got beyond the first step. */
interface Act {
  what: string;
  expected: boolean;
  subject: { kind: "issue" | "pull-request"; number: number };
  repositoryId: number;
  isOwn(run: RunRow): boolean;
  /** Not even a run that is refused may come of it. */
  unheard?: true;
}

type Attempt = (scenario: Scenario, stage: Stage, account: Account) => Promise<Act | Act[]> | Act;

interface Stage {
  pull: Pull;
}

async function matrix(scenario: Scenario, { scale, seed, say }: ChaosOptions): Promise<Findings> {
  const accounts = everybody("");
  for (const account of accounts) create(scenario, account);
  const stage: Stage = { pull: await openPull(scenario) };
  const random = seededRandom(seed);
  const attempts = Object.entries(everyTrigger).flatMap(([what, attempt]) =>
    accounts.map((account) => ({ what, attempt, account })),
  );
  // Started work costs seconds, refused work little.
  const chosen = attempts.filter(({ account }) => scale === "long" || random() < (mayAsk(account) ? 0.04 : 0.12));
  const acts: Act[] = [];
  for (const { what, attempt, account } of chosen) {
    const made = await attempt(scenario, stage, account);
    acts.push(...[made].flat().map((act) => ({ ...act, what: `${what} by ${account.login}` })));
  }
  for (const act of await ownActsAndOthers(scenario, stage)) acts.push(act);
  await quiet(scenario);
  const violations: string[] = [];
  for (const act of acts) {
    const runs = (
      await scenario.app.worker.store.runs.ofSubject(act.repositoryId, act.subject.kind, act.subject.number)
    ).filter((run) => act.isOwn(run));
    const started = runs.some(({ outcome }) => outcome?.kind !== "refused");
    if (act.unheard && runs.length > 0) violations.push(`${act.what} was heard: it made ${runs.length} runs`);
    if (started !== act.expected)
      violations.push(
        `${act.what} ${started ? "started" : "did not start"} (${runs.map(({ outcome }) => outcome?.kind).join()})`,
      );
    if (act.expected || act.subject.kind !== "issue" || act.repositoryId !== scenario.repository.entity.id) continue;
    if (act.what.startsWith("label") && statusesOf(scenario, act.subject.number).length > 0)
      violations.push(`${act.what} got a status comment`);
  }
  const plans = await plansThatWait(scenario, accounts, scale);
  say(`${acts.length} acts, of which ${acts.filter(({ expected }) => expected).length} may start something`);
  return { tries: acts.length + plans.tries, lost: 0, duplicated: 0, violations: [...violations, ...plans.violations] };
}

/** A pull request of ours whose CI waits. */
async function openPull(scenario: Scenario): Promise<Pull> {
  const { github, name } = scenario;
  const number = scenario.labelIssue({ title: "doable-work", body: "`slugify` should make `ss` of `ß`." });
  await planOf(scenario, number);
  github.as("maintainer").comment(name, number, "/millwright approve");
  return pullOf(scenario, await scenario.ended(number));
}

function planOf(scenario: Scenario, number: number): Promise<Comment> {
  return scenario.until("a plan", async () => {
    const plan = scenario.repository.issue(number).comments.find(({ body }) => body.includes("millwright:plan"));
    const runs = await scenario.app.worker.store.runs.ofSubject(scenario.repository.entity.id, "issue", number);
    return runs.some(({ state }) => state === "waiting-decision") && plan;
  });
}

/** Lets an account act; the ghost is gone before anybody looks. */
function by(scenario: Scenario, { login, kind }: Account) {
  if (kind === "ghost") queueMicrotask(() => scenario.github.deleteUser(login));
  return scenario.github.as(login);
}

/** What a deleted account does is announced as done by the ghost. */
const ofActor = (login: string) => (run: RunRow) => [login, "ghost"].includes(run.intent.actor.login);
const ofId = (id: string) => (run: RunRow) => run.intent.id === id;

function onIssue(act: (scenario: Scenario, account: Account, number: number) => void, expected = mayAsk): Attempt {
  return (scenario, _stage, account) => {
    const number = scenario.openIssue({ title: "unclear", body: "Something should change." });
    act(scenario, account, number);
    const repositoryId = scenario.repository.entity.id;
    return {
      what: "",
      expected: expected(account),
      subject: { kind: "issue", number },
      repositoryId,
      isOwn: ofActor(account.login),
    };
  };
}

function onPull(act: (scenario: Scenario, account: Account, pull: Pull) => Promise<string> | string): Attempt {
  return async (scenario, { pull }, account) => {
    const id = await act(scenario, account, pull);
    const subject = { kind: "pull-request" as const, number: pull.issue.number };
    const isOwn =
      id === "button" ? (run: RunRow) => run.intent.trigger.kind === "button" && ofActor(account.login)(run) : ofId(id);
    return { what: "", expected: mayAsk(account), subject, repositoryId: scenario.repository.entity.id, isOwn };
  };
}

const comment = (body: string) => onIssue((s, account, number) => void by(s, account).comment(s.name, number, body));
const pullComment = (body: string) =>
  onPull((s, account, pull) => `comment:${by(s, account).comment(s.name, pull.issue.number, body).id}`);
const review = (event: "REQUEST_CHANGES" | "COMMENT") =>
  onPull(async (s, account, pull) => {
    const { id } = await by(s, account).review(s.name, pull.issue.number, {
      event,
      body: "Please look at this again.",
    });
    return `review:${id}`;
  });

const everyTrigger: Record<string, Attempt> = {
  label: onIssue((s, account, number) => by(s, account).label(s.name, number, "agent:builder")),
  "/code": comment("/code"),
  "/millwright code": comment("/millwright code and be quick"),
  "/code on our pull request": pullComment("/code shorter"),
  "changes requested": review("REQUEST_CHANGES"),
  "review comment": review("COMMENT"),
  stop: comment("/millwright stop"),
  retry: comment("/millwright retry"),
  status: comment("/millwright status"),
  approve: comment("/millwright approve"),
  reject: comment("/millwright reject"),
  help: comment("/millwright help"),
  "stop on our pull request": pullComment("/stop"),
  "status on our pull request": pullComment("/status"),
  "Run CI": onPull((s, account) => {
    const check = s.repository.entity.checkRuns[0]!;
    if (account.kind === "ghost") s.github.deleteUser(account.login);
    press(s, account.login, check, "approve-ci");
    return "button";
  }),
  "answer to a question that nobody asked": onIssue(
    (s, account, number) => {
      s.github.as("maintainer").label(s.name, number, "agent:needs-info");
      by(s, account).comment(s.name, number, "The first one.");
    },
    () => false,
  ),
  // States, whoever made them: GitHub lets nobody close or unlabel who may not.
  "label removed": onIssue(
    (s, account, number) => {
      s.github.as("stranger").label(s.name, number, "agent:builder");
      by(s, account).unlabel(s.name, number, "agent:builder");
    },
    () => true,
  ),
  "issue closed": onIssue(
    (s, account, number) => by(s, account).closeIssue(s.name, number),
    () => true,
  ),
};

/** Our own App, another App, an account that is not served, a command that was edited in. */
async function ownActsAndOthers(scenario: Scenario, { pull }: Stage): Promise<Act[]> {
  const { github, name, repository } = scenario;
  const repositoryId = repository.entity.id;
  const acts: Act[] = [];
  const unheard = (what: string, subject: Act["subject"], isOwn: Act["isOwn"] = () => true) =>
    acts.push({ what, expected: false, subject, repositoryId, isOwn, unheard: true });
  const ours = github.asApp(github.app);
  for (const [what, act] of [
    ["label by our own App", (number: number) => ours.label(name, number, "agent:builder")],
    ["/code by our own App", (number: number) => ours.comment(name, number, "/code")],
    ["help by our own App", (number: number) => ours.comment(name, number, "/millwright help")],
    ["issue closed by our own App", (number: number) => ours.closeIssue(name, number)],
  ] as const) {
    const number = scenario.openIssue({ title: "unclear", body: "" });
    act(number);
    unheard(what, { kind: "issue", number });
  }
  await ours.review(name, pull.issue.number, { event: "COMMENT", body: "Again." });
  // That the pull request was opened is a state, which is reviewed where the repository wants that.
  const byUs = ({ intent: { actor, trigger } }: RunRow) =>
    actor.login === github.app.bot.login && trigger.kind !== "state";
  unheard("review by our own App", { kind: "pull-request", number: pull.issue.number }, byUs);
  const edited = scenario.openIssue({ title: "unclear", body: "" });
  const harmless = github.as("stranger").comment(name, edited, "Nice.");
  github.as("maintainer").editComment(harmless, "/code");
  // The reconciler hears it, and says that it has to be asked again.
  const subject = { kind: "issue", number: edited } as const;
  acts.push({
    what: "a comment that becomes a command by an edit",
    expected: false,
    subject,
    repositoryId,
    isOwn: (run) => run.pipeline !== "answer-command",
  });

  github.createUser("elsewhere", { type: "Organization" });
  const other = await github.createRepository({
    owner: "elsewhere",
    name: "other",
    files: { "a.txt": "a" },
    collaborators: { maintainer: "admin" },
  });
  github.install({ owner: "elsewhere" });
  const { number } = github.as("maintainer").openIssue("elsewhere/other", { title: "unclear", body: "" });
  github.as("maintainer").label("elsewhere/other", number, "agent:builder");
  github.as("maintainer").comment("elsewhere/other", number, "/code");
  github.as("maintainer").comment("elsewhere/other", number, "/millwright help");
  acts.push({
    what: "everything on an account that is not served",
    expected: false,
    subject: { kind: "issue", number },
    repositoryId: other.entity.id,
    isOwn: () => true,
  });
  return acts;
}

/** One plan that everybody without the right tries to approve, reject or change, in every way; then somebody with it. */
async function plansThatWait(
  scenario: Scenario,
  accounts: readonly Account[],
  scale: ChaosOptions["scale"],
): Promise<Findings> {
  const { github, name, repository } = scenario;
  const violations: string[] = [];
  const refused = accounts.filter((account) => !mayAsk(account) && account.kind !== "ghost");
  const allowed = accounts.filter(({ kind, role }) => kind === "User" && role === "write");
  const ways: [string, (login: string, number: number, plan: Comment) => void][] = [
    ["ticked box", (login, _number, plan) => github.as(login).tick(plan, "")],
    ["👍", (login, _number, plan) => github.as(login).react(plan, "+1")],
    ["approve", (login, number) => void github.as(login).comment(name, number, "/millwright approve")],
    ["edited plan", (login, _number, plan) => github.as(login).editComment(plan, `${plan.body}\n- another step`)],
  ];
  const number = scenario.labelIssue({ title: "doable-work again", body: "Please." });
  const plan = await planOf(scenario, number);
  const before = plan.body;
  const stranger = scale === "long" ? refused : refused.slice(0, 4);
  for (const { login } of stranger) {
    for (const [, act] of ways) {
      act(login, number, plan);
      plan.body = before;
    }
  }
  await quiet(scenario);
  // Reactions are found by a sweep.
  await scenario.until("a sweep", async () => (await scenario.app.worker.housekeeping.sweep()) !== undefined);
  await quiet(scenario);
  const run = async () =>
    (await scenario.app.worker.store.runs.ofSubject(repository.entity.id, "issue", number)).find(
      ({ pipeline }) => pipeline === "issue-to-pr",
    )!;
  if ((await run()).state !== "waiting-decision")
    violations.push(`a plan was decided on by somebody without write access: ${(await run()).state}`);
  const requests = scenario.modelRequests();
  github.as(allowed[0]!.login).react(plan, "+1");
  await scenario.ended(number);
  if (scenario.modelRequests() === requests)
    violations.push("👍 by a person with write access did not approve the plan");
  return { tries: stranger.length * ways.length + 1, lost: 0, duplicated: 0, violations };
}

/**
 * A question of ours is open: its author may answer it, and whoever may ask for work; all others may not, and what they
 * write does not close it. Authors without write access start three runs by answering, and no more.
 */
async function answersToQuestions(scenario: Scenario, { scale, say }: ChaosOptions): Promise<Findings> {
  const { github, name, repository } = scenario;
  const violations: string[] = [];
  const brief = ["user-read-author", "user-none-author", "bot-write-author", "ghost-read-author", "listed-bot"];
  const authors = everybody("-author").filter(({ login }) => scale === "long" || brief.includes(login));
  const asked = authors.map((account) => {
    if (account.kind !== "listed bot") create(scenario, account);
    // An issue whose author is gone has none who could answer.
    const { number } = by(scenario, account).openIssue(name, { title: "unclear", body: "Something should change." });
    github.as("maintainer").label(name, number, "agent:builder");
    return { account, number };
  });
  const { store } = scenario.app.worker;
  const buildsOf = (number: number) => store.runs.ofSubject(repository.entity.id, "issue", number);
  const questionsOf = async (number: number) =>
    (await buildsOf(number)).filter(({ outcome }) => outcome?.kind === "question").length;
  await quiet(scenario);
  // Whoever is not the author and may not write: their words start nothing, and leave the question open.
  for (const { number } of asked) github.as("stranger").comment(name, number, "The first one, I think.");
  await quiet(scenario);
  for (const { account, number } of asked) {
    if ((await questionsOf(number)) !== 1)
      violations.push(`a stranger's answer on the issue of ${account.login} started a run, or nobody was asked`);
    github.as(account.kind === "ghost" ? "stranger" : account.login).comment(name, number, "The second one.");
  }
  await quiet(scenario);
  for (const { account, number } of asked) {
    const expected = account.kind === "User" || account.kind === "listed bot";
    const started = (await questionsOf(number)) === 2;
    if (started !== expected)
      violations.push(`the answer of the author ${account.login} ${started ? "started a run" : "started nothing"}`);
  }
  const patient = asked.find(({ account }) => account.kind === "User" && account.role === "read");
  for (const answers of scale === "long" && patient !== undefined ? [2, 3, 4] : []) {
    github.as(patient!.account.login).comment(name, patient!.number, "No, another one.");
    await quiet(scenario);
    const runs = (await questionsOf(patient!.number)) - 1;
    if (runs !== Math.min(answers, 3))
      violations.push(`an author's ${answers} answers started ${runs} runs, not ${Math.min(answers, 3)}`);
  }
  say(`${asked.length} questions were answered by their authors`);
  return { tries: asked.length * 2, lost: 0, duplicated: 0, violations };
}

/** M11: of all that asks one after the other, and of all at once, no more runs of one issue go ahead on a day than are allowed. */
async function mostOfADay(scenario: Scenario, { scale, say }: ChaosOptions): Promise<Findings> {
  const { github, name, repository } = scenario;
  const most = scale === "long" ? 5 : 2;
  await scenario.restartApp({ MILLWRIGHT_SUBJECT_DAY_RUNS: String(most) });
  const maintainer = github.as("maintainer");
  const violations: string[] = [];
  const begun = async (number: number) => {
    const runs = await scenario.app.worker.store.runs.ofSubject(repository.entity.id, "issue", number);
    return runs.filter(({ pipeline, outcome }) => pipeline === "issue-to-pr" && outcome?.kind !== "refused").length;
  };
  const ask: ((number: number) => void)[] = [
    (number) => maintainer.label(name, number, "agent:builder"),
    (number) => void maintainer.comment(name, number, "/code"),
    (number) => void maintainer.comment(name, number, "The first one."),
    (number) => void maintainer.comment(name, number, "/millwright retry"),
  ];
  const open = () => scenario.openIssue({ title: "unclear", body: "Something should change." });
  const burst = open();
  for (let time = 0; time < 3 * most; time += 1) ask[1]!(burst);
  const other = open();
  ask[1]!(other);
  await quiet(scenario);
  let tries = 3 * most + 1;
  if ((await begun(burst)) !== most)
    violations.push(`${await begun(burst)} runs of one issue went ahead when all asked at once, ${most} are allowed`);
  if ((await begun(other)) !== 1) violations.push("the limit of one issue kept another from its run");
  if (scale === "long") {
    const patient = open();
    for (let time = 0; time < 3 * most; time += 1) {
      ask[time % ask.length]!(patient);
      await quiet(scenario);
      tries += 1;
    }
    if ((await begun(patient)) !== most)
      violations.push(`${await begun(patient)} runs of one issue went ahead one after another, ${most} are allowed`);
  }
  say(`${tries} times one issue asked for a run, of which ${most} were allowed`);
  return { tries, lost: 0, duplicated: 0, violations };
}

/** Until every delivery was answered, filed and carried out. */
async function quiet(scenario: Scenario): Promise<void> {
  const { github, name, repository, app } = scenario;
  await github.settled();
  // Deliveries are filed in order: when this one is known, so are those before.
  const last = scenario.openIssue({ title: "the last", body: "" });
  github.as("maintainer").comment(name, last, "/millwright help");
  const runsOf = (kind: "issue" | "pull-request", number: number) =>
    app.worker.store.runs.ofSubject(repository.entity.id, kind, number);
  await scenario.until(
    "the last command to be carried out",
    async () => (await runsOf("issue", last)).some(({ state }) => state === "ended"),
    600,
  );
  for (const { number } of repository.issues)
    await scenario.until(`issue ${number} to rest`, async () => (await runsOf("issue", number)).every(rests), 600);
  for (const { issue } of repository.pulls)
    await scenario.until(
      `pull request ${issue.number} to rest`,
      async () => (await runsOf("pull-request", issue.number)).every(rests),
      600,
    );
}

function rests({ state }: RunRow): boolean {
  return state === "ended" || state === "waiting-decision";
}

/**
 * At the n-th call to GitHub of a run, somebody changes title, text and an earlier comment, or takes the right of who
 * asked away: the model is never asked with the later text, and the run is refused as a whole or goes on as a whole.
 */
async function editsAtEveryCall(scenario: Scenario, { scale, seed, say }: ChaosOptions): Promise<Findings> {
  const { github, name, repository } = scenario;
  const violations: string[] = [];
  const prepare = (who: string) => {
    github.createUser(who);
    github.setRole(name, who, "write");
    const number = github
      .as(who)
      .openIssue(name, { title: `early title of ${who}`, body: `early body of ${who}` }).number;
    return { who, number, comment: github.as(who).comment(name, number, `early comment of ${who}`) };
  };
  let calls = 0;
  /** Labels the issue as its author, does something at the n-th call, and waits for the end. */
  const runWith = async (made: ReturnType<typeof prepare>, at: number, act: () => void) => {
    let seen = 0;
    const stop = github.onRequest(({ path }) => {
      // The reconciler looks around by itself.
      if (/\/(?:events|timeline)|installation\/repositories|\/app\b/.test(path)) return;
      seen += 1;
      if (seen === at) act();
    });
    try {
      github.as(made.who).label(name, made.number, "agent:builder");
      const run = await scenario.ended(made.number);
      calls = Math.max(calls, seen);
      return run;
    } finally {
      stop();
    }
  };
  // How many calls a run has is known after one.
  const first = prepare("edits-0");
  await pastThisSecond();
  await runWith(first, 0, () => undefined);
  const random = seededRandom(seed);
  const positions = Array.from({ length: calls + 1 }, (_, index) => index + 1).filter(
    () => scale === "long" || random() < 1.5 / calls,
  );
  const cases = (positions.length === 0 ? [1] : positions).flatMap((at) =>
    (["edit", "withdraw"] as const).map((kind) => ({ at, kind, made: prepare(`${kind}-${at}`) })),
  );
  await pastThisSecond();
  for (const { at, kind, made } of cases) {
    const { who, number, comment: earlier } = made;
    const sentBefore = scenario.sentToModel().length;
    const run = await runWith(made, at, () => {
      if (kind === "withdraw") {
        github.setRole(name, who, "read");
        return;
      }
      github.as("maintainer").editIssue(name, number, { title: "LATER title", body: "LATER body" });
      github.as("maintainer").editComment(earlier, "LATER comment");
    });
    // Of this issue alone: the reconciler may have found something elsewhere.
    const mine = scenario
      .sentToModel()
      .slice(sentBefore)
      .map(({ body }) => JSON.stringify(body))
      .filter((body) => body.includes(`of ${who}`) || body.includes("LATER"));
    const sent = mine.join("\n");
    const said = repository
      .issue(number)
      .comments.filter(({ author }) => author === github.app.bot)
      .map(({ body }) => body)
      .join("\n");
    const where = `at call ${at} of ${calls}`;
    if (kind === "edit") {
      if (run.outcome?.kind !== "question")
        violations.push(`a text edited ${where} ended the run as ${JSON.stringify(run.outcome)}`);
      if (/LATER/.test(sent))
        violations.push(`a text edited ${where} reached the model: ${/LATER \w+/.exec(sent)?.[0]}`);
      if (/LATER/.test(said)) violations.push(`a text edited ${where} was published`);
      if (!sent.includes(`early body of ${who}`))
        violations.push(`the text of before call ${at} did not reach the model`);
      continue;
    }
    const statuses = statusesOf(scenario, number).length;
    const whole =
      run.outcome?.kind === "refused"
        ? statuses === 0 && mine.length === 0
        : run.outcome?.kind === "question" && statuses === 1;
    if (!whole)
      violations.push(
        `write access withdrawn ${where}: ${run.outcome?.kind} with ${statuses} status comments, ${mine.length} requests to the model`,
      );
  }
  say(`a run makes ${calls} calls to GitHub; ${cases.length} runs were disturbed`);
  return { tries: cases.length, lost: 0, duplicated: 0, violations };
}

/** GitHub dates to the second: what is older than a trigger must be in an earlier one. */
function pastThisSecond(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1_100));
}
