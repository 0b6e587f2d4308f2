import type { Decision, Run } from "../../src/pipeline/run.ts";

type Output = unknown | ((input: Record<string, unknown>) => unknown);

/** A run whose steps answer from a script: each name has its outputs in order, the last one again and again. */
export function scriptedRun(script: Record<string, Output[]>, decisions: (Decision | "timed-out")[] = []) {
  const names: string[] = [];
  const inputs: { name: string; input: Record<string, unknown> }[] = [];
  const used = new Map<string, number>();
  const step = async (name: string, input: Record<string, unknown>): Promise<unknown> => {
    names.push(name);
    inputs.push({ name, input });
    const outputs = script[name];
    if (outputs === undefined) throw new Error(`The script has no step ${name}`);
    const index = used.get(name) ?? 0;
    used.set(name, index + 1);
    const output = outputs[Math.min(index, outputs.length - 1)];
    return typeof output === "function" ? output(input) : output;
  };
  const run = {
    step,
    parallel: async (branches: Record<string, (run: Run) => Promise<unknown>>) =>
      Object.fromEntries(
        await Promise.all(
          Object.entries(branches).map(async ([key, branch]) => [key, await branch(run as unknown as Run)]),
        ),
      ),
    waitFor: async () => {
      names.push("(wait)");
      return decisions.shift() ?? "timed-out";
    },
  };
  return { run: run as unknown as Run, names, inputs };
}
