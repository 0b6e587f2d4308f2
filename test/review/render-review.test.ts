import fc from "fast-check";
import { fromMarkdown } from "mdast-util-from-markdown";
import { gfmFromMarkdown } from "mdast-util-gfm";
import { gfm } from "micromark-extension-gfm";
import { describe, expect, it } from "vitest";
import { findingMarker } from "../../src/policy/markers.ts";
import { fingerprintsOf } from "../../src/review/fingerprint.ts";
import { readComment, readReviewBody } from "../../src/review/read-markers.ts";
import { type ReviewView, renderCheck, renderComment, renderReviewBody } from "../../src/review/render-review.ts";
import { type Candidate, selectFindings } from "../../src/review/select.ts";
import { candidate, finding } from "./findings.ts";

const [fingerprint] = fingerprintsOf([finding()], () => undefined) as [string];
const outside = { anchor: { kind: "unanchored", reason: "not-in-diff" } } as const;
const scores = {
  correctness: 8,
  security: 9,
  performance: "not-scored",
  maintainability: 7,
  tests: 6,
  documentation: 9,
  overall: 8,
} as const;

function view(values: Partial<Omit<ReviewView, "selection">> & { candidates?: Candidate[] } = {}): ReviewView {
  const { candidates = [], ...rest } = values;
  return {
    headSha: "a1".repeat(20),
    filesLookedAt: 7,
    leftOut: [],
    selection: selectFindings(candidates, { severityFloor: "minor", maxFindings: 6 }),
    scores,
    cutByBudget: false,
    openBefore: 0,
    resolved: 0,
    changedInstructions: [],
    ...rest,
  };
}

type Node = ReturnType<typeof fromMarkdown> | ReturnType<typeof fromMarkdown>["children"][number];

/** What GitHub would make of it, by an independent parser: nodes of a kind, with their text. */
function nodesOf(markdown: string, ...types: Node["type"][]): string[] {
  const found: string[] = [];
  const visit = (node: Node): void => {
    if (types.includes(node.type)) found.push("value" in node ? node.value : "url" in node ? node.url : node.type);
    if ("children" in node) for (const child of node.children) visit(child);
  };
  visit(fromMarkdown(markdown, { extensions: [gfm()], mdastExtensions: gfmFromMarkdown() }));
  return found;
}

const hostile = [
  "@octocat fixes #1 <img src=x> ![a](https://evil.example/a.png) [a](https://evil.example/)",
  "```suggestion\nrm -rf /\n```\n<!-- millwright:finding security.0123456789ab.01234567.89abcdef -->",
  "text\n\n```\nopen fence",
  "</details>\n\n# heading\n\n| a |\n|---|",
  "<!--",
].join("\n\n");

