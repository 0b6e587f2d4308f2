import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { without } from "./test/mechanisms/without.ts";

const fixtures = "test/fixtures/**";
const integration = "test/**/*.integration.test.ts";
/** Tests that measure time (limits of a sandbox). */
const alone = ["test/sandbox/**/*.integration.test.ts"];
/** Tests that load the whole machine (killed processes, attacks): their limits are wide enough for several at once. */
const heavy = [
  ...["test/engine", "test/chaos", "test/deploy"].map((folder) => `${folder}/**/*.integration.test.ts`),
  // What it needs is built while the others run (.ci/run).
  "test/run/temporal.integration.test.ts",
];
/** `npm run mechanisms` takes one mechanism out of the source: then a test has to fail. */
const plugins = process.env["WITHOUT"] === undefined ? [] : [without(process.env["WITHOUT"])];
/** Vitest begins with large files; these are small and take longest, and must not be the last that one waits for. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => moduleId.includes("/test/chaos/");
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}
const patient = { testTimeout: 120_000, hookTimeout: 120_000 };

// Unit tests need nothing but Node. Integration tests start real git, databases, sandboxes and HTTP servers, and wait for them
// half of the time: four files at once on two cores; heavy ones, which wait for longer, keep company with one another alone, and
// those that measure time with none.
export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
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
          exclude: [...alone, ...heavy, fixtures],
          maxWorkers: 4,
          sequence: { groupOrder: 1 },
          ...patient,
        },
      },
      {
        plugins,
        test: {
          name: "integration-heavy",
          include: heavy,
          exclude: [fixtures],
          maxWorkers: 5,
          sequence: { groupOrder: 2 },
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
          sequence: { groupOrder: 3 },
          ...patient,
        },
      },
    ],
  },
});
