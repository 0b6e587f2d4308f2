import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { request as overHttp } from "node:http";
import { request as overHttps } from "node:https";
import { dirname, join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { commandEnvironment } from "../command-environment.ts";
import { limitedShell } from "../limits-prologue.ts";
import type { CommandResult } from "../sandbox.ts";
import { supervise } from "../supervise.ts";
import { pack } from "./pack.ts";
import {
  INSIDE,
  LAYER_IS_GONE,
  MAX_ENTRIES,
  MAX_TREE_BYTES,
  OUTPUT_ROOT,
  type SandboxAnswer,
  SandboxRequest,
} from "./request.ts";
import { changesBetween, type Snapshot, takeSnapshot } from "./snapshot.ts";
import { unpack } from "./unpack.ts";

/** All that a function may write. */
const WRITABLE = ["/tmp", "/dev/shm"];
const SYSTEM_PATH = [
  "/usr/local/sbin",
  "/usr/local/bin",
  "/usr/local/go/bin",
  "/usr/sbin",
  "/usr/bin",
  "/sbin",
  "/bin",
];
/** Kept of the function's own time for packing and sending what a command changed. */
const RETURN_SECONDS = 30;
const ATTEMPTS = 4;
const LEFTOVER_MS = 5_000;

/** What AWS tells a function about its time. */
export interface FunctionContext {
  getRemainingTimeInMillis(): number;
}

/**
 * The sandbox's function on AWS Lambda: makes the folders from archives, runs one command in them, and puts what it changed
 * into one archive. It knows no secret, and the machine is the job's alone: all other processes that come up meanwhile are
 * ended, and `/tmp` and `/dev/shm` are emptied before and afterwards, whatever happens. Rejects when the bucket cannot be
 * reached or what it was sent is damaged.
 */
export async function sandboxFunction(event: unknown, context: FunctionContext): Promise<SandboxAnswer> {
  const request = SandboxRequest.parse(event);
  ofTheMachine ??= new Set((await processes()).map(({ identity }) => identity));
  await emptyAll();
  try {
    return await run(request, context);
  } finally {
    await endCommands();
    await emptyAll();
  }
}

/** What ran before the first command did; whatever came up since belongs to a command. */
let ofTheMachine: ReadonlySet<string> | undefined;

async function run(request: SandboxRequest, context: FunctionContext): Promise<SandboxAnswer> {
  for (const folder of Object.values(INSIDE)) await mkdir(folder, { recursive: true, mode: 0o700 });
  const roots = {
    tree: INSIDE.tree,
    temporary: INSIDE.temporary,
    ...(request.home !== "temporary" && { home: INSIDE.home }),
  };
  const archive = "/tmp/archive";
  const output = "/tmp/output";
  const all = { ...roots, [OUTPUT_ROOT]: output };
  let before: Snapshot = new Map();
  for (const layer of request.layers) {
    await download(layer, archive);
    const room = { maxBytes: MAX_TREE_BYTES, maxEntries: MAX_ENTRIES, maxFileBytes: MAX_TREE_BYTES };
    // A layer that an earlier command made has its output too.
    await mkdir(output);
    before = without(OUTPUT_ROOT, (await unpack(archive, all, { before, ...room })).snapshot);
    await rm(output, { recursive: true });
    await rm(archive);
  }

  const cwd = join(INSIDE.tree, request.command.directory ?? ".");
  const real = await realpath(cwd).catch(() => undefined);
  if (real === undefined || !`${real}/`.startsWith(`${INSIDE.tree}/`)) {
    return refused(
      `Cannot run a command: its directory "${request.command.directory}" does not exist or is a link out of the tree`,
    );
  }
  const remainingSeconds = context.getRemainingTimeInMillis() / 1_000 - RETURN_SECONDS;
  if (remainingSeconds < 1) return refused("Cannot run a command: the function has no time left for it");
  const limits = { ...request.limits, timeoutSeconds: Math.min(request.limits.timeoutSeconds, remainingSeconds) };
  const result = await supervise(launch(request, cwd), limits, "/tmp");
  await endCommands();

  await mkdir(output);
  await writeFile(join(output, "stdout"), result.stdout);
  await writeFile(join(output, "stderr"), result.stderr);
  const after = await takeSnapshot(all, before);
  const [from, to] = request.home === "read-only" ? [without("home", before), without("home", after)] : [before, after];
  const packed = await pack(changesBetween(from, to), all, archive);
  await upload(request.resultUrl, archive, packed.bytes);
  return answerOf(result, packed);
}

function without(root: string, snapshot: Snapshot): Snapshot {
  return new Map([...snapshot].filter(([path]) => !path.startsWith(`${root}/`)));
}

function launch({ command, limits, home }: SandboxRequest, cwd: string) {
  const paths = { ...INSIDE, home: home === "temporary" ? INSIDE.temporary : INSIDE.home };
  const searchPath = [...new Set([dirname(process.execPath), ...SYSTEM_PATH])];
  const env = commandEnvironment(
    paths,
    { searchPath, variables: {} },
    { readOnlyHome: home === "read-only", extra: command.env },
  );
  const [file = "", ...args] = limitedShell(command.run, { limits, countsProcesses: true, env });
  return { file, args, env: { PATH: "/usr/bin:/bin" }, cwd, release: async () => {} };
}

function answerOf(result: CommandResult, packed: { sha256: string; bytes: number }): SandboxAnswer {
  const { stdout: _, stderr: __, ...rest } = result;
  return { ...rest, result: packed };
}

function refused(reason: string): SandboxAnswer {
  return { kind: "refused", droppedOutputBytes: 0, durationSeconds: 0, reason };
}

interface Process {
  pid: number;
  /** With the time of its start, because numbers are given out again. */
  identity: string;
}

/** Every living process that is seen here; on Lambda those of this function alone. */
async function processes(): Promise<Process[]> {
  const names = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    names.map(async (name) => {
      const text = await readFile(`/proc/${name}/stat`, "utf8").catch(() => "");
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" "); // proc(5): field 3 is the state, 22 the start time
      // One that ended, but whose parent has not asked how, holds nothing any more.
      const lives = text !== "" && fields[0] !== "Z" && fields[0] !== "X";
      return lives ? { pid: Number(name), identity: `${name} ${fields[19]}` } : undefined;
    }),
  );
  return found.filter((it) => it !== undefined);
}

