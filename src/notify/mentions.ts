/** Logins, and teams as `org/team`. https://docs.github.com/en/enterprise-cloud@latest/admin/managing-iam/iam-configuration-reference/username-considerations-for-external-authentication */
const login = /^[a-z\d](?:[a-z\d-]{0,38})(?:\/[a-z\d_][\w-]{0,99})?$/i;

/** Who is asked in a comment, as live mentions: `@a @org/team`. What is no login is left out, and nobody is named twice. */
export function mentions(people: readonly string[]): string {
  const byName = new Map<string, string>();
  for (const person of people) {
    const name = person.trim().replace(/^@/, "");
    if (login.test(name) && !byName.has(name.toLowerCase())) byName.set(name.toLowerCase(), `@${name}`);
  }
  return [...byName.values()].join(" ");
}
