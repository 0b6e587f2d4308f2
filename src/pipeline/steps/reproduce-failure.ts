import { z } from "zod";
import type { Command } from "../../checks/commands.ts";
import { distilFailure } from "../../checks/distil-failure.ts";
import type { Job } from "../../workspace/workspace.ts";
import type { Deps } from "../deps.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, PullFacts, Reproduction } from "./shapes.ts";
import { requireSandbox, runCommand } from "./support/commands.ts";
import { commandsOf, ensureEnvironment } from "./support/environment.ts";
import { fitting } from "./support/fitting.ts";
import { configOf, openJob } from "./support/repository.ts";

const maxDetected = 12;
const maxBytesOfCommand = 4_000;
const maxBytesOfCommands = 6_000;

/**
 * Runs in the sandbox, at the pull request's head, what failed (F7): the scripts that the logs name, and where none of them
 * fails here, the repository's own commands. What is red here is what the fix has to make green. Changes nothing.
 */
export const reproduceFailure = defineStep({
  name: "reproduce-failure",
  input: z.object({ base: Base, pull: PullFacts, commands: z.array(z.string()) }),
  output: Reproduction,
  async run({ base, pull, commands: scriptsOfLogs }, deps, ctx) {
    await requireSandbox(deps);
    const job = await openJob(deps, ctx, base, { sha: pull.headSha });
    await job.reset(pull.headSha);
    const timeoutSeconds = (await configOf(deps, base)).checks.timeoutMinutes * 60;
    const commands = await commandsOf(deps, base, job, pull.headSha);
    const installed = await ensureEnvironment(deps, ctx, base, job, commands, pull.headSha);
    if (installed.kind === "failed") {
      const setup = commands.setup.map(({ name }) => name).join(", ");
      return {
        kind: "reproduced" as const,
        setup: true,
        commands: [],
        summary: `\`${setup}\`: ${(installed.message ?? "").slice(0, 1_500)}`,
      };
    }
    const detected = (["lint", "build", "test"] as const)
      .flatMap((kind) => commands[kind])
      .map((command) => ({ ...command, timeoutSeconds: Math.min(command.timeoutSeconds, timeoutSeconds) }));
    // What the detection knows too is run as it runs it, so that its report is read.
    const asDetected = (script: string) => detected.find(({ name, directory }) => name === script && directory === ".");
    const scripts = [...new Set(scriptsOfLogs.map((script) => script.trim()).filter(isRunnable))].map(
      (run): Command => asDetected(run) ?? { name: nameOf(run), run, directory: ".", timeoutSeconds },
    );
    const named = await tryAll(deps, ctx, job, pull.headSha, scripts);
    if (named.red.length > 0) return found(named.red);
    const others = await tryAll(deps, ctx, job, pull.headSha, detected.slice(0, maxDetected));
    if (others.red.length > 0) return found(others.red);
    const green = named.green + others.green;
    const reason = whyNotRed(green, named.untried + others.untried);
    return { kind: "not-reproduced" as const, reason };
  },
});

/** What an Actions expression or a secret would have to fill in cannot be run here. */
function isRunnable(script: string): boolean {
  return script.trim() !== "" && !script.includes("${{") && !/\b(docker|kubectl|gh|aws|gcloud) /.test(script);
}

function nameOf(script: string): string {
  const [first = "", ...rest] = script.trim().split("\n");
  return `${first.slice(0, 80)}${rest.length > 0 ? " …" : ""}`;
}

interface Red {
  command: Command;
  summary: string;
}

interface Tried {
  red: Red[];
  green: number;
  /** What could not be run here, or not to its end. */
  untried: number;
}

function whyNotRed(green: number, untried: number): string {
  if (green + untried === 0) return "No command was found that could be run here.";
  if (green === 0) return "What failed cannot be run here.";
  return untried === 0 ? "Here, the same commands pass." : "Here, those of the commands pass that can be run.";
}

/** Which fail by what they check. A program that is not there (127) says nothing about the code. */
async function tryAll(
  deps: Deps,
  ctx: StepContext,
  job: Job,
  sha: string,
  commands: readonly Command[],
): Promise<Tried> {
  const tried: Tried = { red: [], green: 0, untried: 0 };
  for (const command of commands) {
    // One that is cut off by the end of this step says nothing about the code.
    const leftSeconds = (ctx.deadline.getTime() - Date.now()) / 1000 - 30;
    if (leftSeconds < 10 || Buffer.byteLength(JSON.stringify(command.run)) > maxBytesOfCommand) {
      tried.untried += 1;
      continue;
    }
    ctx.progress({ message: `reproduce: ${command.name}` });
    const { result, report } = await runCommand(deps, ctx, job, command);
    await job.reset(sha);
    const { exitCode = null, stdout, stderr } = result;
    const wasCutOff = result.kind === "timed-out" && command.timeoutSeconds > leftSeconds;
    if (result.kind === "ok") {
      tried.green += 1;
      continue;
    }
    if (result.kind === "refused" || exitCode === 127 || exitCode === 126 || wasCutOff) {
      tried.untried += 1;
      continue;
    }
    const distilled = distilFailure(
      { name: command.name, exitCode, timedOut: result.kind === "timed-out", stdout, stderr, report },
      500,
    );
    tried.red.push({ command, summary: distilled.excerpt });
  }
  return tried;
}

function found(red: Red[]) {
  return {
    kind: "reproduced" as const,
    setup: false,
    commands: fitting(
      red.map(({ command: { name, run, directory, timeoutSeconds } }) => ({
        ...{ name: name.slice(0, 200), run, directory, timeoutSeconds },
      })),
      maxBytesOfCommands,
    ).slice(0, 6),
    summary: red
      .map(({ summary }) => summary)
      .join("\n")
      .slice(0, 1_000),
  };
}
