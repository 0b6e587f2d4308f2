import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { withLock } from "../../src/workspace/lock.ts";

let directory: string;
let path: string;
const { signal } = new AbortController();
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "lock-"));
  path = join(directory, "the.lock");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test("withLock lets one at a time work, in the order they came, and leaves nothing behind", async () => {
  const events: string[] = [];
  const work = (name: string) =>
    withLock(path, signal, async () => {
      events.push(`${name} begins`);
      await sleep(10);
      events.push(`${name} ends`);
      return name;
    });
  expect(await Promise.all([work("a"), work("b"), work("c")])).toEqual(["a", "b", "c"]);
  expect(events).toEqual(["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
  expect(await readdir(directory)).toEqual([]);
});

test("withLock frees the lock when work throws", async () => {
  await expect(withLock(path, signal, async () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await withLock(path, signal, async () => "free")).toBe("free");
});

test("withLock waits for a process that lives and takes over from one that was killed", async () => {
  const lock = join(import.meta.dirname, "../../src/workspace/lock.ts");
  const script = `import { withLock } from ${JSON.stringify(lock)};
    await withLock(${JSON.stringify(path)}, new AbortController().signal, async () => { console.log("held"); await new Promise((resolve) => setTimeout(resolve, 60_000)); });`;
  const holder = spawn(process.execPath, ["--input-type=module-typescript", "--eval", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const closed = once(holder, "close");
  try {
    await once(holder.stdout, "data");
    const waiting = withLock(path, AbortSignal.timeout(300), async () => "too early");
    await expect(waiting).rejects.toThrow(/timeout/);
  } finally {
    holder.kill("SIGKILL");
    await closed;
  }
  expect(await withLock(path, AbortSignal.timeout(5_000), async () => "taken over")).toBe("taken over");
});

test("withLock takes over from another machine only after its lock grew stale", async () => {
  await writeFile(path, JSON.stringify({ host: "another-machine", pid: 1, started: "1", id: "x" }));
  await expect(withLock(path, AbortSignal.timeout(200), async () => "too early")).rejects.toThrow(/timeout/);
  const old = new Date(Date.now() - 30_000);
  await utimes(path, old, old);
  expect(await withLock(path, AbortSignal.timeout(5_000), async () => readFile(path, "utf8"))).toContain(
    `"pid":${process.pid}`,
  );
});

test("withLock gives up waiting when the signal aborts, without disturbing the others", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const first = withLock(path, signal, () => promise);
  const controller = new AbortController();
  const second = withLock(path, controller.signal, async () => "second");
  const third = withLock(path, signal, async () => "third");
  controller.abort(new Error("cancelled"));
  await expect(second).rejects.toThrow("cancelled");
  resolve();
  await first;
  expect(await third).toBe("third");
});
