import { z } from "zod";
import type { ParsedTests } from "../check-report.ts";
import { TestCollector } from "./test-collector.ts";

// https://jestjs.io/docs/configuration#testresultsprocessor-string: vitest's json reporter writes the same shape.
const JestJson = z.object({
  testResults: z.array(
    z.object({
      name: z.string().optional(),
      status: z.string().optional(),
      message: z.string().nullish(),
      assertionResults: z
        .array(
          z.object({
            ancestorTitles: z.array(z.string()).default([]),
            title: z.string().default("?"),
            status: z.string(),
            duration: z.number().nullish(),
            failureMessages: z.array(z.string()).nullish(),
          }),
        )
        .default([]),
    }),
  ),
});

/** Reads the json report of jest and vitest. A test file that could not be run counts as one failed test. */
export function parseJestJson(text: string): ParsedTests | undefined {
  const parsed = JestJson.safeParse(readJson(text));
  if (!parsed.success) return undefined;
  const collector = new TestCollector();
  for (const file of parsed.data.testResults) {
    for (const test of file.assertionResults) {
      collector.add({
        name: test.title,
        suite: test.ancestorTitles.join(" > "),
        file: file.name,
        status: test.status === "passed" ? "passed" : test.status === "failed" ? "failed" : "skipped",
        durationSeconds: typeof test.duration === "number" ? test.duration / 1000 : undefined,
        message: test.failureMessages?.join("\n"),
      });
    }
    const anyFailed = file.assertionResults.some((test) => test.status === "failed");
    if (file.status === "failed" && !anyFailed) {
      collector.add({ name: "(test file)", file: file.name, status: "failed", message: file.message ?? "" });
    }
  }
  return collector.done("jest-json");
}

const RspecJson = z.object({
  examples: z.array(
    z.object({
      description: z.string().default("?"),
      full_description: z.string().optional(),
      status: z.string(),
      file_path: z.string().optional(),
      run_time: z.number().nullish(),
      exception: z.object({ message: z.string().optional() }).nullish(),
      pending_message: z.string().nullish(),
    }),
  ),
  summary: z.object({ errors_outside_of_examples_count: z.number().optional() }).optional(),
});

/** Reads `rspec --format json`. Errors outside of examples count as failed tests. */
export function parseRspecJson(text: string): ParsedTests | undefined {
  const parsed = RspecJson.safeParse(readJson(text));
  if (!parsed.success) return undefined;
  const collector = new TestCollector();
  for (const example of parsed.data.examples) {
    collector.add({
      name: example.full_description ?? example.description,
      file: example.file_path,
      status: example.status === "passed" ? "passed" : example.status === "pending" ? "skipped" : "failed",
      durationSeconds: example.run_time ?? undefined,
      message: example.exception?.message ?? example.pending_message ?? undefined,
    });
  }
  const outside = Math.min(parsed.data.summary?.errors_outside_of_examples_count ?? 0, 1000);
  for (let index = 0; index < outside; index++)
    collector.add({ name: "(error outside of examples)", status: "failed" });
  return collector.done("rspec-json");
}

function readJson(text: string): unknown {
  // Runners print notices before or after the document.
  const start = text.indexOf("{");
  const end = text.lastIndexOf("}");
  if (start === -1 || end < start) return undefined;
  try {
    return JSON.parse(text.slice(start, end + 1));
  } catch {
    return undefined;
  }
}
