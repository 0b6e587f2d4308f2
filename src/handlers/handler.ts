import type { EmitterWebhookEvent, EmitterWebhookEventName } from "@octokit/webhooks";
import type { OperatorConfig } from "../config/operator.ts";
import type { Actor, Intent, Work } from "../pipeline/intent.ts";

/** What a handler may know besides the payload: the operator's settings, and which App we are. */
export interface Known {
  operator: Pick<OperatorConfig, "labels" | "shortCommands" | "allowedBots">;
  app: { id: number; slug: string | undefined };
}

/** A handler answers two questions from the payload alone: is it for us, and what do we start? */
export type Verdict = { start: Intent } | { ignore: string };

/** A person or an App, as GitHub's payloads and lists show them. */
export interface SeenUser {
  id: number;
  login: string;
  type?: string;
}

/** What handlers read of an issue. */
export interface SeenIssue {
  number: number;
  title: string;
  body?: string | null;
  state?: string;
  updated_at: string;
  closed_at?: string | null;
  labels?: { name: string }[];
  user?: SeenUser | null;
  pull_request?: unknown;
}

/** What handlers read of a comment on an issue or a pull request. */
export interface SeenComment {
  id: number;
  node_id: string;
  body: string;
  created_at: string;
  updated_at: string;
  performed_via_github_app?: { id?: number } | null;
}

/** What handlers read of a pull request. */
export interface SeenPull {
  number: number;
  title: string;
  body?: string | null;
  state: string;
  merged?: boolean | null;
  updated_at: string;
  closed_at?: string | null;
  head: { ref: string; repo?: { id: number } | null };
}

/**
 * What a handler takes of a webhook: few enough fields that the reconciler can make the same of what GitHub lists, so
 * that one place says which event becomes which intent.
 */
export interface Delivered<P> {
  id: string;
  payload: P & {
    sender: SeenUser;
    installation?: { id: number } | null;
    repository: PayloadRepository;
  };
}

export type Event<N extends EmitterWebhookEventName> = EmitterWebhookEvent<N>;
export type Handler<N extends EmitterWebhookEventName> = (event: Event<N>, known: Known) => Verdict;

export interface PayloadRepository {
  id: number;
  name: string;
  owner: { login: string };
}

/** Undefined when the payload has no installation: then it is not sent to an App, and we could not act. */
export function workOf(
  payload: { installation?: { id: number } | null; repository?: PayloadRepository },
  subject: Work["subject"],
): Work | undefined {
  if (payload.installation == null || payload.repository === undefined) return undefined;
  return {
    installationId: payload.installation.id,
    repositoryId: payload.repository.id,
    owner: payload.repository.owner.login,
    repo: payload.repository.name,
    subject,
  };
}

export function actorOf(user: SeenUser): Actor {
  return { id: user.id, login: user.login, type: user.type ?? "User" };
}

/** Own acts start nothing (M11), and bots do only when the operator lists them (M4). Undefined: the sender may be heard. */
export function whyNotHeard(sender: { login: string; type?: string }, known: Known): string | undefined {
  if (sender.login === `${known.app.slug}[bot]`) return "own act";
  if (sender.type !== undefined && sender.type !== "User" && !known.operator.allowedBots.includes(sender.login)) {
    return `${sender.type.toLowerCase()}s are not heard`;
  }
  return undefined;
}
