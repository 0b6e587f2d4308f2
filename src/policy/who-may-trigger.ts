/** What GitHub's permission API says about a person in a repository. */
export type Permission = "none" | "read" | "triage" | "write" | "maintain" | "admin";

export type Allowed = { allowed: true } | { allowed: false; reason: string };

/** How many runs the author of an issue may start by answering questions (product.md B7). */
const maxAnswersByAuthor = 3;

const mayWrite: readonly string[] = ["write", "maintain", "admin"] satisfies Permission[];

/**
 * Whether an act of a person (command, label, button, review) may start or steer a run: a human with write access, or a
 * bot that the operator listed. Unknown permissions and unknown kinds of actors are refused (security.md M4).
 * `permission` is what the permission API says at the time of the run; `allowedBots` are logins, with or without `[bot]`.
 */
export function mayTrigger(actor: {
  permission: string;
  actorType: string;
  login?: string;
  isOwnApp: boolean;
  allowedBots: readonly string[];
}): Allowed {
  if (actor.isOwnApp) return refused("Millwright's own acts start nothing.");
  if (actor.actorType === "Bot") {
    const listed = actor.login !== undefined && actor.allowedBots.some((bot) => botName(bot) === botName(actor.login!));
    return listed ? { allowed: true } : refused("bots are not allowed unless the operator lists them.");
  }
  if (actor.actorType !== "User")
    return refused(`only people may do this, not an account of type ${actor.actorType.slice(0, 30)}.`);
  if (!mayWrite.includes(actor.permission)) return refused("write access to this repository is needed.");
  return { allowed: true };
}

/**
 * Whether the author of an issue, without write access, may start the next run by answering Millwright's question: a
 * human, on the own issue, at most three times, because who triggered the work authorised it (product.md B7).
 */
export function mayAnswer(actor: { actorType: string; isAuthor: boolean; earlierAnswers: number }): Allowed {
  if (actor.actorType !== "User") return refused("only people may answer.");
  if (!actor.isAuthor) return refused("only the issue's author, or a person with write access, may answer.");
  if (!(actor.earlierAnswers < maxAnswersByAuthor))
    return refused(
      `the issue's author has started ${maxAnswersByAuthor} runs by answering already; a person with write access can start the next.`,
    );
  return { allowed: true };
}

/**
 * Whether the owner of a repository is served (security.md M14): the operator's list of accounts, where `*` means
 * all; an empty list means the App's owner only. Letter case does not count.
 */
export function accountServed({
  owner,
  appOwner,
  accounts,
}: {
  owner: string;
  appOwner: string;
  accounts: readonly string[];
}): boolean {
  const served = accounts.length === 0 ? [appOwner] : accounts;
  return owner !== "" && served.some((account) => account === "*" || account.toLowerCase() === owner.toLowerCase());
}

function botName(login: string): string {
  return login.toLowerCase().replace(/\[bot\]$/, "");
}

function refused(reason: string): Allowed {
  return { allowed: false, reason };
}
