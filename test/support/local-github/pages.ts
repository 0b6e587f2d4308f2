import { randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { WorkflowJob } from "./types.ts";
import type { World } from "./world.ts";

/**
 * The few pages of the web site that a program needs: `/settings/apps/new` (also of an organization) takes a posted App
 * manifest and sends the browser back with a code; `/job-logs/{id}` is where a job's log is fetched from. Returns whether the request was for a page.
 */
export async function servePage(
  world: World,
  method: string,
  path: string,
  url: URL,
  { body, authorization }: { body: string; authorization: string | undefined },
  response: ServerResponse,
): Promise<boolean> {
  const log = /^\/job-logs\/(\w+)$/.exec(path)?.[1];
  if (log) {
    const job = world.nodes.get(log)?.value as Partial<WorkflowJob> | undefined;
    // What keeps the logs takes no token beside the one in the address.
    const status = authorization !== undefined ? 400 : job?.log === undefined ? 404 : 200;
    response.writeHead(status, { "content-type": "text/plain" }).end(status === 200 ? job?.log : undefined);
    return true;
  }
  if (!/^(\/organizations\/[^/]+)?\/settings\/apps\/new$/.test(path)) return false;
  if (method !== "POST") {
    response.writeHead(405, { "content-type": "text/plain", allow: "POST" }).end("Post a manifest here.\n");
    return true;
  }
  const manifest = parseManifest(new URLSearchParams(body).get("manifest"));
  const back = manifest?.redirect_url;
  if (!manifest || typeof back !== "string" || !URL.canParse(back)) {
    response.writeHead(422, { "content-type": "text/plain" }).end("The manifest needs a redirect_url.\n");
    return true;
  }
  const code = randomBytes(20).toString("hex");
  world.manifests.set(code, manifest);
  const target = new URL(back);
  target.searchParams.set("code", code);
  const state = url.searchParams.get("state");
  if (state) target.searchParams.set("state", state);
  response.writeHead(302, { location: target.href }).end();
  return true;
}

function parseManifest(text: string | null): Record<string, unknown> | undefined {
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}
