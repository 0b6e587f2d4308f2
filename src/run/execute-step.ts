import type { Logger } from "pino";
import type { Place } from "../agent/models.ts";
import type { ExecuteStep, StepCall } from "../engine/execute-step.ts";
import type { GitHubApp } from "../github/client.ts";
import { insideEffect } from "../github/effect-scope.ts";
import type { Deps } from "../pipeline/deps.ts";
import {
  Cancelled,
  LeaseLost,
  type Permissions,
  type Step,
  type StepContext,
  UserFacingError,
} from "../pipeline/step.ts";
import type { StatusProjector } from "../status/projector.ts";
import type { Metrics } from "../telemetry/metrics.ts";

/** May throw or kill before or after any effect; given by tests alone. */
export type EffectFault = (effect: { name: string; runKey: string; when: "before" | "after" }) => void | Promise<void>;

/** After a cancel only these write: the final status, our labels, our own unpublished branch (architecture.md rule 7). */
const lastStep = "report-outcome";

/**
 * The shared step runner: schemas on both sides, least-privilege clients, effects behind cancel and lease, audit,
 * logs, metrics and status. Engines differ in when they call it, never in what it does.
 */
export function createExecuteStep(options: {
  deps: Deps;
  steps: Record<string, Step<never, unknown>>;
  github: GitHubApp;
  status: StatusProjector;
  metrics: Metrics;
  log: Logger;
  /** What a step is given in place of what `deps` has: its own model. */
  forStep?: (place: Place) => Partial<Deps>;
  effectFault?: EffectFault;
}): ExecuteStep {
  const { deps, github, status, metrics } = options;
  return async (call) => {
    const step = options.steps[call.name];
    if (step === undefined)
      throw new UserFacingError(`This version of Millwright has no step named ${call.name}, which the run needs.`);
    const log = options.log.child({
      runKey: call.runKey,
      deliveryId: call.intent.deliveryId,
      step: call.path,
      attempt: call.attempt,
    });
    if (call.name === lastStep) await status.settle(call.runKey);
    else status.touch(call.runKey);
    const startedAt = performance.now();
    const measure = (result: string) =>
      metrics.stepSeconds.observe({ step: call.name, result }, (performance.now() - startedAt) / 1000);
    try {
      const input = step.input.parse(call.input);
      const output = step.output.parse(await step.run(input as never, depsOf(call), contextOf(call, log)));
      measure("done");
      log.info({ durationMs: Math.round(performance.now() - startedAt) }, "step done");
      return output;
    } catch (error) {
      measure("failed");
      log.warn({ err: error, durationMs: Math.round(performance.now() - startedAt) }, "step failed");
      throw error;
    } finally {
      if (call.name !== lastStep) status.touch(call.runKey);
    }
  };

  function depsOf(call: StepCall): Deps {
    return { ...deps, ...options.forStep?.({ pipeline: call.intent.pipeline, step: call.name }) };
  }

  function contextOf(call: StepCall, log: Logger): StepContext {
    const clients = new Map<string, ReturnType<StepContext["github"]>>();
    const { work } = call.intent;
    const client = async (permissions: Permissions) =>
      github.client(await github.token(work, permissions), call.signal);
    return {
      intent: call.intent,
      runKey: call.runKey,
      workKey: call.workKey,
      attempt: call.attempt,
      deadline: call.deadline,
      signal: call.signal,
      log,
      github(permissions) {
        const key = JSON.stringify(permissions);
        const existing = clients.get(key) ?? client(permissions);
        clients.set(key, existing);
        return existing;
      },
      gitToken: (access) => github.token(work, { contents: access }),
      effect: (name, write) => effect(call, log, name, write),
      progress(event) {
        log.info(event, "progress");
        status.touch(call.runKey);
      },
    };
  }

  async function effect<T>(call: StepCall, log: Logger, name: string, write: () => Promise<T>): Promise<T> {
    if (call.name !== lastStep) {
      const reason = await deps.store.runs.cancelRequested(call.runKey);
      if (reason !== undefined) throw new Cancelled(`${name} was not done: ${reason}`);
      call.signal.throwIfAborted();
    }
    if (!(await call.heldLease())) throw new LeaseLost(`${name} was not done: another worker holds run ${call.runKey}`);
    await options.effectFault?.({ name, runKey: call.runKey, when: "before" });
    const audit = (result: "ok" | "failed") => {
      metrics.effects.inc({ effect: name, result });
      return deps.store.audit.add({
        runKey: call.runKey,
        repositoryId: call.intent.work.repositoryId,
        effect: name,
        target: `${call.intent.work.owner}/${call.intent.work.repo}`,
        result,
      });
    };
    let value: T;
    try {
      value = await insideEffect(name, write);
    } catch (error) {
      await audit("failed");
      throw error;
    }
    await options.effectFault?.({ name, runKey: call.runKey, when: "after" });
    await audit("ok");
    log.debug({ effect: name }, "effect done");
    return value;
  }
}
