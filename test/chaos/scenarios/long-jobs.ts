import { pipelines } from "../../../src/pipeline/index.ts";
import { branchOf, workKeyOf } from "../../../src/pipeline/intent.ts";
import type { OutcomeKind } from "../../../src/pipeline/outcome.ts";
import type { Pipeline, Run } from "../../../src/pipeline/run.ts";
import type { RunRow } from "../../../src/store/store.ts";
import type { RepositoryView } from "../../support/local-github/index.ts";
import { sampleIssues } from "../../support/sample-issues.ts";
import { type Scenario, startScenario } from "../../support/scenario.ts";
import { type ChaosOptions, type ChaosScenario, type Findings, sum } from "../chaos.ts";
import { obligingModel } from "../support/stories.ts";

/**
 * What may happen to GitHub's side while a run is at work: each run comes to the ending that fits, says why in plain
 * words, loses nothing of what people did, and writes nothing where it must not (security.md, "Faults it must survive").
 */
export const longJobs: ChaosScenario = {
  name: "long-jobs",
  about: "tokens expire, branches move, a repository is renamed, archived or gone, the App is deployed, all in mid-run",
  databases: ["pglite"],
  async run(options) {
    const chosen = options.scale === "short" ? cases.filter(({ brief }) => brief === true) : cases;
    const stage = await startStage();
    const findings: Findings[] = [];
    try {
      for (const one of chosen) findings.push(await stage.play(one, options));
    } finally {
      await stage.close();
    }
    return sum(findings);
  },
};

interface Meanwhile {
  scenario: Scenario;
  view: RepositoryView;
  /** `owner/name` when the run began. */
  name: string;
  issue: number;
  /** Of the branch that the run makes, or made. */
  branch: string;
  /** GitHub's clock goes on by so many minutes. */
  later(minutes: number): void;
}

interface Case {
  name: string;
  brief?: boolean;
  config?: string;
  /** The run that is disturbed continues the pull request of one that was not. */
  iterates?: boolean;
  /** Done while the model is asked for the change. */
  meanwhile(at: Meanwhile): Promise<unknown> | unknown;
  /** Done right before this effect. */
  before?: { effect: string; act(at: Meanwhile): void };
  /** `gone`: nothing is kept of the run, as of everything of its repository (P15). */
  ends: { kind: OutcomeKind; reason: RegExp } | "gone";
  /** Whether the status comment can still say so. */
  told?: boolean;
  /** What does not hold afterwards, in words. */
  check?(at: Meanwhile, run: RunRow | undefined): Promise<string[]>;
}

const people = ({ scenario }: Meanwhile) => scenario.github.as("maintainer");
const headOf = async ({ view }: Meanwhile, branch: string) => (await view.branches())[branch];

/** Lets something happen of which no webhook tells, also not of what follows from it. */
async function unheard({ scenario: { github } }: Meanwhile, act: () => unknown): Promise<void> {
  github.disturb({ drop: 1 });
  await act();
  await github.settled();
  github.disturb({});
}

/** Without a pull request there is no branch of ours either. */
async function nothingOfOurs(at: Meanwhile): Promise<string[]> {
  const left = Object.keys(await at.view.branches()).filter((name) => name.startsWith("millwright/"));
  const open = at.view.pulls.filter(({ issue }) => issue.state === "open");
  return [...left.map((name) => `${name} is left`), ...open.map(({ issue }) => `pull request ${issue.number} is open`)];
}

async function onePull(at: Meanwhile): Promise<string[]> {
  const { pulls } = at.view;
  const commits = await at.view.git("rev-list", "--count", `main..${at.branch}`).catch(() => "no branch");
  return [
    ...(pulls.length === 1 ? [] : [`there are ${pulls.length} pull requests`]),
    ...(/^\d+$/.test(commits.trim()) ? [] : [`${at.branch} has ${commits.trim()}`]),
  ];
}

/** By the test's own doing; what is done there is asserted on, never lost. */
const pushed = new WeakMap<Scenario, string>();

