import { dollarsOf, priceOf } from "../../../src/agent/prices.ts";
import { estimateJsonTokens } from "../../../src/policy/tokens.ts";
import type { RunRow } from "../../../src/store/store.ts";
import type { RepositoryView } from "../../support/local-github/index.ts";
import { seededRandom } from "../../support/local-github/random.ts";
import { analysisText } from "../../support/model-replies.ts";
import { messageEvents, type RawMessage, type RawReply, startScriptedModel } from "../../support/scripted-model.ts";
import type { ChaosOptions, ChaosScenario, Findings } from "../chaos.ts";
import { inTurns } from "../support/in-turns.ts";
import { bytesAt, type ModelFault, modelFaults } from "../support/model-faults.ts";
import { type Asked, keyOf, type ModelStage, startModelStage, subjectOf } from "../support/model-stage.ts";

/**
 * The model and its server misbehave at every stage of whole runs: what passes uses up no attempt and leaves no trace in
 * the change, what stays ends by name, and nothing is ever half done.
 */
export const modelFaultsScenario: ChaosScenario = {
  name: "model-faults",
  about: "the model and its server misbehave in every way at every stage: never half an edit, always a named ending",
  databases: ["pglite"],
  run: (options) => new ModelFaults(options).run(),
};

const scales = {
  short: { storms: 2, positions: 8, endless: 3, caps: 1, aimock: 0 },
  long: { storms: 40, positions: 220, endless: Number.POSITIVE_INFINITY, caps: Number.POSITIVE_INFINITY, aimock: 6 },
};

const notes = Array.from(
  { length: 40 },
  (_, line) => `${line + 1}. A page shows "twenty" entries, never fewer.\n`,
).join("");
const limits = (entries: number) =>
  `/** Entries on one page. */\nexport const pageLimit = ${entries};\n\n/** Pages in one answer. */\nexport const answerLimit = 5;\n`;
const testOf = (entries: number) =>
  `#!/bin/sh\n# One test, in the Test Anything Protocol.\necho "TAP version 13"\necho "1..1"\nif grep -q "pageLimit = ${entries};" src/limits.js; then\n  echo "ok 1 - the limit of a page"\nelse\n  echo "not ok 1 - the limit of a page"\n  exit 1\nfi\n`;
const amended = notes.replace("40. A page", "40. Every page");

/** What a file may hold at any time: what it held before, or what one whole edit makes of it. */
const allowed: Record<string, (string | undefined)[]> = {
  "src/limits.js": [limits(10), limits(15), limits(20)],
  "test/limits.sh": [testOf(10), testOf(20)],
  "docs/notes.md": [undefined, notes, amended],
};
const wanted: Record<string, string> = {
  "src/limits.js": limits(20),
  "test/limits.sh": testOf(20),
  "docs/notes.md": notes,
};

type Use = [name: string, input: Record<string, unknown>];

/** What a good model does at each stage: calls of tools turn by turn, then words. */
const work: Record<string, Use[][]> = {
  "write-change": [
    [
      ["edit", { file_path: "src/limits.js", old_string: "pageLimit = 10", new_string: "pageLimit = 15" }],
      ["write", { file_path: "test/limits.sh", content: testOf(20) }],
    ],
    [["write", { file_path: "docs/notes.md", content: notes }]],
  ],
  "fix-checks": [
    [["edit", { file_path: "src/limits.js", old_string: "pageLimit = 15", new_string: "pageLimit = 20" }]],
  ],
  "simplest-change": [
    [
      ["write", { file_path: "src/limits.js", content: limits(20) }],
      ["write", { file_path: "test/limits.sh", content: testOf(20) }],
      ["write", { file_path: "docs/notes.md", content: notes }],
    ],
  ],
  "address-review": [
    [["edit", { file_path: "docs/notes.md", old_string: "40. A page", new_string: "40. Every page" }]],
  ],
};
/** Every request of a run that asks for a plan, fails its checks once and is continued: `stage:progress`. */
const places = [
  "analyse-issue:0",
  "revise-plan:0",
  "write-change:0",
  "write-change:1",
  "write-change:2",
  "fix-checks:0",
  "fix-checks:1",
  "address-review:0",
  "address-review:1",
];
const withTools = (place: string) => !/^(analyse-issue|revise-plan)/.test(place);

