import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type GroupLimits, groupFiles, lookedAtEverything, type ReviewableFile } from "../../src/review/group-files.ts";

const file = (path: string, tokens = 10): ReviewableFile => ({ path, tokens, binary: false });
const limits: GroupLimits = { tokensPerGroup: 30, maxGroups: 2, tokensPerFile: 25, isWanted: () => true };
const grouped = (files: ReviewableFile[], more: Partial<GroupLimits> = {}) => groupFiles(files, { ...limits, ...more });

describe("groupFiles", () => {
  it("puts a small pull request into one group", () => {
    expect(grouped([file("b.ts"), file("docs/a.md"), file("a/x.ts")])).toEqual({
      groups: [{ paths: ["a/x.ts", "b.ts", "docs/a.md"], tokens: 30 }],
      leftOut: [],
    });
  });

  it.each([
    ["beside it", "src/cart/total.ts", "src/cart/total.test.ts"],
    ["in a folder of tests", "src/cart/total.ts", "test/cart/total.test.ts"],
    ["by its language's custom", "app/total.py", "tests/test_total.py"],
    ["by its class", "src/main/java/Total.java", "src/test/java/TotalTest.java"],
  ])("keeps a test with its source %s", (_, source, test) => {
    const others = ["src/a/other.ts", "src/z/other.ts"].map((path) => file(path, 20));
    const { groups } = grouped([...others, file(test, 12), file(source, 12)], { maxGroups: 9 });
    expect(groups.map(({ paths }) => paths)).toContainEqual([source, test].sort());
  });

  it("gives a test to the source in the nearest folder", () => {
    const files = ["src/a/index.ts", "src/b/index.ts", "src/b/index.test.ts"].map((path) => file(path, 14));
    expect(grouped(files).groups.map(({ paths }) => paths)).toEqual([
      ["src/a/index.ts"],
      ["src/b/index.test.ts", "src/b/index.ts"],
    ]);
  });

  it("gives a test that could belong to two sources to the first of them, whatever the order", () => {
    const files = ["a.js", "a.ts", "a.test.ts"].map((path) => file(path, 14));
    for (const list of [files, files.toReversed()])
      expect(grouped(list).groups.map(({ paths }) => paths)).toEqual([["a.js", "a.test.ts"], ["a.ts"]]);
  });

  it("keeps files of one folder together where there is room", () => {
    const paths = ["src/a/one.ts", "src/b/one.ts", "src/b/two.ts", "src/c/one.ts"];
    const files = [...paths.map((path) => file(path, 13)), file("src/a/two.ts", 20)];
    const { groups } = grouped(files, { maxGroups: 9, tokensPerGroup: 34 });
    expect(groups.map((group) => group.paths)).toEqual([
      ["src/a/one.ts", "src/a/two.ts"],
      ["src/b/one.ts", "src/b/two.ts"],
      ["src/c/one.ts"],
    ]);
  });

  it("chooses the group whose files are nearest", () => {
    const { groups } = grouped([file("src/a/one.ts", 20), file("src/b/one.ts", 20), file("src/b/notes.md", 10)]);
    expect(groups.map((group) => group.paths)).toEqual([["src/a/one.ts"], ["src/b/notes.md", "src/b/one.ts"]]);
  });

  it("says what was left out, and why", () => {
    const { groups, leftOut } = grouped(
      [
        { ...file("image.png"), binary: true },
        file("package-lock.json"),
        file("deno.lock"),
        file("dist/app.js"),
        file("vendor/lib.c"),
        file("src/huge.ts", 26),
        file("skipped/a.ts"),
        file("src/a.ts", 25),
        file("src/b.ts", 25),
        file("README.md", 6),
        file("README.fr.md", 5),
      ],
      { isWanted: (path) => !path.startsWith("skipped/") },
    );
    expect(Object.fromEntries(leftOut.map(({ path, reason }) => [path, reason]))).toEqual({
      "image.png": "binary",
      "package-lock.json": "generated",
      "deno.lock": "generated",
      "dist/app.js": "generated",
      "vendor/lib.c": "generated",
      "src/huge.ts": "too-large",
      "skipped/a.ts": "path-filter",
      "README.md": "budget",
    });
    expect(groups.flatMap(({ paths }) => paths).sort()).toEqual(["README.fr.md", "src/a.ts", "src/b.ts"]);
  });

  it("leaves prose out before code", () => {
    const { leftOut } = grouped([file("a.md", 20), file("b.json", 20), file("z.ts", 20)]);
    expect(leftOut).toEqual([{ path: "a.md", reason: "budget" }]);
  });

  it("splits a source and its tests where no group has room for both", () => {
    const { groups, leftOut } = grouped([file("a.ts", 20), file("a.test.ts", 20)]);
    expect([groups.map(({ paths }) => paths), leftOut]).toEqual([[["a.ts"], ["a.test.ts"]], []]);
  });

  it("keeps to the limits and loses no file, whatever the order", () => {
    const path = fc
      .tuple(
        fc.constantFrom("", "src/", "src/a/", "test/a/", "docs/"),
        fc.constantFrom("a", "b", "c"),
        fc.constantFrom(".ts", ".js", ".test.ts", ".md", ".lock"),
      )
      .map((parts) => parts.join(""));
    const lists = fc
      .uniqueArray(fc.record({ path, tokens: fc.nat(40), binary: fc.boolean() }), { selector: (one) => one.path })
      .chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })));
    fc.assert(
      fc.property(lists, fc.nat(4), ([list, shuffled], maxGroups) => {
        const result = grouped(list, { maxGroups });
        expect(grouped(shuffled, { maxGroups })).toEqual(result);
        expect(result.groups.length).toBeLessThanOrEqual(maxGroups);
        for (const group of result.groups) expect(group.tokens).toBeLessThanOrEqual(limits.tokensPerGroup);
        const places = [...result.groups.flatMap(({ paths }) => paths), ...result.leftOut.map((one) => one.path)];
        expect(places.sort()).toEqual(list.map((one) => one.path).sort());
      }),
      { numRuns: 200 },
    );
  });
});

describe("lookedAtEverything", () => {
  it("forgives only what the repository does not want reviewed", () => {
    expect(lookedAtEverything([])).toBe(true);
    expect(lookedAtEverything([{ path: "a", reason: "path-filter" }])).toBe(true);
    for (const reason of ["binary", "generated", "too-large", "budget"] as const)
      expect(
        lookedAtEverything([
          { path: "a", reason: "path-filter" },
          { path: "b", reason },
        ]),
      ).toBe(false);
  });
});
