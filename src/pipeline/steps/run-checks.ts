import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type Command, type FormatCommand, writeCommandFor } from "../../checks/commands.ts";
import type { DetectedCommands } from "../../checks/detect-commands.ts";
import { distilFailure, type FailedCommand } from "../../checks/distil-failure.ts";
import { failureSignature } from "../../checks/failure-signature.ts";
import { checkSyntax, newSyntaxErrors } from "../../checks/syntax.ts";
import { verdictOf } from "../../checks/verdict.ts";
import type { FileChange } from "../../policy/change.ts";
import type { Job } from "../../workspace/workspace.ts";
import type { Deps } from "../deps.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, Change, type Checks, type CommandSummary, Ended, Environment, Reproduction } from "./shapes.ts";
import { commandLabel, type Ran, requireSandbox, runCommand } from "./support/commands.ts";
import { commandsOf, ensureEnvironment } from "./support/environment.ts";
import { botPerson } from "./support/people.ts";
import { configOf, openJob } from "./support/repository.ts";

const maxFailureTokens = 8_000;
const maxCommands = 20;

/**
 * Formats the edited files, checks their syntax, and runs lint, build and test commands in the sandbox (B10, B11). What
 * fails on the base commit in the same way is shown but not blamed on the change. Safe to repeat.
 */
export const runChecks = defineStep({
  name: "run-checks",
  input: z.object({
    base: Base,
    environment: Environment,
    attempt: z.number().int(),
    change: Change,
    startSha: z.string(),
    /** What was red before the change and has to turn green; all else is compared with where the change began. */
    target: Reproduction.optional(),
  }),
  output: z.discriminatedUnion("kind", [z.object({ kind: z.literal("checked"), change: Change }), Ended]),
  async run({ base, environment, change, startSha, target }, deps, ctx) {
    await requireSandbox(deps);
    const config = await configOf(deps, base);
    const job = await openJob(deps, ctx, base, change);
    await job.reset(change.sha);
    const commands = capped(await commandsOf(deps, base, job, change.sha), config.checks.timeoutMinutes * 60);
    const installed =
      environment.kind === "failed" ? environment : await ensureEnvironment(deps, ctx, base, job, commands, change.sha);
    const files = await job.changes(startSha, change.sha);
    const formatted = installed.kind === "failed" ? [] : await format(deps, ctx, job, commands.format, files);
    const sha =
      (formatted.length > 0 ? await commitFormatting(deps, ctx, job, change.sha, files) : undefined) ?? change.sha;

    const syntax = await syntaxFailure(await job.changes(startSha, sha));
    const wanted = target?.kind === "reproduced" ? target : undefined;
    const first = (wanted?.commands ?? []).filter((one) => !isAmong(one, commands));
    const ran = installed.kind === "failed" ? [] : await runAll(deps, ctx, job, commands, first);
    await job.reset(sha);
    const mustPass = (one: Done) => wanted?.commands.some((command) => command.run === one.command.run) === true;
    const before = await failuresBefore(deps, ctx, target === undefined ? base.baseSha : startSha, job, {
      ran: ran.filter((one) => !mustPass(one)),
      sha,
    });
    const bundleBlob = sha === change.sha ? change.bundleBlob : await bundle(deps, ctx, job, sha);
    const failed = [
      ...(syntax === undefined ? [] : [syntax]),
      ...(installed.kind === "failed" && target !== undefined ? [setupFailure(commands, installed)] : []),
      ...ran.filter((one) => one.failed !== undefined && !before.has(one.command.name)).map((one) => one.failed!),
    ];
    const checks: Checks = {
      commands: [
        ...(installed.kind === "failed" ? [setupSummary(commands)] : []),
        ...formatted,
        ...ran.map((one) => (before.has(one.command.name) ? { ...one.summary, failsOnBase: true } : one.summary)),
      ].slice(0, 24),
      testsRan: ran
        .filter((one) => one.kind === "test")
        .reduce((sum, one) => sum + one.ran.report.counts.passed + one.ran.report.counts.failed, 0),
      withoutTests: whyNoTests(commands, installed, ran),
      sandbox: deps.sandbox.backend,
      failure: failed.length === 0 ? undefined : await failureOf(deps, ctx, failed),
    };
    return { kind: "checked" as const, change: { ...change, sha, bundleBlob, checks } };
  },
});

type Kind = "lint" | "build" | "test";
interface Done {
  kind: Kind;
  command: Command;
  ran: Ran;
  summary: CommandSummary;
  failed: FailedCommand | undefined;
}

function capped(commands: DetectedCommands, timeoutSeconds: number): DetectedCommands {
  const limit = <C extends Command>(list: C[]) =>
    list
      .slice(0, maxCommands)
      .map((command) => ({ ...command, timeoutSeconds: Math.min(command.timeoutSeconds, timeoutSeconds) }));
  return {
    ...commands,
    setup: limit(commands.setup),
    lint: limit(commands.lint),
    build: limit(commands.build),
    test: limit(commands.test),
  };
}

