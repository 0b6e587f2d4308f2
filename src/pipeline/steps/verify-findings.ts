import { z } from "zod";
import { VerifierAnswer } from "../../agent/schemas.ts";
import { checkSyntax, newSyntaxErrors } from "../../checks/syntax.ts";
import { type Anchor, anchorFinding, indexDiff } from "../../review/anchor.ts";
import { type Finding, type Severity, severities } from "../../review/finding.ts";
import { identify, locate } from "../../review/fingerprint.ts";
import { type MergedFinding, mergeFindings } from "../../review/merge.ts";
import { type DiffFile, parseDiff } from "../../review/parse-diff.ts";
import { combineScores } from "../../review/score.ts";
import { type Candidate, importance, selectFindings } from "../../review/select.ts";
import { checkSuggestion } from "../../review/suggestion.ts";
import type { Deps } from "../deps.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, Ended, ended, PullFacts } from "./shapes.ts";
import { recorder, remainingBudget } from "./support/budget.ts";
import { fileDocument, readDocument } from "./support/documents.ts";
import { whySuperseded } from "./support/known-findings.ts";
import { promptFor } from "./support/prompt.ts";
import { configOf, repositoryRef } from "./support/repository.ts";
import {
  ChangesText,
  GroupText,
  type Judged,
  type Known,
  ReviewerText,
  type VerifiedText,
} from "./support/review-shapes.ts";
import { showLines } from "./support/review-text.ts";
import { fetchReviewed, maxDiffBytes } from "./support/reviewed-trees.ts";

/** So many findings are checked for each that may be shown; what is less important than all of them would not be shown anyway. */
const checkedForEachShown = 3;
const mostEarlier = 20;

const Input = z.object({
  base: Base,
  pull: PullFacts,
  changesBlob: z.string(),
  groups: z.array(z.object({ blob: z.string(), weight: z.number() })),
  answers: z.array(z.string()),
  /** Why reviewers did not look at everything. */
  cuts: z.array(z.string()),
});

/**
 * Puts the reviewers' findings onto lines of the diff, merges what is the same, knows again what was said before, and tries
 * to refute the rest with the code at hand; only what is left with a concrete failure is shown (R3). Asks too whether earlier
 * findings whose lines changed were repaired. A suggestion stays only if it applies and parses. Touches nothing.
 */
export const verifyFindings = defineStep({
  name: "verify-findings",
  input: Input,
  output: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("verified"), verifiedBlob: z.string(), shown: z.number().int() }),
    Ended,
  ]),
  async run(input, deps, ctx) {
    const { base, pull } = input;
    const superseded = await whySuperseded(deps, ctx, pull.headSha);
    if (superseded !== undefined) return ended({ kind: "superseded", reason: superseded });
    const changes = await readDocument(deps, input.changesBlob, ChangesText);
    const { review: rules } = await configOf(deps, base);
    await fetchReviewed(deps, ctx, base, pull);
    const repository = repositoryRef(ctx.intent, base);
    const diff = await deps.workspaces.diff(repository, base.baseSha, pull.headSha, maxDiffBytes, ctx.signal);
    const { files } = parseDiff(diff.text);

    const answers = await Promise.all(input.answers.map((blob) => readDocument(deps, blob, ReviewerText)));
    const found: Finding[] = answers.flatMap(({ reviewer, answer }) =>
      answer.findings.map((finding) => ({ ...finding, reviewer })),
    );
    const index = indexDiff(files);
    const merged = mergeFindings(found.map((finding) => ({ finding, anchor: anchorFinding(index, finding) })));
    const texts = await headTexts(deps, ctx, { base, pull }, [
      ...merged.map(pathOf),
      ...changes.known.map(({ path }) => path),
    ]);
    const tree = await deps.workspaces.source(repository, pull.headSha);
    const paths = new Set((await tree.files({ withSizes: false, signal: ctx.signal })).map(({ path }) => path));
    const candidates = recognised(merged, changes.known, { texts, files, paths });

    // One that was repaired and is found again has to hold too, before its thread is opened.
    const open = candidates.filter(
      ({ known, wasResolved, finding }) =>
        (known === undefined || wasResolved === true) && isShowable(finding, rules.severityFloor),
    );
    const checked = open
      .toSorted((a, b) => importance(b.finding) - importance(a.finding))
      .slice(0, rules.maxFindings * checkedForEachShown);
    const seenAgain = new Set(candidates.flatMap(({ knownFingerprint }) => knownFingerprint ?? []));
    const changed = changes.known
      .filter((one) => one.state === "open" && !seenAgain.has(one.fingerprint) && isChanged(one, texts, files))
      .slice(0, mostEarlier);
    const verdicts = await judge(input, { deps, ctx, checked, changed, texts });

    const cuts = [...new Set([...input.cuts, ...(verdicts.cut === undefined ? [] : [verdicts.cut])])];
    const judged = candidates.map((candidate) => {
      if (!open.includes(candidate)) return candidate;
      // What was not checked is not said: it is less important than what was, or nobody could check it.
      if (!checked.includes(candidate)) return undefined;
      return verdicts.apply(candidate, checked.indexOf(candidate));
    });
    const selection = selectFindings(
      judged.filter((one) => one !== undefined),
      rules,
    );
    selection.counts["over-limit"] += judged.filter((one) => one === undefined).length;
    const withSuggestion = await Promise.all(selection.inline.map((one) => suggested(one, texts)));
    const verified: VerifiedText = {
      inline: withSuggestion,
      inBody: selection.inBody.map(plain),
      suppressed: selection.suppressed.map(({ candidate, reason }) => ({ candidate: plain(candidate), reason })),
      counts: selection.counts,
      scores: combineScores(
        answers.map(({ answer, weight }) => ({ scores: answer.scores, weight })),
        {
          shown: [...selection.inline, ...selection.inBody].map(({ finding }) => finding),
          cutByBudget: cuts.length > 0,
        },
      ),
      cuts,
      fixed: changed.filter((_, at) => verdicts.fixed.has(at)).map(({ fingerprint }) => fingerprint),
      reopened: judged.flatMap((one, at) =>
        one?.wasResolved === true && one.refuted === undefined && checked.includes(candidates[at]!)
          ? [one.fingerprint]
          : [],
      ),
    };
    return {
      kind: "verified" as const,
      verifiedBlob: await fileDocument(deps, ctx, "text", verified),
      shown: verified.inline.length + verified.inBody.length,
    };
  },
});

