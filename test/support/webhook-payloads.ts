import { createRequire } from "node:module";

interface Definition {
  name: string;
  examples: Record<string, unknown>[];
}

const definitions = createRequire(import.meta.url)("@octokit/webhooks-examples") as Definition[];

/** A payload as GitHub published it, for one event and action, with an installation and changes of our own. */
export function webhookPayload<T extends object>(
  event: string,
  action: string,
  change: (payload: T) => void = () => undefined,
): T {
  const examples = definitions.find(({ name }) => name === event)?.examples ?? [];
  const example =
    examples.find((candidate) => candidate["action"] === action) ??
    // Some events have no action.
    (action === "" ? examples[0] : examples.find((candidate) => "action" in candidate));
  if (example === undefined) throw new Error(`GitHub published no example of ${event}.${action}`);
  const payload = structuredClone({
    ...example,
    action,
    installation: example["installation"] ?? { id: 7, node_id: "I_7" },
  }) as unknown as T;
  change(payload);
  return payload;
}