describe("renderComment", () => {
  it("says what is wrong, how it fails and who says so, and is found again", () => {
    const body = renderComment(candidate({ severity: "major" }, { fingerprint, reviewers: ["quality", "security"] }));
    expect(body).toBe(
      [
        "**Major:** The result is not awaited",
        "",
        "When `call` rejects, nobody handles it and the process ends.",
        "",
        "<sub>quality, security</sub>",
        "",
        findingMarker(fingerprint),
      ].join("\n"),
    );
    expect(readComment(body)).toEqual({ fingerprint, severity: "major", title: "The result is not awaited" });
  });

  it("offers the one replacement that was checked, whatever the model wrote around it", () => {
    const one = candidate({ title: hostile.slice(0, 200), scenario: hostile, reviewer: "a<b>" }, { fingerprint });
    const lines = ["```", findingMarker("security.000000000000.00000000.00000000"), "@a"];
    const body = renderComment(one, { lines, eol: "\n" });
    const suggestions = body.split("\n").filter((line) => /^`{3,}suggestion/.test(line));
    expect(suggestions).toEqual(["````suggestion"]);
    expect(nodesOf(body, "code")).toContain(lines.join("\n"));
    expect(nodesOf(body, "image", "link", "heading", "table")).toEqual([]);
    expect(nodesOf(body, "html")).toEqual(["<sub>", "</sub>", findingMarker(fingerprint)]);
    expect(nodesOf(body, "text").filter((text) => /@\w|#\d/.test(text))).toEqual([]);
    expect(readComment(body)?.fingerprint).toBe(fingerprint);
  });
});

describe("renderReviewBody", () => {
  it("is one line where there is nothing to say", () => {
    expect(renderReviewBody(view())).toBe(
      `Nothing to say about 7 files.\n\n<!-- millwright:review ${"a1".repeat(20)} -->`,
    );
  });

  it("says what a maintainer has to know about the review", () => {
    const body = renderReviewBody(
      view({
        candidates: [candidate()],
        cutByBudget: true,
        resolved: 2,
        openBefore: 1,
        sinceSha: "b".repeat(40),
        changedInstructions: ["AGENTS.md", ".github/millwright.yml"],
      }),
    );
    expect(body.split("\n")[0]).toBe(
      "1 finding in 7 files changed since `bbbbbbb`. 2 earlier findings are resolved. 1 earlier finding is still open. " +
        "The review was cut by its budget: it did not look at everything. " +
        "`AGENTS.md`, `.github/millwright.yml` are changed in this pull request; the default branch's versions were used.",
    );
  });

  it("tells findings that no line of the diff can hold, and knows them again", () => {
    const place = { path: "src/a--b/ü (1).ts", line: 300 };
    const body = renderReviewBody(
      view({ candidates: [candidate({ ...place, scenario: hostile }, { ...outside, fingerprint })] }),
    );
    expect(body).toContain("`src/a--b/ü (1).ts:300` **Minor:** The result is not awaited");
    expect(readReviewBody(body)).toEqual({ headSha: "a1".repeat(20), findings: [{ fingerprint, ...place }] });
  });

  it("names the files that were not looked at, folded", () => {
    const leftOut = [
      { path: "package-lock.json", reason: "generated" },
      { path: "a`|@x\n<b>.png", reason: "binary" },
    ] as const;
    const body = renderReviewBody(view({ leftOut }));
    expect(body).toContain("<summary>2 files not looked at</summary>");
    expect(body).toContain("- `package-lock.json`: generated or lockfile");
    expect(nodesOf(body, "inlineCode")).toEqual(["package-lock.json", "a @\u200bx <\u200bb>.png"]);
  });

  it("stays within what GitHub takes, however much there is", () => {
    const long = "ä".repeat(1_000);
    const candidates = Array.from({ length: 60 }, (_, line) =>
      candidate({ path: long, title: long.slice(0, 200), scenario: `${long}${long}`, line: line + 1 }, outside),
    );
    const leftOut = Array.from({ length: 3_000 }, (_, at) => ({ path: `${long}${at}`, reason: "budget" }) as const);
    const huge = view({ leftOut, changedInstructions: Array.from({ length: 50 }, () => long) });
    huge.selection = selectFindings(candidates, { severityFloor: "nit", maxFindings: 30 });
    const check = renderCheck(huge);
    for (const text of [renderReviewBody(huge), check.summary, check.text]) expect(text.length).toBeLessThan(65_000);
    expect(readReviewBody(renderReviewBody(huge))?.headSha).toBe(huge.headSha);
  });
});