type Texts = ReadonlyMap<string, string>;
/** A candidate with the earlier finding that it was recognised as. */
type Recognised = Candidate & { knownFingerprint?: string; wasResolved?: boolean };

function pathOf({ finding, anchor }: MergedFinding): string {
  return anchor.kind === "anchored" ? anchor.path : finding.path;
}

async function headTexts(
  deps: Deps,
  ctx: StepContext,
  { base, pull }: { base: Base; pull: PullFacts },
  paths: readonly string[],
): Promise<Texts> {
  const repository = repositoryRef(ctx.intent, base);
  const texts = new Map<string, string>();
  for (const path of new Set(paths)) {
    const text = await deps.workspaces.readFile(repository, pull.headSha, path);
    if (text !== undefined) texts.set(path, text);
  }
  return texts;
}

function recognised(
  merged: readonly MergedFinding[],
  known: readonly Known[],
  { texts, files, paths }: { texts: Texts; files: readonly DiffFile[]; paths: ReadonlySet<string> },
): Recognised[] {
  const placed = merged.map((one) => ({
    category: one.finding.category,
    path: pathOf(one),
    line: one.anchor.kind === "anchored" ? one.anchor.startLine : one.finding.line,
    title: one.finding.title,
  }));
  const previous = new Map(
    files.flatMap(({ path, previousPath }) => (previousPath === undefined ? [] : [[path, previousPath]])),
  );
  const identified = identify(placed, known, {
    exists: (path) => paths.has(path),
    textOf: (path) => texts.get(path),
    previousPath: (path) => previous.get(path),
  });
  return merged.map((one, at) => {
    const { fingerprint, known: match } = identified[at]!;
    const candidate: Recognised = { ...one, fingerprint };
    if (match === undefined) return candidate;
    return {
      ...candidate,
      knownFingerprint: match.fingerprint,
      known: match.state === "dismissed" ? "dismissed" : "open",
      ...(match.state === "resolved" ? { wasResolved: true } : {}),
    };
  });
}

function isShowable({ severity }: Finding, floor: Severity): boolean {
  return severities.indexOf(severity) <= severities.indexOf(floor);
}

/** The line that an earlier finding was about is not there any more, under any name of its file. */
function isChanged(known: Known, texts: Texts, files: readonly DiffFile[]): boolean {
  const renamed = files.find(({ previousPath }) => previousPath === known.path)?.path;
  const places = [known.path, ...(renamed === undefined ? [] : [renamed])];
  return places.every((path) => {
    const text = texts.get(path);
    return text === undefined || locate(known.fingerprint, text, known.line) === undefined;
  });
}

interface Verdicts {
  apply(candidate: Recognised, at: number): Recognised;
  /** Places in the list of earlier findings. */
  fixed: Set<number>;
  cut?: string;
}

