import { createHash, randomUUID } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { InvokeCommand, LambdaClient, TooManyRequestsException } from "@aws-sdk/client-lambda";
import { DeleteObjectsCommand, GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { Refusal, type RemoteBackend } from "../backend.ts";
import { certificateVariables } from "../command-environment.ts";
import { allowedDestinations, type HostRules } from "../hosts.ts";
import { proxyVariables } from "../proxy-variables.ts";
import type { Command, CommandResult, InsidePaths, Limits, Tree } from "../sandbox.ts";
import { downloadFile, uploadFile } from "./bucket-files.ts";
import { type Packed, pack } from "./pack.ts";
import {
  INSIDE,
  LAYER_IS_GONE,
  MAX_ENTRIES,
  MAX_TREE_BYTES,
  OUTPUT_ROOT,
  SandboxAnswer,
  type SandboxRequest,
} from "./request.ts";
import { changesBetween, type Roots, type Snapshot, takeSnapshot } from "./snapshot.ts";
import { BadArchive, unpack } from "./unpack.ts";

export interface LambdaOptions extends HostRules {
  /** Runs commands without network: name, alias or ARN. */
  sandboxFunction: string;
  /** Runs what installs dependencies. */
  setupFunction?: string;
  bucket: string;
  /** Of every key, ending with a slash or empty. */
  keyPrefix?: string;
  /** `http://host:port` of a proxy that lets through to package registries alone: the set-up function's only way out. */
  egressProxy?: string;
  /** Names the toolchain where operators know it: the digest of the functions' image. */
  image?: string;
  /** By default clients as the environment describes them. */
  clients?: { s3: S3Client; lambda: LambdaClient };
}

/** So many archives are downloaded before each command; then the whole tree is sent anew. */
const MAX_LAYERS = 8;
/** Trees whose layers are remembered while no command runs at them; those of others are deleted. */
const MAX_TREES = 16;
/** The bucket deletes layers after a day; younger ones are not relied upon for that long. */
const LAYERS_HOURS = 12;
/** Besides the command's own time: starting cold, the way there and back. */
const TRANSFER_SECONDS = 180;
/** A throttled function is asked again for so long; then its step is told to wait, which costs no worker. */
const THROTTLED_SECONDS = 3;
const THROTTLED_PAUSE_SECONDS = 20;
const MAX_OUTPUT_SLACK_BYTES = 200;
/** System folders of the function that a link may name: they hold no secret of anybody. */
const SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt", "/var/lang", "/etc/alternatives", "/dev/null"];
const LINK_TARGETS = [...Object.values(INSIDE), ...SYSTEM];

/** What the function was sent of a tree, and what lies in the bucket for it. */
interface Sent {
  snapshot: Snapshot;
  layers: (Packed & { key: string })[];
  /** When the first layer was uploaded. */
  since: number;
  busy: boolean;
}

/**
 * Commands in a function of their own on AWS Lambda. The tree travels as archives through the bucket: whole at first,
 * later what changed since the function was last sent it. `directory` is a trusted folder for what is on its way.
 */
export function lambda(options: LambdaOptions, directory: string): RemoteBackend {
  const s3 = options.clients?.s3 ?? new S3Client({ requestChecksumCalculation: "WHEN_REQUIRED" });
  // An invocation that was cut may have run: only what AWS did not take is sent again.
  const client = options.clients?.lambda ?? new LambdaClient({ maxAttempts: 1 });
  const trees = new Map<string, Sent>();

  return {
    name: "lambda",
    describe: () =>
      `lambda, function ${options.sandboxFunction}${options.image === undefined ? "" : `, image ${options.image}`}; ` +
      `set-up ${options.egressProxy === undefined ? "has no network" : "through the egress proxy"}`,
    unusable: async () => undefined,
    paths,
    run,
    close: async () => {
      for (const key of [...trees.keys()]) await forget(key);
      if (options.clients) return;
      s3.destroy();
      client.destroy();
    },
  };

  async function run(command: Command, at: Tree, limits: Limits, signal?: AbortSignal): Promise<CommandResult> {
    const functionName = functionFor(command);
    const started = performance.now();
    const late = AbortSignal.timeout((limits.timeoutSeconds + TRANSFER_SECONDS) * 1_000);
    const stop = signal ? AbortSignal.any([signal, late]) : late;
    const seconds = () => (performance.now() - started) / 1_000;
    await mkdir(directory, { recursive: true });
    const folder = await mkdtemp(join(directory, "transfer-"));
    try {
      const result = await send(functionName, command, at, limits, folder, stop);
      if (!result.reason?.includes(LAYER_IS_GONE)) return result;
      // Nothing was run: what the bucket lost is sent again, whole.
      await forget(at.directory);
      return await send(functionName, command, at, limits, folder, stop);
    } catch (error) {
      if (!stop.aborted) throw error;
      const nothing = { stdout: "", stderr: "", droppedOutputBytes: 0, durationSeconds: seconds() };
      // The function cannot be stopped from here: its own timer ends the command, and nobody looks at what it did.
      if (signal?.aborted) return { ...nothing, kind: "killed", signal: "SIGKILL", reason: "stopped by its caller" };
      return {
        ...nothing,
        kind: "timed-out",
        signal: "SIGKILL",
        reason: `no answer after ${Math.round(seconds())} seconds`,
      };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  function functionFor(command: Command): string {
    if (command.network === "none") return options.sandboxFunction;
    if ("gateway" in command.network) {
      throw new Refusal(
        "The lambda backend cannot let a command reach a server of the worker: Claude Code as the coder needs the bubblewrap or the container backend",
      );
    }
    if (allowedDestinations(command.network.hosts, options).length === 0) return options.sandboxFunction;
    if (options.egressProxy === undefined || options.setupFunction === undefined) {
      throw new Refusal(
        "Cannot install dependencies: the set-up function has no way out. Deploy it with an egress proxy that allows the package registries, and name both (MILLWRIGHT_SETUP_FUNCTION, MILLWRIGHT_EGRESS_PROXY)",
      );
    }
    return options.setupFunction;
  }

  async function send(
    functionName: string,
    command: Command,
    at: Tree,
    limits: Limits,
    folder: string,
    signal: AbortSignal,
  ): Promise<CommandResult> {
    const roots = rootsOf(at);
    const job = at.job ?? { repositoryId: 0, name: at.directory };
    const tenant = createHash("sha256").update(`${job.repositoryId}\n${job.name}\n${at.job ? "" : process.pid}`);
    const TenantId = `${job.repositoryId}-${tenant.digest("hex").slice(0, 32)}`;
    const prefix = `${options.keyPrefix ?? ""}trees/${job.repositoryId}/${TenantId}/`;
    const sent = await upload(at.directory, roots, prefix, folder, signal);
    const resultKey = `${prefix}${randomUUID()}`;
    const expiresIn = Math.ceil(limits.timeoutSeconds + TRANSFER_SECONDS);
    const sign = (object: GetObjectCommand | PutObjectCommand) => getSignedUrl(s3, object, { expiresIn });
    const object = (Key: string) => ({ Bucket: options.bucket, Key });
    const request: SandboxRequest = {
      layers: await Promise.all(
        sent.layers.map(async ({ key, sha256, bytes }) => ({
          url: await sign(new GetObjectCommand(object(key))),
          sha256,
          bytes,
        })),
      ),
      resultUrl: await sign(new PutObjectCommand(object(resultKey))),
      command: {
        run: command.run,
        directory: command.directory,
        env: {
          ...(functionName === options.setupFunction && options.egressProxy !== undefined
            ? { ...certificateVariables(), ...proxyVariables(options.egressProxy) }
            : {}),
          ...command.env,
        },
      },
      home: at.environment ? (at.environment.readOnly ? "read-only" : "kept") : "temporary",
      limits,
    };
    let kept = false;
    sent.busy = true;
    try {
      const answer = await invoke(functionName, TenantId, request, signal);
      if (answer.result === undefined) return { ...ending(answer), stdout: "", stderr: "" };
      const archive = join(folder, "result");
      await download(resultKey, answer.result, archive, signal);
      const output = join(folder, OUTPUT_ROOT);
      await mkdir(output);
      const unpacked = await unpack(
        archive,
        { ...roots, [OUTPUT_ROOT]: output },
        {
          before: sent.snapshot,
          maxBytes: MAX_TREE_BYTES,
          maxEntries: MAX_ENTRIES,
          maxFileBytes: largestFile(sent.snapshot, limits),
          distrust: { withoutGit: ["tree"], linkTargets: LINK_TARGETS },
          checkFirst: true,
          signal,
        },
      );
      for (const path of [...unpacked.snapshot.keys()]) {
        if (path.startsWith(`${OUTPUT_ROOT}/`)) unpacked.snapshot.delete(path);
      }
      // What was left out is in the archive, so that it makes another tree than the one here.
      kept = unpacked.leftOut.length === 0;
      if (kept) sent.layers.push({ ...answer.result, key: resultKey });
      sent.snapshot = kept ? unpacked.snapshot : sent.snapshot;
      const [stdout, stderr] = await Promise.all(
        ["stdout", "stderr"].map((name) => streamOf(join(output, name), limits.maxOutputBytes)),
      );
      return { ...ending(answer, unpacked.leftOut), stdout: stdout!, stderr: stderr! };
    } catch (error) {
      if (!(error instanceof BadArchive)) throw error;
      return { ...lost(`what it wrote was refused: ${error.message}`) };
    } finally {
      sent.busy = false;
      if (!kept) await remove([resultKey]);
    }
  }

  /** Makes the layers in the bucket those of the tree as it is now. */
  async function upload(
    tree: string,
    roots: Roots,
    prefix: string,
    folder: string,
    signal: AbortSignal,
  ): Promise<Sent> {
    const known = trees.get(tree);
    const now = await takeSnapshot(roots, known?.snapshot, signal);
    const isUsable =
      known !== undefined &&
      known.layers.length < MAX_LAYERS &&
      known.layers[0]?.key.startsWith(prefix) &&
      Date.now() - known.since < LAYERS_HOURS * 3_600_000;
    const changes = changesBetween(isUsable ? known.snapshot : new Map(), now);
    const layers = isUsable ? known.layers : [];
    if (changes.length > 0) {
      const file = join(folder, "layer");
      const packed = await pack(changes, roots, file, signal);
      const key = `${prefix}${packed.sha256}`;
      await uploadFile({ s3, bucket: options.bucket, key }, file, packed, signal);
      await rm(file);
      if (!isUsable) await forget(tree, key);
      layers.push({ ...packed, key });
    }
    const sent = { snapshot: now, layers, since: isUsable ? known.since : Date.now(), busy: false };
    trees.delete(tree);
    trees.set(tree, sent);
    const idle = [...trees].filter(([, { busy }]) => !busy).map(([oldest]) => oldest);
    for (const oldest of idle.slice(0, -MAX_TREES)) await forget(oldest);
    return sent;
  }

  async function invoke(
    FunctionName: string,
    TenantId: string,
    request: SandboxRequest,
    signal: AbortSignal,
  ): Promise<SandboxAnswer> {
    const command = new InvokeCommand({ FunctionName, TenantId, Payload: JSON.stringify(request) });
    const until = performance.now() + THROTTLED_SECONDS * 1_000;
    for (let pauseMs = 500; ; pauseMs = Math.min(pauseMs * 2, 8_000)) {
      try {
        const { Payload, FunctionError } = await client.send(command, { abortSignal: signal });
        const value: unknown = JSON.parse(Buffer.from(Payload ?? "null").toString("utf8"));
        if (FunctionError !== undefined) return lost(describeFailure(value));
        const answer = SandboxAnswer.safeParse(value);
        return answer.success ? answer.data : lost("its answer has another form than the sandbox's");
      } catch (error) {
        if (error instanceof SyntaxError) return lost("its answer is no JSON");
        if (!(error instanceof TooManyRequestsException)) throw error;
        if (performance.now() > until) throw Object.assign(error, { retryAfterSeconds: THROTTLED_PAUSE_SECONDS });
        await sleep(pauseMs, undefined, { signal });
      }
    }
  }

  async function download(key: string, expected: Packed, file: string, signal: AbortSignal): Promise<void> {
    const found = await downloadFile({ s3, bucket: options.bucket, key }, file, expected.bytes, signal);
    if (found?.sha256 !== expected.sha256) throw new BadArchive("it is not in the bucket as the function says");
  }

  /** Deletes what lies in the bucket for a tree, but one object. */
  async function forget(tree: string, kept?: string): Promise<void> {
    const known = trees.get(tree);
    trees.delete(tree);
    await remove((known?.layers ?? []).map(({ key }) => key).filter((key) => key !== kept));
  }

  /** Objects that stay, because the bucket could not be asked, are deleted by its own rule after a day. */
  async function remove(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    const Objects = keys.map((Key) => ({ Key }));
    await s3
      .send(new DeleteObjectsCommand({ Bucket: options.bucket, Delete: { Objects, Quiet: true } }))
      .catch(() => {});
  }
}

function paths(at: Tree): InsidePaths {
  return { ...INSIDE, home: at.environment ? INSIDE.home : INSIDE.temporary };
}

function rootsOf(at: Tree): Roots {
  return {
    tree: at.directory,
    temporary: at.temporary,
    ...(at.environment && { home: at.environment.directory }),
  };
}

/** A shell counts a file's size in units of 1024 bytes, a file that was there may be moved, and the output comes as files. */
function largestFile(snapshot: Snapshot, limits: Limits): number {
  let largest = Math.max(Math.ceil(limits.maxFileBytes / 1024) * 1024, 2 * limits.maxOutputBytes);
  for (const { entry } of snapshot.values()) if (entry.kind === "file") largest = Math.max(largest, entry.size);
  return largest;
}

type Ending = Omit<CommandResult, "stdout" | "stderr">;

function ending(answer: SandboxAnswer, leftOut: readonly string[] = []): Ending {
  const { result: _, signal, ...rest } = answer;
  const named = leftOut.slice(0, 5).map((path) => path.slice(path.indexOf("/") + 1));
  const note =
    leftOut.length > 0
      ? `left out, because it leads out of the tree or is a repository of its own: ${named.join(", ")}${leftOut.length > 5 ? ` and ${leftOut.length - 5} more` : ""}`
      : undefined;
  return {
    ...rest,
    signal: signal as NodeJS.Signals | undefined,
    reason: [answer.reason, note].filter((text) => text !== undefined).join("; ") || undefined,
  };
}

/** Of a function that a command took down, or that answers something else than the sandbox does. */
function lost(why: string): CommandResult {
  const reason = `the sandbox's function failed: ${why}`;
  return { kind: "killed", stdout: "", stderr: "", droppedOutputBytes: 0, durationSeconds: 0, reason };
}

function describeFailure(value: unknown): string {
  const { errorType, errorMessage } = (value ?? {}) as { errorType?: unknown; errorMessage?: unknown };
  return `${errorType}: ${errorMessage}`.slice(0, 500);
}

async function streamOf(file: string, maxBytes: number): Promise<string> {
  const bytes = await readFile(file).catch(() => Buffer.alloc(0));
  return bytes.subarray(0, maxBytes + MAX_OUTPUT_SLACK_BYTES).toString("utf8");
}