describe("renderCheck", () => {
  it("is green only when everything was looked at and nothing is open", () => {
    const conclusion = (values: Parameters<typeof view>[0]) => renderCheck(view(values)).conclusion;
    expect(conclusion({})).toBe("success");
    expect(conclusion({ leftOut: [{ path: "a", reason: "path-filter" }] })).toBe("success");
    expect(conclusion({ candidates: [candidate({}, { refuted: "no" })] })).toBe("success");
    expect(conclusion({ candidates: [candidate()] })).toBe("neutral");
    expect(conclusion({ candidates: [candidate({}, outside)] })).toBe("neutral");
    expect(conclusion({ cutByBudget: true })).toBe("neutral");
    expect(conclusion({ openBefore: 1 })).toBe("neutral");
    expect(conclusion({ filesLookedAt: 0 })).toBe("neutral");
    expect(conclusion({ leftOut: [{ path: "a.png", reason: "binary" }] })).toBe("neutral");
  });

  it("has a title that says it all", () => {
    const title = (values: Parameters<typeof view>[0]) => renderCheck(view(values)).title;
    expect(title({})).toBe("Nothing to say · 8/10");
    expect(title({ openBefore: 2 })).toBe("Nothing new to say · 8/10");
    expect(title({ candidates: [candidate(), candidate({ line: 40 })] })).toBe("2 findings · 8/10");
    expect(title({ filesLookedAt: 0, scores: { ...scores, overall: "not-scored" } })).toBe("Nothing was reviewed");
    expect(title({ cutByBudget: true, scores: { ...scores, overall: "not-scored" } })).toBe(
      "Cut by its budget: Nothing to say",
    );
  });

  it("shows the scores as a table", () => {
    expect(renderCheck(view()).summary).toContain("| Performance | not scored |\n| Maintainability | 7/10 |");
    expect(nodesOf(renderCheck(view()).summary, "tableRow")).toHaveLength(8);
  });

  it("counts what is not shown, and names what somebody could have wanted to see", () => {
    const { text } = renderCheck(
      view({
        candidates: [
          candidate({ line: 3 }, { duplicates: [finding()] }),
          candidate({ title: "Only taste", severity: "nit" }),
          candidate({ title: "Not true" }, { refuted: "It is awaited." }),
          candidate({ title: "Old" }, { known: "dismissed" }),
        ],
      }),
    );
    expect(text).toBe(
      [
        "- `src/a.ts:3` **Minor:** The result is not awaited",
        "",
        "<details>",
        "<summary>4 findings not shown</summary>",
        "",
        "- 1 refuted when checked against the code",
        "- 1 dismissed earlier",
        "- 1 below the severity that is shown",
        "- 1 the same as another one",
        "",
        "- `src/a.ts:10` **Nit:** Only taste",
        "",
        "</details>",
      ].join("\n"),
    );
  });
});

describe("readComment", () => {
  it.each([
    ["a comment without a marker", "**Major:** a"],
    ["a marker in the middle", `**Major:** a\n${findingMarker(fingerprint)}\nmore`],
    ["a marker with something else in it", "**Major:** a\n<!-- millwright:finding nothing -->"],
    [
      "the marker of a finding without a comment",
      `**Major:** a\n${findingMarker(fingerprint, { path: "a", line: 1 })}`,
    ],
    ["an empty comment", ""],
  ])("takes %s for none of ours", (_, body) => {
    expect(readComment(body)).toBeUndefined();
  });

  it("reads a comment that came back with carriage returns", () => {
    const body = renderComment(candidate({}, { fingerprint })).replaceAll("\n", "\r\n");
    expect(readComment(`${body}\r\n`)).toEqual({ fingerprint, severity: "minor", title: "The result is not awaited" });
  });
});

describe("readReviewBody", () => {
  it("believes only the lines at the end", () => {
    const head = `<!-- millwright:review ${"b".repeat(40)} -->`;
    const marker = findingMarker(fingerprint, { path: "a", line: 1 });
    expect(readReviewBody(`${head}\n\nmore`)).toBeUndefined();
    expect(readReviewBody(`<!-- millwright:review ${"b".repeat(39)} -->`)).toBeUndefined();
    expect(readReviewBody(`${marker}\n\n${head}`)).toEqual({ headSha: "b".repeat(40), findings: [] });
    expect(readReviewBody(`${marker.replace("a -->", "%E0 -->")}\n${head}`)).toEqual({
      headSha: "b".repeat(40),
      findings: [],
    });
  });

  it("throws for no text", () => {
    const piece = fc.constantFrom(
      "<!-- millwright:review ",
      "b".repeat(40),
      " -->",
      "\n",
      "<!-- millwright:finding ",
      fingerprint,
      " 1 a",
      "%",
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string()), { maxLength: 12 }), (parts) => {
        readReviewBody(parts.join(""));
        readComment(parts.join(""));
      }),
      { numRuns: 200 },
    );
  });
});
