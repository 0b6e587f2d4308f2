import { approveCiAction } from "../policy/markers.ts";
import { actorOf, type Handler, whyNotHeard, workOf } from "./handler.ts";

/** `check_run.requested_action` on our own check: the button *Run CI* approves (security.md M13). */
export const buttonPressed: Handler<"check_run.requested_action"> = ({ id, payload }, known) => {
  const { check_run: check, requested_action: action, sender } = payload;
  if (check.app?.id !== known.app.id || action?.identifier !== approveCiAction) return { ignore: "not our button" };
  const unheard = whyNotHeard(sender, known);
  if (unheard !== undefined) return { ignore: unheard };
  const [pull] = check.pull_requests;
  if (pull === undefined) return { ignore: "no pull request" };
  const work = workOf(payload, { kind: "pull-request", number: pull.number });
  if (work === undefined) return { ignore: "no installation" };
  return {
    start: {
      work,
      id: `delivery:${id}`,
      pipeline: "answer-command",
      command: "approve",
      actor: actorOf(sender),
      at: new Date().toISOString(),
      trigger: { kind: "button" },
      deliveryId: id,
      headSha: check.head_sha,
    },
  };
};
