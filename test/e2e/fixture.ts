import { test as base } from "vitest";
import { type Scenario, simpleWork, startScenario } from "../support/scenario.ts";

export type StartOptions = Parameters<typeof startScenario>[0];

interface Fixtures {
  /** Starts GitHub, the model and the App; the model does the same simple work unless `model` is given. */
  start(options?: StartOptions): Promise<Scenario>;
  /** The same with the model of the sample's transcript. */
  startScripted(options?: StartOptions): Promise<Scenario>;
}

/** Vitest's `test` with a scenario that the test starts and that ends with it, whatever became of the test. */
export const test = base.extend<Fixtures>({
  start: async ({ startScripted }, use) => {
    await use((options) => startScripted({ model: simpleWork, ...options }));
  },
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the names of the fixtures that are needed from this pattern
  startScripted: async ({}, use) => {
    const started: Scenario[] = [];
    await use(async (options = {}) => {
      const scenario = await startScenario(options);
      started.push(scenario);
      return scenario;
    });
    for (const scenario of started) await scenario.close();
  },
});
