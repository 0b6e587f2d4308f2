import type { Intent } from "../pipeline/intent.ts";
import { actorOf, type Event, type SeenUser, type Verdict } from "./handler.ts";

/** An installation that is deleted or suspended: its runs stop and its data is deleted (P15). */
export function installationRemoved({ id, payload }: Event<"installation.deleted" | "installation.suspend">): Verdict {
  const account = payload.installation.account;
  const owner = account !== null && "login" in account ? account.login : "";
  return {
    start: forget(id, { installationId: payload.installation.id, repositoryId: 0, owner, repo: "" }, payload.sender),
  };
}

/** A deleted repository: likewise, for that repository alone. */
export function repositoryDeleted({ id, payload }: Event<"repository.deleted">): Verdict {
  if (payload.installation == null) return { ignore: "no installation" };
  const { repository } = payload;
  return {
    start: forget(
      id,
      {
        installationId: payload.installation.id,
        repositoryId: repository.id,
        owner: repository.owner.login,
        repo: repository.name,
      },
      payload.sender,
    ),
  };
}

/** Repositories taken out of the installation: one intent with their ids. */
export function repositoriesRemoved({ id, payload }: Event<"installation_repositories.removed">): Verdict {
  const ids = payload.repositories_removed.map((repository) => repository.id);
  const account = payload.installation.account;
  const owner = account !== null && "login" in account ? account.login : "";
  return {
    start: {
      ...forget(id, { installationId: payload.installation.id, repositoryId: 0, owner, repo: "" }, payload.sender),
      args: ids.join(","),
    },
  };
}

/** What the three have in common; the reconciler forgets what it finds to be gone by the same intent. */
export function forget(
  deliveryId: string,
  place: { installationId: number; repositoryId: number; owner: string; repo: string },
  sender: SeenUser,
): Intent {
  return {
    work: { ...place, subject: { kind: "repository" } },
    id: `delivery:${deliveryId}`,
    pipeline: "forget-data",
    actor: actorOf(sender),
    at: new Date().toISOString(),
    trigger: { kind: "state" },
    deliveryId,
  };
}
