import { randomUUID } from "node:crypto";
import { link, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

/** A holder says that it lives every so often … */
const beatMilliseconds = 2_000;
/** … and is taken for dead when it has not for so long, for example on another machine that shares the disk. */
const staleMilliseconds = 20_000;
const pollMilliseconds = 25;

/** What waits for what, inside of this process: path → end of the last one in line. */
const queues = new Map<string, Promise<void>>();

/**
 * Runs `work` while nobody else holds the lock at `path`, in this process or another. A holder that was killed does not
 * keep it: on this machine its process id is looked up, elsewhere its file grows stale. Throws the signal's reason when
 * it aborts while waiting, and ENOENT when the directory of `path` is not there.
 */
export async function withLock<T>(path: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const before = queues.get(path) ?? Promise.resolve();
  const turn = Promise.withResolvers<void>();
  const last = before.then(() => turn.promise);
  queues.set(path, last);
  try {
    await orAborted(before, signal);
    const release = await acquire(path, signal);
    try {
      return await work();
    } finally {
      await release();
    }
  } finally {
    turn.resolve();
    void last.then(() => {
      if (queues.get(path) === last) queues.delete(path);
    });
  }
}

async function acquire(path: string, signal: AbortSignal): Promise<() => Promise<void>> {
  const id = JSON.stringify({
    host: hostname(),
    pid: process.pid,
    started: await startOf(process.pid),
    id: randomUUID(),
  });
  const own = `${path}.${randomUUID()}`;
  await writeFile(own, id);
  try {
    while (!(await tryLink(own, path))) {
      await breakStale(path);
      await sleep(pollMilliseconds, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  } finally {
    await rm(own, { force: true });
  }
  const beat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, beatMilliseconds);
  beat.unref();
  return async () => {
    clearInterval(beat);
    if ((await readIfThere(path)) === id) await rm(path, { force: true });
  };
}

/** Removes the lock of a dead holder. What was moved away by mistake, because it changed hands in between, is put back. */
async function breakStale(path: string): Promise<void> {
  const holder = await readIfThere(path);
  if (holder === undefined || !(await isDead(path, holder))) return;
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  if ((await readIfThere(aside)) !== holder) await tryLink(aside, path);
  await rm(aside, { force: true });
}

async function isDead(path: string, holder: string): Promise<boolean> {
  const age = await stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => 0,
  );
  if (age > staleMilliseconds) return true;
  try {
    const { host, pid, started } = JSON.parse(holder) as { host: string; pid: number; started: string };
    return host === hostname() && (await startOf(pid)) !== started;
  } catch {
    return false;
  }
}

/** When a process started, so that a new process under an old id is told apart; "" when there is none. */
async function startOf(pid: number): Promise<string> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, "utf8");
    // Field 22; the second field is the name in brackets, which may hold anything. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return isAlive(pid) ? "alive" : "";
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return undefined;
  }
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason);
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  return Promise.race([promise, aborted.promise]).finally(() => signal.removeEventListener("abort", onAbort));
}
