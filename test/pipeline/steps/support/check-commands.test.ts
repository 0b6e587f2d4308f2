import { describe, expect, test } from "vitest";
import { ledgerName, resultIdOf, resultsOf } from "../../../../src/pipeline/steps/support/check-commands.ts";

describe("ledgerName", () => {
  test("ledgerName tells checks of one name apart by kind and App", () => {
    const names = (["job", "check", "status"] as const).flatMap((kind) =>
      ["one", "two"].map((appSlug) => ledgerName({ kind, appSlug, name: "test: unit" })),
    );
    expect(new Set(names).size).toBe(6);
    // PostgreSQL keeps no such character.
    expect(ledgerName({ kind: "job", appSlug: "a", name: "x\0y" })).toBe("job:a:xy");
  });
});

describe("resultsOf", () => {
  const on = { repositoryId: 1, sha: "a" };
  const attempt = (conclusion: string, completedAt: string) => ({ id: 7, conclusion, completedAt, group: "suite:1" });
  const history = (...attempts: ReturnType<typeof attempt>[]) => ({ state: "none" as const, flaky: false, attempts });

  test("resultsOf keeps two endings of a check run that was asked for again, under the names that read-failure gives", () => {
    const checkName = "check:linter:style: strict";
    const failed = attempt("failure", "2026-11-20T10:00:00Z");
    const rows = resultsOf({ ...on, checkName }, history(failed, attempt("success", "2026-11-20T11:00:00Z")));
    expect(rows.map(({ passed }) => passed)).toEqual([false, true]);
    expect(new Set(rows.map(({ resultId }) => resultId)).size).toBe(2);
    expect(rows[0]).toMatchObject({ ...on, checkName, resultId: resultIdOf({ kind: "check", ...failed }) });
  });

  test("resultsOf names a job's ending by its id alone, and leaves out what came to no end", () => {
    const cancelled = attempt("cancelled", "2026-11-20T10:00:00Z");
    const rows = resultsOf(
      { ...on, checkName: "job:github-actions:test" },
      history(cancelled, attempt("failure", "2026-11-20T10:00:00Z")),
    );
    expect(rows.map(({ resultId }) => resultId)).toEqual(["7"]);
  });
});
