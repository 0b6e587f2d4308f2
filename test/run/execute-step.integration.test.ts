import pino from "pino";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import type { GitHubApp } from "../../src/github/client.ts";
import type { Deps } from "../../src/pipeline/deps.ts";
import { defineStep, LeaseLost, type Step } from "../../src/pipeline/step.ts";
import { createExecuteStep, type EffectFault } from "../../src/run/execute-step.ts";
import { openStore } from "../../src/store/open-store.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { intentOf } from "../engine/scripted.ts";
import type { RepositoryView } from "../support/local-github/index.ts";
import { labelsOf, type Scenario, simpleWork, startScenario, statusesOf } from "../support/scenario.ts";
import { credential, makeWorld, own, person, type World } from "../workspace/world.ts";

const log = pino({ level: "silent" });
let scenario: Scenario | undefined;
let world: World | undefined;
afterEach(async () => {
  await scenario?.close();
  await world?.end();
  scenario = undefined;
  world = undefined;
});

test("push outside of an effect throws, and nothing reaches the server", async () => {
  world = await makeWorld();
  const job = await world.openMain();
  const sha = await job.squash(job.baseSha, "a change", person, person);
  const before = world.server.requests.length;
  await expect(job.push("millwright/x", sha, undefined, credential)).rejects.toThrow("git push outside ctx.effect");
  expect(world.server.requests.slice(before)).toEqual([]);
  expect(await world.workspaces.fetch(own, ["main"], credential, world.signal)).not.toHaveProperty("millwright/x");
  // The same push inside of one arrives: the refusal was not for another reason.
  expect(await world.push(job, "millwright/x", sha)).toEqual({ kind: "pushed" });
});

describe("a worker that lost its lease (security.md M9)", () => {
  test("has no effect any more, not even in the step that it is in", async () => {
    const store = await openStore({ dataDirectory: "memory", log });
    try {
      const writes: string[] = [];
      const step = defineStep({
        name: "write",
        input: z.object({}),
        output: z.object({}),
        async run(_input, _deps, ctx) {
          await ctx.effect("first", async () => void writes.push("first"));
          held = false;
          await ctx.effect("second", async () => void writes.push("second"));
          return {};
        },
      });
      let held = true;
      const execute = createExecuteStep({
        deps: { store } as unknown as Deps,
        steps: { write: step as unknown as Step<never, unknown> },
        github: {} as GitHubApp,
        status: {
          touch: () => undefined,
          settle: async () => undefined,
          flush: async () => undefined,
          close: async () => undefined,
        },
        metrics: createMetrics(),
        log,
      });
      const { text: _, ...intent } = intentOf();
      const call = {
        intent,
        runKey: "0123456789abcdef0123",
        workKey: "0123456789abcdef0123",
        path: "write#1",
        name: "write",
        input: {},
        attempt: 1,
        deadline: new Date(Date.now() + 60_000),
        signal: new AbortController().signal,
        heldLease: async () => held,
      };
      await expect(execute(call)).rejects.toBeInstanceOf(LeaseLost);
      expect(writes).toEqual(["first"]);
      expect(await store.audit.ofRun(call.runKey)).toMatchObject([{ effect: "first", result: "ok" }]);
    } finally {
      await store.close();
    }
  });
});

/** Of each step that writes, one effect: more failures of one step would use its attempts up. */
const effects = ["acknowledge", "push", "open-pull-request", "final-status"] as const;
type Effect = (typeof effects)[number];

/** How often the effect shows on GitHub. */
async function shown(repository: RepositoryView, issue: number, effect: Effect): Promise<number> {
  switch (effect) {
    case "acknowledge":
      return repository.issue(issue).reactions.filter(({ content }) => content === "eyes").length;
    case "push":
      return Object.keys(await repository.branches()).filter((name) => name.startsWith("millwright/")).length;
    case "open-pull-request":
      return repository.pulls.length;
    case "final-status":
      return repository
        .issue(issue)
        .comments.filter(({ body }) => body.includes("Push and open") && !/⬜|🔄/u.test(body)).length;
  }
}

describe("effect", { timeout: 300_000 }, () => {
  test.each([
    ["before", 0],
    ["after", 1],
  ] as const)("that fails right %s its write shows %i times by then, and once in the end", async (when, expected) => {
    const seen: Record<string, number> = {};
    let issue = 0;
    const effectFault: EffectFault = async (effect) => {
      const name = effects.find((one) => one === effect.name);
      if (effect.when !== when || name === undefined || name in seen) return;
      seen[name] = await shown(scenario!.repository, issue, name);
      throw new Error(`a fault ${when} ${name}`);
    };
    scenario = await startScenario({ model: simpleWork, effectFault });
    issue = scenario.openIssue();
    scenario.github.as("maintainer").label(scenario.name, issue, "agent:builder");
    const run = await scenario.ended(issue);

    expect(seen).toEqual(Object.fromEntries(effects.map((name) => [name, expected])));
    expect(run.outcome?.kind).toBe("ready");
    for (const name of effects) expect([name, await shown(scenario.repository, issue, name)]).toEqual([name, 1]);
    expect(statusesOf(scenario, issue)).toHaveLength(1);
    expect(labelsOf(scenario, issue)).toEqual(["agent:done"]);
    // The audit log names what was written to the end, once.
    const audit = await scenario.app.worker.store.audit.ofRun(run.runKey);
    for (const name of effects) expect(audit.filter(({ effect }) => effect === name)).toMatchObject([{ result: "ok" }]);
  });
});