/**
 * Runs the formatter's writing form on the edited files alone, or on all where it takes no files: what it does to others
 * is left out of the commit. A formatter that is not installed changes nothing.
 */
async function format(
  deps: Deps,
  ctx: StepContext,
  job: Job,
  formatters: FormatCommand[],
  files: FileChange[],
): Promise<CommandSummary[]> {
  const edited = files.filter((file) => file.status !== "deleted" && file.kind === "file").map((file) => file.path);
  const done: CommandSummary[] = [];
  for (const formatter of formatters.slice(0, 4)) {
    const command = formatter.writeFiles === undefined ? formatter.write : writeCommandFor(formatter, edited);
    if (command === undefined || edited.length === 0) continue;
    const ran = await runCommand(deps, ctx, job, command);
    if (ran.result.kind === "ok") done.push(summaryOf("format", { ...command, run: formatter.name }, ran));
  }
  return done;
}

/** Commits what the formatters did to the edited files, and nothing that they did besides. */
async function commitFormatting(
  deps: Deps,
  ctx: StepContext,
  job: Job,
  fromSha: string,
  edited: FileChange[],
): Promise<string | undefined> {
  const person = await botPerson(deps, ctx);
  const commit = () => job.commit(`formatted in ${ctx.runKey}`, person, person);
  const whole = await commit();
  if (whole === undefined) return undefined;
  const own = new Set(edited.map((file) => file.path));
  const changed = await job.changes(fromSha, whole);
  const isFormatting = (file: FileChange) =>
    own.has(file.path) && file.status === "modified" && file.kind === "file" && file.oldMode === file.newMode;
  if (changed.every(isFormatting)) return whole;
  await job.reset(fromSha);
  // The text comes out of the commit and not from the disk, where the formatter may have left a link in its place.
  for (const file of changed.filter(isFormatting)) {
    if (file.newText === undefined || file.newText.includes("\uFFFD")) continue;
    await writeFile(join(job.tree, file.path), file.newText);
  }
  return commit();
}

async function syntaxFailure(files: FileChange[]): Promise<FailedCommand | undefined> {
  const lines: string[] = [];
  for (const file of files) {
    if (file.newText === undefined || file.status === "deleted") continue;
    lines.push(...conflictMarks(file.path, file.newText));
    const before =
      file.oldText === undefined ? undefined : await checkSyntax(file.previousPath ?? file.path, file.oldText);
    for (const error of newSyntaxErrors(before, await checkSyntax(file.path, file.newText))) {
      lines.push(`${file.path}:${error.line}:${error.column}: error: ${error.message}`);
    }
  }
  return lines.length === 0
    ? undefined
    : { name: "syntax", exitCode: 1, timedOut: false, stdout: lines.join("\n"), stderr: "" };
}

/** A mark that a merge left and nobody resolved. */
function conflictMarks(path: string, text: string): string[] {
  const lines = text.split("\n");
  const marks = ["<<<<<<< ", "=======", ">>>>>>> "].map((mark) => lines.findIndex((line) => line.startsWith(mark)));
  return marks.every((index) => index >= 0)
    ? [`${path}:${(marks[0] ?? 0) + 1}:1: error: unresolved conflict marker`]
    : [];
}

function isAmong({ run, directory }: Pick<Command, "run" | "directory">, commands: DetectedCommands): boolean {
  const all = [...commands.lint, ...commands.build, ...commands.test];
  return all.some((command) => command.run === run && command.directory === directory);
}

/** `first` are commands that the repository's detection does not know, such as a script of its CI. */
async function runAll(
  deps: Deps,
  ctx: StepContext,
  job: Job,
  commands: DetectedCommands,
  first: Command[],
): Promise<Done[]> {
  const done: Done[] = [];
  for (const command of first) {
    ctx.progress({ message: `failed before: ${command.name}` });
    done.push(await runOne(deps, ctx, job, "test", command));
  }
  for (const kind of ["lint", "build", "test"] as const) {
    for (const command of commands[kind]) {
      ctx.progress({ message: `${kind}: ${command.name}` });
      done.push(await runOne(deps, ctx, job, kind, command));
    }
  }
  return done;
}

