import type { Person } from "../../../workspace/workspace.ts";
import type { Deps } from "../../deps.ts";
import type { Actor } from "../../intent.ts";
import type { StepContext } from "../../step.ts";

/** The commit author that GitHub shows as our App. https://docs.github.com/en/apps/creating-github-apps/about-creating-github-apps */
export async function botPerson(deps: Deps, ctx: StepContext): Promise<Person> {
  const { slug } = await deps.app.identity();
  const botUserId = await deps.app.botUserId(() => ctx.github({ metadata: "read" }));
  return { name: `${slug}[bot]`, email: `${botUserId}+${slug}[bot]@users.noreply.github.com` };
}

/** GitHub's no-reply address of a person: it names them without telling their e-mail address. */
export function noReplyPerson(actor: Actor): Person {
  return { name: actor.login, email: `${actor.id}+${actor.login}@users.noreply.github.com` };
}
