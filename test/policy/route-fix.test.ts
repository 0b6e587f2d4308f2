import { describe, expect, test } from "vitest";
import {
  type FixRules,
  type KnownFailure,
  type WrittenFix,
  whyEscalate,
  whyOffer,
} from "../../src/policy/route-fix.ts";

const known: KnownFailure = {
  category: "test",
  confidence: 90,
  fixable: true,
  evidenceHolds: true,
  attempts: 0,
  attemptsPerHead: 2,
};
const written: WrittenFix = {
  verified: true,
  guard: "pass",
  fork: false,
  onDefaultBranch: false,
  ciWaits: false,
  paths: ["src/a.ts"],
};
const rules: FixRules = {
  apply: "verified",
  categories: ["test", "lint"],
  minConfidence: 70,
  paths: { allow: ["**"], deny: [] },
};

describe("whyEscalate", () => {
  test("whyEscalate lets a fix be tried where nothing speaks against it", () => {
    expect(whyEscalate(known)).toBeUndefined();
    expect(whyEscalate({ ...known, attempts: 1, confidence: 30 })).toBeUndefined();
  });

  test.each<[string, Partial<KnownFailure>, string]>([
    ["the attempts at this head are used up", { attempts: 2 }, "worked on 2 times on this head"],
    ["no file can mend it", { fixable: false }, "No change of this repository's files"],
    ["the network failed", { category: "infrastructure" }, "`infrastructure`"],
    ["a deployment failed", { category: "deployment" }, "`deployment`"],
    ["it is flaky", { category: "flaky" }, "`flaky`"],
    ["time ran out", { category: "timeout" }, "`timeout`"],
    ["the cause is a guess", { confidence: 29 }, "confidence 29 of 100"],
  ])("whyEscalate asks a person where %s", (_why, change, said) => {
    expect(whyEscalate({ ...known, ...change })).toContain(said);
  });
});

describe("whyOffer", () => {
  test("whyOffer lets a verified fix within the rules be pushed", () => {
    expect(whyOffer(known, written, rules)).toBeUndefined();
    expect(whyOffer({ ...known, confidence: 70 }, written, rules)).toBeUndefined();
  });

  test.each<[string, Partial<WrittenFix>, Partial<KnownFailure>, Partial<FixRules>, string]>([
    ["is not verified", { verified: false, whyUnverified: "It was never red." }, {}, {}, "It was never red."],
    ["is for a fork", { fork: true }, {}, {}, "fork"],
    ["is for the default branch", { onDefaultBranch: true }, {}, {}, "default branch"],
    ["needs consent", {}, {}, { apply: "ask" }, "`fix.apply: ask`"],
    ["would reach CI with secrets", { ciWaits: true }, {}, {}, "`publish.ci`"],
    ["rests on quotes that are not there", {}, { evidenceHolds: false }, {}, "what the log does not say"],
    ["is of another kind", {}, { category: "types" }, {}, "`types`"],
    ["is less sure", {}, { confidence: 69 }, {}, "(69)"],
    [
      "leaves what is allowed",
      { paths: ["src/a.ts", "docs/b.md"] },
      {},
      { paths: { allow: ["src/**"], deny: [] } },
      "`docs/b.md`",
    ],
    [
      "touches what is denied, also in a hidden folder",
      { paths: ["src/.secret/b.ts"] },
      {},
      { paths: { allow: ["**"], deny: ["**/.secret/**"] } },
      "`src/.secret/b.ts`",
    ],
    ["is doubted by the guard", { guard: "draft" }, {}, {}, "guard"],
  ])("whyOffer offers what %s", (_what, fix, failure, rule, said) => {
    expect(whyOffer({ ...known, ...failure }, { ...written, ...fix }, { ...rules, ...rule })).toContain(said);
  });

  test("whyOffer says the path that a model chose without letting it end the code span", () => {
    const paths = ["a` @everyone\n\n# fixes `b"];
    const said = whyOffer(known, { ...written, paths }, { ...rules, paths: { allow: ["src/**"], deny: [] } }) ?? "";
    expect(said.match(/`[^`\n]*`/g)?.[0]).toContain("@everyone");
    expect(said).not.toContain("\n");
  });
});
