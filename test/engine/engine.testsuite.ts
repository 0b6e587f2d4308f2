import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import type { EngineEvent, ExecuteStep } from "../../src/engine/execute-step.ts";
import { workKeyOf } from "../../src/pipeline/intent.ts";
import type { Pipeline } from "../../src/pipeline/run.ts";
import { UserFacingError } from "../../src/pipeline/step.ts";
import { intentOf, ready, until, untilState, World } from "./scripted.ts";
import { stories } from "./stories.ts";

/** What a deploy brings: pipelines and steps. */
export interface Deploy {
  pipelines: Record<string, Pipeline>;
  executeStep: ExecuteStep;
  onEvent?(event: EngineEvent): void;
}

/** One worker of an engine. */
export interface EngineProcess {
  engine: Engine;
  /** From this call on, as if by SIGKILL, nothing that it does has an effect on the engine's state any more. */
  kill(): void;
  /** An orderly end. */
  end(): Promise<void>;
}

/** An engine's state, on which processes come and go. */
export interface Stage {
  /** How a run ends that began before a deploy which changed its story: by the new one, told anew, or by its own. */
  deploys: "retold" | "pinned";
  boot(deploy: Deploy): Promise<EngineProcess>;
  /** Makes the platform forget what it knows about runs that ended, as it does after its retention. */
  forget(): Promise<void>;
  /** Another stage on the same state, whose processes take no runs of this one's; absent where processes cannot live side by side. */
  beside?(): Pick<Stage, "boot">;
  close(): Promise<void>;
}