/**
 * Ends what commands left, also what left its process group and its session. All are stopped before any is killed, so
 * that none of them starts others meanwhile. A machine on which that fails is given up: no other command runs there.
 */
async function endCommands(): Promise<void> {
  const until = performance.now() + LEFTOVER_MS;
  for (;;) {
    const left = (await processes()).filter(({ identity }) => !ofTheMachine?.has(identity));
    if (left.length === 0) return;
    if (performance.now() > until) process.exit(1);
    for (const signal of ["SIGSTOP", "SIGKILL"] as const) {
      for (const { pid } of left) {
        try {
          process.kill(pid, signal);
        } catch {
          // It ended by itself.
        }
      }
    }
    await sleep(5);
  }
}

async function emptyAll(): Promise<void> {
  for (const folder of WRITABLE) {
    for (const name of await readdir(folder).catch(() => [])) {
      const place = join(folder, name);
      try {
        await rm(place, { recursive: true, force: true });
      } catch {
        // A folder that its owner may not write keeps what is in it.
        await execa("chmod", ["-R", "u+rwX", "--", place], { reject: false, stdio: "ignore" });
        await rm(place, { recursive: true, force: true });
      }
    }
  }
}

async function download(layer: SandboxRequest["layers"][number], file: string): Promise<void> {
  await again(`${LAYER_IS_GONE} ${layer.sha256}`, async () => {
    const response = await fetch(layer.url);
    requireOk(response.status);
    if (response.body === null) throw new Error("no content");
    const hash = createHash("sha256");
    let bytes = 0;
    const check = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        bytes += chunk.length;
        done(bytes > layer.bytes ? new Error(`it has more than ${layer.bytes} bytes`) : null, chunk);
      },
    });
    await pipeline(response.body, check, createWriteStream(file, { mode: 0o600 }));
    if (hash.digest("hex") !== layer.sha256) throw new Error(`its ${bytes} bytes are others`);
  });
}

/** S3 takes a presigned upload only with its length, which `fetch` does not send for a stream. */
async function upload(url: string, file: string, bytes: number): Promise<void> {
  await again("Cannot upload the result", async () => {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const send = url.startsWith("https:") ? overHttps : overHttp;
      const outgoing = send(url, { method: "PUT", headers: { "content-length": bytes }, timeout: 60_000 });
      outgoing.once("timeout", () => outgoing.destroy(new Error("the bucket is silent")));
      outgoing.once("error", reject);
      outgoing.once("response", (response) => {
        response.resume();
        response.once("end", () => resolve(response.statusCode));
        response.once("error", reject);
      });
      pipeline(createReadStream(file), outgoing).catch(reject);
    });
    requireOk(status ?? 500);
  });
}

/** Does it up to four times; the address is not part of what is thrown, because it is a permission. */
async function again(what: string, work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (attempt === ATTEMPTS || error instanceof Answered) throw new Error(`${what}: ${why}`);
      await sleep(200 * 4 ** (attempt - 1));
    }
  }
}

/** The bucket's answer, which would be the same again. */
class Answered extends Error {
  override name = "Answered";
}

function requireOk(status: number): void {
  if (status >= 500) throw new Error(`status ${status}`);
  if (status !== 200) throw new Answered(`status ${status}`);
}
