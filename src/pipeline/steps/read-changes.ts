import { z } from "zod";
import { selectContext } from "../../agent/context/select-context.ts";
import { repositoryConfigPath } from "../../config/repository.ts";
import { readReviewState } from "../../github/review.ts";
import { pathFilter } from "../../policy/path-filter.ts";
import { groupFiles, type LeftOutFile } from "../../review/group-files.ts";
import { type DiffFile, type DiffHunk, parseDiff } from "../../review/parse-diff.ts";
import type { SourceTree } from "../../workspace/source-tree.ts";
import type { Deps } from "../deps.ts";
import { defineStep, type StepContext } from "../step.ts";
import { Base, Ended, ended, PullFacts } from "./shapes.ts";
import { contextIndexDirectory } from "./support/context-index.ts";
import { fileDocument } from "./support/documents.ts";
import { knownFindings, lastReviewedHead, whySuperseded } from "./support/known-findings.ts";
import { configOf, place, repositoryRef } from "./support/repository.ts";
import type { ChangesText, GroupText } from "./support/review-shapes.ts";
import { hunksSince, namesOf, showFile, showRelated, tokensOf } from "./support/review-text.ts";
import { fetchReviewed, maxDiffBytes } from "./support/reviewed-trees.ts";

/** A group is read by each reviewer in one request; more groups than this cost more than a review is worth. */
const maxGroups = 4;
const maxTokensPerGroup = 48_000;
const maxTokensPerFile = 24_000;
const maxRelatedTokens = 8_000;
/** Files that are searched for callers and definitions, and how much of one. */
const maxRelatedFiles = 60;
const maxTextBytes = 1_000_000;

/**
 * Reads what is to be reviewed: the diff from the merge base, or, where an earlier review has looked already, those of its hunks
 * that changed since; in groups that fit the budget, with the functions around and the code that calls or is called. And
 * what earlier reviews said and what became of it (R6). Reads objects alone; nothing is checked out. Safe to repeat.
 */
export const readChanges = defineStep({
  name: "read-changes",
  input: z.object({ base: Base, pull: PullFacts }),
  output: z.discriminatedUnion("kind", [
    z.object({
      kind: z.literal("changes"),
      changesBlob: z.string(),
      groups: z.array(z.object({ blob: z.string(), weight: z.number() })).max(maxGroups),
      reviewers: z.array(z.string()).max(8),
    }),
    Ended,
  ]),
  async run({ base, pull }, deps, ctx) {
    const octokit = await ctx.github({ contents: "read", pull_requests: "read", metadata: "read" });
    const { slug } = await deps.app.identity();
    const state = await readReviewState(octokit, place(ctx.intent, pull.number), slug);
    if (state === undefined || state.state !== "open")
      return ended({ kind: "cancelled", reason: `The pull request was ${state?.state ?? "deleted"}.` });
    if (state.headSha !== pull.headSha || (await whySuperseded(deps, ctx, pull.headSha)) !== undefined)
      return ended({ kind: "superseded", reason: "The pull request has a newer head." });
    const config = (await configOf(deps, base)).review;
    const known = await knownFindings(deps, ctx, octokit, state);

    const last = await lastReviewedHead(deps, ctx, state);
    // Whoever asks gets a look at the whole; what was said before is not said again.
    const asked = ctx.intent.trigger.kind !== "state";
    const sinceSha = last === undefined || asked || last.headSha === base.baseSha ? undefined : last.headSha;
    const { hasEarlier } = await fetchReviewed(deps, ctx, base, pull, sinceSha);
    const repository = repositoryRef(ctx.intent, base);
    const diffBetween = (from: string) =>
      deps.workspaces.diff(repository, from, pull.headSha, maxDiffBytes, ctx.signal);
    const diff = await diffBetween(base.baseSha);
    const { files, refused } = parseDiff(diff.text);
    const cut = cutPaths(files, diff);
    const earlier = sinceSha !== undefined && hasEarlier ? sinceSha : undefined;
    const wanted = earlier === undefined ? undefined : parseDiff((await diffBetween(earlier)).text).files;

    const chosen = chosenHunks(files, wanted);
    const tree = await deps.workspaces.source(repository, pull.headSha);
    const texts = await textsOf(tree, new Set(chosen.map(({ file }) => file.path)), ctx.signal);
    const shown = new Map(
      chosen.map(({ file, hunks }) => [file.path, showFile(file, hunks, texts.get(file.path))] as const),
    );
    const limits = {
      tokensPerGroup: Math.min(maxTokensPerGroup, Math.floor(deps.model.contextWindowTokens / 4)),
      tokensPerFile: Math.min(maxTokensPerFile, Math.floor(deps.model.contextWindowTokens / 8)),
      maxGroups,
      isWanted: pathFilter(config.paths),
    };
    const grouped = groupFiles(
      chosen.map(({ file }) => ({
        path: file.path,
        binary: file.binary,
        tokens: tokensOf(shown.get(file.path)),
      })),
      limits,
    );
    const unread = (path: string): LeftOutFile => ({
      path,
      reason: limits.isWanted(path) ? "too-large" : "path-filter",
    });
    const unreadPaths = [...new Set([...refused, ...cut])];
    const leftOut = [...grouped.leftOut.filter(({ path }) => !unreadPaths.includes(path)), ...unreadPaths.map(unread)];
    const groups = grouped.groups.map(({ paths }) => paths.filter((path) => !unreadPaths.includes(path)));

    const related = await relatedTexts(deps, ctx, { base, tree, chosen, texts });
    const filed: { blob: string; weight: number }[] = [];
    for (const paths of groups.filter((paths) => paths.length > 0)) {
      const members = chosen.filter(({ file }) => paths.includes(file.path));
      const names = namesOf(members.map((member) => ({ ...member, text: texts.get(member.file.path) })));
      const group: GroupText = {
        files: paths.map((path) => shown.get(path)!),
        related: showRelated(related, names, new Set(paths), maxRelatedTokens),
      };
      const weight = members.reduce((sum, { hunks }) => sum + changedLines(hunks), 0);
      filed.push({ blob: await fileDocument(deps, ctx, "text", group), weight });
    }
    const changes: ChangesText = {
      known,
      leftOut: leftOut.slice(0, 2_000),
      filesLookedAt: groups.flat().length,
      sinceSha: earlier,
      wholeBefore: last?.whole === true,
      changedInstructions: changedInstructions(diff.paths, config.ownReviewers),
    };
    return {
      kind: "changes" as const,
      changesBlob: await fileDocument(deps, ctx, "text", changes),
      groups: filed,
      // One of the repository's own may stand in for a built-in one of the same name.
      reviewers: [...new Set([...config.reviewers, ...config.ownReviewers.map(({ name }) => name)])],
    };
  },
});

