import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { CheckReport } from "../../../checks/check-report.ts";
import { type Command, reportsVariable } from "../../../checks/commands.ts";
import { parseResults } from "../../../checks/parse-results.ts";
import { readReports } from "../../../checks/read-reports.ts";
import type { CommandResult, Tree } from "../../../sandbox/sandbox.ts";
import type { Job } from "../../../workspace/workspace.ts";
import type { Deps } from "../../deps.ts";
import { type StepContext, UserFacingError } from "../../step.ts";

const mebibyte = 1_048_576;

export interface Ran {
  result: CommandResult;
  report: CheckReport;
}

/** A command as people read it. */
export function commandLabel({ name, directory }: Pick<Command, "name" | "directory">): string {
  return (directory === "." ? name : `${name} (in ${directory})`).replaceAll(/\s+/g, " ").slice(0, 200);
}

/** The job's folders as the sandbox takes them. */
export function treeOf(ctx: StepContext, job: Job): Tree {
  return {
    directory: job.tree,
    temporary: job.temporary,
    environment: { directory: job.home },
    job: { repositoryId: ctx.intent.work.repositoryId, name: ctx.runKey },
  };
}

/** Repository code runs only where the sandbox holds. Throws in words for people where it does not. */
export async function requireSandbox({ sandbox }: Pick<Deps, "sandbox">): Promise<void> {
  // Without isolation there is nothing to test: the operator chose that explicitly.
  if (sandbox.backend === "none") return;
  const { passed, advice } = await sandbox.selfTest();
  if (!passed)
    throw new UserFacingError(`Repository code cannot be run here: ${advice ?? "the sandbox failed its self-test."}`);
}

/** Runs one command of the repository in the sandbox at the job's tree, and reads what it reports. */
export async function runCommand(
  deps: Deps,
  ctx: StepContext,
  job: Job,
  command: Command,
  network: "none" | { hosts: readonly string[] } = "none",
): Promise<Ran> {
  const reports = join(job.temporary, "reports");
  await rm(reports, { recursive: true, force: true });
  await mkdir(reports, { recursive: true, mode: 0o777 });
  const at = treeOf(ctx, job);
  const timeoutSeconds = Math.max(
    5,
    Math.min(command.timeoutSeconds, (ctx.deadline.getTime() - Date.now()) / 1000 - 20),
  );
  const startedAt = new Date();
  const result = await deps.sandbox.run(
    {
      run: command.run,
      directory: command.directory,
      env: { ...command.environment, [reportsVariable]: `${deps.sandbox.paths(at).temporary}/reports` },
      network,
    },
    at,
    {
      timeoutSeconds,
      maxOutputBytes: 4 * mebibyte,
      maxMemoryBytes: 8_192 * mebibyte,
      maxProcesses: 1_024,
      maxFileBytes: 2_048 * mebibyte,
      maxCpuSeconds: Math.ceil(timeoutSeconds * 4),
    },
    ctx.signal,
  );
  ctx.signal.throwIfAborted();
  const texts =
    command.reports === undefined
      ? []
      : await readReports(command.reports, {
          reportsDirectory: reports,
          commandDirectory: join(job.tree, command.directory),
          startedAt,
        });
  const report = parseResults({
    stdout: result.stdout,
    stderr: result.stderr,
    exitCode: result.exitCode ?? null,
    reports: texts,
  });
  return { result, report };
}