const cases: readonly Case[] = [
  {
    name: "the tokens expire in mid-run and in mid-step",
    brief: true,
    meanwhile: ({ later }) => later(61),
    before: { effect: "open-pull-request", act: ({ later }) => later(61) },
    ends: { kind: "ready", reason: /all checks passed/ },
    async check(at) {
      const refused = at.scenario.github.requests.some(({ status, actor }) => status === 401 && actor !== "fault");
      return [...(refused ? [] : ["no request was made with an expired token"]), ...(await onePull(at))];
    },
  },
  {
    name: "the base branch moves",
    async meanwhile(at) {
      const files = { "MEANWHILE.md": "Somebody was quicker.\n" };
      pushed.set(at.scenario, await people(at).push(at.name, { branch: "main", message: "docs: meanwhile", files }));
    },
    ends: { kind: "ready", reason: /all checks passed/ },
    async check(at) {
      const main = await headOf(at, "main");
      const touched = await at.view.git("diff", "--name-only", `main...${at.branch}`);
      return [
        ...(main === pushed.get(at.scenario) ? [] : [`main is at ${main}`]),
        ...(touched.includes("MEANWHILE") ? ["the pull request takes back what was pushed to main"] : []),
        ...(await onePull(at)),
      ];
    },
  },
  {
    name: "a person pushes to our branch",
    config: "pullRequest:\n  openAt: start\n",
    async meanwhile(at) {
      const files = { "MINE.md": "mine\n" };
      pushed.set(at.scenario, await people(at).push(at.name, { branch: at.branch, message: "docs: mine", files }));
    },
    ends: { kind: "failed", reason: /Somebody else pushed/ },
    told: true,
    async check(at) {
      const head = await headOf(at, at.branch);
      return head === pushed.get(at.scenario) ? [] : [`the branch is at ${head}, not at what the person pushed`];
    },
  },
  {
    name: "branch protection refuses the push",
    meanwhile: ({ scenario, name, branch }) => scenario.github.protect(name, branch, { requirePullRequest: true }),
    ends: { kind: "failed", reason: /GitHub refused the push/ },
    told: true,
    check: nothingOfOurs,
  },
  ...[false, true].map(
    (lost): Case => ({
      name: `the pull request is merged${lost ? ", and no webhook tells" : ""}`,
      iterates: true,
      async meanwhile(at) {
        const [pull] = at.view.pulls;
        if (pull === undefined) throw new Error("There is no pull request to merge");
        const merge = async () => void pushed.set(at.scenario, await people(at).merge(at.name, pull.issue.number));
        await (lost ? unheard(at, merge) : merge());
      },
      // The merge closes the issue as well, and which of the two is told first is not said.
      ends: {
        kind: "cancelled",
        reason: lost ? /The pull request was closed/ : /(merged|issue was closed) by maintainer/,
      },
      told: true,
      async check(at) {
        const main = await headOf(at, "main");
        return main === pushed.get(at.scenario) ? [] : [`main is at ${main}, not at the merge`];
      },
    }),
  ),
  {
    name: "the issue is closed, and no webhook tells",
    meanwhile: (at) => unheard(at, () => people(at).closeIssue(at.name, at.issue)),
    ends: { kind: "cancelled", reason: /The issue was closed/ },
    told: true,
    check: nothingOfOurs,
  },
  ...["", "commit:\n  viaApi: true\n"].map(
    (config): Case => ({
      name: `the repository is renamed${config === "" ? "" : ", with commits through the API"}`,
      brief: config !== "",
      config,
      meanwhile: ({ scenario, name }) => scenario.github.renameRepository(name, `${name.split("/")[1]}-renamed`),
      ends: { kind: "ready", reason: /all checks passed/ },
      told: true,
      check: onePull,
    }),
  ),
  {
    name: "the repository is archived",
    meanwhile: ({ scenario, name }) => scenario.github.setArchived(name, true),
    ends: { kind: "failed", reason: /archived|refused the push/ },
    check: nothingOfOurs,
  },
  {
    name: "the repository is transferred to an account without the App",
    brief: true,
    meanwhile: ({ scenario, name }) => scenario.github.transferRepository(name, "elsewhere"),
    ends: { kind: "failed", reason: /no access to this repository/ },
    check: nothingOfOurs,
  },
  {
    name: "the repository is deleted",
    meanwhile: ({ scenario, name }) => scenario.github.deleteRepository(name),
    ends: "gone",
  },
  {
    name: "the repository is deleted, and no webhook tells",
    meanwhile: (at) => unheard(at, () => at.scenario.github.deleteRepository(at.name)),
    ends: { kind: "failed", reason: /no access to this repository/ },
  },
  {
    name: "the App is deployed with another story",
    brief: true,
    async meanwhile({ scenario }) {
      const { "issue-to-pr": told } = pipelines;
      pipelines["issue-to-pr"] = withAnotherStep(told);
      // Not awaited: the step that is asking for this has to stop first.
      deploys.add(scenario.restartApp().finally(() => undefined));
    },
    ends: { kind: "ready", reason: /all checks passed/ },
    told: true,
    async check(at, run) {
      const steps = run === undefined ? [] : await at.scenario.app.worker.store.runs.steps(run.runKey);
      const read = steps.filter(({ name }) => name === "read-issue").length;
      return [...(read === 2 ? [] : [`the issue was read ${read} times`]), ...(await onePull(at))];
    },
  },
  {
    name: "the installation is suspended, and no webhook tells",
    meanwhile: (at) => unheard(at, () => at.scenario.github.suspend(at.scenario.installation)),
    ends: { kind: "failed", reason: /no access to this repository/ },
    async check(at) {
      at.scenario.installation.suspendedAt = undefined;
      return nothingOfOurs(at);
    },
  },
  {
    name: "the installation is removed, and no webhook tells",
    meanwhile: (at) => unheard(at, () => at.scenario.github.uninstall(at.scenario.installation)),
    ends: { kind: "failed", reason: /no access to this repository/ },
    check: nothingOfOurs,
  },
];

