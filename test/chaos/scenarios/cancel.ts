import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { processesWith } from "../../run/child.ts";
import { type Scenario, startScenario, useTools } from "../../support/scenario.ts";
import { type ChaosOptions, type ChaosScenario, type Findings, sum } from "../chaos.ts";
import { obligingModel } from "../support/stories.ts";

/**
 * security.md figure 10: whoever cancels, and whatever the run does at that moment, the last write comes within 5 s of
 * the delivery, and nothing but `report-outcome` writes once the cancel was recorded. A write counts when it reaches
 * GitHub.
 */
export const cancel: ChaosScenario = {
  name: "cancel",
  about: "stopped in every step and at every effect: seen within 5 s, no write after it but the outcome's (figure 10)",
  databases: ["pglite"],
  needs: { program: "bwrap", reason: "a command that is stopped runs in the sandbox" },
  async run(options) {
    const findings: Findings[] = [];
    for (const group of groups) findings.push(await cancelInGroup(group, options));
    return sum(findings);
  },
};

type Way = "/stop" | "the label is removed" | "the subject is closed";
const ways: readonly Way[] = ["/stop", "the label is removed", "the subject is closed"];

/** Where a run is held while it is cancelled. */
type Hold =
  /** The test's fault of this effect does not return; `nth` counts from 1. */
  | { at: "effect"; name: string; when: "before" | "after"; nth?: number }
  /** The model says nothing in this stage. */
  | { at: "model"; stage: string }
  /** A command that never ends: one that the model asks for, or one of the repository's own. */
  | { at: "command"; of: "model" | "setup" | "test" }
  /** GitHub does not answer this read. */
  | { at: "read"; what: string; request: RegExp }
  | { at: "plan" };

/** Holds of runs under one configuration. In the short version one of `brief` after the other, each in another way. */
interface Group {
  name: string;
  config: string;
  subject: "issue" | "pull-request";
  holds: readonly Hold[];
  brief: readonly Hold[];
}

const around = (name: string, nth?: number): Hold[] =>
  (["before", "after"] as const).map((when) => ({ at: "effect", name, when, ...(nth && { nth }) }));

const groups: readonly Group[] = [
  {
    name: "build",
    config: "",
    subject: "issue",
    brief: [
      { at: "effect", name: "status", when: "after" },
      { at: "command", of: "model" },
      { at: "effect", name: "push", when: "before" },
      { at: "effect", name: "push", when: "after" },
      { at: "effect", name: "open-pull-request", when: "before" },
    ],
    holds: [
      ...around("acknowledge"),
      ...around("status"),
      { at: "read", what: "read-repository", request: /^POST .*\/git-upload-pack$/ },
      { at: "read", what: "read-issue", request: /^GET .*\/issues\/\d+\/comments$/ },
      { at: "model", stage: "analyse-issue" },
      { at: "model", stage: "write-change" },
      { at: "command", of: "setup" },
      { at: "command", of: "model" },
      { at: "command", of: "test" },
      ...around("push"),
      ...around("open-pull-request"),
      ...around("ci-check"),
      ...around("request-review"),
    ],
  },
  {
    name: "build with everything switched on",
    config: "plan: ask\npullRequest:\n  openAt: start\ncommit:\n  viaApi: true\n",
    subject: "issue",
    brief: [{ at: "plan" }, { at: "effect", name: "open-pull-request", when: "after" }],
    holds: [
      ...around("ask-plan"),
      { at: "plan" },
      ...around("push"),
      ...around("open-pull-request"),
      { at: "model", stage: "write-change" },
      ...around("commit-through-api"),
      ...around("open-pull-request", 2),
    ],
  },
  {
    name: "iterate",
    config: "",
    subject: "pull-request",
    brief: [],
    holds: [
      ...around("acknowledge"),
      ...around("status"),
      { at: "model", stage: "address-review" },
      ...around("push"),
      ...around("reply-threads"),
      ...around("open-pull-request"),
    ],
  },
];

