import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";

const script = fileURLToPath(new URL("run-tests.ts", import.meta.url));
const modules = fileURLToPath(new URL("../../node_modules", import.meta.url));

const head = 'import { beforeAll, describe, expect, test } from "vitest";\n';
const files = {
  passes: 'test("adds", () => expect(1 + 1).toBe(2)); test("counts", () => expect([1]).toHaveLength(1));',
  fails: 'test("adds", () => expect(1 + 1).toBe(3));',
  skips:
    'test("adds", () => {}); test.skip("one (needs bubblewrap)", () => {}); test("two", (context) => context.skip("no server"));\n' +
    'describe.skipIf(true)("group (needs go)", () => { test("three", () => {}); }); test.todo("four"); test.skip("five", () => {});',
  only: 'test.only("adds", () => {}); test("subtracts", () => {});',
  "hook-fails":
    'describe("group", () => { beforeAll(() => { throw new Error("no database"); }); test("one", () => {}); test("two", () => {}); });',
  "cannot-load": 'import "./missing.ts"; test("adds", () => {});',
  "nothing-inside": "",
  "fails-later":
    'test("adds", () => { setTimeout(() => { throw new Error("too late"); }); return new Promise((done) => setTimeout(done, 50)); });',
  hangs:
    'console.log("pid " + process.pid); test("waits", () => new Promise((done) => setTimeout(done, 60_000)), 60_000);',
};
let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "run-tests-"));
  await mkdir(join(root, "test"));
  await symlink(modules, join(root, "node_modules"));
  for (const [name, text] of Object.entries(files))
    await writeFile(join(root, "test", `${name}.test.ts`), `${head}${text}\n`);
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Runs the script in the directory of samples: exit code, and what it printed. */
async function run(args: string[], options: { ci?: boolean; onOutput?: (text: string, pid: number) => void } = {}) {
  const { CI: _ci, VITEST: _vitest, NODE_ENV: _mode, ...env } = process.env;
  const child = spawn(process.execPath, [script, ...args], {
    cwd: root,
    env: { ...env, NO_COLOR: "1", ...(options.ci ? { CI: "true" } : {}) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      options.onOutput?.(output, child.pid as number);
    });
  }
  const code = await new Promise((resolve) => child.once("close", resolve));
  return { code, output, last: output.trimEnd().split("\n").at(-1) };
}

test("run-tests ends with the counts and exit code 0 when everything passes", async () => {
  expect(await run(["test/passes"])).toMatchObject({ code: 0, last: "2 passed, 0 failed, 0 skipped" });
});

test("run-tests counts a failed test and exits with 1", async () => {
  expect(await run(["test/passes", "test/fails.test"])).toMatchObject({
    code: 1,
    last: "2 passed, 1 failed, 0 skipped",
  });
});

test("run-tests names each skipped test with its reason", async () => {
  const { code, output, last } = await run(["test/skips"]);
  expect({ code, last }).toEqual({ code: 0, last: "1 passed, 0 failed, 5 skipped" });
  expect(output.match(/^SKIPPED .*/gm)).toEqual([
    "SKIPPED test/skips.test.ts > one (needs bubblewrap): needs bubblewrap",
    "SKIPPED test/skips.test.ts > two: no server",
    "SKIPPED test/skips.test.ts > group (needs go) > three: needs go",
    "SKIPPED test/skips.test.ts > four: to be written",
    "SKIPPED test/skips.test.ts > five: no reason given",
  ]);
});

test("run-tests fails on each skip where CI is true", async () => {
  const { code, output, last } = await run(["test/skips"], { ci: true });
  expect({ code, last }).toEqual({ code: 1, last: "1 passed, 5 failed, 0 skipped" });
  expect(output).toContain(
    "FAILED skipped, which CI=true forbids: test/skips.test.ts > one (needs bubblewrap): needs bubblewrap",
  );
});

test("run-tests refuses .only, which would leave out the rest", async () => {
  expect(await run(["test/only"])).toMatchObject({
    code: 1,
    last: expect.stringMatching(/ [1-9] failed, \d skipped$/),
  });
});

test("run-tests counts what fails outside of a test: hooks, loading, empty files, late errors", async () => {
  expect(await run(["test/hook-fails"])).toMatchObject({ code: 1, last: "0 passed, 3 failed, 0 skipped" });
  expect(await run(["test/cannot-load"])).toMatchObject({ code: 1, last: "0 passed, 1 failed, 0 skipped" });
  expect(await run(["test/nothing-inside"])).toMatchObject({ code: 1, last: "0 passed, 1 failed, 0 skipped" });
  expect(await run(["test/fails-later"])).toMatchObject({
    code: 1,
    last: expect.stringMatching(/ passed, 1 failed, 0 skipped$/),
  });
});

test("run-tests fails when no file matches", async () => {
  expect(await run(["test/no-such-file"])).toMatchObject({ code: 1, last: "0 passed, 1 failed, 0 skipped" });
});

test("run-tests leaves the tests that -t does not name out of the counts", async () => {
  expect(await run(["test/passes", "test/skips", "-t", "adds"])).toMatchObject({
    code: 0,
    last: "2 passed, 0 failed, 0 skipped",
  });
});

test("run-tests takes its worker processes with it when it is stopped", async () => {
  let worker: number | undefined;
  const { code } = await run(["test/hangs"], {
    onOutput: (output, pid) => {
      const found = /pid (\d+)/.exec(output)?.[1];
      if (found === undefined || worker !== undefined) return;
      worker = Number(found);
      process.kill(pid, "SIGTERM");
    },
  });
  expect(code).toBe(143);
  await vi.waitFor(() => expect(() => process.kill(worker as number, 0)).toThrow("ESRCH"), 5_000);
});
