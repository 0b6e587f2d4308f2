import { sql } from "drizzle-orm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { EngineEvent, StepCall } from "../../src/engine/execute-step.ts";
import type { LocalEngineOptions } from "../../src/engine/local/local-engine.ts";
import { workKeyOf } from "../../src/pipeline/intent.ts";
import { limitsOf } from "../../src/pipeline/limits.ts";
import type { Pipeline } from "../../src/pipeline/run.ts";
import { type LocalProcess, type LocalStage, passLeases } from "./local-stage.ts";
import { intentOf, pipeline, ready, type ScriptedRun, until, untilState, World } from "./scripted.ts";

/** Short pauses and few attempts, so that tests of retries take moments. */
const quickLimits: LocalEngineOptions["limits"] = {
  limitsOf: (name) => ({ ...limitsOf(name), attempts: 3, backoffSeconds: 0.05 }),
  backoffSecondsBefore: () => 0.05,
};

/** What only the local engine has: changed stories, turns and leases, drain, and kills between any two of its writes. */
export function localSuite(name: string, openStage: () => Promise<LocalStage>): void {
  describe(name, () => {
    let stage: LocalStage;
    let world: World;
    let events: EngineEvent[];
    const alive: LocalProcess[] = [];
    const boot = async (pipelines: Record<string, Pipeline>, over: Partial<LocalEngineOptions> = {}) => {
      const deploy = { pipelines, executeStep: world.executeStep, onEvent: (event: EngineEvent) => events.push(event) };
      const started = await stage.boot(deploy, over);
      alive.push(started);
      return started;
    };
    beforeEach(async () => {
      stage = await openStage();
      world = new World();
      events = [];
    });
    afterEach(async () => {
      for (const one of alive.splice(0)) await one.end();
      await stage.close();
    });

    const story = (...steps: (readonly [string, unknown?])[]) =>
      pipeline(async (run) => {
        await run.step("authorise-trigger");
        for (const [step, input] of steps) await run.step(step, input ?? {});
        return ready;
      });
    /** Tells `before` until its last step has had its effect, kills the process, and tells `after`. */
    const deployInMidRun = async (
      before: Pipeline,
      last: string,
      after: Pipeline,
      over: Partial<LocalEngineOptions> = {},
    ) => {
      let killed = false;
      world.around = (moment, call) => {
        if (killed || moment === "before" || call.path !== last) return;
        killed = true;
        first.kill();
      };
      const first = await boot({ "issue-to-pr": before });
      const { runKey } = await first.engine.start(intentOf());
      await until("the first process is killed", () => killed);
      world.effects.length = 0;
      const second = await boot({ "issue-to-pr": after }, over);
      await untilState(second.engine, runKey, "ended");
      return { steps: await second.store.runs.steps(runKey) };
    };

    describe("a story that a deploy changed", () => {
      test("replays up to a renamed step and does the rest again", async () => {
        const { steps } = await deployInMidRun(story(["a"], ["b"], ["c"]), "c#1", story(["a"], ["renamed"], ["c"]));
        expect(world.effects).toEqual(["renamed#1", "c#1", "report-outcome#1"]);
        expect(steps.map((step) => step.path)).not.toContain("b#1");
      });

      test("replays up to an inserted step and does the rest again", async () => {
        await deployInMidRun(story(["a"], ["b"], ["c"]), "c#1", story(["a"], ["inserted"], ["b"], ["c"]));
        expect(world.effects).toEqual(["inserted#1", "b#1", "c#1", "report-outcome#1"]);
      });

      test("replays up to a removed step and does the rest again", async () => {
        await deployInMidRun(story(["a"], ["b"], ["c"]), "c#1", story(["a"], ["c"]));
        expect(world.effects).toEqual(["c#1", "report-outcome#1"]);
      });

      test("does a step again whose input changed", async () => {
        await deployInMidRun(story(["a", { n: 1 }], ["b"], ["c"]), "c#1", story(["a", { n: 2 }], ["b"], ["c"]));
        expect(world.effects).toEqual(["a#1", "b#1", "c#1", "report-outcome#1"]);
      });

      test("does a step again whose recorded output no longer fits its schema", async () => {
        const fits = (step: string, output: unknown) => step !== "b" || "added" in (output as object);
        await deployInMidRun(story(["a"], ["b"], ["c"]), "c#1", story(["a"], ["b"], ["c"]), { fits });
        expect(world.effects).toEqual(["b#1", "c#1", "report-outcome#1"]);
      });

      test("keeps a decision that was taken in a part that is told again", async () => {
        const asking = (input: string) =>
          pipeline(async (run) => {
            await run.step("authorise-trigger");
            await run.step("a", { input });
            const decision = await run.waitFor("decision", 60);
            await run.step("b", { decision });
            return ready;
          });
        const intent = intentOf();
        let killed = false;
        world.around = (moment, call) => {
          if (killed || moment === "before" || call.name !== "b") return;
          killed = true;
          first.kill();
        };
        const first = await boot({ "issue-to-pr": asking("old") });
        const { runKey } = await first.engine.start(intent);
        await untilState(first.engine, runKey, "waiting-decision");
        await first.engine.signal(workKeyOf(intent.work), "decision", { kind: "approve", actor: "one" });
        await until("the first process is killed", () => killed);
        const second = await boot({ "issue-to-pr": asking("new") });
        await untilState(second.engine, runKey, "ended");
        expect(world.calls.at(-2)?.input).toEqual({ decision: { kind: "approve", actor: "one" } });
      });
    });

    test("run survives a kill before any of its requests to the database", async () => {
      const telling = pipeline(async (run) => {
        await run.step("authorise-trigger");
        const { a } = await run.parallel({ a: (b) => b.step("x"), b: (b) => b.step("x") });
        await run.step("last", a);
        return ready;
      });
      const paths = ["authorise-trigger#1", "a/x#1", "b/x#1", "last#1", "report-outcome#1"];
      const deploy = {
        pipelines: { "issue-to-pr": telling },
        executeStep: (call: StepCall) => world.executeStep(call),
      };
      let kills = 0;
      for (let dieAt = 1; ; dieAt += 1) {
        world = new World();
        // Filed by a process that only files: what is killed here is the one that executes.
        const intake = await stage.boot(deploy, { concurrency: 0, frontConcurrency: 0 });
        const { runKey } = await intake.engine.start(intentOf());
        intake.kill();
        const doomed = await stage.boot(deploy, {}, dieAt);
        const working = doomed.engine.open().then(() => doomed.engine.work());
        await Promise.race([
          working
            .catch(() => undefined)
            .then(() => until("dead or done", () => doomed.requests() >= dieAt || world.count("report-outcome#1") > 0)),
          until("dead", () => doomed.requests() >= dieAt),
        ]);
        await new Promise((resolve) => setTimeout(resolve, 20));
        const survived = doomed.requests() < dieAt;
        doomed.kill();
        const next = await stage.boot(deploy);
        await untilState(next.engine, runKey, "ended");
        const times = paths.map((path) => world.count(path));
        expect(Math.min(...times), `after a kill before request ${dieAt}`).toBeGreaterThanOrEqual(1);
        // One kill repeats at most the calls that were in flight: here two in the parallel part, else one.
        expect(times.reduce((sum, count) => sum + count) - paths.length).toBeLessThanOrEqual(2);
        expect(Math.max(...times)).toBeLessThanOrEqual(2);
        await next.end();
        if (survived) break;
        kills += 1;
      }
      expect(kills).toBeGreaterThan(20);
    }, 240_000);

    describe("turns and leases", () => {
      /** A step called `long` waits until it is let go. */
      const gate = () => {
        const waiting = new Map<string, () => void>();
        world.around = (moment, call) => {
          if (moment === "after" || call.name !== "long") return;
          return new Promise<void>((resolve, reject) => {
            waiting.set(call.runKey, resolve);
            call.signal.addEventListener("abort", () => reject(call.signal.reason));
          });
        };
        return {
          running: () => [...waiting.keys()],
          release: (runKey: string) => {
            waiting.get(runKey)?.();
            waiting.delete(runKey);
          },
        };
      };
      const long = story(["long"]);

      test("one run of a work is active; the next one waits its turn and takes it when the first ends", async () => {
        const { running, release } = gate();
        const { engine } = await boot({ "issue-to-pr": long });
        const one = await engine.start(intentOf({ issue: 5 }));
        await until("the first runs", () => running().length === 1);
        const two = await engine.start(intentOf({ issue: 5 }));
        const waiting = await untilState(engine, two.runKey, "waiting-turn");
        expect(waiting.place).toBe(1);
        expect(running()).toEqual([one.runKey]);
        // The person who asked is answered at once all the same.
        expect(world.effects.filter((path) => path === "authorise-trigger#1")).toHaveLength(2);
        release(one.runKey);
        await untilState(engine, one.runKey, "ended");
        await until("the second runs", () => running().includes(two.runKey));
        release(two.runKey);
        await untilState(engine, two.runKey, "ended");
      });

      test("authorise-trigger may move a run to another work, whose turn it then needs", async () => {
        const { running, release } = gate();
        const { engine, store } = await boot({ "issue-to-pr": long });
        const first = intentOf();
        const one = await engine.start(first);
        await until("the first runs", () => running().length === 1);
        const second = intentOf();
        const previous = world.around;
        world.around = async (moment, call) => {
          if (call.name === "authorise-trigger") await store.runs.setWorkKey(call.runKey, workKeyOf(first.work));
          return previous(moment, call);
        };
        const two = await engine.start(second);
        await untilState(engine, two.runKey, "waiting-turn");
        release(one.runKey);
        await until("the second runs", () => running().includes(two.runKey));
        expect(world.calls.at(-1)?.workKey).toBe(workKeyOf(first.work));
        release(two.runKey);
        await untilState(engine, two.runKey, "ended");
      });

      test("a repository has no more runs at once than it may; others wait by priority, then by age", async () => {
        const { running, release } = gate();
        const { engine } = await boot(
          { "issue-to-pr": long, "iterate-pr": long },
          { concurrency: 10, perRepositoryConcurrency: 2 },
        );
        const keys: Record<string, string> = {};
        const begin = async (label: string, kind: "issue-to-pr" | "iterate-pr", repositoryId = 22) => {
          keys[label] = (await engine.start(intentOf({ pipeline: kind, repositoryId }))).runKey;
        };
        await begin("one", "issue-to-pr");
        await begin("two", "issue-to-pr");
        await until("two run", () => running().length === 2);
        for (const label of ["old", "young"]) {
          await begin(label, "issue-to-pr");
          await untilState(engine, keys[label] as string, "waiting-turn");
        }
        await begin("urgent", "iterate-pr");
        await untilState(engine, keys.urgent as string, "waiting-turn");
        await begin("elsewhere", "issue-to-pr", 33);
        await until("another repository is not concerned", () => running().includes(keys.elsewhere as string));
        const places = await Promise.all(
          ["urgent", "old", "young"].map((label) => engine.status(keys[label] as string)),
        );
        expect(places.map((status) => status?.place)).toEqual([1, 2, 3]);
        const order: string[] = [];
        for (const label of ["one", "urgent", "old"]) {
          const before = new Set(running());
          release(keys[label] as string);
          await until("the next one runs", () => running().some((key) => !before.has(key)));
          const next = running().find((key) => !before.has(key));
          order.push(Object.keys(keys).find((one) => keys[one] === next) as string);
          expect(running().filter((key) => key !== keys.elsewhere)).toHaveLength(2);
        }
        expect(order).toEqual(["urgent", "old", "young"]);
        for (const key of running()) release(key);
        await untilState(engine, keys.young as string, "ended");
      });

      test("commands do not queue: they are executed while every slot, turn and lease is taken", async () => {
        const { running, release } = gate();
        const command = pipeline(async (run) => {
          await run.step("answer");
          return { kind: "answered", reason: "ok" };
        });
        const { engine } = await boot(
          { "issue-to-pr": long, "answer-command": command },
          { concurrency: 1, perRepositoryConcurrency: 1 },
        );
        const one = await engine.start(intentOf({ issue: 9 }));
        await until("the slot is taken", () => running().length === 1);
        const answered = await engine.start(intentOf({ issue: 9, pipeline: "answer-command" }));
        await untilState(engine, answered.runKey, "ended");
        expect(running()).toEqual([one.runKey]);
        release(one.runKey);
        await untilState(engine, one.runKey, "ended");
      });

      test("cancel of a run that waits its turn ends it without waiting", async () => {
        const { running, release } = gate();
        const { engine } = await boot({ "issue-to-pr": long }, { concurrency: 1, perRepositoryConcurrency: 1 });
        const one = await engine.start(intentOf());
        await until("the slot is taken", () => running().length === 1);
        const intent = intentOf();
        const two = await engine.start(intent);
        await untilState(engine, two.runKey, "waiting-turn");
        expect(await engine.cancel(workKeyOf(intent.work), "closed")).toBe(true);
        const status = await untilState(engine, two.runKey, "ended");
        expect(status.outcome).toEqual({ kind: "cancelled", reason: "closed" });
        expect(running()).toEqual([one.runKey]);
        release(one.runKey);
        await untilState(engine, one.runKey, "ended");
      });

      test("waitFor costs no slot and no lease, but keeps the turn", async () => {
        const { running, release } = gate();
        const asking = pipeline(async (run) => {
          await run.step("authorise-trigger");
          await run.step("ask");
          await run.waitFor("decision", 60);
          await run.step("go-on");
          return ready;
        });
        const { engine } = await boot(
          { "issue-to-pr": asking, "iterate-pr": long },
          { concurrency: 2, perRepositoryConcurrency: 1 },
        );
        const intent = intentOf({ issue: 70 });
        const asked = await engine.start(intent);
        await untilState(engine, asked.runKey, "waiting-decision");
        for (let more = 0; more < 2; more += 1) {
          await untilState(engine, (await engine.start(intentOf())).runKey, "waiting-decision");
        }
        const sameWork = await engine.start(intentOf({ issue: 70, pipeline: "iterate-pr" }));
        await untilState(engine, sameWork.runKey, "waiting-turn");
        const other = await engine.start(intentOf({ pipeline: "iterate-pr" }));
        await until("another work runs meanwhile", () => running().includes(other.runKey));
        await engine.signal(workKeyOf(intent.work), "decision", { kind: "approve", actor: "m" });
        await untilState(engine, asked.runKey, "waiting-turn");
        expect(world.effects).not.toContain("go-on#1");
        release(other.runKey);
        await untilState(engine, asked.runKey, "ended");
        await until("the work's next run runs", () => running().includes(sameWork.runKey));
        release(sameWork.runKey);
        await untilState(engine, sameWork.runKey, "ended");
      });

      test("heldLease is false from the moment that the lease has expired, and its holder stops", async () => {
        let held: boolean[] = [];
        let frozen = false;
        world.around = async (moment, call) => {
          if (frozen || moment === "after" || call.name !== "first") return;
          frozen = true;
          held = [await call.heldLease()];
          await passLeases(stage.database.db);
          held.push(await call.heldLease());
          await until("the worker notices", () => call.signal.aborted);
          throw call.signal.reason;
        };
        const { engine } = await boot({ "issue-to-pr": story(["first"]) }, { leaseSeconds: 1 });
        const { runKey } = await engine.start(intentOf());
        await untilState(engine, runKey, "ended");
        expect(held).toEqual([true, false]);
        expect(world.count("first#1")).toBe(1);
        expect(world.calls.filter((call) => call.name === "first").map((call) => call.attempt)).toEqual([1, 2]);
      });

      test("cancelRepository and cancelInstallation stop every run of theirs and no other", async () => {
        const { running, release } = gate();
        const { engine } = await boot({ "issue-to-pr": long }, { concurrency: 5, perRepositoryConcurrency: 5 });
        const mine = await engine.start(intentOf({ repositoryId: 41 }));
        const other = await engine.start(intentOf({ repositoryId: 42 }));
        await until("both run", () => running().length === 2);
        await engine.cancelRepository(41, "the repository was removed");
        expect((await untilState(engine, mine.runKey, "ended")).outcome?.kind).toBe("cancelled");
        expect((await engine.status(other.runKey))?.state).toBe("running");
        await engine.cancelInstallation(11, "uninstalled");
        expect((await untilState(engine, other.runKey, "ended")).outcome?.reason).toBe("uninstalled");
        release(other.runKey);
      });
    });

    describe("attempts", () => {
      test("an attempt that ended with the process counts", async () => {
        const { engine, store } = await boot({ "issue-to-pr": story(["deadly"]) }, { concurrency: 0 });
        const { runKey } = await engine.start(intentOf());
        await untilState(engine, runKey, "waiting-turn");
        alive.pop();
        // What a process leaves that dies in the same step each time.
        await store.database.db.execute(sql`
          INSERT INTO steps (run_key, path, name, attempt, status, input_hash)
          SELECT run_key, 'deadly#1', 'deadly', 3, 'running', '44136fa355b3678a1146ad16f7e8649e' FROM runs`);
        await engine.drain(1);
        const next = await boot({ "issue-to-pr": story(["deadly"]) }, { limits: quickLimits });
        const status = await untilState(next.engine, runKey, "ended");
        expect(status.outcome?.kind).toBe("failed");
        expect(world.effects).toEqual(["authorise-trigger#1", "report-outcome#1"]);
        const steps = await next.store.runs.steps(runKey);
        expect(steps.find((step) => step.name === "deadly")?.error?.message).toContain("interrupted 3 times");
      });

      test("an error with retryAfterSeconds does not use up an attempt, and pauses grow also when it says 0", async () => {
        const triedAt: number[] = [];
        world.around = (moment, call) => {
          if (moment === "after" || call.name !== "model") return;
          triedAt.push(performance.now());
          if (triedAt.length <= 3) throw Object.assign(new Error("overloaded"), { retryAfterSeconds: 0 });
        };
        const { engine } = await boot({ "issue-to-pr": story(["model"]) }, { limits: quickLimits });
        const { runKey } = await engine.start(intentOf());
        const status = await untilState(engine, runKey, "ended");
        expect(status.outcome).toEqual(ready);
        const attempts = world.calls.filter((call) => call.name === "model").map((call) => call.attempt);
        expect(attempts).toEqual([1, 1, 1, 1]);
        const pauses = triedAt.slice(1).map((at, index) => at - triedAt[index]!);
        expect(pauses.map((ms, index) => ms > [900, 900, 1_800][index]!)).toEqual([true, true, true]);
      });

      test("transient trouble that lasts longer than half an hour fails in words for people", async () => {
        let tries = 0;
        world.around = async (moment, call) => {
          if (moment === "after" || call.name !== "model") return;
          tries += 1;
          if (tries > 1) {
            await stage.database.db.execute(sql`UPDATE steps SET transient_since = now() - interval '31 minutes'`);
          }
          const forPeople = { reason: "The model is overloaded.", advice: "Next: later." };
          throw Object.assign(new Error("overloaded"), { retryAfterSeconds: 2.2, forPeople });
        };
        const { engine } = await boot({ "issue-to-pr": story(["model"]) }, { limits: quickLimits });
        const { runKey } = await engine.start(intentOf());
        const status = await untilState(engine, runKey, "ended");
        expect(status.outcome).toEqual({
          kind: "failed",
          reason: "The model is overloaded.",
          detail: "It was tried again, with pauses, for 30 minutes.\n\nNext: later.",
        });
        expect(tries).toBeLessThanOrEqual(3);
      });

      test("a permanent error fails at once in words for people", async () => {
        let tries = 0;
        world.around = (moment, call) => {
          if (moment === "after" || call.name !== "model") return;
          tries += 1;
          const forPeople = { reason: "The model is not known.", advice: "Next: look at its name." };
          throw Object.assign(new Error("404 organisation-17"), { permanent: true, forPeople });
        };
        const { engine } = await boot({ "issue-to-pr": story(["model"]) }, { limits: quickLimits });
        const { runKey } = await engine.start(intentOf());
        const status = await untilState(engine, runKey, "ended");
        expect(status.outcome).toEqual({
          kind: "failed",
          reason: "The model is not known.",
          detail: "Next: look at its name.",
        });
        expect(tries).toBe(1);
      });

      test("a long pause frees the slot for others", async () => {
        let tries = 0;
        world.around = (moment, call) => {
          if (moment === "after" || call.name !== "model") return;
          tries += 1;
          if (tries === 1) throw Object.assign(new Error("overloaded"), { retryAfterSeconds: 3 });
        };
        const { engine } = await boot(
          { "issue-to-pr": story(["model"]), "iterate-pr": story(["quick"]) },
          { concurrency: 1, perRepositoryConcurrency: 1 },
        );
        const paused = await engine.start(intentOf());
        await until("the first try failed", () => tries === 1);
        const other = await engine.start(intentOf({ pipeline: "iterate-pr" }));
        await untilState(engine, other.runKey, "ended");
        expect((await engine.status(paused.runKey))?.state).toBe("running");
        expect((await untilState(engine, paused.runKey, "ended")).outcome).toEqual(ready);
      });

      test("a step that takes longer than its limit is aborted and tried again", async () => {
        world.around = (moment, call) => {
          if (moment === "after" || call.name !== "slow" || call.attempt > 1) return;
          return new Promise((_, reject) => call.signal.addEventListener("abort", () => reject(call.signal.reason)));
        };
        const limits = {
          ...quickLimits,
          limitsOf: (step: string) => ({ ...limitsOf(step), minutes: step === "slow" ? 0.005 : 1, attempts: 2 }),
          backoffSecondsBefore: () => 0,
        };
        const { engine } = await boot({ "issue-to-pr": story(["slow"]) }, { limits });
        const { runKey } = await engine.start(intentOf());
        expect((await untilState(engine, runKey, "ended")).outcome).toEqual(ready);
        const retried = events.find((event) => event.kind === "step-finished" && event.status === "retrying");
        expect(retried).toMatchObject({ name: "slow", error: { name: "StepTimedOut" } });
      });

      test("what is larger than 32 KB does not travel between steps", async () => {
        const large = pipeline(async (run: ScriptedRun) => {
          await run.step("authorise-trigger");
          const said = await run.step("first", { text: "x".repeat(33_000) }).catch((error: Error) => error.message);
          const answered = await run.step("large").catch((error: Error) => error.message);
          await run.step("note", { said, answered });
          return ready;
        });
        world.answer = (call) => (call.name === "large" ? { text: "y".repeat(33_000) } : {});
        const { engine } = await boot({ "issue-to-pr": large });
        const { runKey } = await engine.start(intentOf());
        await untilState(engine, runKey, "ended");
        expect(world.calls.find((call) => call.name === "note")?.input).toEqual({
          said: expect.stringMatching(/input of first has 330\d\d bytes of JSON; at most 32768/),
          answered: expect.stringMatching(/output of large has 330\d\d bytes of JSON; at most 32768/),
        });
        expect(world.count("large#1")).toBe(1);
      });

      test("a report that fails for good ends the run all the same", async () => {
        world.around = (_, call) => {
          if (call.name === "report-outcome") throw new Error("GitHub is down");
        };
        const { engine } = await boot({ "issue-to-pr": story(["a"]) }, { limits: quickLimits });
        const { runKey } = await engine.start(intentOf());
        expect((await untilState(engine, runKey, "ended")).outcome).toEqual(ready);
        expect(world.calls.filter((call) => call.name === "report-outcome")).toHaveLength(3);
      });

      test("a run whose job fails again and again is given up and reported", async () => {
        await stage.database.db.execute(sql`
          CREATE OR REPLACE FUNCTION refuse() RETURNS trigger AS $$ BEGIN
            IF NEW.name = 'cursed' THEN RAISE EXCEPTION 'this row cannot be written'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql`);
        await stage.database.db.execute(
          sql`CREATE TRIGGER refuse BEFORE INSERT ON steps FOR EACH ROW EXECUTE FUNCTION refuse()`,
        );
        try {
          const { engine } = await boot({ "issue-to-pr": story(["cursed"]) }, { jobRetries: 1 });
          const { runKey } = await engine.start(intentOf());
          const status = await untilState(engine, runKey, "ended");
          expect(status.outcome).toMatchObject({ kind: "failed", reason: expect.stringContaining("given up") });
          expect(world.reported).toHaveLength(1);
        } finally {
          await stage.database.db.execute(sql`DROP TRIGGER refuse ON steps`);
        }
      });
    });

    describe("drain", () => {
      test("ends in time, counts no attempt, and the next process goes on", async () => {
        world.around = (moment, call) => {
          if (moment === "after" || call.name !== "long" || world.calls.filter((one) => one.name === "long").length > 1)
            return;
          return new Promise((_, reject) => call.signal.addEventListener("abort", () => reject(call.signal.reason)));
        };
        const first = await boot({ "issue-to-pr": story(["long"]) });
        const { runKey } = await first.engine.start(intentOf());
        await until("the step runs", () => world.calls.some((call) => call.name === "long"));
        const queued = await first.engine.start(intentOf());
        const begun = Date.now();
        await first.engine.drain(10);
        expect(Date.now() - begun).toBeLessThan(3_000);
        const second = await boot({ "issue-to-pr": story(["long"]) });
        await untilState(second.engine, runKey, "ended");
        await untilState(second.engine, queued.runKey, "ended");
        const attempts = world.calls.filter((call) => call.runKey === runKey && call.name === "long");
        expect(attempts.map((call) => call.attempt)).toEqual([1, 1]);
        expect(world.reported).toEqual([ready, ready]);
      });

      test("does not wait for a step that ignores its signal", async () => {
        let calls = 0;
        world.around = (moment, call) => {
          if (moment === "after" || call.name !== "deaf") return;
          calls += 1;
          if (calls === 1) return new Promise(() => undefined);
        };
        const first = await boot({ "issue-to-pr": story(["deaf"]) });
        const { runKey } = await first.engine.start(intentOf());
        await until("the step runs", () => calls === 1);
        const begun = Date.now();
        await first.engine.drain(10);
        expect(Date.now() - begun).toBeLessThan(10_000);
        const second = await boot({ "issue-to-pr": story(["deaf"]) });
        await untilState(second.engine, runKey, "ended");
        expect(world.calls.filter((call) => call.name === "deaf").map((call) => call.attempt)).toEqual([1, 1]);
      });
    });

    test("start files the same intent once, however often and together with others it comes", async () => {
      const { engine, store } = await boot({ "issue-to-pr": story(["a"]) });
      const text = { title: "A title \u0000 with everything", body: "\ud800 and more" };
      const same = intentOf({ text });
      const started = await Promise.all(
        Array.from({ length: 50 }, () => [engine.start(same), engine.start(intentOf())]).flat(),
      );
      const repeated = await Promise.all(started.map((one) => one.repeated));
      expect(repeated.filter((one, index) => index % 2 === 0 && one === false)).toHaveLength(1);
      await engine.idle();
      const run = await store.runs.get(started[0]?.runKey as string);
      expect(JSON.parse((await store.blobs.text(run?.intent.textBlob as string)) as string)).toEqual({
        ...text,
        body: "\ud800 and more",
      });
      expect(world.reported).toHaveLength(51);
    });

    test("start rejects when the database does not answer", async () => {
      const process = await boot({ "issue-to-pr": story(["a"]) });
      process.kill();
      await expect(process.engine.start(intentOf())).rejects.toThrow();
    });

    test("status of an unknown run is undefined, and nothing can be signalled or cancelled without a run", async () => {
      const { engine } = await boot({ "issue-to-pr": story(["a"]) });
      expect(await engine.status("0000")).toBeUndefined();
      expect(await engine.signal("0000", "decision", { kind: "approve", actor: "m" })).toBe(false);
      expect(await engine.cancel("0000", "nothing")).toBe(false);
    });

    test("run of a pipeline that a deploy removed ends as failed", async () => {
      const { engine } = await boot({ "iterate-pr": story(["a"]) });
      const { runKey } = await engine.start(intentOf());
      expect((await untilState(engine, runKey, "ended")).outcome?.kind).toBe("failed");
    });
  });
}
