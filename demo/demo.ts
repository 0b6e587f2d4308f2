import { execFileSync } from "node:child_process";
import { createWriteStream, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { parseArgs } from "node:util";
import { coderNames } from "../src/coder/coder.ts";
import { readOperatorConfig } from "../src/config/operator.ts";
import { endings } from "../src/pipeline/outcome.ts";
import type { Change } from "../src/pipeline/steps/shapes.ts";
import { redactorFor } from "../src/run/parts.ts";
import { type ChecklistLine, checklistOf, dollars, duration, type LineState } from "../src/status/render.ts";
import type { RunRow, StepRow } from "../src/store/store.ts";
import { createLogger } from "../src/telemetry/logger.ts";
import { claudeCodeProgram, fixturesForClaudeCode } from "../test/support/claude-code.ts";
import { appId, type LocalApp, privateKey, startApp, startGitHub, webhookSecret } from "../test/support/local-app.ts";
import type { LocalGitHub } from "../test/support/local-github/index.ts";
import { sampleIssues } from "../test/support/sample-issues.ts";
import { startScriptedModel } from "../test/support/scripted-model.ts";

const help = `The main job on local servers: a labelled issue becomes a tested pull request.

  npm run demo                      a scripted model; needs nothing but Node, npm and git
  npm run demo -- --live            a real model; needs ANTHROPIC_API_KEY and a sandbox
  npm run demo -- --coder claude-code   the change is written by Claude Code
  npm run -s demo -- --json         one JSON summary and nothing else

  --coder=agent|claude-code         who writes the change: Millwright's agent, or Claude Code in the sandbox
  --sandbox=auto|bubblewrap|container|none   where the sample's tests run (default: the best there is)
  --keep                            keep the demo's directory to look around in it
  --help
`;

const { values: options } = parseArgs({
  options: {
    live: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    sandbox: { type: "string" },
    coder: { type: "string", default: "agent" },
    help: { type: "boolean", default: false },
  },
});

const repository = "acme/text-tools";
const person = "maintainer";
const say = (text = "") => {
  if (!options.json) process.stdout.write(`${text}\n`);
};

async function main(): Promise<void> {
  if (options.help) {
    process.stdout.write(help);
    return;
  }
  const apiKey = process.env["ANTHROPIC_API_KEY"];
  if (options.live && (apiKey === undefined || apiKey === "")) {
    return fail("--live needs ANTHROPIC_API_KEY. Make a key at https://console.anthropic.com/settings/keys.");
  }
  const coder = coderNames.find((name) => name === options.coder);
  if (coder === undefined) return fail(`--coder must be ${coderNames.join(" or ")}, but is ${options.coder}.`);
  const program = coder === "agent" ? undefined : claudeCode();
  if (coder !== "agent" && program === undefined) return fail(noClaudeCode);
  const directory = mkdtempSync(join(tmpdir(), "millwright-demo-"));
  const startedAt = performance.now();
  say("Millwright demo: a local GitHub on real git, the real App, and a sample project whose tests really run.\n");
  const github = await startGitHub(join(directory, "github"));
  const model = options.live
    ? undefined
    : await startScriptedModel({ fixtures: [coder === "agent" ? script : fixturesForClaudeCode(script)] });
  const app = await startDemoApp(github, model?.url, apiKey, directory, program);
  try {
    if (app === undefined) return;
    const run = await build(app, github);
    await show(app, github, run, performance.now() - startedAt);
  } finally {
    await app?.close();
    await model?.close();
    await github.close();
    if (options.keep) say(`\nKept: ${directory} (log: millwright.log)`);
    else rmSync(directory, { recursive: true, force: true });
  }
  process.exit();
}

const script = "test/fixtures/transcripts/text-tools.json";
const noClaudeCode = `--coder=claude-code needs Claude Code, Anthropic's own program:
  npm install --global @anthropic-ai/claude-code      (https://code.claude.com/docs/en/setup)
or MILLWRIGHT_CLAUDE_CODE with the absolute path of the program, and bubblewrap with socat or a container image that has it.
It gets no key and reaches the model alone: docs/coders.md.`;

/** Claude Code where the operator says, on the PATH, or where CI puts it; undefined when it is nowhere. */
function claudeCode(): string | undefined {
  const named = process.env["MILLWRIGHT_CLAUDE_CODE"];
  if (named !== undefined && named !== "") return named;
  const onPath = (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, "claude"));
  return [...onPath, claudeCodeProgram].find(existsSync);
}

function fail(message: string): void {
  process.stderr.write(`${message}\n`);
  process.exitCode = 1;
}