async function runOne(deps: Deps, ctx: StepContext, job: Job, kind: Kind, command: Command): Promise<Done> {
  const ran = await runCommand(deps, ctx, job, command);
  const { result, report } = ran;
  const end = {
    exitCode: result.exitCode ?? null,
    timedOut: result.kind === "timed-out",
    killed: result.kind === "killed" || result.kind === "refused",
  };
  const verdict = verdictOf(end, kind === "test" ? report : undefined);
  const passed = verdict.kind === "passed" || verdict.kind === "no-tests";
  const failed: FailedCommand = {
    name: command.name,
    exitCode: result.exitCode ?? null,
    timedOut: result.kind === "timed-out",
    stdout: result.stdout,
    stderr: [result.stderr, result.reason ?? ""].join("\n"),
    report: kind === "test" ? report : undefined,
  };
  return {
    kind,
    command,
    ran,
    summary: { ...summaryOf(kind, command, ran), result: resultOf(ran, passed) },
    failed: passed ? undefined : failed,
  };
}

function resultOf({ result }: Ran, passed: boolean): CommandSummary["result"] {
  if (passed) return "passed";
  return result.kind === "ok" || result.kind === "failed" ? "failed" : result.kind;
}

function summaryOf(kind: CommandSummary["kind"], command: Command, ran: Ran): CommandSummary {
  const { counts, coverage } = ran.report;
  return {
    kind,
    run: commandLabel(command),
    result: resultOf(ran, ran.result.kind === "ok"),
    durationSeconds: Math.round(ran.result.durationSeconds * 10) / 10,
    ...(kind === "test" &&
      counts.total > 0 && { tests: { passed: counts.passed, failed: counts.failed, skipped: counts.skipped } }),
    ...(kind === "test" &&
      coverage?.linesPercent !== undefined && { coveragePercent: Math.round(coverage.linesPercent * 10) / 10 }),
  };
}

function setupFailure(commands: DetectedCommands, installed: Environment): FailedCommand {
  return {
    name: commands.setup.map(({ name }) => name).join(", "),
    ...{ exitCode: 1, timedOut: false, stdout: installed.message ?? "", stderr: "" },
  };
}

function setupSummary(commands: DetectedCommands): CommandSummary {
  return {
    kind: "setup",
    run: commands.setup
      .map((command) => command.name)
      .join(", ")
      .slice(0, 250),
    result: "failed",
    durationSeconds: 0,
  };
}

/** Names of failed commands that fail on `beforeSha` in the same way: they were red before the change. */
async function failuresBefore(
  deps: Deps,
  ctx: StepContext,
  beforeSha: string,
  job: Job,
  { ran, sha }: { ran: Done[]; sha: string },
): Promise<Set<string>> {
  const before = new Set<string>();
  const failing = ran.filter((one) => one.failed !== undefined);
  if (failing.length === 0) return before;
  await job.reset(beforeSha);
  for (const one of failing) {
    const note = `base-failure:${one.command.directory}:${one.command.name}`;
    let signature = await deps.store.notes.get(ctx.runKey, note);
    if (signature === undefined) {
      const onBase = await runOne(deps, ctx, job, one.kind, one.command);
      await job.reset(beforeSha);
      signature = onBase.failed === undefined ? "passes" : failureSignature([onBase.failed]);
      await deps.store.notes.set(ctx.runKey, note, signature);
    }
    if (signature === failureSignature([one.failed!])) before.add(one.command.name);
  }
  await job.reset(sha);
  return before;
}

async function bundle(deps: Deps, ctx: StepContext, job: Job, sha: string): Promise<string> {
  return deps.store.blobs.put(await job.bundle(sha), {
    repositoryId: ctx.intent.work.repositoryId,
    runKey: ctx.runKey,
    kind: "bundle",
  });
}

function whyNoTests(commands: DetectedCommands, installed: Environment, ran: Done[]): string | undefined {
  if (installed.kind === "failed") return `The setup failed: ${(installed.message ?? "").slice(0, 600)}`;
  if (commands.test.length === 0) return "No test command was found; set `checks.test` in `.github/millwright.yml`.";
  if (ran.every((one) => one.kind !== "test" || one.ran.report.counts.total === 0))
    return "The test commands reported no test.";
  return undefined;
}

async function failureOf(
  deps: Deps,
  ctx: StepContext,
  failed: FailedCommand[],
): Promise<NonNullable<Checks["failure"]>> {
  const share = Math.max(400, Math.floor(maxFailureTokens / failed.length));
  const text = deps.redactor.redact(
    failed.map((one) => `## ${one.name}\n\n${distilFailure(one, share).excerpt}`).join("\n\n"),
  );
  const blob = await deps.store.blobs.put(text, {
    repositoryId: ctx.intent.work.repositoryId,
    runKey: ctx.runKey,
    kind: "log",
  });
  const tests = failed.reduce((sum, one) => sum + (one.report?.counts.failed ?? 0), 0);
  const names = failed.map((one) => `\`${one.name.replaceAll("`", "'")}\``).join(", ");
  return {
    signature: failureSignature(failed),
    blob,
    summary: `${names}${tests > 0 ? ` (${tests} failed ${tests === 1 ? "test" : "tests"})` : ""}`.slice(0, 400),
  };
}
