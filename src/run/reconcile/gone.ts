import type { ProbotOctokit } from "probot";
import { statusOf } from "../../github/client.ts";
import { forget } from "../../handlers/access-removed.ts";
import { foundDelivery, type Intent } from "../../pipeline/intent.ts";
import type { Store } from "../../store/store.ts";

/**
 * Intents that delete the data of installations that are removed or suspended, and of repositories that are taken out of
 * theirs (P15). Whatever is missing from a list is asked for by itself before anything is deleted.
 */
export async function dataOfOthers(options: {
  store: Store;
  app: ProbotOctokit;
  asked: { requests: number };
  /** Those that are not suspended. */
  installations: ReadonlySet<number>;
  /** Repositories of each installation whose list was read to the end. */
  repositories: ReadonlyMap<number, ReadonlySet<number>>;
}): Promise<Intent[]> {
  const intents: Intent[] = [];
  const known = Map.groupBy(await options.store.data.known(), ({ installationId }) => installationId);
  for (const [installationId, kept] of known) {
    if (!options.installations.has(installationId)) {
      const gone = await whyGone(options, installationId);
      const owner = kept[0]?.owner ?? "";
      if (gone !== undefined) intents.push(forgetting({ installationId, repositoryId: 0, owner, repo: "" }, gone));
      continue;
    }
    const listed = options.repositories.get(installationId);
    for (const place of kept) {
      if (listed === undefined || listed.has(place.repositoryId)) continue;
      if (await isOut(options, place)) intents.push(forgetting(place, "removed"));
    }
  }
  return intents;
}

interface Place {
  installationId: number;
  repositoryId: number;
  owner: string;
  repo: string;
}

/** Nobody knows who did it. */
function forgetting(place: Place, why: string): Intent {
  const id = `gone:${place.installationId}:${place.repositoryId}:${why}`;
  return { ...forget("", place, { id: 0, login: place.owner }), id, deliveryId: foundDelivery(id) };
}

interface Asking {
  app: ProbotOctokit;
  asked: { requests: number };
}

async function whyGone({ app, asked }: Asking, installationId: number): Promise<string | undefined> {
  asked.requests += 1;
  const route = "GET /app/installations/{installation_id}";
  const found = await absentOr(app.request(route, { installation_id: installationId }));
  if (found === undefined) return "removed";
  return found.data.suspended_at == null ? undefined : `suspended:${found.data.suspended_at}`;
}

async function isOut({ app, asked }: Asking, { owner, repo, installationId }: Place): Promise<boolean> {
  asked.requests += 1;
  const found = await absentOr(app.request("GET /repos/{owner}/{repo}/installation", { owner, repo }));
  return found?.data.id !== installationId;
}

async function absentOr<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}