/** Starts the App with the best sandbox there is. Scripted, it also runs without one; a real model never does unasked. */
async function startDemoApp(
  github: LocalGitHub,
  modelUrl: string | undefined,
  apiKey: string | undefined,
  directory: string,
  program: string | undefined,
): Promise<LocalApp | undefined> {
  const start = (sandbox: string) => {
    const environment = {
      MILLWRIGHT_SANDBOX: sandbox,
      ...(program === undefined ? {} : { MILLWRIGHT_CODER: "claude-code", MILLWRIGHT_CLAUDE_CODE: program }),
      ...(modelUrl === undefined
        ? {
            ANTHROPIC_API_KEY: apiKey ?? "",
            ANTHROPIC_BASE_URL: process.env["ANTHROPIC_BASE_URL"] ?? "https://api.anthropic.com",
          }
        : {}),
      ...(process.env["MILLWRIGHT_MODEL"] === undefined ? {} : { MILLWRIGHT_MODEL: process.env["MILLWRIGHT_MODEL"] }),
    };
    const operator = readOperatorConfig({
      APP_ID: String(appId),
      PRIVATE_KEY: privateKey,
      WEBHOOK_SECRET: webhookSecret,
      ANTHROPIC_API_KEY: "none",
      ...environment,
    });
    const destination = createWriteStream(join(directory, "millwright.log"), { flags: "a" });
    const log = createLogger({ level: "info", redactor: redactorFor(operator), destination });
    return startApp({ github, modelUrl: modelUrl ?? "", environment, dataDirectory: join(directory, "data"), log });
  };
  const wanted = options.sandbox ?? "auto";
  try {
    const app = await start(wanted);
    const test = wanted === "none" ? { passed: true, advice: undefined } : await app.worker.sandbox.selfTest();
    if (test.passed) {
      say(`Sandbox: ${app.worker.sandbox.backend}. ${sandboxMeaning[app.worker.sandbox.backend]}`);
      return app;
    }
    await app.close();
    throw new Error(test.advice ?? "the sandbox failed its self-test");
  } catch (error) {
    const reason = (error as Error).message;
    if (options.live || options.sandbox !== undefined) {
      fail(
        `No sandbox: ${reason}\nA real model's commands run without isolation only when you say so: --sandbox=none.`,
      );
      return undefined;
    }
    say(`Sandbox: none. ${reason}`);
    say(`${sandboxMeaning.none} The scripted model and the sample project are known, so the demo goes on.`);
    return start("none");
  }
}

const sandboxMeaning = {
  bubblewrap: "Repository code sees its own tree and the toolchain, no network and no secrets.",
  container: "Repository code runs in a container without network.",
  lambda: "Repository code runs in a function of its own, without network and secrets.",
  none: "Repository code runs with your rights, network and files.",
};

/** Opens and labels an issue as a maintainer would, and follows the run to its end. */
async function build(app: LocalApp, github: LocalGitHub): Promise<RunRow> {
  github.createUser(person);
  await github.createRepository({
    owner: "acme",
    name: "text-tools",
    fromDirectory: "test/fixtures/repos/text-tools",
    private: true,
    collaborators: { [person]: "write" },
  });
  const installation = github.install({ owner: "acme" });
  const issue = github.as(person).openIssue(repository, sampleIssues["text-tools"]);
  say(`\n${person} opens ${repository}#${issue.number}: ${sampleIssues["text-tools"].title}`);
  say(
    sampleIssues["text-tools"].body
      .split("\n")
      .map((line) => `  │ ${line}`)
      .join("\n"),
  );
  say(`${person} adds the label agent:builder (installation ${installation.id})\n`);
  github.as(person).label(repository, issue.number, "agent:builder");
  return follow(app, github.repository(repository).entity.id, issue.number);
}

const icons: Record<LineState, string> = { waiting: " ", active: "…", done: "✔", failed: "✘", stopped: "■" };

