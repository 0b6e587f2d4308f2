import type { Pipeline } from "../../src/pipeline/run.ts";
import type { UserFacingError } from "../../src/pipeline/step.ts";
import { pipeline, ready } from "./scripted.ts";

const asking = (timeoutMinutes: number) =>
  pipeline(async (run) => {
    await run.step("authorise-trigger");
    await run.step("before-wait");
    const decision = await run.waitFor("decision", timeoutMinutes);
    await run.step("after-wait", { decision });
    return ready;
  });

/**
 * The stories that the engine suite tells. In a module of their own, without anything of a test in them, because an engine
 * may tell them in another place than the one where they are tested: a Temporal worker bundles them.
 */
export const stories = {
  threeSteps: pipeline(async (run) => {
    await run.step("authorise-trigger");
    const first = await run.step("first", { of: "three" });
    await run.step("second", first);
    return ready;
  }),

  beforeDeploy: pipeline(async (run) => {
    await run.step("authorise-trigger");
    await run.step("kept", { n: 1 });
    await run.step("old", { n: 2 });
    return { kind: "draft", reason: "the old story" };
  }),

  afterDeploy: pipeline(async (run) => {
    await run.step("authorise-trigger");
    await run.step("kept", { n: 1 });
    await run.step("new", { n: 2 });
    return ready;
  }),

  beside: pipeline(async (run) => {
    await run.step("authorise-trigger");
    const results = await run.parallel({
      lint: async (branch) => {
        await branch.step("prepare", { of: "lint" });
        return branch.step("check", { of: "lint" });
      },
      test: async (branch) => {
        await branch.step("prepare", { of: "test" });
        return branch.step("check", { of: "test" });
      },
    });
    await run.step("sum-up", results);
    return ready;
  }),

  failingBranches: pipeline(async (run) => {
    await run.step("authorise-trigger");
    await run.parallel({
      a: (branch) => branch.step("slow"),
      b: (branch) => branch.step("fails"),
      c: (branch) => branch.step("fails"),
    });
    return ready;
  }),

  askingForAnHour: asking(60),
  askingForAMoment: asking(0.01),

  askingTwice: pipeline(async (run) => {
    await run.step("authorise-trigger");
    const first = await run.waitFor("decision", 60);
    const second = await run.waitFor("decision", 60);
    await run.step("after-wait", { first, second });
    return ready;
  }),

  askingFourTimes: pipeline(async (run) => {
    await run.step("authorise-trigger");
    const actors: unknown[] = [];
    for (let n = 0; n < 4; n += 1) {
      const decision = await run.waitFor("decision", 60);
      actors.push(decision === "timed-out" ? decision : decision.actor);
    }
    await run.step("after-wait", { actors });
    return ready;
  }),

  stubborn: pipeline(async (run) => {
    await run.step("authorise-trigger");
    await run.step("first").catch(() => undefined);
    await run.step("second").catch(() => undefined);
    return ready;
  }),

  /** Hands what it caught to the step that follows, where a test can see it. */
  careful: pipeline(async (run) => {
    await run.step("authorise-trigger");
    let caught: unknown;
    try {
      await run.step("flaky");
    } catch (error) {
      const { name, message, advice } = error as UserFacingError;
      caught = { name, message, advice };
    }
    await run.step("after", { caught });
    return { kind: "failed", reason: "as expected" };
  }),

  /** Its second step has the name of one that runs commands of a repository. */
  sandboxed: pipeline(async (run) => {
    await run.step("authorise-trigger");
    await run.step("run-checks");
    return ready;
  }),

  broken: pipeline(async () => {
    throw new TypeError("secret internals");
  }),
} satisfies Record<string, Pipeline>;
