import type { Allowed } from "./who-may-trigger.ts";

const mayWrite: readonly string[] = ["write", "maintain", "admin"];

/**
 * Whether a pull request by this author is acted on without being asked (security.md M4): people with write access by
 * default, everybody with `all`, bots only where they are named, and our own App's pull requests always.
 * `permission` is what the permission API says now; logins of bots are compared with or without `[bot]`.
 */
export function mayAct(
  author: { login: string; type: string; permission: string; isOwnApp: boolean },
  policy: { authors: "members" | "all"; bots: readonly string[] },
): Allowed {
  if (author.isOwnApp) return { allowed: true };
  if (author.type !== "User") {
    const named = policy.bots.some((bot) => bare(bot) === bare(author.login));
    return named ? { allowed: true } : { allowed: false, reason: `${author.login} is not among the \`bots\`.` };
  }
  if (policy.authors === "all" || mayWrite.includes(author.permission)) return { allowed: true };
  return { allowed: false, reason: `${author.login} has no write access, and \`authors\` is \`members\`.` };
}

function bare(login: string): string {
  return login.toLowerCase().replace(/\[bot\]$/, "");
}