async function follow(app: LocalApp, repositoryId: number, issueNumber: number): Promise<RunRow> {
  const live = process.stdout.isTTY && !options.json;
  let drawn = 0;
  const printed = new Map<string, string>();
  let failures = 0;
  for (;;) {
    const [run] = await app.worker.store.runs.ofSubject(repositoryId, "issue", issueNumber);
    const steps = run === undefined ? [] : await app.worker.store.runs.steps(run.runKey);
    const ended = run?.state === "ended";
    const lines = checklistOf(steps, new Date(), ended ? run.outcome?.kind : undefined);
    const failed = failedAttempts(steps);
    if (live) process.stdout.write(drawn > 0 ? `\u001b[${drawn}A\u001b[J` : "");
    for (const line of failed.slice(failures)) say(line);
    failures = failed.length;
    if (live) {
      drawn = lines.length;
      for (const line of lines) say(drawLine(line));
    } else {
      for (const line of lines.filter(({ state }) => state !== "waiting" && state !== "active")) {
        const text = drawLine(line);
        if (printed.get(line.title) === `${line.state}${line.times}`) continue;
        printed.set(line.title, `${line.state}${line.times}`);
        say(text);
      }
    }
    if (run !== undefined && ended) return run;
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}

/** What an observer would miss: the attempts whose checks failed, once their output is with the model again. */
function failedAttempts(steps: StepRow[]): string[] {
  return steps.flatMap((step, index) => {
    const checked = step.name === "run-checks" && step.status === "done" ? checksOf(step) : undefined;
    const summary = checked?.checks?.failure?.summary;
    return summary === undefined || !steps.slice(index).some(({ name }) => name === "write-change")
      ? []
      : [`      Attempt ${checked?.attempts}: ${summary}; the output goes back to the model.`];
  });
}

function checksOf(step: StepRow): Change | undefined {
  return (step.output as { change?: Change } | undefined)?.change;
}

function drawLine(line: ChecklistLine): string {
  const times = line.times > 1 ? ` (${line.times} times)` : "";
  return `  [${icons[line.state]}] ${line.title}${times}${line.state === "waiting" ? "" : `  ${line.seconds < 1 ? `${Math.round(line.seconds * 1000)} ms` : duration(line.seconds)}`}`;
}

async function show(app: LocalApp, github: LocalGitHub, run: RunRow, totalMs: number): Promise<void> {
  const { store } = app.worker;
  const usage = await store.usage.ofRun(run.runKey);
  const view = github.repository(repository);
  const outcome = run.outcome ?? { kind: "failed" as const, reason: "The run has no outcome." };
  const pull = outcome.pullRequest === undefined ? undefined : view.pull(outcome.pullRequest.number);
  const checks = await lastChecks(app, run);
  if (outcome.kind !== "ready") process.exitCode = 1;
  if (options.json) {
    const summary = {
      outcome: outcome.kind,
      reason: outcome.reason,
      pullRequest:
        pull === undefined
          ? null
          : { number: pull.issue.number, title: pull.issue.title, draft: pull.draft, url: outcome.pullRequest?.url },
      tests: checks,
      usage,
      sandbox: app.worker.sandbox.backend,
      coder: options.coder,
      model: options.live ? app.operator.model.name : "scripted",
      violations: github.violations.length,
      durationMs: Math.round(totalMs),
    };
    process.stdout.write(`${JSON.stringify(summary)}\n`);
    return;
  }
  say(`\n${endings[outcome.kind].emoji} ${endings[outcome.kind].title}: ${outcome.reason}`);
  if (outcome.detail !== undefined) say(outcome.detail);
  if (pull === undefined) return;
  say(
    `\n── ${repository}#${pull.issue.number} ${pull.draft ? "(draft) " : ""}${"─".repeat(40)}\n${pull.issue.title}\n`,
  );
  say(pull.issue.body ?? "");
  say(`\n── diff ${"─".repeat(56)}`);
  const range = `${view.entity.defaultBranch}...${pull.headRef}`;
  say(execFileSync("git", ["--git-dir", view.gitDir, "diff", range], { encoding: "utf8" }));
  say(`── ${"─".repeat(60)}`);
  say(
    `Tests: ${checks?.passed ?? 0} passed, ${checks?.failed ?? 0} failed · ${usage.calls} requests to the ${options.live ? app.operator.model.name : "scripted"} model · ${usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens} tokens in, ${usage.outputTokens} out · ${dollars(usage.costUsd)} at list price · ${duration(totalMs / 1000)} in all`,
  );
  say("\nNext: `npm run setup` registers the App on your GitHub; README.md has the way.");
}

async function lastChecks(
  app: LocalApp,
  run: RunRow,
): Promise<{ passed: number; failed: number; skipped: number } | null> {
  const steps = await app.worker.store.runs.steps(run.runKey);
  const last = steps.findLast((step) => step.name === "run-checks" && step.status === "done");
  const commands = last === undefined ? undefined : checksOf(last)?.checks?.commands;
  const tests = commands?.flatMap((command) => (command.tests === undefined ? [] : [command.tests]));
  return (
    tests?.reduce(
      (sum, one) => ({
        passed: sum.passed + one.passed,
        failed: sum.failed + one.failed,
        skipped: sum.skipped + one.skipped,
      }),
      { passed: 0, failed: 0, skipped: 0 },
    ) ?? null
  );
}

await main();
