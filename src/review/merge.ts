import type { Anchor } from "./anchor.ts";
import { byPlace, type Category, compare, type Finding, severities } from "./finding.ts";
import { similarity, wordsOf } from "./words.ts";

/** A finding with where it can stand. */
export interface PlacedFinding {
  finding: Finding;
  anchor: Anchor;
}

/** What several reviewers said about one thing, in the words of the one who took it most seriously. */
export interface MergedFinding extends PlacedFinding {
  /** All who reported it, in alphabetical order. */
  reviewers: string[];
  /** The others' findings, which are counted as duplicates. */
  duplicates: Finding[];
}

/** Lines between two findings that can still be about the same thing. */
const fewLines = 3;
/** A model that reports hundreds of findings within a few lines repeats itself sooner. */
const mostNeighbours = 200;
/** Shares of common words above which two titles, or two whole findings about one line, mean the same. */
const alikeTitles = 0.5;
const alikeFindings = 0.3;

/**
 * One finding of each thing that was reported: findings of one file, at most three lines apart, with the same rule or
 * similar titles, or about the same line in the same category and similar words. The highest severity and confidence are
 * kept. The result, sorted by place, does not depend on the order given.
 */
export function mergeFindings(placed: readonly PlacedFinding[]): MergedFinding[] {
  const sorted = placed.toSorted((a, b) => compare(pathOf(a), pathOf(b)) || byPlace(a.finding, b.finding));
  const groups = new Groups(sorted.length);
  const byPath = Map.groupBy(sorted.map(subjectOf), ({ path }) => path);
  for (const ofFile of byPath.values()) {
    const fromTop = ofFile.toSorted((a, b) => a.first - b.first);
    for (const [index, one] of fromTop.entries()) {
      for (let next = index + 1; next < Math.min(fromTop.length, index + mostNeighbours); next += 1) {
        const other = fromTop[next]!;
        if (other.first > one.last + fewLines) break;
        if (!groups.areJoined(one.at, other.at) && isSame(one, other)) groups.join(one.at, other.at);
      }
    }
  }
  return groups.all().map((members) => mergeGroup(members.map((at) => sorted[at]!)));
}

/** What is compared of a finding, made once. */
interface Subject {
  at: number;
  path: string;
  first: number;
  last: number;
  category: Category;
  rule: string;
  title: ReadonlySet<string>;
  all: ReadonlySet<string>;
}

function subjectOf(one: PlacedFinding, at: number): Subject {
  const { finding, anchor } = one;
  const { category, rule = "", title, scenario, line, endLine = line } = finding;
  const [first, last] = anchor.kind === "anchored" ? [anchor.startLine, anchor.line] : [line, Math.max(line, endLine)];
  return {
    ...{ at, path: pathOf(one), first, last, category },
    rule: rule.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-"),
    title: wordsOf(title),
    all: wordsOf(`${title} ${scenario}`),
  };
}

function isSame(a: Subject, b: Subject): boolean {
  if (a.rule !== "" && a.rule === b.rule) return true;
  if (similarity(a.title, b.title) >= alikeTitles) return true;
  return a.category === b.category && a.first === b.first && similarity(a.all, b.all) >= alikeFindings;
}

function pathOf({ finding, anchor }: PlacedFinding): string {
  return anchor.kind === "anchored" ? anchor.path : finding.path;
}

/** `members` are sorted by place. */
function mergeGroup(members: readonly PlacedFinding[]): MergedFinding {
  const bySeriousness = members.toSorted(
    (a, b) =>
      severities.indexOf(a.finding.severity) - severities.indexOf(b.finding.severity) ||
      b.finding.confidence - a.finding.confidence,
  );
  const [first] = bySeriousness as [PlacedFinding, ...PlacedFinding[]];
  // The words of one and the place of another, where only the other has one in the diff.
  const placed =
    first.anchor.kind === "anchored" ? first : bySeriousness.find(({ anchor }) => anchor.kind === "anchored");
  const { anchor, finding: at } = placed ?? first;
  const suggestion = bySeriousness.find(
    (one) => one.finding.suggestion !== undefined && one.anchor.kind === "anchored" && sameRange(one.anchor, anchor),
  )?.finding.suggestion;
  const { suggestion: _, endLine: __, ...words } = first.finding;
  return {
    finding: {
      ...words,
      path: pathOf({ finding: at, anchor }),
      line: at.line,
      ...(at.endLine === undefined ? {} : { endLine: at.endLine }),
      quote: at.quote,
      confidence: Math.max(...members.map(({ finding }) => finding.confidence)),
      ...(suggestion === undefined ? {} : { suggestion }),
    },
    anchor,
    reviewers: [...new Set(members.map(({ finding }) => finding.reviewer))].sort(compare),
    duplicates: bySeriousness.slice(1).map(({ finding }) => finding),
  };
}

function sameRange(a: Anchor, b: Anchor): boolean {
  return (
    a.kind === "anchored" &&
    b.kind === "anchored" &&
    a.startLine === b.startLine &&
    a.line === b.line &&
    a.path === b.path
  );
}

/** Numbers from 0, joined into groups (https://en.wikipedia.org/wiki/Disjoint-set_data_structure). */
class Groups {
  readonly #parent: number[];

  constructor(count: number) {
    this.#parent = Array.from({ length: count }, (_, at) => at);
  }

  join(a: number, b: number): void {
    const [x, y] = [this.#rootOf(a), this.#rootOf(b)];
    this.#parent[Math.max(x, y)] = Math.min(x, y);
  }

  areJoined(a: number, b: number): boolean {
    return this.#rootOf(a) === this.#rootOf(b);
  }

  /** Each group in ascending order, the groups by their first number. */
  all(): number[][] {
    return [...Map.groupBy(this.#parent.keys(), (at) => this.#rootOf(at)).values()];
  }

  #rootOf(at: number): number {
    let root = at;
    while (this.#parent[root] !== root) root = this.#parent[root]!;
    this.#parent[at] = root;
    return root;
  }
}
