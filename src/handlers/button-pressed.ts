import type { Intent } from "../pipeline/intent.ts";
import { approveCiAction, checkActions } from "../policy/markers.ts";
import { actorOf, type Handler, whyNotHeard, workOf } from "./handler.ts";

/** What each button of our check runs asks for. */
const asks: Record<string, Pick<Intent, "pipeline" | "command">> = {
  [approveCiAction]: { pipeline: "answer-command", command: "approve" },
  [checkActions.apply]: { pipeline: "apply-fix" },
  [checkActions.reject]: { pipeline: "answer-command", command: "reject-fix" },
  [checkActions.rerun]: { pipeline: "answer-command", command: "rerun" },
  [checkActions.explain]: { pipeline: "answer-command", command: "explain" },
};

/**
 * `check_run.requested_action` on our own check: *Run CI* approves (security.md M13), the others decide on a fix (F8). The
 * check run's external id names the run whose buttons they are.
 */
export const buttonPressed: Handler<"check_run.requested_action"> = ({ id, payload }, known) => {
  const { check_run: check, requested_action: action, sender } = payload;
  const asked = Object.hasOwn(asks, action?.identifier ?? "") ? asks[action?.identifier ?? ""] : undefined;
  if (check.app?.id !== known.app.id || asked === undefined) return { ignore: "not our button" };
  const unheard = whyNotHeard(sender, known);
  if (unheard !== undefined) return { ignore: unheard };
  // The branch of a fork may be the head of a pull request elsewhere too, which has another number.
  const pull = check.pull_requests.find(({ base }) => base.repo.id === payload.repository.id);
  if (pull === undefined) return { ignore: "no pull request" };
  const work = workOf(payload, { kind: "pull-request", number: pull.number });
  if (work === undefined) return { ignore: "no installation" };
  return {
    start: {
      work,
      id: `delivery:${id}`,
      ...asked,
      actor: actorOf(sender),
      at: new Date().toISOString(),
      trigger: { kind: "button" },
      deliveryId: id,
      headSha: check.head_sha,
      ...(check.external_id && { args: check.external_id }),
    },
  };
};
