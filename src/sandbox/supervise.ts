import { readFile } from "node:fs/promises";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import type { Launch } from "./backend.ts";
import { openOutputPipes } from "./output-pipe.ts";
import type { CommandResult, Limits } from "./sandbox.ts";

/** Exit code of the limits prologue when a limit could not be set. */
const LIMIT_NOT_SET = 125;
/** How long the pipes may stay open after the program ended: something that escaped a process group can hold them. */
const PIPE_GRACE_MS = 500;
/** How long the last processes may take to disappear after they were killed. */
const COLLAPSE_MS = 1_500;

/**
 * Starts the launch's program and waits until it and all that it holds are gone, or the time is over, or the signal
 * aborts. `directory` is a trusted folder for what lives as long as the command. Never rejects for what the command does;
 * rejects when the trusted program itself cannot be started.
 */
export async function supervise(
  launch: Launch,
  limits: Limits,
  directory: string,
  signal?: AbortSignal,
  onStdout?: (chunk: Uint8Array) => void,
): Promise<CommandResult> {
  const started = performance.now();
  const [stdout, stderr] = await openOutputPipes(directory, limits.maxOutputBytes, onStdout);
  // Any descriptor works; execa's types name those below 10 only.
  const outputs = [stdout.writeEnd as 3, stderr.writeEnd as 3] as const;
  const child = execa(launch.file, launch.args, {
    cwd: launch.cwd,
    env: launch.env,
    extendEnv: false,
    stdio: launch.inputs ? ["ignore", ...outputs, "pipe", "pipe", "pipe"] : ["ignore", ...outputs],
    buffer: false,
    reject: false,
    detached: true,
  });
  stdout.started();
  stderr.started();
  const holder = launch.inputs ? readHolder(child.stdio[4] as Readable) : undefined;
  if (launch.inputs) {
    feed(child.stdio[3] as Writable, launch.inputs[3]);
    feed(child.stdio[5] as Writable, launch.inputs[5]);
  }

  let stopped: "timed-out" | "cancelled" | undefined;
  const stop = (why: "timed-out" | "cancelled") => {
    stopped ??= why;
    killGroup(child.pid);
  };
  const timer = setTimeout(() => stop("timed-out"), limits.timeoutSeconds * 1_000);
  const cancel = () => stop("cancelled");
  signal?.addEventListener("abort", cancel, { once: true });
  if (signal?.aborted) cancel();

  try {
    await new Promise<void>((resolve) => {
      child.nodeChildProcess.once("exit", () => resolve());
      child.nodeChildProcess.once("error", () => resolve());
    });
    clearTimeout(timer);
    killGroup(child.pid);
    await waitUntilGone(await holder);
    await Promise.race([Promise.all([stdout.ended, stderr.ended]), sleep(PIPE_GRACE_MS, undefined, { ref: false })]);
    const result = await child;
    if (result.exitCode === undefined && result.signal === undefined) {
      throw new Error(`Cannot start ${launch.file}: ${result.shortMessage}`);
    }
    return {
      ...ending(result.exitCode, result.signal, stopped, limits),
      stdout: stdout.output.text(),
      stderr: stderr.output.text(),
      droppedOutputBytes: stdout.output.droppedBytes + stderr.output.droppedBytes,
      durationSeconds: (performance.now() - started) / 1_000,
    };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", cancel);
    stdout.close();
    stderr.close();
    await launch.release();
  }
}

function feed(stream: Writable, input: Uint8Array | string): void {
  stream.on("error", () => {}); // The program may end before it has read everything.
  stream.end(input);
}

/** The outermost process of the command's PID namespace: when it is gone, the kernel has ended all the others. */
interface Holder {
  pid: number;
  startTime: string;
}

async function readHolder(stream: Readable): Promise<Holder | undefined> {
  let text = "";
  try {
    for await (const chunk of stream) {
      text += chunk;
      if (text.includes("}")) break;
    }
    const pid: unknown = JSON.parse(text)["child-pid"];
    if (typeof pid !== "number") return undefined;
    const startTime = (await processState(pid))?.startTime;
    return startTime === undefined ? undefined : { pid, startTime };
  } catch {
    return undefined; // The program ended before it had a child.
  }
}

/** Kills the holder and waits: its death is complete only when every process in its namespace is gone. */
async function waitUntilGone(holder: Holder | undefined): Promise<void> {
  if (!holder) return;
  const until = performance.now() + COLLAPSE_MS;
  while (performance.now() < until) {
    const now = await processState(holder.pid);
    if (!now || now.startTime !== holder.startTime || now.state === "Z" || now.state === "X") return;
    try {
      process.kill(holder.pid, "SIGKILL");
    } catch {
      return;
    }
    await sleep(2);
  }
}

async function processState(pid: number): Promise<{ state: string; startTime: string } | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" "); // proc(5): field 3 is the state, 22 the start time
    return { state: fields[0] ?? "X", startTime: fields[19] ?? "" };
  } catch {
    return undefined;
  }
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The group is gone already.
  }
}

function ending(
  exitCode: number | undefined,
  endSignal: string | undefined,
  stopped: "timed-out" | "cancelled" | undefined,
  limits: Limits,
): Pick<CommandResult, "kind" | "exitCode" | "signal" | "reason"> {
  if (stopped === "timed-out") {
    return { kind: "timed-out", signal: "SIGKILL", reason: `stopped after ${limits.timeoutSeconds} seconds` };
  }
  if (stopped === "cancelled") return { kind: "killed", signal: "SIGKILL", reason: "stopped by its caller" };
  const signal = (endSignal as NodeJS.Signals | undefined) ?? signalOf(exitCode);
  if (signal === "SIGKILL" || signal === "SIGXCPU" || signal === "SIGXFSZ" || signal === "SIGSYS") {
    return {
      kind: "killed",
      exitCode: exitCode ?? 128 + constants.signals[signal],
      signal,
      reason: reasonOf(signal, limits),
    };
  }
  // One shape, whether a shell or the kernel reported the signal.
  if (signal) return { kind: "failed", exitCode: exitCode ?? 128 + constants.signals[signal], signal };
  if (exitCode === LIMIT_NOT_SET) return { kind: "failed", exitCode, reason: "exit code 125: see the error output" };
  return { kind: exitCode === 0 ? "ok" : "failed", exitCode };
}

/** A shell reports a child's death by signal as 128 + its number. */
function signalOf(exitCode: number | undefined): NodeJS.Signals | undefined {
  if (exitCode === undefined || exitCode <= 128) return undefined;
  const found = Object.entries(constants.signals).find(([, number]) => number === exitCode - 128);
  return found?.[0] as NodeJS.Signals | undefined;
}

function reasonOf(signal: "SIGKILL" | "SIGXCPU" | "SIGXFSZ" | "SIGSYS", limits: Limits): string {
  switch (signal) {
    case "SIGKILL":
      return "ended by SIGKILL: out of memory or processor time, or by itself";
    case "SIGXCPU":
      return `a process used its ${limits.maxCpuSeconds} seconds of processor time`;
    case "SIGXFSZ":
      return `a process wrote a file larger than ${limits.maxFileBytes} bytes`;
    case "SIGSYS":
      return "a process made a system call that the sandbox refuses";
  }
}
