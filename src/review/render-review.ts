import { findingMarker, reviewMarker } from "../policy/markers.ts";
import { neutralise } from "../policy/neutralise.ts";
import { type Dimension, dimensions, type Finding, type Severity } from "./finding.ts";
import type { LeftOutFile, LeftOutReason } from "./group-files.ts";
import { lookedAtEverything } from "./group-files.ts";
import type { Scores } from "./score.ts";
import type { Candidate, Selection, Suppression } from "./select.ts";
import { suppressions } from "./select.ts";
import { suggestionBlock } from "./suggestion.ts";

/** All that a review's body and check run say. */
export interface ReviewView {
  headSha: string;
  /** Files that were really looked at. */
  filesLookedAt: number;
  leftOut: readonly LeftOutFile[];
  selection: Selection;
  scores: Scores;
  /** The budget or the time ended before all was looked at. */
  cutByBudget: boolean;
  /** Earlier findings that are still open, whether or not they were reported again. */
  openBefore: number;
  /** Earlier findings that this push repaired. */
  resolved: number;
  /** The head up to which an earlier review had looked; absent for a whole review. */
  sinceSha?: string;
  /** Instructions, prompts and configuration that the pull request changes; the default branch's were used. */
  changedInstructions: readonly string[];
}

const severityNames: Record<Severity, string> = { critical: "Critical", major: "Major", minor: "Minor", nit: "Nit" };

/** An inline comment, with the block that replaces its lines where one was checked (`checkSuggestion`). */
export function renderComment(
  { finding, fingerprint, reviewers }: Candidate,
  suggestion?: { lines: readonly string[]; eol: "\n" | "\r\n" },
): string {
  return [
    heading(finding),
    "",
    safe(finding.scenario, 4_000),
    "",
    ...(suggestion === undefined ? [] : [suggestionBlock(suggestion), ""]),
    `<sub>${oneLine(reviewers.join(", "), 400)}</sub>`,
    "",
    findingMarker(fingerprint),
  ].join("\n");
}

/** The body of the one review: what has no line to stand on, and what a maintainer has to know about the review itself. */
export function renderReviewBody(view: ReviewView): string {
  const { inBody } = view.selection;
  return [
    sentences([headline(view), ...notes(view)]),
    ...outsideOfDiff(inBody),
    ...notLookedAt(view.leftOut),
    [...inBody.map(({ fingerprint, finding }) => findingMarker(fingerprint, finding)), reviewMarker(view.headSha)].join(
      "\n",
    ),
  ].join("\n\n");
}

export interface RenderedCheck {
  /** `success`: everything was looked at and nothing is open. */
  conclusion: "success" | "neutral";
  title: string;
  summary: string;
  text: string;
}

/** The check run: scores, what was found and what was not looked at. Green only when nothing was left out and nothing is open. */
export function renderCheck(view: ReviewView): RenderedCheck {
  const { scores, selection } = view;
  const overall = scores.overall === "not-scored" ? "" : ` · ${scores.overall}/10`;
  return {
    conclusion: isGreen(view) ? "success" : "neutral",
    title: `${view.cutByBudget ? "Cut by its budget: " : ""}${countOf(view)}${overall}`,
    summary: [sentences([headline(view), ...notes(view)]), scoreTable(scores)].join("\n\n"),
    text: [...findingList(selection), ...notShown(selection), ...notLookedAt(view.leftOut)].join("\n\n"),
  };
}

function isGreen({ selection, leftOut, cutByBudget, filesLookedAt, openBefore }: ReviewView): boolean {
  return (
    shownOf(selection) === 0 && openBefore === 0 && !cutByBudget && filesLookedAt > 0 && lookedAtEverything(leftOut)
  );
}

function shownOf({ inline, inBody }: Selection): number {
  return inline.length + inBody.length;
}

function countOf({ selection, filesLookedAt, openBefore }: ReviewView): string {
  const shown = shownOf(selection);
  if (shown > 0) return counted(shown, "finding");
  if (filesLookedAt === 0) return "Nothing was reviewed";
  return openBefore > 0 ? "Nothing new to say" : "Nothing to say";
}

function headline(view: ReviewView): string {
  const where = view.sinceSha === undefined ? "" : ` changed since \`${view.sinceSha.slice(0, 7)}\``;
  if (view.filesLookedAt === 0) return "Nothing was reviewed.";
  return `${countOf(view)} ${shownOf(view.selection) > 0 ? "in" : "about"} ${counted(view.filesLookedAt, "file")}${where}.`;
}

