import { z } from "zod";
import { packContext } from "../../agent/context/pack-context.ts";
import { selectContext as rankFiles } from "../../agent/context/select-context.ts";
import { defineStep } from "../step.ts";
import { Base, type ContextText, IssueText } from "./shapes.ts";
import { contextIndexDirectory } from "./support/context-index.ts";
import { fileDocument, readDocument } from "./support/documents.ts";
import { repositoryRef } from "./support/repository.ts";

/** At most this much of a request is code that we chose; the agent reads what else it needs. */
const maxContextTokens = 40_000;

/** Finds candidate files before the model is asked, ranks them and packs excerpts to a budget (B8). Deterministic. */
export const selectContext = defineStep({
  name: "select-context",
  /** `headSha`: where the work stands, when it is not begun at the base. */
  input: z.object({
    base: Base,
    issueBlob: z.string(),
    headSha: z.string().optional(),
    maxTokens: z.number().optional(),
  }),
  output: z.object({ contextBlob: z.string(), files: z.number().int() }),
  async run({ base, issueBlob, headSha, maxTokens = maxContextTokens }, deps, ctx) {
    const { installationId, repositoryId } = ctx.intent.work;
    const issue = await readDocument(deps, issueBlob, IssueText);
    const tree = await deps.workspaces.source(repositoryRef(ctx.intent, base), headSha ?? base.baseSha);
    const said = [
      issue.instructions,
      issue.answer,
      ...issue.comments.map((comment) => comment.text),
      ...issue.related.map((other) => other.title),
    ];
    const ranked = await rankFiles({
      tree,
      issue: { title: issue.title, body: issue.body, comments: said.filter((text) => text !== undefined) },
      // What a fork holds is not kept beside the repository's own.
      cacheDirectory:
        base.trust === "fork"
          ? undefined
          : contextIndexDirectory(deps.operator.dataDirectory, installationId, repositoryId),
      limit: 60,
      signal: ctx.signal,
    });
    const budget = Math.min(maxTokens, Math.floor(deps.model.contextWindowTokens / 5));
    const packed = await packContext(ranked, tree, budget);
    const context: ContextText = { packed, ranked: ranked.map(({ path, reasons }) => ({ path, reasons })) };
    return { contextBlob: await fileDocument(deps, ctx, "text", context), files: ranked.length };
  },
});