/** The contract of every engine: architecture.md "Replay". Each engine brings its own stage. */
export function engineSuite(name: string, openStage: () => Promise<Stage>): void {
  describe(name, () => {
    let stage: Stage;
    let world: World;
    const alive: EngineProcess[] = [];
    const boot = async (pipelines: Record<string, Pipeline>, onEvent?: Deploy["onEvent"]) => {
      const started = await stage.boot({ pipelines, executeStep: world.executeStep, onEvent });
      alive.push(started);
      return started;
    };
    beforeEach(async () => {
      stage = await openStage();
      world = new World();
    });
    afterEach(async () => {
      for (const one of alive.splice(0)) await one.end();
      await stage.close();
    });

    const { threeSteps, askingForAnHour } = stories;
    const paths = ["authorise-trigger#1", "first#1", "second#1", "report-outcome#1"];

    test("run executes the steps in order and ends by reporting the outcome once", async () => {
      const { engine } = await boot({ "issue-to-pr": threeSteps });
      const { runKey, repeated } = await engine.start(intentOf());
      expect(await repeated).not.toBe(true);
      const status = await untilState(engine, runKey, "ended");
      expect(status.outcome).toEqual(ready);
      expect(world.effects).toEqual(paths);
      expect(world.calls[2]?.input).toEqual({ from: "first" });
      expect(world.reported).toEqual([ready]);
    });

    test("run goes on after a kill at every boundary and repeats at most the step that was cut off", async () => {
      const boundaries = paths.flatMap((path) =>
        (["before", "after", "recorded"] as const).map((at) => ({ path, at })),
      );
      const goesOnAfter = async (boundary: (typeof boundaries)[number], index: number) => {
        const own = new World();
        const on = stage.beside?.() ?? stage;
        const bootOwn = async (onEvent?: Deploy["onEvent"]) => {
          const { executeStep } = own;
          const started = await on.boot({ pipelines: { "issue-to-pr": threeSteps }, executeStep, onEvent });
          alive.push(started);
          return started;
        };
        let killed = 0;
        const killAt = (path: string, at: string) => {
          if (killed > 0 || path !== boundary.path || at !== boundary.at) return;
          killed += 1;
          first.kill();
        };
        own.around = (moment, call) => killAt(call.path, moment);
        const first = await bootOwn((event) => {
          if (event.kind === "step-finished") killAt(event.path, "recorded");
        });
        const { runKey } = await first.engine.start(intentOf({ repositoryId: 30 + index }));
        await until(`the process is killed ${boundary.at} ${boundary.path}`, () => killed === 1);
        const second = await bootOwn();
        const status = await untilState(second.engine, runKey, "ended");
        expect(status.outcome).toEqual(ready);
        for (const path of paths) {
          const repeats = path === boundary.path && boundary.at !== "recorded" ? [1, 2] : [1];
          expect(repeats, `${path} after a kill ${boundary.at} ${boundary.path}`).toContain(own.count(path));
        }
        await second.end();
      };
      const atOnce = stage.beside ? 4 : 1;
      for (let n = 0; n < boundaries.length; n += atOnce)
        await Promise.all(boundaries.slice(n, n + atOnce).map((boundary, m) => goesOnAfter(boundary, n + m)));
    });

    test("run that was started before a deploy ends correctly after it", async () => {
      let killed = false;
      world.around = (moment, call) => {
        if (call.name !== "old" || moment !== "after") return;
        killed = true;
        first.kill();
      };
      const first = await boot({ "issue-to-pr": stories.beforeDeploy });
      const { runKey } = await first.engine.start(intentOf());
      await until("the old process is killed", () => killed);
      const second = await boot({ "issue-to-pr": stories.afterDeploy });
      const { outcome } = await untilState(second.engine, runKey, "ended");
      const pinned = stage.deploys === "pinned";
      expect(outcome).toEqual(pinned ? { kind: "draft", reason: "the old story" } : ready);
      // What was cut off may be done once more before the platform notices that its story has changed.
      expect(world.count("old#1")).toBeLessThanOrEqual(2);
      const others = world.effects.filter((path) => path !== "old#1");
      expect(others).toEqual(["authorise-trigger#1", "kept#1", ...(pinned ? [] : ["new#1"]), "report-outcome#1"]);
    });

    test("parallel gives the same result in whichever order its branches finish, also over a kill", async () => {
      for (const slow of ["lint", "test"]) {
        world = new World();
        world.answer = (call) => ({ path: call.path });
        let killed = false;
        world.around = async (moment, call) => {
          if (moment === "after" || !call.path.startsWith(`${slow}/`)) return;
          await new Promise((resolve) => setTimeout(resolve, 150));
          if (killed || call.name !== "check") return;
          killed = true;
          first.kill();
        };
        const first = await boot({ "issue-to-pr": stories.beside });
        const { runKey } = await first.engine.start(intentOf());
        await until("the process is killed", () => killed);
        const second = await boot({ "issue-to-pr": stories.beside });
        await untilState(second.engine, runKey, "ended");
        expect(world.calls.find((call) => call.name === "sum-up")?.input).toEqual({
          lint: { path: "lint/check#1" },
          test: { path: "test/check#1" },
        });
        const fast = slow === "lint" ? "test" : "lint";
        expect(world.count(`${fast}/prepare#1`)).toBe(1);
        expect(world.count(`${fast}/check#1`)).toBe(1);
        await second.end();
      }
    });

    test("parallel waits for all branches and rejects with the first that failed, as written", async () => {
      world.around = async (moment, call) => {
        if (moment === "after") return;
        if (call.name === "slow") await new Promise((resolve) => setTimeout(resolve, 200));
        if (call.name === "fails") throw new UserFacingError(`${call.path} does not work`);
      };
      const { engine } = await boot({ "issue-to-pr": stories.failingBranches });
      const { runKey } = await engine.start(intentOf());
      const status = await untilState(engine, runKey, "ended");
      expect(status.outcome).toMatchObject({ kind: "failed", reason: "b/fails#1 does not work" });
      expect(world.count("a/slow#1")).toBe(1);
    });

    test("signal that comes before it is waited for is kept", async () => {
      const { engine } = await boot({ "issue-to-pr": askingForAnHour });
      const intent = intentOf();
      const decision = { kind: "approve", actor: "maintainer" } as const;
      let signalled: boolean | undefined;
      world.around = async (moment, call) => {
        if (moment === "before" && call.name === "before-wait") {
          signalled = await engine.signal(workKeyOf(intent.work), "decision", decision);
        }
      };
      const { runKey } = await engine.start(intent);
      await untilState(engine, runKey, "ended");
      expect(signalled).toBe(true);
      expect(world.calls.find((call) => call.name === "after-wait")?.input).toEqual({ decision });
      expect(await engine.signal(workKeyOf(intent.work), "decision", decision)).toBe(false);
    });

    test("signals that come in a wait, and over a kill, are taken in their order", async () => {
      const first = await boot({ "issue-to-pr": stories.askingTwice });
      const intent = intentOf();
      const { runKey } = await first.engine.start(intent);
      await untilState(first.engine, runKey, "waiting-decision");
      first.kill();
      const second = await boot({ "issue-to-pr": stories.askingTwice });
      for (const actor of ["one", "two"]) {
        await second.engine.signal(workKeyOf(intent.work), "decision", { kind: "edit", actor });
      }
      await untilState(second.engine, runKey, "ended");
      expect(world.calls.find((call) => call.name === "after-wait")?.input).toEqual({
        first: { kind: "edit", actor: "one" },
        second: { kind: "edit", actor: "two" },
      });
    });

    test("wait times out", async () => {
      const { engine } = await boot({ "issue-to-pr": stories.askingForAMoment });
      const { runKey } = await engine.start(intentOf());
      await untilState(engine, runKey, "ended");
      expect(world.calls.find((call) => call.name === "after-wait")?.input).toEqual({ decision: "timed-out" });
    });

    test("cancel in a step aborts it and leads to the report alone", async () => {
      const { engine } = await boot({ "issue-to-pr": threeSteps });
      const intent = intentOf();
      let aborted: unknown;
      world.around = (moment, call) => {
        if (moment === "after" || call.name !== "first") return;
        return new Promise((_, reject) => {
          call.signal.addEventListener("abort", () => {
            aborted = call.signal.reason;
            reject(call.signal.reason);
          });
        });
      };
      const { runKey } = await engine.start(intent);
      await until("the step runs", () => world.calls.some((call) => call.name === "first"));
      const asked = Date.now();
      expect(await engine.cancel(workKeyOf(intent.work), "the label was removed")).toBe(true);
      const status = await untilState(engine, runKey, "ended");
      expect(Date.now() - asked).toBeLessThan(5_000);
      expect(aborted).toMatchObject({ name: "Cancelled" });
      expect(status.outcome).toEqual({ kind: "cancelled", reason: "the label was removed" });
      expect(world.effects).toEqual(["authorise-trigger#1", "report-outcome#1"]);
      expect(await engine.cancel(workKeyOf(intent.work), "again")).toBe(false);
    });

    test("cancel in a wait ends the run", async () => {
      const { engine } = await boot({ "issue-to-pr": askingForAnHour });
      const intent = intentOf();
      const { runKey } = await engine.start(intent);
      await untilState(engine, runKey, "waiting-decision");
      expect(await engine.cancel(workKeyOf(intent.work), "closed")).toBe(true);
      expect((await untilState(engine, runKey, "ended")).outcome).toEqual({ kind: "cancelled", reason: "closed" });
      expect(world.effects).toEqual(["authorise-trigger#1", "before-wait#1", "report-outcome#1"]);
    });

    test("cancel between two steps lets no further step begin, whatever the pipeline does about it", async () => {
      const { engine } = await boot({ "issue-to-pr": stories.stubborn });
      const intent = intentOf();
      world.around = async (moment, call) => {
        if (moment === "after" && call.name === "first") await engine.cancel(workKeyOf(intent.work), "stop");
      };
      const { runKey } = await engine.start(intent);
      expect((await untilState(engine, runKey, "ended")).outcome).toEqual({ kind: "cancelled", reason: "stop" });
      expect(world.effects).toEqual(["authorise-trigger#1", "first#1", "report-outcome#1"]);
    });

    test("step that used up its attempts fails with the same typed error, now and when it is replayed", async () => {
      let killed = false;
      world.around = (moment, call) => {
        if (call.name === "flaky")
          throw new UserFacingError("the service is down", { transient: true, advice: "wait" });
        if (call.name === "after" && moment === "before" && !killed) {
          killed = true;
          first.kill();
        }
      };
      const first = await boot({ "issue-to-pr": stories.careful });
      const { runKey } = await first.engine.start(intentOf());
      await until("the first process is killed", () => killed);
      const second = await boot({ "issue-to-pr": stories.careful });
      await untilState(second.engine, runKey, "ended");
      const caught = { name: "UserFacingError", message: "the service is down", advice: "wait" };
      const after = world.calls.filter((call) => call.name === "after");
      expect(after.length).toBeGreaterThanOrEqual(2);
      for (const call of after) expect(call.input).toEqual({ caught });
      const attempts = world.calls.filter((call) => call.name === "flaky").map((call) => call.attempt);
      expect(attempts).toEqual([1, 2, 3, 4]);
    });

    test("error that is not transient fails at once, and the run ends with its message", async () => {
      world.around = (_, call) => {
        if (call.name === "first") throw new UserFacingError("There is no such branch", { advice: "Create it." });
      };
      const { engine } = await boot({ "issue-to-pr": threeSteps });
      const { runKey } = await engine.start(intentOf());
      const status = await untilState(engine, runKey, "ended");
      expect(status.outcome).toEqual({ kind: "failed", reason: "There is no such branch", detail: "Create it." });
      expect(world.calls.filter((call) => call.name === "first")).toHaveLength(1);
    });

    test("surprise is reported as one neutral line with the run's key", async () => {
      const { engine } = await boot({ "issue-to-pr": stories.broken });
      const { runKey } = await engine.start(intentOf());
      const status = await untilState(engine, runKey, "ended");
      expect(status.outcome?.reason).toContain(runKey);
      expect(JSON.stringify(world.reported)).not.toContain("secret internals");
    });

    test("start of the same intent again starts nothing: in its life, after its end, after the platform forgot it", async () => {
      const { engine } = await boot({ "issue-to-pr": threeSteps });
      const intent = intentOf();
      const [one, two] = await Promise.all([engine.start(intent), engine.start(intent)]);
      expect(two.runKey).toBe(one.runKey);
      await untilState(engine, one.runKey, "ended");
      await engine.start(intent);
      await stage.forget();
      await engine.start(intent);
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(world.effects).toEqual(paths);
    });
  });
}