interface Chosen {
  file: DiffFile;
  hunks: DiffHunk[];
}

/** Each path once, with the hunks that are to be looked at. A rename alone has nothing to look at, and was looked at. */
function chosenHunks(files: readonly DiffFile[], since: readonly DiffFile[] | undefined): Chosen[] {
  const newer = since === undefined ? undefined : new Map(since.map((file) => [file.path, file]));
  const byPath = new Map<string, Chosen>();
  for (const file of files) {
    const changed = newer?.get(file.path);
    if (newer !== undefined && changed === undefined) continue;
    const hunks = newer === undefined ? file.hunks : hunksSince(file.hunks, changed);
    if (newer !== undefined && hunks.length === 0 && !file.binary) continue;
    const before = byPath.get(file.path);
    // A change of type is a deletion and an addition of the same path.
    byPath.set(file.path, before === undefined ? { file, hunks } : { file, hunks: [...before.hunks, ...hunks] });
  }
  return [...byPath.values()];
}

/** What lies beyond the place where a huge diff was cut; the last file that was read may be cut in its middle. */
function cutPaths(
  files: readonly DiffFile[],
  { truncated, paths }: { truncated: boolean; paths: readonly string[] },
): string[] {
  if (!truncated) return [];
  const whole = new Set(files.slice(0, -1).map(({ path }) => path));
  return paths.filter((path) => !whole.has(path));
}

function changedLines(hunks: readonly DiffHunk[]): number {
  return hunks.reduce((sum, { lines }) => sum + lines.filter(({ kind }) => kind !== "context").length, 0);
}

async function textsOf(
  tree: SourceTree,
  paths: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const files = (await tree.files({ withSizes: false, signal })).filter(
    ({ path, mode }) => paths.has(path) && mode.startsWith("100"),
  );
  const pathsOf = Map.groupBy(files, ({ blobSha }) => blobSha);
  const small: string[] = [];
  for await (const { blobSha, sizeBytes } of tree.sizes(pathsOf.keys(), signal))
    if (sizeBytes <= maxTextBytes) small.push(blobSha);
  const texts = new Map<string, string>();
  for await (const { blobSha, content } of tree.readBlobs(small, signal)) {
    if (content.subarray(0, 8_000).includes(0)) continue;
    for (const { path } of pathsOf.get(blobSha) ?? []) texts.set(path, content.toString("utf8"));
  }
  return texts;
}

/** The files that most likely have to do with the changed names, found in the search index that Build uses too (B8). */
async function relatedTexts(
  deps: Deps,
  ctx: StepContext,
  {
    base,
    tree,
    chosen,
    texts,
  }: { base: Base; tree: SourceTree; chosen: readonly Chosen[]; texts: ReadonlyMap<string, string> },
): Promise<{ path: string; text: string }[]> {
  const { defined, called } = namesOf(chosen.map((one) => ({ ...one, text: texts.get(one.file.path) })));
  if (defined.size + called.size === 0) return [];
  const { installationId, repositoryId } = ctx.intent.work;
  const ranked = await selectContext({
    tree,
    issue: { title: [...defined].join(" "), body: [...called, ...chosen.map(({ file }) => file.path)].join(" ") },
    // What a fork holds is not kept beside the repository's own.
    cacheDirectory:
      base.trust === "fork"
        ? undefined
        : contextIndexDirectory(deps.operator.dataDirectory, installationId, repositoryId),
    limit: maxRelatedFiles,
    signal: ctx.signal,
  });
  const found = await textsOf(tree, new Set(ranked.map(({ path }) => path)), ctx.signal);
  return ranked.flatMap(({ path }) => {
    const text = found.get(path);
    return text === undefined ? [] : [{ path, text }];
  });
}

/** Files that say how this very review is done: the pull request's own versions of them were not used (M4). */
function changedInstructions(paths: readonly string[], own: readonly { prompt: string }[]): string[] {
  const prompts = new Set(own.map(({ prompt }) => prompt));
  return paths
    .filter(
      (path) =>
        /(?:^|\/)(?:AGENTS|CLAUDE|CONTRIBUTING)\.md$/.test(path) || path === repositoryConfigPath || prompts.has(path),
    )
    .slice(0, 20);
}
