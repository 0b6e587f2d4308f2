import { createHash } from "node:crypto";
import { fitNotice, type Notice } from "../../../notify/notice.ts";
import { neutralise } from "../../../policy/neutralise.ts";
import type { Deps } from "../../deps.ts";
import type { StepContext } from "../../step.ts";

/** GitHub is told by the pipeline itself; as the name of a channel it is known everywhere. */
const byThePipeline = "github";

/**
 * Files a notice for those of the channels that the owner may use; it is sent later, and nothing that is wrong with a channel
 * fails the step. `about` names the problem within the subject: a channel is told of it once, whichever run finds it again.
 * What a model wrote is made as harmless as on GitHub, and secrets are taken out. Returns the channels that are told.
 */
export async function fileNotice(
  deps: Deps,
  ctx: StepContext,
  { about, channels, notice }: { about: string; channels: readonly string[]; notice: Notice },
): Promise<string[]> {
  const { work } = ctx.intent;
  ctx.signal.throwIfAborted();
  const content = safeNotice(deps, notice);
  const rows = usable(deps, ctx, channels).map((channel) => ({
    key: keyOf([work.repositoryId, work.subject.kind, work.subject.number ?? 0, about, channel]),
    repositoryId: work.repositoryId,
    runKey: ctx.runKey,
    channel,
    content,
  }));
  const filed = new Set(await deps.store.notifications.file(rows));
  return rows.filter(({ key }) => filed.has(key)).map(({ channel }) => channel);
}

function usable(deps: Deps, ctx: StepContext, names: readonly string[]): string[] {
  const owner = ctx.intent.work.owner.toLowerCase();
  const { channels } = deps.operator;
  return [...new Set(names)].filter((name) => {
    if (name === byThePipeline) return false;
    const channel = Object.hasOwn(channels, name) ? channels[name] : undefined;
    const why =
      channel === undefined
        ? "MILLWRIGHT_CHANNELS has no such channel"
        : channel.accounts?.every((account) => account.toLowerCase() !== owner)
          ? "the channel is not for this account"
          : undefined;
    if (why !== undefined) ctx.log.warn({ channel: name.slice(0, 40), why }, "notification left out");
    return why === undefined;
  });
}

/** Facts are shown as they are by every channel; title and text may hold what a model wrote. */
function safeNotice(deps: Deps, notice: Notice): Notice {
  const allowHosts = [new URL(deps.operator.github.gitUrl).host];
  const { redact } = deps.redactor;
  const harmless = (markdown: string, maxBytes: number) => neutralise(redact(markdown), { allowHosts, maxBytes });
  return fitNotice({
    ...notice,
    title: harmless(notice.title, 1_000),
    text: harmless(notice.text, 32_000),
    facts: notice.facts.map(({ name, value }) => ({ name: redact(name), value: redact(value) })),
  });
}

function keyOf(parts: (string | number)[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 40);
}