interface Planned {
  fault: ModelFault;
  share: number;
}

/** One run, with what is done to it. */
interface Case {
  key: string;
  name: string;
  /** What is answered before the good answer, by place. */
  faults: Map<string, Planned[]>;
  /** What is answered at one place for ever. */
  endless?: Planned & { place: string };
  /** Instead of all of that. */
  answer?: (asked: Asked, good: RawMessage) => RawReply;
  /** What the model said it cost, in answers that came whole; undefined once a figure cannot be true. */
  spent: Spent | undefined;
  /** The same for answers that broke off. */
  begun: Spent;
  served: number;
}

interface Spent {
  calls: number;
  inputTokens: number;
  outputTokens: number;
  cacheReadTokens: number;
  cacheWriteTokens: number;
  costUsd: number;
}

const nothing = (): Spent => ({
  calls: 0,
  inputTokens: 0,
  outputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  costUsd: 0,
});

class ModelFaults {
  readonly #options: ChaosOptions;
  readonly #random: () => number;
  readonly #findings: Findings = { tries: 0, lost: 0, duplicated: 0, violations: [] };
  readonly #cases = new Map<string, Case>();
  readonly #seen = new Map<string, number>();
  /** Where a stream is cut next, as shares of its length. */
  readonly #shares: number[];
  #stage!: ModelStage;
  #ids = 0;
  #ended = 0;
  /** The window of a model that counts for itself and refuses what does not fit. */
  #windowTokens: number | undefined;
  #largestTokens = 0;

