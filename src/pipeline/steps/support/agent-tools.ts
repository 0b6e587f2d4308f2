import { z } from "zod";
import type { Tool } from "../../../agent/model.ts";
import type { Command } from "../../../checks/commands.ts";
import type { Job } from "../../../workspace/workspace.ts";
import type { Deps } from "../../deps.ts";
import type { StepContext } from "../../step.ts";
import { runCommand } from "./commands.ts";

const maxShownCharacters = 16_000;
const commandSeconds = 180;

/** What the agent may do besides reading and writing files: run a command in the sandbox, without network and secrets. */
export function agentTools(deps: Deps, ctx: StepContext, job: Job): Tool[] {
  const input = z.object({
    command: z.string().min(1).max(8_000).describe("Shell text, run by bash in the repository's root."),
    directory: z.string().max(400).optional().describe("Where to run it, relative to the root."),
  });
  return [
    {
      name: "run",
      description: `Runs one shell command in a sandbox at the repository's root: tests, builds, linters, searches. There is no network. It is stopped after ${commandSeconds} seconds. The answer is exit code, stdout and stderr, shortened in the middle.`,
      input,
      async run(value) {
        const { command, directory } = input.parse(value);
        const asked: Command = {
          name: command,
          run: command,
          directory: directory ?? ".",
          timeoutSeconds: commandSeconds,
        };
        const { result } = await runCommand(deps, ctx, job, asked);
        const ended =
          result.kind === "ok" || result.kind === "failed"
            ? `exit code ${result.exitCode}`
            : `${result.kind}${result.reason === undefined ? "" : `: ${result.reason}`}`;
        return [ended, shortened("stdout", result.stdout), shortened("stderr", result.stderr)]
          .filter((part) => part !== "")
          .join("\n");
      },
    },
  ];
}

function shortened(name: string, text: string): string {
  if (text === "") return "";
  if (text.length <= maxShownCharacters) return `${name}:\n${text}`;
  const half = maxShownCharacters / 2;
  return `${name}:\n${text.slice(0, half)}\n… ${text.length - maxShownCharacters} characters left out …\n${text.slice(-half)}`;
}
