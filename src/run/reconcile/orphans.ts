import type { Logger } from "pino";
import { type GitHubApp, statusOf } from "../../github/client.ts";
import { branchOf, foundDelivery, type Intent } from "../../pipeline/intent.ts";
import { branchSettled } from "../../policy/markers.ts";
import type { RunRow, Store } from "../../store/store.ts";

/**
 * Finds branches that runs pushed and that are still there although the runs ended without a pull request, and starts one
 * intent for each, which looks again before it removes the branch. Only a run that recorded its push is believed: a branch that nobody
 * here knows may be somebody's work.
 */
export async function removeLeftBranches(options: {
  store: Store;
  github: GitHubApp;
  slug: string;
  signal: AbortSignal;
  asked: { requests: number };
  log: Logger;
  start(intent: Intent): Promise<void>;
}): Promise<void> {
  const { store } = options;
  for (const { run, pushedSha } of await store.runs.endedWithBranch()) {
    const head = await headOf(options, run).catch((error: unknown) => {
      options.log.warn({ err: error, runKey: run.runKey }, "a branch could not be looked at; it is tried again");
      return "unknown" as const;
    });
    if (head === "unknown") continue;
    if (head === pushedSha) await options.start(removal(run, options.slug));
    await store.notes.set(run.runKey, branchSettled, head ?? "gone");
  }
}

/** The commit of the run's branch; undefined when there is no such branch. */
async function headOf(
  { github, signal, asked }: { github: GitHubApp; signal: AbortSignal; asked: { requests: number } },
  { work, workKey }: RunRow,
): Promise<string | undefined> {
  asked.requests += 2;
  const octokit = github.client(await github.token(work, { contents: "read" }), signal);
  const ref = `heads/${branchOf(work.subject.number ?? 0, workKey)}`;
  try {
    return (await octokit.rest.git.getRef({ owner: work.owner, repo: work.repo, ref })).data.object.sha;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

function removal({ work, runKey }: RunRow, slug: string): Intent {
  const id = `orphan:${runKey}`;
  return {
    work,
    id,
    pipeline: "answer-command",
    command: "orphaned",
    args: runKey,
    actor: { id: 0, login: `${slug}[bot]`, type: "Bot" },
    at: new Date().toISOString(),
    trigger: { kind: "state" },
    deliveryId: foundDelivery(id),
  };
}
