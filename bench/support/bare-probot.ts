import { pino } from "pino";
import { Probot, Server } from "probot";
import { type Child, serve, startChild } from "./child.ts";
import type { Credentials } from "./local-github.ts";
import { freePort } from "./server.ts";

interface Options {
  github: Credentials;
}

/** A Probot app whose one handler does nothing, in a process of its own; it logs JSON to `log` as ours does. */
export function startBareProbot(options: Options, log: string): Promise<Child<{ webhookUrl: string }, never, never>> {
  return startChild(import.meta.filename, options, { log });
}

async function start({ github }: Options) {
  const log = pino({ level: "info" });
  const { appId, privateKey, webhookSecret: secret, url: baseUrl } = github;
  const server = new Server({
    host: "127.0.0.1",
    port: await freePort(),
    log: log as never,
    Probot: Probot.defaults({ appId, privateKey, secret, baseUrl, log: log as never }) as typeof Probot,
  });
  await server.load((app) => {
    app.on("issues.labeled", () => undefined);
  });
  await server.start();
  return { ready: { webhookUrl: `http://127.0.0.1:${server.port}/api/github/webhooks` } };
}

if (import.meta.main) serve(start);