  constructor(options: ChaosOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    const { positions } = scales[options.scale];
    const size = Buffer.byteLength(messageEvents(this.#good("write-change", 0)));
    this.#shares = this.#shuffled(
      Array.from({ length: positions }, (_, index) => ((index + 0.5) * (size - 80)) / positions / size),
    );
  }

  async run(): Promise<Findings> {
    const crashes: string[] = [];
    const onCrash = (error: unknown) => crashes.push(String((error as Error)?.stack ?? error));
    process.on("uncaughtException", onCrash).on("unhandledRejection", onCrash);
    try {
      this.#stage = await startModelStage({
        answer: (asked) => this.#answer(asked),
        count: (request) => tokensOf(request.body),
      });
      try {
        await this.#attack();
      } finally {
        await this.#stage.close();
      }
    } finally {
      process.off("uncaughtException", onCrash).off("unhandledRejection", onCrash);
    }
    for (const crash of crashes) this.#violated(`The process would have crashed: ${crash}`);
    return this.#findings;
  }

  async #attack(): Promise<void> {
    const scale = scales[this.#options.scale];
    const storms = Array.from({ length: scale.storms }, (_, index) => this.#storm(index));
    const endless = this.#endless().slice(0, scale.endless);
    await inTurns(6, [...storms, ...endless.map((planned) => () => this.#playEndless(planned))], (play) => play());
    const left = this.#shares.length;
    if (left > 0) this.#violated(`${left} positions of a stream were not tried`);
    const missed = modelFaults.filter(({ name, kind }) => kind !== "hopeless" && !this.#seen.has(name));
    if (this.#options.scale === "long" && missed.length > 0)
      this.#violated(`Not tried: ${missed.map(({ name }) => name).join(", ")}`);
    const pause = this.#stage.longestPauseSeconds();
    if (pause > 600) this.#violated(`A step was told to wait for ${Math.round(pause)} s`);
    if (this.#stage.pausedDurably.size === 0) this.#violated("No run gave its slot back for a long pause");
    if (scale.aimock > 0) await this.#chaosOfAimock(scale.aimock);
    await this.#overflow();
    await this.#capped(scale.caps);
    if (this.#options.scale === "long") await this.#slow();
    const last = this.#case("a run after all of that");
    await this.#expectReady(last, this.#stage.pages);
    for (const violation of this.#stage.github.violations)
      this.#violated(`GitHub's description: ${JSON.stringify(violation)}`);
    const counts = [...this.#seen].map(([name, times]) => `${times}× ${name}`);
    this.#options.say(`${this.#cases.size} runs; ${counts.join(", ")}; longest pause ${Math.round(pause)} s`);
  }

  /** A run with faults at every place, which all pass: ready, with nothing but what was meant. */
  #storm(index: number): () => Promise<void> {
    const one = this.#case(`storm ${index}`);
    // Each third is shown its plan and continued afterwards.
    const whole = index % 3 === 0;
    const mine = places.filter((place) => whole || !/^(revise-plan|address-review)/.test(place));
    const passing = modelFaults.filter(({ kind }) => kind === "transient");
    const others = modelFaults.filter(({ kind }) => kind === "repaired" || kind === "endured");
    const refused = new Set<string>();
    const positions = Math.ceil(scales[this.#options.scale].positions / scales[this.#options.scale].storms);
    for (const place of mine) {
      const [stage = ""] = place.split(":");
      const planned: Planned[] = [];
      if (this.#random() < 0.5) planned.push(this.#planned(this.#pick(passing)));
      const fitting = others.filter(({ tools }) => tools === undefined || withTools(place));
      const other = this.#pick(fitting);
      // More than one of these in one piece of work is more than is repaired.
      const shrinks = other.name === "a refusal" || other.name === "a prompt that is too long";
      if (this.#random() < 0.6 && !(shrinks && refused.has(stage))) planned.push(this.#planned(other));
      if (shrinks) refused.add(stage);
      one.faults.set(place, planned);
    }
    const cuts = one.faults.get("write-change:0") ?? [];
    for (let cut = 0; cut < positions; cut += 1) {
      const share = this.#shares.pop();
      const how = modelFaults.find(
        ({ name }) => name === (cut % 2 === 0 ? "a cut stream" : "a stream that ends too early"),
      );
      if (share !== undefined && how !== undefined) cuts.unshift({ fault: how, share });
    }
    one.faults.set("write-change:0", cuts);
    const longest = modelFaults.find(({ name }) => name === "429 with a pause of 24 days");
    if (index === 0 && longest !== undefined) one.faults.get("analyse-issue:0")?.unshift(this.#planned(longest));
    return async () => {
      const { asked, pages } = this.#stage;
      const pull = await this.#expectReady(one, whole ? asked : pages);
      if (whole && pull !== undefined) await this.#expectContinued(one, asked, pull);
      const rest = [...one.faults].filter(([, planned]) => planned.length > 0).map(([place]) => place);
      if (rest.length > 0) this.#violated(`${one.name}: no fault came at ${rest.join(", ")}`);
    };
  }

  /** Every fault at every stage, for ever, in an order of the seed. */
  #endless(): (Planned & { place: string })[] {
    const all = places
      .filter((place) => !/^(revise-plan|address-review)/.test(place))
      .flatMap((place) =>
        modelFaults
          .filter(({ kind, tools }) => kind !== "endured" && (tools === undefined || withTools(place)))
          .map((fault) => ({ ...this.#planned(fault), place })),
      );
    const shuffled = this.#shuffled(all);
    // The short version has one of each kind, of which one stays away in mid-writing.
    const firsts = ["transient", "repaired", "hopeless"].map(
      (kind) =>
        shuffled.find(
          ({ fault, place }) => fault.kind === kind && (kind !== "transient" || place === "write-change:1"),
        )!,
    );
    return [...firsts, ...shuffled.filter((one) => !firsts.includes(one))];
  }

  async #playEndless(planned: Planned & { place: string }): Promise<void> {
    const one = this.#case(`${planned.fault.name} for ever at ${planned.place}`);
    one.endless = planned;
    const number = this.#open(one, this.#stage.pages);
    this.#stage.troubled.add(subjectOf(this.#stage.pages, number));
    const run = await this.#end(one, this.#stage.pages, number);
    if (run === undefined) return;
    if (one.served === 0) this.#violated(`${one.name}: the fault never came`);
    this.#expectNamed(one, run, number);
    const { detail = "" } = run.outcome ?? {};
    const passes = planned.fault.kind === "transient";
    // From its second request on the writing has made whole edits, which are kept whatever happens (P6).
    const kept = !/^(analyse-issue|write-change:0)/.test(planned.place);
    // What is repaired may also come to its end: words that are cut are words.
    const fits = planned.fault.kind === "repaired" ? /^(draft|ready)$/ : /^draft$/;
    if (kept && !fits.test(run.outcome?.kind ?? ""))
      this.#violated(`${one.name}: ended with ${JSON.stringify(run.outcome)} instead of a draft of what was written`);
    if (!kept && passes && !detail.includes("tried again, with pauses, for 30 minutes"))
      this.#violated(`${one.name}: ended with ${JSON.stringify(run.outcome)}, which does not say what was tried`);
    if (planned.fault.kind === "hopeless" && one.served > 1)
      this.#violated(`${one.name}: asked ${one.served} times for what is refused for ever`);
    await this.#expectWholeEdits(one, this.#stage.pages, number);
  }

  /** Runs with aimock in the model's place, which drops, garbles and disconnects nearly half of all requests by chance. */
  async #chaosOfAimock(times: number): Promise<void> {
    const mock = await startScriptedModel();
    mock.on({ systemMessage: "stage: analyse-issue" }, { content: analysed });
    for (const [stage, turns] of Object.entries(work)) {
      for (let turn = 0; turn <= turns.length; turn += 1) {
        const toolCalls = (turns[turn] ?? []).map(([name, input]) => ({
          id: this.#use([name, input], "aimock").id,
          name,
          arguments: JSON.stringify(input),
        }));
        const reply = toolCalls.length === 0 ? { content: "The limit is 20 now." } : { content: "I do it.", toolCalls };
        mock.on({ systemMessage: `stage: ${stage}`, turnIndex: turn }, reply);
      }
    }
    mock.mock.setChaos({ dropRate: 0.15, malformedRate: 0.15, disconnectRate: 0.15 });
    try {
      await this.#stage.restart({ ANTHROPIC_BASE_URL: mock.url });
      const runs = Array.from({ length: times }, (_, index) => {
        const one = this.#case(`aimock ${index}`);
        one.spent = undefined;
        return async () => void (await this.#expectReady(one, this.#stage.pages));
      });
      await inTurns(6, runs, (play) => play());
    } finally {
      const disturbed = mock.journal().filter(({ response }) => response.chaosAction !== undefined).length;
      this.#findings.tries += disturbed;
      this.#seen.set("chaos of aimock", disturbed);
      await mock.close();
    }
  }

  /** What takes as long as it is allowed: a stream that stalls, and one of a byte each second, past the time of the run. */
  async #slow(): Promise<void> {
    await this.#stage.restart({ MILLWRIGHT_RUN_MINUTES: "0.5" });
    const trickle = this.#case("a byte each second");
    trickle.answer = ({ stage }, good) =>
      stage === "write-change" ? { message: good, trickleMs: 1_000 } : { message: good };
    trickle.spent = undefined;
    const number = this.#open(trickle, this.#stage.pages);
    const run = await this.#end(trickle, this.#stage.pages, number);
    this.#findings.tries += 1;
    if (run !== undefined) {
      this.#expectNamed(trickle, run, number);
      if (!/time was used up|minutes for this run/.test(run.outcome?.reason ?? ""))
        this.#violated(`${trickle.name}: ended with ${JSON.stringify(run.outcome)}`);
    }
    await this.#stage.restart();
    const stall = this.#case("a stream that stalls");
    let stalled = false;
    stall.answer = ({ stage, progress }, good) => {
      if (stalled || stage !== "write-change" || progress !== 1) return { message: good };
      stalled = true;
      return { message: good, stallAfterBytes: bytesAt(good, 0.5) };
    };
    stall.spent = undefined;
    await this.#expectReady(stall, this.#stage.pages);
    this.#findings.tries += 1;
  }

  /** A model with a small window, an issue and reads that are far larger: no request exceeds it, and the work is done. */
  async #overflow(): Promise<void> {
    this.#windowTokens = 40_000;
    await this.#stage.restart({
      MILLWRIGHT_CONTEXT_TOKENS: String(this.#windowTokens),
      MILLWRIGHT_MAX_OUTPUT_TOKENS: "4000",
    });
    const one = this.#case("reads of four times the window");
    let read = 0;
    one.answer = ({ stage, progress }, good) => {
      if (stage !== "write-change" || progress !== 1 || read >= 3) return { message: good };
      read += 1;
      const paths = Array.from({ length: 8 }, (_, index) => `data/words-${index}.txt`);
      return { message: { ...good, content: paths.map((file_path) => this.#use(["read", { file_path }], "read")) } };
    };
    await this.#expectReady(one, this.#stage.pages, "A long story. ".repeat(4_000));
    if (read < 3) this.#violated(`${one.name}: the files were read ${read} times`);
    this.#findings.tries += read;
    if (this.#largestTokens > this.#windowTokens)
      this.#violated(`A request had ${this.#largestTokens} tokens in a window of ${this.#windowTokens}`);
    const always = this.#case("a window that nothing fits into");
    always.answer = () => ({
      status: 400,
      body: {
        type: "error",
        error: { type: "invalid_request_error", message: "prompt is too long: 9 tokens > 8 maximum" },
      },
    });
    const number = this.#open(always, this.#stage.pages);
    const run = await this.#end(always, this.#stage.pages, number);
    if (run !== undefined) this.#expectNamed(always, run, number);
    this.#findings.tries += 1;
    this.#windowTokens = undefined;
  }

  /** The operator's limits are reached in the middle of the writing: a draft with what is whole, and not a call more. */
  async #capped(count: number): Promise<void> {
    const spentToday = async () => {
      const [run] = await this.#stage.app().worker.store.runs.ofSubject(this.#stage.pages.entity.id, "issue", 1);
      return this.#stage.app().worker.store.usage.spent(run?.runKey ?? "");
    };
    const tokens = 60_000;
    const call = dollarsOf(
      { inputTokens: tokens, outputTokens: 200, cacheReadTokens: 0, cacheWrite5mTokens: 0, cacheWrite1hTokens: 0 },
      priceOf("claude-opus-5-5").price,
    );
    const caps: [name: string, limit: (day: number) => Record<string, string>, usd: number, calls: number][] = [
      ["dollars of a run", () => ({ MILLWRIGHT_RUN_USD: "1" }), 1, 1_000],
      ["dollars of a repository's day", (day) => ({ MILLWRIGHT_REPOSITORY_DAY_USD: String(day + 1) }), 1, 1_000],
      ["dollars of a day", (day) => ({ MILLWRIGHT_DAY_USD: String(day + 1) }), 1, 1_000],
      ["dollars of an account's day", (day) => ({ MILLWRIGHT_ACCOUNT_DAY_USD: String(day + 1) }), 1, 1_000],
      ["tokens of a run", () => ({ MILLWRIGHT_RUN_TOKENS: "400000" }), 400_000 * 4e-6, 1_000],
      ["requests of a run", () => ({ MILLWRIGHT_RUN_TURNS: "6" }), 1_000, 6],
    ];
    for (const [name, limit, usd, calls] of this.#shuffled(caps).slice(0, count)) {
      const day = (await spentToday()).day;
      const repositoryDay = (await spentToday()).repositoryDay;
      const spent = name.includes("repository") ? repositoryDay.costUsd : day.costUsd;
      await this.#stage.restart(limit(spent));
      const one = this.#case(`a limit of ${name}`);
      let turn = 0;
      one.answer = ({ stage, progress }, good) => {
        const usage = { input_tokens: tokens, output_tokens: 200 };
        if (stage !== "write-change" || progress === 0) return { message: { ...good, usage } };
        turn += 1;
        const read = this.#use(["read", { file_path: "README.md", view_range: [1, turn] }], "read");
        return { message: { content: [read], usage } };
      };
      const number = this.#open(one, this.#stage.pages);
      const run = await this.#end(one, this.#stage.pages, number);
      this.#findings.tries += 1;
      if (run === undefined) continue;
      if (run.outcome?.kind !== "draft" || !/used up/.test(JSON.stringify(run.outcome)))
        this.#violated(`${one.name}: ended with ${JSON.stringify(run.outcome)} instead of a draft`);
      const used = await this.#stage.app().worker.store.usage.ofRun(run.runKey);
      if (used.costUsd > usd + call) this.#violated(`${one.name}: $${used.costUsd} were spent, $${usd} were allowed`);
      if (used.calls > calls) this.#violated(`${one.name}: ${used.calls} requests were made`);
      await this.#expectWholeEdits(one, this.#stage.pages, number);
      const next = this.#case(`a run after ${name} were used up`);
      const after = this.#open(next, this.#stage.pages);
      const ended = await this.#end(next, this.#stage.pages, after);
      if (ended !== undefined) this.#expectNamed(next, ended, after);
      const total = await spentToday();
      const more = (name.includes("repository") ? total.repositoryDay.costUsd : total.day.costUsd) - spent;
      if (name.includes("day") && more > usd + call)
        this.#violated(`${next.name}: $${more} were spent in all, $${usd} were allowed`);
    }
    await this.#stage.restart();
  }

  #case(name: string): Case {
    const key = keyOf(this.#cases.size);
    const one: Case = { key, name, faults: new Map(), spent: nothing(), begun: nothing(), served: 0 };
    this.#cases.set(key, one);
    return one;
  }

  #open(one: Case, repository: RepositoryView, more = ""): number {
    const maintainer = this.#stage.github.as("maintainer");
    const name = `acme/${repository.entity.name}`;
    const body = `Raise the limit in \`src/limits.js\` from 10 to 20. (${one.key}) ${more}`;
    const { number } = maintainer.openIssue(name, { title: `Raise the limit, ${one.key}`, body });
    maintainer.label(name, number, "agent:builder");
    return number;
  }

  async #end(
    one: Case,
    repository: RepositoryView,
    number: number,
    kind: "issue" | "pull-request" = "issue",
  ): Promise<RunRow | undefined> {
    const run = await this.#stage.ended(repository, number, kind);
    this.#ended += 1;
    if (this.#ended % 20 === 0) this.#options.say(`${this.#ended} runs have ended`);
    if (run === undefined) {
      this.#findings.lost += 1;
      this.#violated(`${one.name}: the run came to no end`);
    } else await this.#expectPaidFor(one, run, repository, number);
    return run;
  }

  /** The number of the pull request that the run ended with. */
  async #expectReady(one: Case, repository: RepositoryView, more = ""): Promise<number | undefined> {
    const number = this.#open(one, repository, more);
    if (repository === this.#stage.asked) await this.#agree(repository, number);
    const run = await this.#end(one, repository, number);
    if (run === undefined) return undefined;
    const pull = await this.#readyPull(one, run, repository, wanted);
    const own = repository.pulls.filter(({ issue }) => issue.body?.includes(`Closes #${number}\n`));
    this.#findings.duplicated += Math.max(0, own.length - 1);
    await this.#expectWholeEdits(one, repository, number);
    return pull;
  }

  /** A comment continues the pull request, and its faults are those of `address-review`. */
  async #expectContinued(one: Case, repository: RepositoryView, pull: number): Promise<void> {
    this.#stage.github
      .as("maintainer")
      .comment(`acme/${repository.entity.name}`, pull, `/code say every page (${one.key})`);
    one.spent = one.spent === undefined ? undefined : nothing();
    one.begun = nothing();
    const run = await this.#end(one, repository, pull, "pull-request");
    if (run !== undefined) await this.#readyPull(one, run, repository, { ...wanted, "docs/notes.md": amended });
  }

  async #readyPull(
    one: Case,
    run: RunRow,
    repository: RepositoryView,
    files: Record<string, string>,
  ): Promise<number | undefined> {
    const steps = await this.#stage.app().worker.store.runs.steps(run.runKey);
    const repeated = steps.filter(({ attempt }) => attempt > 1).map(({ path }) => path);
    if (repeated.length > 0) this.#violated(`${one.name}: attempts were used up in ${repeated.join(", ")}`);
    if (run.outcome?.kind !== "ready" || run.outcome.pullRequest === undefined) {
      this.#findings.lost += 1;
      this.#violated(`${one.name}: ended with ${JSON.stringify(run.outcome)} instead of ready`);
      return undefined;
    }
    const pull = repository.pull(run.outcome.pullRequest.number);
    const changed = (await repository.git("diff", "--name-only", `main..${pull.headRef}`)).split("\n").filter(Boolean);
    if (changed.sort().join() !== Object.keys(files).sort().join())
      this.#violated(`${one.name}: changed ${changed.join(", ")}`);
    for (const [path, content] of Object.entries(files)) {
      const found = await fileAt(repository, path, pull.headRef);
      if (found !== content) this.#violated(`${one.name}: ${path} holds ${JSON.stringify(found?.slice(0, 200))}`);
    }
    return pull.issue.number;
  }

  async #agree(repository: RepositoryView, number: number): Promise<void> {
    const maintainer = this.#stage.github.as("maintainer");
    const plan = async (count: number) => {
      const until = Date.now() + 600_000;
      while (Date.now() < until) {
        const runs = await this.#stage.app().worker.store.runs.ofSubject(repository.entity.id, "issue", number);
        const run = runs.find(({ pipeline }) => pipeline !== "answer-command");
        const plans = repository.issue(number).comments.filter(({ body }) => body.includes("millwright:plan"));
        if (run?.state === "ended") return undefined;
        if (run?.state === "waiting-decision" && plans.length === count) return plans[count - 1];
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      return undefined;
    };
    const first = await plan(1);
    if (first === undefined) return;
    maintainer.editComment(first, first.body.replace("1. Raise it.", "1. Raise it with care."));
    const second = await plan(2);
    if (second !== undefined) maintainer.tick(second, "Approve this plan");
  }

  /** Ended by name, with words for people that say what to do, and nothing on GitHub that nobody asked for. */
  #expectNamed(one: Case, run: RunRow, number: number): void {
    const { kind, reason = "", detail = "" } = run.outcome ?? {};
    const status = this.#stage.pages.issue(number).comments.filter(({ body }) => body.includes("millwright:status"));
    this.#findings.duplicated += Math.max(0, status.length - 1);
    const body = status[0]?.body ?? "";
    if (kind !== "failed" && kind !== "draft" && kind !== "ready") {
      this.#findings.lost += 1;
      this.#violated(`${one.name}: ended with ${JSON.stringify(run.outcome)}`);
    }
    if (/something went wrong/i.test(reason) || reason === "" || !body.includes(reason))
      this.#violated(`${one.name}: people read ${JSON.stringify(body.slice(0, 400))}`);
    if (kind === "failed" && !/Next:/.test(detail))
      this.#violated(`${one.name}: nobody is told what to do: ${JSON.stringify(run.outcome)}`);
  }

  /** On every branch of the work, each file is as it was or as one whole edit made it. */
  async #expectWholeEdits(one: Case, repository: RepositoryView, number: number): Promise<void> {
    for (const branch of Object.keys(await repository.branches())) {
      if (!branch.startsWith(`millwright/issue-${number}-`)) continue;
      const changed = (await repository.git("diff", "--name-only", `main..${branch}`)).split("\n").filter(Boolean);
      for (const path of changed) {
        const content = await fileAt(repository, path, branch);
        if (!(allowed[path] ?? []).includes(content))
          this.#violated(
            `${one.name}: half an edit of ${path} on ${branch}: ${JSON.stringify(content?.slice(0, 300))}`,
          );
      }
    }
  }

  /** What came whole is recorded to the token; of what broke off, at most what its beginning said it had read. */
  async #expectPaidFor(one: Case, run: RunRow, repository: RepositoryView, number: number): Promise<void> {
    if (one.spent === undefined) return;
    const used = await this.#stage.app().worker.store.usage.ofRun(run.runKey);
    const { spent, begun } = one;
    for (const figure of ["inputTokens", "cacheReadTokens", "cacheWriteTokens"] as const) {
      if (used[figure] < spent[figure] || used[figure] > spent[figure] + begun[figure])
        this.#violated(
          `${one.name} (${repository.entity.name}#${number}): ${used[figure]} ${figure} are recorded, ${spent[figure]} to ${spent[figure] + begun[figure]} were told`,
        );
    }
    if (used.outputTokens < spent.outputTokens)
      this.#violated(`${one.name}: ${used.outputTokens} output tokens are recorded`);
    if (used.costUsd < spent.costUsd - 1e-9)
      this.#violated(`${one.name}: $${used.costUsd} are recorded, $${spent.costUsd} were told`);
    if (begun.calls === 0 && Math.abs(used.costUsd - spent.costUsd) > 1e-9)
      this.#violated(`${one.name}: $${used.costUsd} are recorded, $${spent.costUsd} were told`);
  }

  #answer(asked: Asked): RawReply {
    const { key, stage, progress } = asked;
    const one = this.#cases.get(key);
    if (one === undefined)
      return { status: 400, body: { type: "error", error: { type: "x", message: `No case ${key}` } } };
    const good = this.#good(stage, progress);
    if (this.#windowTokens !== undefined) {
      const tokens = tokensOf(asked.request.body) + Number(asked.request.body.max_tokens);
      this.#largestTokens = Math.max(this.#largestTokens, tokens);
    }
    if (one.answer !== undefined) return this.#told(one, one.answer(asked, good));
    const place = `${stage}:${progress}`;
    const { endless } = one;
    // The last resort of a fault that stays meets it too.
    const stays = endless !== undefined && (place === endless.place || (stage === "simplest-change" && progress === 0));
    const planned = stays ? endless : one.faults.get(place)?.shift();
    if (planned === undefined) return this.#told(one, { message: good });
    one.served += 1;
    this.#findings.tries += 1;
    this.#seen.set(planned.fault.name, (this.#seen.get(planned.fault.name) ?? 0) + 1);
    return this.#told(one, planned.fault.reply(good, planned.share), good, planned.fault.name);
  }

  /** Keeps what an answer says that it cost. */
  #told(one: Case, reply: RawReply, good?: RawMessage, fault?: string): RawReply {
    const message = typeof reply === "object" && "message" in reply ? reply : undefined;
    const events = typeof reply === "object" && "status" in reply && /^event: message_start/.test(String(reply.body));
    if (fault === "usage that cannot be true") one.spent = undefined;
    const usage = message?.message.usage ?? (events ? good?.usage : undefined);
    if (usage === undefined) return reply;
    const whole =
      message === undefined
        ? fault !== "an error in the middle of a stream"
        : message.cutAfterBytes === undefined &&
          message.endAfterBytes === undefined &&
          message.message.stop_reason !== null;
    const sum = whole ? one.spent : one.begun;
    if (sum === undefined) return reply;
    const figure = (name: string) => Number(usage[name] ?? 0);
    const written = figure("cache_creation_input_tokens");
    const fiveMinutes = Number(
      (usage["cache_creation"] as { ephemeral_5m_input_tokens?: number })?.ephemeral_5m_input_tokens ?? 0,
    );
    const counts = {
      inputTokens: figure("input_tokens"),
      outputTokens: figure("output_tokens"),
      cacheReadTokens: figure("cache_read_input_tokens"),
      cacheWrite5mTokens: fiveMinutes,
      cacheWrite1hTokens: written - fiveMinutes,
    };
    sum.calls += 1;
    sum.inputTokens += counts.inputTokens;
    sum.outputTokens += counts.outputTokens;
    sum.cacheReadTokens += counts.cacheReadTokens;
    sum.cacheWriteTokens += written;
    sum.costUsd += dollarsOf(counts, priceOf("claude-opus-5-5").price);
    return reply;
  }

  #good(stage: string, progress: number): RawMessage {
    this.#ids += 1;
    const usage = {
      input_tokens: 1_000 + this.#ids,
      output_tokens: 200 + this.#ids,
      cache_read_input_tokens: 3_000,
      cache_creation_input_tokens: 500,
      cache_creation: { ephemeral_5m_input_tokens: 200, ephemeral_1h_input_tokens: 300 },
    };
    const uses = work[stage]?.[progress];
    if (uses !== undefined)
      return {
        content: [{ type: "text", text: "I make the change." }, ...uses.map((use) => this.#use(use, "good"))],
        usage,
      };
    return { content: work[stage] === undefined ? analysed : "The limit is 20 now.", usage };
  }

  #use([name, input]: Use, prefix: string) {
    this.#ids += 1;
    return { type: "tool_use", id: `${prefix}_${this.#ids}`, name, input };
  }

  #planned(fault: ModelFault): Planned {
    return { fault, share: 0.02 + 0.9 * this.#random() };
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)] as T;
  }

  #shuffled<T>(list: readonly T[]): T[] {
    return list
      .map((item) => ({ item, at: this.#random() }))
      .sort((a, b) => a.at - b.at)
      .map(({ item }) => item);
  }

  #violated(violation: string): void {
    this.#findings.violations.push(violation);
  }
}

const analysed = analysisText({
  relevantFiles: [{ path: "src/limits.js", reason: "the limit" }],
  plan: ["Raise it.", "Let the test expect it."],
  title: "show twenty entries on one page",
});

/** A provider's count: three characters of code are a token, which is less than our own estimate. */
function tokensOf(body: Record<string, unknown>): number {
  return Math.ceil(estimateJsonTokens([body["system"], body["messages"], body["tools"]]) * 0.8);
}

/** The whole text; `file` leaves out line breaks at the end. */
async function fileAt(repository: RepositoryView, path: string, ref: string): Promise<string | undefined> {
  const text = await repository.file(path, ref);
  return text === undefined ? undefined : `${text.trimEnd()}\n`;
}
