import { ourBranch } from "../policy/markers.ts";
import { actorOf, type Delivered, type SeenPull, type Verdict, workOf } from "./handler.ts";

/** A closed or merged pull request of ours cancels what still works on it. */
export function pullRequestClosed({ id, payload }: Delivered<{ pull_request: SeenPull }>): Verdict {
  const pull = payload.pull_request;
  if (!ourBranch(pull.head.ref) || pull.head.repo?.id !== payload.repository.id)
    return { ignore: "not our pull request" };
  const work = workOf(payload, { kind: "pull-request", number: pull.number });
  if (work === undefined) return { ignore: "no installation" };
  return {
    start: {
      work,
      id: `closed:${pull.closed_at ?? pull.updated_at}`,
      pipeline: "answer-command",
      command: "closed",
      args: pull.merged ? "merged" : "closed",
      actor: actorOf(payload.sender),
      at: new Date(pull.updated_at).toISOString(),
      trigger: { kind: "state" },
      deliveryId: id,
    },
  };
}
