import { type ChildProcess, spawn } from "node:child_process";
import { chmod, chown, cp, lstat, mkdir, mkdtemp, readlink, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";

/** A function that was packaged: one bundle, which runs where none of the repository's files are needed. */
export interface PackagedFunction {
  /** Absolute path of the ES module. Files beside it are part of the package. */
  bundle: string;
  /** `handler` by default. */
  exportName?: string;
  environment?: Record<string, string>;
  /**
   * In namespaces of its own with bubblewrap: own processes, an own user without rights, a read-only system and nothing
   * writable but `/tmp`, as on AWS. Of the network it has S3 alone, as through a gateway endpoint, and `reaches`.
   */
  isolated?: boolean;
  /** Further ports of this machine's loopback, such as that of a proxy. */
  reaches?: number[];
}

/** How an event ended. `error` is what AWS puts in the payload of a failed invocation. */
export type Ending = { result: unknown } | { error: { errorType: string; errorMessage: string; trace?: string[] } };

/** One process of a function, started cold and kept warm. */
export interface ExecutionEnvironment {
  functionName: string;
  tenantId: string | undefined;
  /** The folder that the function sees as `/tmp`; this machine's own without isolation. */
  temporary: string;
  busy: boolean;
  lastUsed: number;
  /** Never rejects. After an ending by time-out or exit the environment is over. */
  run(event: unknown, context: object, timeoutSeconds: number): Promise<Ending>;
  over: boolean;
  close(): Promise<void>;
}

const TASK = "/var/task";
const LANG = "/var/lang/bin";
const RUNTIME = fileURLToPath(new URL("function-process.ts", import.meta.url));
const START_SECONDS = 60;
/** Above those of the sandbox's slots nothing else on a machine uses these. */
const FIRST_UID = 63_000;
let started = 0;

export async function startEnvironment(
  functionName: string,
  tenantId: string | undefined,
  packaged: PackagedFunction,
  environment: Record<string, string>,
  s3Port: number,
): Promise<ExecutionEnvironment> {
  const root = await mkdtemp(join(tmpdir(), "function-"));
  const temporary = join(root, "tmp");
  await mkdir(temporary, { mode: 0o700 });
  const env = { PATH: `${LANG}:/usr/local/bin:/usr/bin:/bin`, TZ: ":UTC", LANG: "en_US.UTF-8", ...environment };
  const doors = packaged.isolated ? await openDoors(root, [s3Port, ...(packaged.reaches ?? [])]) : [];
  const child = packaged.isolated
    ? await isolated(packaged, root, temporary, { AWS_LAMBDA_RUNTIME_API: "127.0.0.1:9001", ...env }, doors)
    : spawn(process.execPath, [RUNTIME, packaged.bundle, packaged.exportName ?? "handler"], {
        cwd: dirname(packaged.bundle),
        env: { ...env, PATH: process.env["PATH"] ?? env.PATH },
        stdio: ["pipe", "ignore", "pipe", "pipe"],
      });
  const lines: string[] = [];
  const waiting: ((line: string | undefined) => void)[] = [];
  const give = (line: string | undefined) => {
    const next = waiting.shift();
    if (next) next(line);
    else if (line !== undefined) lines.push(line);
  };
  createInterface({ input: child.stdio[3] as Readable }).on("line", give);
  let errors = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    errors = `${errors}${chunk}`.slice(-4_000);
  });
  (child.stdin as Writable).on("error", () => {});
  let exitCode: number | null | undefined;
  const exited = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      errors += error.message;
      exitCode = 1;
      give(undefined);
      resolve();
    });
    child.once("exit", (code) => {
      exitCode = code;
      give(undefined);
      resolve();
    });
  });
  const nextLine = (seconds: number) =>
    new Promise<string | undefined | "timeout">((resolve) => {
      const line = lines.shift();
      if (line !== undefined || exitCode !== undefined) return resolve(line);
      const timer = setTimeout(() => {
        waiting.splice(waiting.indexOf(take), 1);
        resolve("timeout");
      }, seconds * 1_000);
      const take = (given: string | undefined) => {
        clearTimeout(timer);
        resolve(given);
      };
      waiting.push(take);
    });
  const end = async () => {
    child.kill("SIGKILL");
    await exited;
    for (const door of doors) door.close();
    await rm(root, { recursive: true, force: true, maxRetries: 5 });
  };
  const first = await nextLine(START_SECONDS);
  if (first === undefined || first === "timeout" || !("ready" in JSON.parse(first))) {
    await end();
    throw new Error(`Cannot start the function ${functionName}: ${first ?? `its process ended: ${errors.trim()}`}`);
  }

  const self: ExecutionEnvironment = {
    functionName,
    tenantId,
    temporary: packaged.isolated ? temporary : tmpdir(),
    busy: false,
    lastUsed: Date.now(),
    over: false,
    async run(event, context, timeoutSeconds) {
      self.busy = true;
      const deadlineMs = Date.now() + timeoutSeconds * 1_000;
      (child.stdin as Writable).write(`${JSON.stringify({ event, context, deadlineMs })}\n`);
      const line = await nextLine(timeoutSeconds);
      self.busy = false;
      self.lastUsed = Date.now();
      if (line !== undefined && line !== "timeout") return JSON.parse(line) as Ending;
      self.over = true;
      await end();
      const why =
        line === "timeout"
          ? { errorType: "Sandbox.Timedout", errorMessage: `Task timed out after ${timeoutSeconds.toFixed(2)} seconds` }
          : {
              errorType: "Runtime.ExitError",
              errorMessage: `Runtime exited with error: exit status ${exitCode} ${errors.trim()}`,
            };
      return { error: why };
    },
    async close() {
      self.over = true;
      await end();
    },
  };
  return self;
}

