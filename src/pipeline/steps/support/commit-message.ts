import { neutralise } from "../../../policy/neutralise.ts";
import type { Deps } from "../../deps.ts";
import type { StepContext } from "../../step.ts";
import type { Base, Change, Plan } from "../shapes.ts";
import { agentSummary } from "./describe.ts";
import { botPerson, noReplyPerson } from "./people.ts";
import { configOf, repositoryRef } from "./repository.ts";

/** `type(scope): subject`, the why in the body, and trailers (B14). https://www.conventionalcommits.org/en/v1.0.0/ */
export async function commitMessage(
  deps: Deps,
  ctx: StepContext,
  base: Base,
  plan: Plan,
  change: Change,
): Promise<string> {
  const config = await configOf(deps, base);
  const bot = await botPerson(deps, ctx);
  const requester = noReplyPerson(ctx.intent.actor);
  const trailers = [
    `Refs #${base.issueNumber}`,
    ...(config.commit.coAuthor && ctx.intent.trigger.kind !== "state"
      ? [`Co-authored-by: ${requester.name} <${requester.email}>`]
      : []),
    ...((await signsOff(deps, ctx, base, config.commit.signOff)) ? [`Signed-off-by: ${bot.name} <${bot.email}>`] : []),
  ];
  const body = neutralise(firstParagraph(await agentSummary(deps, change)), { allowHosts: [], maxBytes: 1_500 });
  return [conventionalTitle(plan), "", ...(body === "" ? [] : [wrap(body, 100), ""]), ...trailers].join("\n");
}

/** `feat(scope): subject`, at most 100 characters, one line. */
export function conventionalTitle(plan: Plan): string {
  const scope =
    plan.commitScope === undefined || plan.commitScope === ""
      ? ""
      : `(${plan.commitScope.replaceAll(/[^\w./-]/g, "").slice(0, 30)})`;
  const subject = neutralise(plan.title, { allowHosts: [], maxBytes: 300 })
    .replaceAll(/\s+/g, " ")
    .replace(/^[a-z]+(\([^)]*\))?!?:\s*/i, "")
    .trim();
  const title = `${plan.commitType}${scope}: ${subject}`;
  return title.length <= 100 ? title : `${title.slice(0, 99).trimEnd()}…`;
}

async function signsOff(deps: Deps, ctx: StepContext, base: Base, rule: "auto" | "always" | "never"): Promise<boolean> {
  if (rule !== "auto") return rule === "always";
  const contributing = await deps.workspaces.readFile(repositoryRef(ctx.intent), base.baseSha, "CONTRIBUTING.md");
  return /signed-off-by|git commit (-s|--signoff)|developer certificate of origin/i.test(contributing ?? "");
}

function firstParagraph(text: string): string {
  return (text.split(/\n\s*\n/).find((part) => part.trim() !== "" && !part.startsWith("#")) ?? "").trim();
}

function wrap(text: string, columns: number): string {
  return text
    .split("\n")
    .flatMap((line) => {
      const lines: string[] = [];
      let current = "";
      for (const word of line.split(" ")) {
        if (current !== "" && current.length + word.length + 1 > columns) {
          lines.push(current);
          current = word;
        } else current = current === "" ? word : `${current} ${word}`;
      }
      return [...lines, current];
    })
    .join("\n");
}
