// Runs a packaged function as AWS's runtime does: one event at a time, from standard input to file descriptor 3.
// It is started alone with `node`, where nothing of this repository is, so it imports nothing but Node's own modules.
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [bundle = "", exportName = ""] = process.argv.slice(2);
const answers = createWriteStream("", { fd: 3 });
const answer = (value: unknown) => answers.write(`${JSON.stringify(value)}\n`);

function described(error: unknown) {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  return { errorType: name, errorMessage: message, trace: (stack ?? "").split("\n") };
}

try {
  const loaded = (await import(pathToFileURL(bundle).href)) as Record<string, unknown>;
  const handler = loaded[exportName];
  if (typeof handler !== "function") throw new Error(`${bundle} does not export the function ${exportName}`);
  answer({ ready: true });
  for await (const line of createInterface({ input: process.stdin })) {
    const { event, context, deadlineMs } = JSON.parse(line);
    const given = { ...context, getRemainingTimeInMillis: () => deadlineMs - Date.now() };
    try {
      answer({ result: (await handler(event, given)) ?? null });
    } catch (error) {
      answer({ error: described(error) });
    }
  }
} catch (error) {
  answer({ failed: described(error) });
}
