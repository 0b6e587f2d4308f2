import { ourBranch } from "../policy/markers.ts";
import { actorOf, type Handler, workOf } from "./handler.ts";

/** A closed or merged pull request of ours cancels what still works on it. */
export const pullRequestClosed: Handler<"pull_request.closed"> = ({ id, payload }) => {
  const pull = payload.pull_request;
  if (!ourBranch(pull.head.ref) || pull.head.repo?.id !== payload.repository.id)
    return { ignore: "not our pull request" };
  const work = workOf(payload, { kind: "pull-request", number: pull.number });
  if (work === undefined) return { ignore: "no installation" };
  return {
    start: {
      work,
      id: `delivery:${id}`,
      pipeline: "answer-command",
      command: "closed",
      args: pull.merged ? "merged" : "closed",
      actor: actorOf(payload.sender),
      at: new Date(pull.updated_at).toISOString(),
      trigger: { kind: "state" },
      deliveryId: id,
    },
  };
};
