// Runs in a process of its own, see registry-proxy.ts. Ends when its channel to the worker does.
import { randomBytes } from "node:crypto";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { SandboxManager } from "@anthropic-ai/sandbox-runtime";
import type { Request } from "./registry-proxy.ts";
import { openSessionSocket, type SessionSocket } from "./session-socket.ts";

/** Address ranges that no host name may lead to; loopback, link-local and metadata addresses are always refused. */
const PRIVATE_RANGES = [
  ...["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "192.0.0.0/24", "240.0.0.0/4"],
  ...["fc00::/7", "fec0::/10"],
];
const NOTHING = { denyRead: [], allowRead: [], allowWrite: [], denyWrite: [] };
const sessions = new Map<string, { commandId: string; socket: SessionSocket }>();

process.on("disconnect", () => void SandboxManager.reset().finally(() => process.exit(0)));
process.on("message", (request: Request) => void serve(request));
await start();

async function start(): Promise<void> {
  try {
    await SandboxManager.initialize({
      network: { allowedDomains: [], deniedDomains: [], deniedResolvedAddresses: PRIVATE_RANGES },
      filesystem: NOTHING,
    });
    process.send?.({ kind: "ready" });
  } catch (error) {
    process.send?.({ kind: "failed", message: messageOf(error) });
  }
}

async function serve(request: Request): Promise<void> {
  try {
    if (request.kind === "close") close(request.id);
    else process.send?.({ kind: "opened", id: request.id, socket: await open(request.id, request.destinations) });
  } catch (error) {
    process.send?.({ kind: "failed", id: request.id, message: messageOf(error) });
  }
}

async function open(id: string, destinations: string[]): Promise<string> {
  const proxy = SandboxManager.getLinuxHttpSocketPath();
  if (!proxy) throw new Error("the sandbox runtime's proxy has no socket");
  // The proxy knows a session by this name alone, so it must not be guessable. It never reaches the sandbox.
  const commandId = randomBytes(24).toString("base64url");
  const socket = await openSessionSocket(
    join(process.cwd(), `session-${id}.sock`),
    proxy,
    await credentials(commandId),
  );
  SandboxManager.registerCommandNetworkLists(commandId, { allowedDomains: destinations });
  sessions.set(id, { commandId, socket });
  await chmod(socket.path, 0o666); // Reached only through its folder, which is the worker's alone, or a bind mount of it.
  return socket.path;
}

function close(id: string): void {
  const session = sessions.get(id);
  if (!session) return;
  sessions.delete(id);
  SandboxManager.unregisterCommandNetworkLists(session.commandId);
  session.socket.close();
}

/** `user:password` by which the proxy finds the lists of a command: the runtime hands it out only in a wrapped command. */
async function credentials(commandId: string): Promise<string> {
  const options = { commandId };
  const wrapped = await SandboxManager.wrapWithSandboxArgv(
    "true",
    "/bin/bash",
    { filesystem: NOTHING },
    undefined,
    process.cwd(),
    options,
  );
  SandboxManager.cleanupAfterCommand();
  const address = /--setenv HTTPS_PROXY '?(http:\/\/[^\s'@]+@localhost:\d+)/.exec(wrapped.argv.join(" "))?.[1];
  if (!address) throw new Error("the sandbox runtime gave no proxy address");
  const { username, password } = new URL(address);
  return `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
