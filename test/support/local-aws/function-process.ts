// Runs a packaged function as AWS's runtime does: one event at a time, from standard input to file descriptor 3.
// It is started alone with `node`, where nothing of this repository is, so it imports nothing but Node's own modules.
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [bundle = "", exportName = "", ...ports] = process.argv.slice(2);
const answers = createWriteStream("", { fd: 3 });
const answer = (value: unknown) => answers.write(`${JSON.stringify(value)}\n`);

function described(error: unknown) {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  return { errorType: name, errorMessage: message, trace: (stack ?? "").split("\n") };
}

/** Where the function has no network, these ports lead out through sockets in the file system. */
async function openDoor(port: string): Promise<void> {
  const server = createServer((inner) => {
    const outer = connect(`/run/${port}.sock`);
    for (const end of [inner, outer]) {
      end.on("error", () => {});
      end.on("close", () => {
        inner.destroy();
        outer.destroy();
      });
    }
    inner.pipe(outer).pipe(inner);
  });
  server.listen(Number(port), "127.0.0.1").unref();
  await once(server, "listening");
}

try {
  for (const port of ports) await openDoor(port);
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
