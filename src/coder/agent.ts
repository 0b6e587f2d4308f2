import type { Model } from "../agent/model.ts";
import type { Coder } from "./coder.ts";

/** The coder that is this program's own: the model calls tools that run in the worker, and commands in the sandbox. */
export function agentCoder(model: Pick<Model, "work">): Coder {
  return {
    name: "agent",
    code: ({ at, onTurn, onTool, earlier: _, ...request }) =>
      model.work({
        ...request,
        directory: at.directory,
        async onTurn({ transcript, toolCalls }) {
          // The tools of a turn have ended, and no process of theirs is left.
          await onTurn({ transcript, toolCalls: toolCalls.length });
          for (const { detail } of toolCalls) onTool(detail);
        },
      }),
  };
}