async function isolated(
  packaged: PackagedFunction,
  root: string,
  temporary: string,
  env: Record<string, string>,
  doors: readonly Door[],
): Promise<ChildProcess> {
  const isRoot = process.getuid?.() === 0;
  const uid = FIRST_UID + (started++ % 900);
  const task = join(root, "task");
  await cp(dirname(packaged.bundle), task, { recursive: true });
  await chmod(task, 0o755);
  if (isRoot) await chown(temporary, uid, uid);
  const words = [
    ...["--die-with-parent", "--new-session", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net"],
    ...(await systemMounts()),
    ...["--ro-bind", "/etc", "/etc", "--proc", "/proc", "--dev", "/dev"],
    // Folders that bubblewrap makes by itself are closed to other users.
    ...["/var", "/var/lang", LANG, "/var/runtime"].flatMap((folder) => ["--dir", folder]),
    ...["--ro-bind", process.execPath, `${LANG}/node`, "--ro-bind", task, TASK],
    ...["--ro-bind", RUNTIME, "/var/runtime/function-process.ts", "--dir", "/run"],
    ...doors.flatMap(({ socket, port }) => ["--bind", socket, `/run/${port}.sock`]),
    ...["--bind", temporary, "/tmp", "--chdir", TASK, "--remount-ro", "/", "--cap-drop", "ALL"],
    ...(isRoot
      ? ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP", "--", ...asUser(uid)]
      : ["--unshare-user", "--uid", "993", "--gid", "990", "--"]),
    ...[`${LANG}/node`, "/var/runtime/function-process.ts", `${TASK}/${basename(packaged.bundle)}`],
    packaged.exportName ?? "handler",
    ...doors.map(({ port }) => `${port}`),
  ];
  return spawn("/usr/bin/bwrap", words, { env, stdio: ["pipe", "ignore", "pipe", "pipe"] });
}

/** A port of this machine's loopback as a socket in the file system, which namespaces of the network do not part. */
interface Door {
  port: number;
  socket: string;
  close(): void;
}

function openDoors(root: string, ports: readonly number[]): Promise<Door[]> {
  return Promise.all(
    ports.map(async (port) => {
      const socket = join(root, `${port}.sock`);
      const open = new Set<Socket>();
      const server = createServer((inner) => {
        const outer = connect(port, "127.0.0.1");
        for (const end of [inner, outer]) {
          open.add(end);
          end.on("error", () => {});
          end.on("close", () => {
            open.delete(end);
            inner.destroy();
            outer.destroy();
          });
        }
        inner.pipe(outer).pipe(inner);
      });
      await new Promise<void>((resolve) => server.listen(socket, resolve));
      await chmod(socket, 0o666);
      return {
        port,
        socket,
        close: () => {
          server.close();
          for (const end of open) end.destroy();
        },
      };
    }),
  );
}

async function systemMounts(): Promise<string[]> {
  const words: string[] = [];
  for (const directory of ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt"]) {
    const seen = await lstat(directory).catch(() => undefined);
    if (seen?.isSymbolicLink()) words.push("--symlink", await readlink(directory), directory);
    else if (seen) words.push("--ro-bind", directory, directory);
  }
  return words;
}

function asUser(uid: number): string[] {
  return [
    ...["/usr/bin/setpriv", "--reuid", `${uid}`, "--regid", `${uid}`, "--clear-groups"],
    ...["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"],
  ];
}
