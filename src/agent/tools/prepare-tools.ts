import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import type { BetaRunnableTool } from "@anthropic-ai/sdk/lib/tools/BetaRunnableTool";
import type { Redactor } from "../../policy/redact.ts";
import type { Tool } from "../model.ts";
import { createFileTools } from "./file-tools.ts";
import { createSerialQueue } from "./serial-queue.ts";
import { shorten } from "./tool-limits.ts";

/** How long a tool that was aborted may take to stop before its call is given up. */
const abortGraceMs = 700;

/**
 * The file tools of `directory` and the caller's own, as the SDK's tool runner takes them. Calls run one at a time (the
 * runner would start those of one turn together, and a directory could be swapped between check and write: M6), results
 * are redacted and shortened, and an aborted call ends within a second.
 */
export function prepareTools(
  directory: string,
  tools: readonly Tool[],
  redactor?: Pick<Redactor, "redact">,
): BetaRunnableTool[] {
  const queue = createSerialQueue();
  const all = [...createFileTools(directory), ...tools.map(toRunnable)];
  const twice = all.find((tool, index) => all.findIndex((other) => other.name === tool.name) !== index);
  if (twice !== undefined) throw new Error(`Two tools have the name ${twice.name}`);
  return all.map((tool) => ({
    ...tool,
    run: async (input, context) => {
      const signal = context?.signal ?? undefined;
      const result = await queue(() => untilAborted(async () => tool.run(input, context), signal));
      if (typeof result !== "string") return result;
      return shorten(redactor?.redact(result) ?? result);
    },
  }));
}

function toRunnable(tool: Tool): BetaRunnableTool {
  const input = tool.input as Parameters<typeof betaZodTool>[0]["inputSchema"];
  return betaZodTool({
    name: tool.name,
    description: tool.description,
    inputSchema: input,
    run: (value, context) => tool.run(value, context?.signal ?? new AbortController().signal),
  });
}

async function untilAborted<T>(run: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return run();
  signal.throwIfAborted();
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  let timer: NodeJS.Timeout | undefined;
  const onAbort = () => {
    timer = setTimeout(() => reject(signal.reason), abortGraceMs);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([run(), givenUp]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
