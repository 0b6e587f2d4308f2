import type { OperatorConfig } from "../../config/operator.ts";
import type { Engine } from "../../engine/engine.ts";
import { permissionOf } from "../../github/permission.ts";
import { mayTrigger } from "../../policy/who-may-trigger.ts";
import type { RunRow, Store } from "../../store/store.ts";
import { keepAll, type Lists } from "./lists.ts";

interface Reaction {
  user: { login: string; type: string } | null;
}

/** 👍 by a person with write access approves a plan; GitHub sends no event for reactions (B9). */
export async function approveByReaction(
  { lists, store, operator, engine }: { lists: Lists; store: Store; operator: OperatorConfig; engine: Engine },
  run: RunRow,
): Promise<void> {
  const commentId = await store.notes.get(run.runKey, "plan-comment");
  if (commentId === undefined) return;
  const { owner, repo, repositoryId } = run.work;
  const path = `/repos/${owner}/${repo}/issues/comments/${commentId}/reactions?content=%2B1`;
  const { items, keep } = await lists.all<Reaction>(repositoryId, `reactions:${commentId}`, path, {
    pick: (data) => (data as Reaction[]).map(({ user }) => ({ user })),
    remember: false,
  });
  for (const { user } of items) {
    if (user === null) continue;
    const may = mayTrigger({
      permission: await permissionOf(lists.client, { owner, repo }, user.login),
      actorType: user.type,
      login: user.login,
      isOwnApp: false,
      allowedBots: operator.allowedBots,
    });
    if (!may.allowed) continue;
    await engine.signal(run.workKey, "decision", { kind: "approve", actor: user.login });
    break;
  }
  await keepAll(store, keep);
}
