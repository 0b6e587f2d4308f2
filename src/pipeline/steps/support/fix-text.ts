import { neutralise } from "../../../policy/neutralise.ts";
import type { Deps } from "../../deps.ts";
import { type Change, type FailedCheckRef, type Plan, type Reproduction, Task, type Verdict } from "../shapes.ts";
import { commandLabel } from "./commands.ts";
import { readDocument } from "./documents.ts";

/** Names of checks as people read them; they are a stranger's text. */
export function checkNames(checks: readonly Pick<FailedCheckRef, "name">[]): string {
  return checks
    .slice(0, 6)
    .map(({ name }) => `\`${neutralise(name, { allowHosts: [], maxBytes: 200 }).replaceAll(/[`\n]/g, " ").trim()}\``)
    .join(", ");
}

/** How a fix was verified: each command that was red before, and how everything ended after it. */
export function verificationOf(change: Change, reproduction: Reproduction): string {
  const red = reproduction.kind === "reproduced" ? reproduction.commands.map(commandLabel) : [];
  const lines = (change.checks?.commands ?? []).map(({ run, result, tests, failsOnBase }) => {
    const before = red.includes(run) ? "red before, " : "";
    const counts = tests === undefined ? "" : ` (${tests.passed} passed, ${tests.failed} failed)`;
    const ending = failsOnBase === true ? `${result} as before the fix` : result;
    return `- \`${run.replaceAll("`", "'")}\`: ${before}${ending}${counts}`;
  });
  if (reproduction.kind === "not-reproduced")
    return [`The failure could not be reproduced. ${reproduction.reason}`, "", ...lines].join("\n");
  return lines.join("\n");
}

/** What the guard says of a change that it lets through, and what others would find different. */
export function worthALook({ findings }: Verdict, notes: readonly string[]): string[] {
  const said = findings.filter(({ severity }) => severity !== "block").map(({ message }) => message);
  const all = [...said, ...notes].map((note) => `- ${note}`);
  return all.length === 0 ? [] : ["", "**Worth a look**", "", ...all.slice(0, 12)];
}

/** Why it failed, in one paragraph. */
export async function causeOf(deps: Deps, plan: Plan): Promise<string> {
  const task = await readDocument(deps, plan.taskBlob, Task);
  if (task.kind !== "fix-check") return "";
  return `**Cause**: ${neutralise(task.failure.analysis.rootCause, { allowHosts: [], maxBytes: 2_000 })}`;
}