async function cancelInGroup(group: Group, options: ChaosOptions): Promise<Findings> {
  const short = options.scale === "short";
  const wanted = short
    ? group.brief.map((hold, at) => ({ hold, way: ways[(at + options.seed) % ways.length] as Way }))
    : group.holds.flatMap((hold) => ways.map((way) => ({ hold, way })));
  const cases = wanted.filter(({ way }) => group.subject === "issue" || way !== "the label is removed");
  if (cases.length === 0) return sum([]);
  const stage = await startStage(group);
  const findings: Findings = { tries: 0, lost: 0, duplicated: 0, violations: [] };
  // What a busy machine adds to the figure's 5 s is not the App's.
  const mostSeconds = short ? 40 : 5;
  let slowest = 0;
  try {
    for (const { hold, way } of cases) {
      const name = `${group.name}, ${nameOf(hold)}, ${way}`;
      findings.tries += 1;
      const { seconds, violations } = await stage.cancelOnce(hold, way).catch((error: unknown) => ({
        seconds: 0,
        violations: [(error as Error).message],
      }));
      slowest = Math.max(slowest, seconds);
      if (seconds > mostSeconds) violations.push(`the last write came ${seconds.toFixed(1)} s after the delivery`);
      findings.violations.push(...violations.map((text) => `${name}: ${text}`));
    }
  } finally {
    await stage.close();
  }
  options.say(`${group.name}: ${findings.tries} runs cancelled; last write ${slowest.toFixed(2)} s after at most`);
  return findings;
}

interface Write {
  at: number;
  method: string;
  path: string;
}

