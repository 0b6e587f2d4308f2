import { type ChildProcess, fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";

/** Where the relay inside the sandbox listens; the proxy's own settings name it. */
export const PROXY_PORT = 3128;
const START_SECONDS = 20;

/** One command's way out: only to the destinations that it was opened with. */
interface ProxySession {
  /** Unix socket of this session on the host: a proxy that asks for no password. */
  socket: string;
  close(): void;
}

export interface RegistryProxy {
  /** `destinations` are `name:port`. Throws when the proxy cannot be started. */
  open(destinations: readonly string[]): Promise<ProxySession>;
  close(): Promise<void>;
}

const Answer = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("ready") }),
  z.object({ kind: z.literal("opened"), id: z.string(), socket: z.string() }),
  z.object({ kind: z.literal("failed"), id: z.string().optional(), message: z.string() }),
]);
type Answer = z.infer<typeof Answer>;

/**
 * The proxy of `@anthropic-ai/sandbox-runtime` in a process of its own, started when it is first needed: no secret of the
 * worker is in the memory that parses what sandboxed commands send, and its working directory is an empty folder.
 */
export function createRegistryProxy(): RegistryProxy {
  let running: Promise<Running> | undefined;
  let nextId = 0;

  return {
    async open(destinations) {
      running ??= start();
      running.catch(() => {
        running = undefined;
      });
      const proxy = await running;
      const id = `${nextId++}`;
      const opened = await proxy.ask({ kind: "open", id, destinations: [...destinations] }, id);
      if (opened.kind !== "opened") throw new Error(`Cannot open the registry proxy: unexpected answer ${opened.kind}`);
      return { socket: opened.socket, close: () => proxy.tell({ kind: "close", id }) };
    },
    async close() {
      const proxy = await running?.catch(() => undefined);
      running = undefined;
      await proxy?.stop();
    },
  };

  async function start(): Promise<Running> {
    const directory = await mkdtemp(join(tmpdir(), "millwright-proxy-"));
    const child = fork(fileURLToPath(new URL("registry-proxy-process.ts", import.meta.url)), [], {
      cwd: directory,
      env: { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: directory, TMPDIR: directory, CLAUDE_CODE_TMPDIR: directory },
      execArgv: [],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    void exited.then(() => {
      running = undefined;
      return rm(directory, { recursive: true, force: true });
    });
    try {
      const ready = await answer(child, (message) => message.kind !== "opened");
      if (ready.kind !== "ready") throw new Error("it did not become ready");
      child.unref();
      child.channel?.unref();
      (child.stderr as unknown as { unref?(): void } | null)?.unref?.();
      return {
        tell: (request) => {
          if (child.connected) child.send(request);
        },
        ask: (request, id) => {
          const answered = answer(child, (message) => "id" in message && message.id === id);
          child.send(request);
          return answered;
        },
        stop: async () => {
          if (child.connected) child.disconnect();
          child.ref();
          const timer = setTimeout(() => child.kill("SIGKILL"), 2_000);
          await exited;
          clearTimeout(timer);
        },
      };
    } catch (error) {
      child.kill("SIGKILL");
      throw new Error(`Cannot start the registry proxy: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  }
}

interface Running {
  tell(request: Request): void;
  ask(request: Request, id: string): Promise<Answer>;
  stop(): Promise<void>;
}

/** What the proxy's process understands. */
export type Request = { kind: "open"; id: string; destinations: string[] } | { kind: "close"; id: string };

/** Rejects when the process ends, answers `failed`, or takes longer than START_SECONDS. */
function answer(child: ChildProcess, isMine: (message: Answer) => boolean): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let errors = "";
    const onError = (chunk: Buffer) => {
      errors = `${errors}${chunk}`.slice(-2_000);
    };
    const finish = (settle: () => void) => {
      clearTimeout(timer);
      child.off("message", onMessage);
      child.off("exit", onExit);
      child.stderr?.off("data", onError);
      settle();
    };
    const onMessage = (raw: unknown) => {
      const message = Answer.parse(raw);
      if (!isMine(message)) return;
      if (message.kind === "failed") finish(() => reject(new Error(message.message)));
      else finish(() => resolve(message));
    };
    const onExit = (code: number | null) =>
      finish(() => reject(new Error(`its process ended with code ${code}: ${errors.trim()}`)));
    const timer = setTimeout(
      () => finish(() => reject(new Error(`no answer in ${START_SECONDS} seconds`))),
      START_SECONDS * 1_000,
    );
    child.on("message", onMessage);
    child.once("exit", onExit);
    child.stderr?.on("data", onError);
  });
}