async function judge(
  { base, groups }: z.infer<typeof Input>,
  {
    deps,
    ctx,
    checked,
    changed,
    texts,
  }: { deps: Deps; ctx: StepContext; checked: readonly Recognised[]; changed: readonly Known[]; texts: Texts },
): Promise<Verdicts> {
  if (checked.length + changed.length === 0) return { apply: (one) => one, fixed: new Set() };
  const unchecked = (cut: string): Verdicts => ({
    apply: (one) => ({ ...one, refuted: "It could not be checked." }),
    fixed: new Set(),
    cut,
  });
  const remaining = await remainingBudget(deps, ctx, await configOf(deps, base), 8);
  if (remaining.kind === "used-up") return unchecked(`The findings could not be checked. ${remaining.reason}`);
  const related = (await Promise.all(groups.map(({ blob }) => readDocument(deps, blob, GroupText)))).flatMap(
    (group) => group.related,
  );
  const places = [
    ...checked.map((one) => ({ path: pathOf(one), anchor: one.anchor, line: one.finding.line })),
    ...changed.map(({ path, line }) => ({ path, anchor: undefined, line: line ?? 1 })),
  ];
  const code = places.map(({ path, anchor, line }) => ({
    path,
    lines: showLines(texts.get(path), rangeOf(anchor, line)),
  }));
  const prompt = await promptFor(
    deps,
    ctx,
    base,
    "verify-findings",
    {
      findings: checked.map(({ finding, anchor, reviewers }, at) => ({
        id: `n${at + 1}`,
        path: finding.path,
        ...(anchor.kind === "anchored" ? { line: anchor.startLine, code: anchor.text } : { line: finding.line }),
        severity: finding.severity,
        category: finding.category,
        title: finding.title,
        scenario: finding.scenario,
        ...(finding.suggestion === undefined ? {} : { suggestion: finding.suggestion }),
        reviewers,
      })),
      earlier: changed.map(({ path, said, line }, at) => ({ id: `e${at + 1}`, path, line, said })),
      code: { places: distinct(code), related },
    },
    checked.map(pathOf),
  );
  const answer = await deps.model.object({
    prompt,
    schema: VerifierAnswer,
    budget: remaining.budget,
    signal: ctx.signal,
    record: recorder(deps, ctx),
  });
  if (answer.kind !== "answer")
    return unchecked("The findings could not be checked against the code, so none is shown.");
  const byId = new Map(answer.value.verdicts.map((verdict) => [verdict.id, verdict]));
  return {
    apply(one, at) {
      const verdict = byId.get(`n${at + 1}`);
      if (verdict?.verdict !== "holds") return { ...one, refuted: verdict?.reason ?? "Nobody could say how it fails." };
      const other = verdict.duplicateOf;
      if (
        other !== undefined &&
        other !== verdict.id &&
        byId.get(other)?.verdict === "holds" &&
        !isCircle(byId, other, verdict.id)
      )
        return { ...one, refuted: `The same as ${other}.` };
      const lower = verdict.severity;
      const severity =
        lower !== undefined && severities.indexOf(lower) > severities.indexOf(one.finding.severity)
          ? lower
          : one.finding.severity;
      const scenario = verdict.scenario?.trim();
      // Without a failure that the verifier can name itself it is not kept.
      if (scenario === undefined || scenario === "") return { ...one, refuted: "No concrete failure was named." };
      return { ...one, finding: { ...one.finding, severity, scenario } };
    },
    fixed: new Set(changed.flatMap((_, at) => (byId.get(`e${at + 1}`)?.verdict === "fixed" ? [at] : []))),
  };
}

/** Two findings that are each said to be the other's duplicate: the first one stays. */
function isCircle(byId: ReadonlyMap<string, { duplicateOf?: string | undefined }>, kept: string, id: string): boolean {
  return byId.get(kept)?.duplicateOf === id && id.localeCompare(kept, "en", { numeric: true }) < 0;
}

function rangeOf(anchor: Anchor | undefined, line: number): { from: number; to: number } {
  return anchor?.kind === "anchored" ? { from: anchor.startLine, to: anchor.line } : { from: line, to: line };
}

function distinct<T>(items: readonly T[]): T[] {
  return [...new Map(items.map((item) => [JSON.stringify(item), item])).values()];
}

function plain({ finding, anchor, reviewers, duplicates, fingerprint }: Candidate): Judged {
  return { finding, anchor, reviewers, duplicates, fingerprint };
}

/** The finding with its suggestion, if that can be applied with one click and still parses. */
async function suggested(candidate: Candidate, texts: Texts): Promise<Judged> {
  const { anchor, finding } = candidate;
  const text = texts.get(pathOf(candidate));
  if (finding.suggestion === undefined || anchor.kind !== "anchored" || text === undefined) return plain(candidate);
  const checked = await checkSuggestion({
    anchor,
    text,
    replacement: finding.suggestion,
    newErrors: async (path, before, after) =>
      newSyntaxErrors(await checkSyntax(path, before), await checkSyntax(path, after)),
  });
  if (checked.kind !== "applies") return plain(candidate);
  return { ...plain(candidate), suggestion: { lines: checked.lines, eol: checked.eol } };
}
