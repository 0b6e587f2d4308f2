import type { Budget, Prompt, RecordCall, Tool, WorkResult } from "../agent/model.ts";
import type { Tree } from "../sandbox/sandbox.ts";

export const coderNames = ["agent", "claude-code"] as const;
export type CoderName = (typeof coderNames)[number];

/** One piece of writing: a tree goes in, a changed tree and the conversation that led to it come out. */
export interface CodeRequest {
  prompt: Prompt;
  /** The tree, without `.git`; nobody else touches it until the answer, `onTurn` apart. */
  at: Tree;
  /** For a coder that runs in the worker: what it may do besides reading and writing files. Others have tools of their own. */
  tools: Tool[];
  /** Plain JSON, as `onTurn` of the same coder gave it: this work goes on where it stopped, and its task is not told again. */
  transcript?: unknown[];
  /** The same of an earlier piece of work on this tree (B12, B17): a coder that can goes on from it with the new task. */
  earlier?: unknown[];
  budget: Budget;
  signal: AbortSignal;
  record: RecordCall;
  /**
   * Whenever the tree stands still and the work could be continued from here; the caller saves both together. No process of
   * the coder is running then, so that the tree can be committed.
   */
  onTurn(turn: { transcript: unknown[]; toolCalls: number }): Promise<void>;
  /** Each tool call as it happens, in a few words: `edit src/a.ts`. */
  onTool(call: string): void;
}

/**
 * The coder port. Endings are those of the model port: `unfinished` at the budget's deadline, so that the work can be
 * continued; faults that a later try may not meet are thrown as `TransientModelError`, those that an operator has to mend as
 * `ModelRefusedError`; an aborted signal's reason is thrown. Nothing of it runs on after it settled.
 */
export interface Coder {
  readonly name: CoderName;
  code(request: CodeRequest): Promise<WorkResult>;
}