const deploys = new Set<Promise<void>>();

/** The story of a later version: it reads the issue once more before the change is written, and what follows is done again. */
function withAnotherStep(told: Pipeline): Pipeline {
  return (run) => {
    let base: Parameters<Run["step"]>[1] | undefined;
    const changed: Run = {
      ...run,
      step: async (name, input) => {
        if (name === "prepare-environment" && base !== undefined) await run.step("read-issue", { base } as never);
        const output = await run.step(name, input);
        if (name === "read-repository") base = output as never;
        return output;
      },
      parallel: (branches) => run.parallel(branches),
      waitFor: (signal, minutes) => run.waitFor(signal, minutes),
    };
    return told(changed);
  };
}

async function startStage() {
  let aheadMs = 0;
  let current: { one: Case; at: Meanwhile } | undefined;
  let acted = false;
  let acting: Promise<unknown> = Promise.resolve();
  let before: (() => void) | undefined;
  const scenario: Scenario = await startScenario({
    // What no webhook told has to be seen by the run itself, not by the reconciler.
    environment: { MILLWRIGHT_ACCOUNT_DAY_RUNS: "1000", MILLWRIGHT_RECONCILE_MINUTES: "0" },
    clock: () => new Date(Date.now() + aheadMs),
    async model(request) {
      const disturbed = current?.one.iterates === true ? "address-review" : "write-change";
      if (current !== undefined && !acted && request.stage === disturbed && request.turn === 0) {
        acted = true;
        acting = Promise.resolve(current.one.meanwhile(current.at));
        await acting;
      }
      return obligingModel(request);
    },
    effectFault({ name, when }) {
      if (when !== "before" || current?.one.before?.effect !== name) return;
      before?.();
      before = undefined;
    },
  });
  const { github } = scenario;
  github.createUser("elsewhere");
  const { "issue-to-pr": story } = pipelines;
  let count = 0;

  async function ended(
    view: RepositoryView,
    kind: "issue" | "pull-request",
    number: number,
  ): Promise<RunRow | undefined> {
    let seen = false;
    return scenario.until(
      "the run to end",
      async () => {
        await Promise.all(deploys);
        const { runs } = scenario.app.worker.store;
        const [run] = (await runs.ofSubject(view.entity.id, kind, number)).filter(
          ({ pipeline }) => pipeline === "issue-to-pr" || pipeline === "iterate-pr",
        );
        if (run === undefined) return seen && ("gone" as never);
        seen = true;
        return run.state === "ended" && run;
      },
      150,
    );
  }

  async function play(one: Case, { say }: ChaosOptions): Promise<Findings> {
    count += 1;
    const name = `acme/case-${count}`;
    const view = await github.createRepository({
      owner: "acme",
      name: `case-${count}`,
      fromDirectory: "test/fixtures/repos/text-tools",
      ...(one.config === undefined ? {} : { files: { ".github/millwright.yml": one.config } }),
      private: true,
      collaborators: { maintainer: "write" },
    });
    const maintainer = github.as("maintainer");
    const issue = maintainer.openIssue(name, sampleIssues["text-tools"]).number;
    const work = {
      installationId: scenario.installation.id,
      repositoryId: view.entity.id,
      owner: "acme",
      repo: `case-${count}`,
      subject: { kind: "issue" as const, number: issue },
    };
    const later = (minutes: number) => {
      aheadMs += minutes * 60_000;
    };
    const at: Meanwhile = { scenario, view, name, issue, branch: branchOf(issue, workKeyOf(work)), later };
    const violations: string[] = [];
    const startedAt = performance.now();
    let lost = 0;
    let said = "nothing is kept";
    try {
      let subject: { kind: "issue" | "pull-request"; number: number } = { kind: "issue", number: issue };
      if (one.iterates === true) {
        maintainer.label(name, issue, "agent:builder");
        const first = await ended(view, "issue", issue);
        subject = { kind: "pull-request", number: first?.outcome?.pullRequest?.number ?? 0 };
      }
      [acted, current, before] = [false, { one, at }, () => one.before?.act(at)];
      if (one.iterates === true) {
        const comments = [{ path: "src/slugify.js", line: 4, body: "Say makes." }];
        await maintainer.review(name, subject.number, { event: "COMMENT", comments });
      } else maintainer.label(name, issue, "agent:builder");
      const found = await ended(view, subject.kind, subject.number);
      await acting;
      const run = found === ("gone" as never) ? undefined : found;
      if (run?.outcome !== undefined) said = `${run.outcome.kind}, ${run.outcome.reason}`;
      if (!acted) violations.push("nothing was disturbed");
      if (one.ends === "gone") {
        if (run !== undefined) violations.push(`ended as ${run.outcome?.kind}, but nothing was to be kept`);
      } else if (run?.outcome?.kind !== one.ends.kind || !one.ends.reason.test(run.outcome.reason))
        violations.push(`ended as ${run?.outcome?.kind}: ${run?.outcome?.reason}`);
      if (one.told === true) {
        const [status] = view.issue(subject.number).comments.filter(({ body }) => body.includes("millwright:status"));
        if (run?.outcome === undefined || status?.body.includes(run.outcome.reason) !== true)
          violations.push(`the status does not say why: ${status?.body.slice(0, 200)}`);
      }
      violations.push(...((await one.check?.(at, run)) ?? []));
    } catch (error) {
      lost = 1;
      violations.push((error as Error).message);
    } finally {
      current = undefined;
      github.disturb({});
      pipelines["issue-to-pr"] = story;
    }
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    say(`${one.name}: ${said} (${seconds} s)`);
    return { tries: 1, lost, duplicated: 0, violations: violations.map((text) => `${one.name}: ${text}`) };
  }

  return { play, close: () => scenario.close() };
}
