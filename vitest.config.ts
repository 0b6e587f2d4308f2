import { defineConfig } from "vitest/config";
import { without } from "./test/mechanisms/without.ts";

const fixtures = "test/fixtures/**";
const integration = "test/**/*.integration.test.ts";
/** Tests that measure time or load the whole machine (limits of a sandbox, killed processes). */
const alone = ["test/sandbox", "test/engine", "test/chaos"].map((folder) => `${folder}/**/*.integration.test.ts`);
/** `npm run mechanisms` takes one mechanism out of the source: then a test has to fail. */
const plugins = process.env["WITHOUT"] === undefined ? [] : [without(process.env["WITHOUT"])];
const patient = { testTimeout: 120_000, hookTimeout: 120_000 };

// Unit tests need nothing but Node. Integration tests start real git, databases, sandboxes and HTTP servers: two files at
// a time, and those that measure time one after another, so that none takes the processors that another counts on.
export default defineConfig({
  test: {
    projects: [
      {
        plugins,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: [integration, fixtures],
          maxWorkers: 2,
          // A slow machine is no defect; what has to be fast says so in its own words.
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        plugins,
        test: {
          name: "integration",
          include: [integration],
          exclude: [...alone, fixtures],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          ...patient,
        },
      },
      {
        plugins,
        test: {
          name: "integration-alone",
          include: alone,
          exclude: [fixtures],
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
          ...patient,
        },
      },
    ],
  },
});