function notes({ cutByBudget, resolved, openBefore, changedInstructions }: ReviewView): string[] {
  const paths = changedInstructions
    .slice(0, 5)
    .map((path) => codePath(path))
    .join(", ");
  const more = changedInstructions.length > 5 ? ` and ${changedInstructions.length - 5} more` : "";
  const one = changedInstructions.length === 1;
  return [
    ...(resolved > 0 ? [`${counted(resolved, "earlier finding")} ${resolved === 1 ? "is" : "are"} resolved.`] : []),
    ...(openBefore > 0
      ? [`${counted(openBefore, "earlier finding")} ${openBefore === 1 ? "is" : "are"} still open.`]
      : []),
    ...(cutByBudget ? ["The review was cut by its budget: it did not look at everything."] : []),
    ...(changedInstructions.length > 0
      ? [
          `${paths}${more} ${one ? "is" : "are"} changed in this pull request; the default branch's ${one ? "version was" : "versions were"} used.`,
        ]
      : []),
  ];
}

function sentences(parts: readonly string[]): string {
  return parts.join(" ");
}

function outsideOfDiff(inBody: readonly Candidate[]): string[] {
  if (inBody.length === 0) return [];
  const maxBytes = Math.min(2_000, Math.floor(bodyBytes / inBody.length));
  const items = inBody.map(
    ({ finding }) => `${placeOf(finding)} ${heading(finding)}\n\n${safe(finding.scenario, maxBytes)}`,
  );
  return ["On lines that the diff does not show:", ...items];
}

/** For scenarios in a body, which GitHub limits to 65,536 characters. */
const bodyBytes = 30_000;

function findingList({ inline, inBody }: Selection): string[] {
  const items = [...inline, ...inBody].map(({ finding }) => `- ${placeOf(finding)} ${heading(finding)}`);
  return items.length === 0 ? [] : [items.join("\n")];
}

const suppressionWords: Record<Suppression, string> = {
  refuted: "refuted when checked against the code",
  dismissed: "dismissed earlier",
  "already-said": "said in an earlier review",
  "below-floor": "below the severity that is shown",
  "over-limit": "over the number that is shown",
  duplicate: "the same as another one",
};

/** Counts of all; those that a person could have wanted to see are named. */
function notShown({ counts, suppressed }: Selection): string[] {
  const total = suppressions.reduce((sum, reason) => sum + counts[reason], 0);
  if (total === 0) return [];
  const lines = suppressions
    .filter((reason) => counts[reason] > 0)
    .map((reason) => `- ${counts[reason]} ${suppressionWords[reason]}`);
  const named = suppressed
    .filter(({ reason }) => reason === "below-floor" || reason === "over-limit")
    .slice(0, 20)
    .map(({ candidate: { finding } }) => `- ${placeOf(finding)} ${heading(finding)}`);
  return [
    folded(`${counted(total, "finding")} not shown`, [
      lines.join("\n"),
      ...(named.length > 0 ? [named.join("\n")] : []),
    ]),
  ];
}

const leftOutWords: Record<LeftOutReason, string> = {
  "path-filter": "path filter",
  binary: "binary",
  generated: "generated or lockfile",
  "too-large": "too large",
  budget: "over the budget",
};

function notLookedAt(leftOut: readonly LeftOutFile[]): string[] {
  if (leftOut.length === 0) return [];
  const lines = leftOut.slice(0, 100).map(({ path, reason }) => `- ${codePath(path)}: ${leftOutWords[reason]}`);
  const more = leftOut.length > 100 ? [`- and ${leftOut.length - 100} more`] : [];
  return [folded(`${counted(leftOut.length, "file")} not looked at`, [[...lines, ...more].join("\n")])];
}

const dimensionNames: Record<Dimension | "overall", string> = {
  correctness: "Correctness",
  security: "Security",
  performance: "Performance",
  maintainability: "Maintainability",
  tests: "Tests",
  documentation: "Documentation",
  overall: "**Overall**",
};

function scoreTable(scores: Scores): string {
  const rows = [...dimensions, "overall" as const].map((name) => {
    const score = scores[name];
    return `| ${dimensionNames[name]} | ${score === "not-scored" ? "not scored" : `${score}/10`} |`;
  });
  return ["| | Score |", "|---|---|", ...rows].join("\n");
}

function folded(summary: string, parts: readonly string[]): string {
  return ["<details>", `<summary>${summary}</summary>`, "", parts.join("\n\n"), "", "</details>"].join("\n");
}

function heading({ severity, title }: Finding): string {
  return `**${severityNames[severity]}:** ${oneLine(title, 400)}`;
}

function placeOf({ path, line }: Finding): string {
  return codePath(path, `:${line}`);
}

/** A path is a stranger's text too. */
function codePath(path: string, end = ""): string {
  const plain = path.replace(/[\s`|\\]+/g, " ").trim();
  return oneLine(`\`${plain.length > 200 ? `…${plain.slice(-200)}` : plain}${end}\``, 1_000);
}

function oneLine(text: string, maxBytes: number): string {
  return safe(text.replace(/\s+/g, " ").trim(), maxBytes).replace(/\s*\n\s*/g, " ");
}

function safe(text: string, maxBytes: number): string {
  return neutralise(text, { allowHosts: [], maxBytes });
}

function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
