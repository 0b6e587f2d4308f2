import { expect, test } from "vitest";
import { pathFilter } from "../../src/policy/path-filter.ts";

test("pathFilter wants everything where no glob lets anything in", () => {
  expect(pathFilter([])("src/a.ts")).toBe(true);
  const wanted = pathFilter(["!docs/", "!*.md"]);
  expect(["src/a.ts", "docs/a.ts", "docs/deep/a.ts", "README.md", "src/x.md"].map(wanted)).toEqual([
    true,
    false,
    false,
    false,
    false,
  ]);
});

test("pathFilter lets in what a glob names, and the last glob that matches decides", () => {
  const wanted = pathFilter(["src/**", "!src/generated/", "src/generated/keep.ts", ".github/"]);
  expect(
    ["src/a.ts", "src/generated/a.ts", "src/generated/keep.ts", "test/a.ts", ".github/workflows/ci.yml"].map(wanted),
  ).toEqual([true, false, true, false, true]);
});
