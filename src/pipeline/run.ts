import type { Outcome } from "./outcome.ts";
import type { Step } from "./step.ts";
import type { Steps } from "./steps/index.ts";

export type StepName = keyof Steps;
export type StepInput<N extends StepName> = Steps[N] extends Step<infer I, infer _O> ? I : never;
export type StepOutput<N extends StepName> = Steps[N] extends Step<infer _I, infer O> ? O : never;

/** What a person decided while a run waited; ids, never text: the text is in the store under `blob`. */
export interface Decision {
  kind: "approve" | "edit" | "reject";
  actor: string;
  blob?: string;
}

type Results<B extends Record<string, (run: Run) => Promise<unknown>>> = {
  [K in keyof B]: Awaited<ReturnType<B[K]>>;
};

/** What a pipeline is given; every engine implements it. */
export interface Run {
  step<N extends StepName>(name: N, input: StepInput<N>): Promise<StepOutput<N>>;
  /** Branches side by side, each with a history of its own. `Promise.all` over `step` would depend on timing. */
  parallel<B extends Record<string, (run: Run) => Promise<unknown>>>(branches: B): Promise<Results<B>>;
  /** Costs no slot while it waits. */
  waitFor(signal: "decision", timeoutMinutes: number): Promise<Decision | "timed-out">;
}

/**
 * A deterministic story told in named steps. Time, randomness, network and files live in steps, and so does what asked for
 * the run: a story that is given no text can leave none in a platform's history.
 */
export type Pipeline = (run: Run) => Promise<Outcome>;