async function startStage(group: Group) {
  let hold: Hold | undefined;
  let reached = false;
  let effects = 0;
  let gate = Promise.withResolvers<void>();
  const writes: Write[] = [];
  const mark = `sleep 6${process.pid % 10_000}.25`;

  const scenario: Scenario = await startScenario({
    config: group.config,
    repository: { private: false },
    environment: {
      MILLWRIGHT_SANDBOX: "bubblewrap",
      MILLWRIGHT_REPOSITORY_DAY_RUNS: "1000",
      MILLWRIGHT_ACCOUNT_DAY_RUNS: "1000",
      MILLWRIGHT_SUBJECT_DAY_RUNS: "1000",
    },
    model(request) {
      if (hold?.at === "model" && hold.stage === request.stage) {
        reached = true;
        return "silence";
      }
      if (hold?.at === "command" && hold.of === "model" && request.stage === "write-change")
        return useTools(["run", { command: `${mark} & ${mark}` }]);
      return obligingModel(request);
    },
    async effectFault({ name, when }) {
      if (hold?.at !== "effect" || hold.name !== name || hold.when !== when) return;
      effects += 1;
      if (effects !== (hold.nth ?? 1)) return;
      reached = true;
      await gate.promise;
    },
  });
  const { github, repository, app } = scenario;
  const people = github.as("maintainer");
  github.onRequest(async ({ method, path }) => {
    if (method !== "GET" && !/\/(git-upload-pack|access_tokens)$/.test(path))
      writes.push({ at: performance.now(), method, path });
    if (hold?.at !== "read" || !hold.request.test(`${method} ${path}`)) return;
    reached = true;
    await gate.promise;
  });
  // The moment of truth: from here on only the outcome's writes may reach GitHub.
  let cancelledAt = Number.POSITIVE_INFINITY;
  const { engine } = app.worker;
  const cancelRuns = engine.cancel;
  engine.cancel = async (workKey, reason) => {
    const cancelled = await cancelRuns(workKey, reason);
    if (cancelled) cancelledAt = Math.min(cancelledAt, performance.now());
    return cancelled;
  };

  const configured = async (commands: string) => {
    const files = { ".github/millwright.yml": `${group.config}${commands}` };
    await people.push(scenario.name, { branch: "main", message: "chore: configure", files });
  };

  async function begin(held: Hold): Promise<{ number: number; runs: number }> {
    if (group.subject === "issue") return { number: scenario.labelIssue(), runs: 1 };
    hold = undefined;
    const run = await scenario.ended(scenario.labelIssue());
    const number = run.outcome?.pullRequest?.number;
    if (number === undefined) throw new Error(`There is no pull request to continue: ${run.outcome?.reason}`);
    hold = held;
    effects = 0;
    const comments = [{ path: "src/slugify.js", line: 4, body: "Say makes." }];
    await people.review(scenario.name, number, { event: "COMMENT", comments });
    return { number, runs: 1 };
  }

  async function cancelOnce(held: Hold, way: Way): Promise<{ seconds: number; violations: string[] }> {
    [hold, reached, effects, gate, cancelledAt] = [held, false, 0, Promise.withResolvers(), Number.POSITIVE_INFINITY];
    if (held.at === "command" && held.of !== "model") await configured(`checks:\n  ${held.of}: ["${mark}"]\n`);
    const { number, runs } = await begin(held);
    const kind = group.subject;
    if (held.at === "command") await scenario.until("the command", () => processesWith(mark).length > 0);
    else {
      await approvePlan(held, number);
      if (held.at === "plan") await waitingPlan(number);
      else await scenario.until(nameOf(held), () => reached);
    }
    const branchesBefore = new Set(Object.keys(await repository.branches()));

    const deliveredAt = performance.now();
    let answerTo: number | undefined;
    if (way === "/stop") answerTo = people.comment(scenario.name, number, "/stop").id;
    else if (way === "the label is removed") people.unlabel(scenario.name, number, "agent:builder");
    else if (kind === "issue") people.closeIssue(scenario.name, number);
    else people.closePullRequest(scenario.name, number);
    await scenario.until("the cancel to be recorded", () => cancelledAt < Number.POSITIVE_INFINITY);
    // What was held goes on now, and must come to nothing.
    hold = undefined;
    gate.resolve();
    const run = await scenario.ended(number, { kind, runs });
    await scenario.until("the command to be answered", async () => (await app.worker.store.runs.active()).length === 0);
    await sleep(300);

    const violations: string[] = [];
    if (run.outcome?.kind !== "cancelled") violations.push(`ended as ${run.outcome?.kind}: ${run.outcome?.reason}`);
    const after = writes.filter(({ at }) => at > cancelledAt);
    const allowed = [
      ...(run.statusCommentId === undefined
        ? []
        : [`PATCH /repos/${scenario.name}/issues/comments/${run.statusCommentId}`]),
      `POST /repos/${scenario.name}/issues/comments/${answerTo}/reactions`,
      `POST /repos/${scenario.name}/issues/${number}/labels`,
    ];
    for (const write of after) {
      const told = `${write.method} ${write.path}`;
      const ours = told.startsWith(`DELETE /repos/${scenario.name}/git/refs/heads%2Fmillwright`);
      const label = told.startsWith(`DELETE /repos/${scenario.name}/issues/${number}/labels/`);
      if (!allowed.includes(told) && !ours && !label)
        violations.push(`${told} reached GitHub ${Math.round(write.at - cancelledAt)} ms after the cancel`);
    }
    const edits = after.filter(({ method, path }) => method === "PATCH" && path.includes("/comments/"));
    if (edits.length > 1) violations.push(`the status was edited ${edits.length} times after the cancel`);
    const statuses = repository
      .issue(number)
      .comments.filter(({ body }) => body.includes(`millwright:status ${run.runKey}`));
    if (statuses.length > 1 || statuses.some(({ body }) => !body.includes("Stopped")))
      violations.push(`the statuses say ${JSON.stringify(statuses.map(({ body }) => body.split("\n")[0]))}`);
    if (kind === "issue") {
      const open = repository.pulls.filter(({ issue }) => issue.state === "open" && issue.body?.includes(`#${number}`));
      const left = Object.keys(await repository.branches()).filter((name) => name.includes(`/issue-${number}-`));
      if (left.length > 0 && open.length === 0) violations.push(`${left} is left although nothing shows it`);
      for (const name of left) if (!branchesBefore.has(name)) violations.push(`${name} was made after the cancel`);
    }
    const directory = join(app.dataDirectory, "jobs", run.runKey);
    if (existsSync(directory)) violations.push("the work tree is still there");
    const processes = [...processesWith(mark), ...processesWith(directory)];
    if (processes.length > 0) violations.push(`processes ${processes.join(", ")} are still there`);
    if (held.at === "command" && held.of !== "model") await configured("");
    const last = after.reduce((latest, { at }) => Math.max(latest, at), cancelledAt);
    return { seconds: (last - deliveredAt) / 1000, violations };
  }

  const waitingPlan = (number: number) =>
    scenario.until("the plan to wait", async () =>
      (await app.worker.store.runs.waitingForDecision()).some(({ work }) => work.subject.number === number),
    );

  async function approvePlan(held: Hold, number: number): Promise<void> {
    const beforePlan = held.at === "plan" || (held.at === "effect" && held.name === "ask-plan");
    if (!group.config.includes("plan: ask") || beforePlan) return;
    await waitingPlan(number);
    people.comment(scenario.name, number, "/millwright approve");
  }

  return { cancelOnce, close: () => scenario.close() };
}

function nameOf(hold: Hold): string {
  switch (hold.at) {
    case "effect":
      return `${hold.when} ${hold.name}${hold.nth === undefined ? "" : ` ${hold.nth}`}`;
    case "model":
      return `while the model is asked in ${hold.stage}`;
    case "command":
      return `while a command of ${hold.of} runs`;
    case "read":
      return `in ${hold.what}`;
    case "plan":
      return "while the plan waits";
  }
}
