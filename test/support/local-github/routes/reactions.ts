import { react } from "../domain/issues.ts";
import { notFound } from "../errors.ts";
import { type Call, noContent, type Route, route } from "../http.ts";
import { reactionJson } from "../serialise.ts";
import type { Authored } from "../types.ts";
import { reviewCommentOf } from "./reviews.ts";

const ROOT = "/repos/{owner}/{repo}";

export const reactionRoutes: Route[] = [
  ...reactionsOf(`${ROOT}/issues/{issue_number}`, ["issues", "pull_requests"], (call) => call.issue),
  ...reactionsOf(`${ROOT}/issues/comments/{comment_id}`, ["issues", "pull_requests"], (call) => call.comment),
  ...reactionsOf(`${ROOT}/pulls/comments/{comment_id}`, ["pull_requests"], reviewCommentOf),
];

/** List, find-or-create and delete the reactions of one kind of thing. */
function reactionsOf(template: string, permissions: string[], itemOf: (call: Call) => Authored): Route[] {
  const needs = (level: string): string[] => permissions.map((permission) => `${permission}:${level}`);
  return [
    route(`GET ${template}/reactions`, { needs: needs("read") }, (call) => {
      const wanted = call.query.content;
      const reactions = itemOf(call).reactions.filter((reaction) => !wanted || reaction.content === wanted);
      return call.page(reactions, (reaction) => reactionJson(call.world, reaction));
    }),
    route(`POST ${template}/reactions`, { needs: needs("write"), role: "read" }, (call) => {
      const { reaction, created } = react(call.world, itemOf(call), call.actor, call.body.content);
      return { status: created ? 201 : 200, body: reactionJson(call.world, reaction) };
    }),
    route(`DELETE ${template}/reactions/{reaction_id}`, { needs: needs("write"), role: "read" }, (call) => {
      const item = itemOf(call);
      const reaction = item.reactions.find((candidate) => candidate.id === Number(call.params.reaction_id));
      if (!reaction || reaction.user !== call.actor.user) throw notFound();
      item.reactions = item.reactions.filter((candidate) => candidate !== reaction);
      return noContent();
    }),
  ];
}
