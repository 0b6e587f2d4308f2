// Runs in a process of its own, see registry-proxy.ts. Ends when its channel to the worker does.
import { randomBytes } from "node:crypto";
import { chmod } from "node:fs/promises";
import { SandboxManager } from "@anthropic-ai/sandbox-runtime";
import type { Request } from "./registry-proxy.ts";

/** Address ranges that no host name may lead to; loopback, link-local and metadata addresses are always refused. */
const PRIVATE_RANGES = [
  "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "192.0.0.0/24", "240.0.0.0/4", "fc00::/7", "fec0::/10",
]; // biome-ignore format: a table
const NOTHING = { denyRead: [], allowRead: [], allowWrite: [], denyWrite: [] };
const commandIds = new Map<string, string>();

process.on("disconnect", () => void SandboxManager.reset().finally(() => process.exit(0)));
process.on("message", (request: Request) => void serve(request));
await start();

async function start(): Promise<void> {
  try {
    await SandboxManager.initialize({
      network: { allowedDomains: [], deniedDomains: [], deniedResolvedAddresses: PRIVATE_RANGES },
      filesystem: NOTHING,
    });
    const socket = SandboxManager.getLinuxHttpSocketPath();
    if (!socket) throw new Error("the proxy has no socket");
    await chmod(socket, 0o666); // Reached only through its folder, which is the worker's alone, or a bind mount of it.
    process.send?.({ kind: "ready", socket });
  } catch (error) {
    process.send?.({ kind: "failed", message: messageOf(error) });
  }
}

async function serve(request: Request): Promise<void> {
  try {
    if (request.kind === "close") {
      const commandId = commandIds.get(request.id);
      if (commandId) SandboxManager.unregisterCommandNetworkLists(commandId);
      commandIds.delete(request.id);
      return;
    }
    // The proxy knows a command by this name alone, so it must not be guessable.
    const commandId = randomBytes(24).toString("base64url");
    const { argv } = await SandboxManager.wrapWithSandboxArgv(
      "true",
      "/bin/bash",
      { filesystem: NOTHING },
      undefined,
      process.cwd(),
      { commandId },
    );
    SandboxManager.cleanupAfterCommand();
    const text = argv.join(" ");
    const url = /--setenv HTTPS_PROXY '?(http:\/\/[^\s'@]+@localhost:3128)/.exec(text)?.[1];
    if (!url) throw new Error("the sandbox runtime gave no proxy address");
    const javaAgent = /--setenv JAVA_TOOL_OPTIONS -javaagent:(\/\S+\.jar)/.exec(text)?.[1];
    SandboxManager.registerCommandNetworkLists(commandId, { allowedDomains: request.destinations });
    commandIds.set(request.id, commandId);
    process.send?.({ kind: "opened", id: request.id, url, javaAgent });
  } catch (error) {
    process.send?.({ kind: "failed", id: request.id, message: messageOf(error) });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
