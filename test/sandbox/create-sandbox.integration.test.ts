import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createSandbox, type SandboxOptions } from "../../src/sandbox/create-sandbox.ts";
import { bubblewrapMissing } from "./available.ts";
import { LIMITS, makeTree } from "./trees.ts";

let root: string;
let warnings: string[];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "create-sandbox-"));
  await chmod(root, 0o755);
  warnings = [];
});
afterEach(() => rm(root, { recursive: true, force: true }));

const create = (options: Partial<SandboxOptions>) =>
  createSandbox({
    backend: "none",
    slots: 1,
    dataDirectory: join(root, "data"),
    log: { info: () => {}, warn: (message) => warnings.push(message) },
    ...options,
  });

/** A container engine that isolates nothing: it runs the command on the host. */
async function leakyEngine(): Promise<string> {
  const file = join(root, "engine");
  const script = `#!/bin/bash
    [ "$1" = run ] || exit 0
    while [ "$1" != image:1 ]; do shift; done
    shift; exec /bin/bash "$@"`;
  await writeFile(file, script, { mode: 0o755 });
  return file;
}

test("createSandbox refuses commands when the self-test finds a hole", async () => {
  const sandbox = await create({ backend: "container", image: "image:1", containerEngine: [await leakyEngine()] });
  const result = await sandbox.run({ run: "echo ran", network: "none" }, await makeTree(root), LIMITS);
  expect(result).toMatchObject({ kind: "refused", stdout: "" });
  expect(result.reason).toContain("a key file is hidden");
  expect(result.reason).toContain("the worker's environment is hidden");
  expect(result.reason).toContain("the worker's listeners are out of reach");
  expect(warnings.join("\n")).toContain("a key file is hidden");
});

test("createSandbox refuses commands and says what to install when the backend cannot be used", async () => {
  const withoutImage = await create({ backend: "container", containerEngine: [await leakyEngine()] });
  const result = await withoutImage.run({ run: "echo ran", network: "none" }, await makeTree(root), LIMITS);
  expect(result).toMatchObject({ kind: "refused", stdout: "" });
  expect(result.reason).toContain("needs an image");
});

test("createSandbox chooses bubblewrap or a container by itself, never none", async () => {
  const backend = await create({ backend: "auto", image: "image:1", containerEngine: [await leakyEngine()] });
  expect(backend.backend).toBe(bubblewrapMissing() === undefined ? "bubblewrap" : "container");
  expect(warnings).toEqual([]);
});

test("createSandbox warns loudly when the sandbox is off", async () => {
  await create({ backend: "none" });
  expect(warnings).toEqual([expect.stringContaining("SANDBOX IS OFF")]);
});

test("createSandbox refuses options that would open the sandbox", async () => {
  await expect(create({ dataDirectory: "data" })).rejects.toThrow('it is "data"');
  await expect(create({ slots: 0 })).rejects.toThrow("it is 0");
  await expect(create({ backend: "lambda" })).rejects.toThrow("needs its functions and bucket");
  await expect(create({ extraReadPaths: [root] })).rejects.toThrow(root);
  await expect(create({ extraReadPaths: [join(root, "gone")] })).rejects.toThrow("gone");
  await expect(create({ toolchainPaths: ["/"] })).rejects.toThrow('it is "/"');
});

test("createSandbox makes a command wait no longer than its caller does", async () => {
  const sandbox = await create({ backend: "none" });
  const [first, second] = [await makeTree(root, "first"), await makeTree(root, "second")];
  const long = sandbox.run({ run: "sleep 1", network: "none" }, first, LIMITS);
  const waiting = await sandbox.run({ run: "echo ran", network: "none" }, second, LIMITS, AbortSignal.timeout(200));
  expect(waiting).toMatchObject({ kind: "killed", stdout: "" });
  expect(await long).toMatchObject({ kind: "ok" });
});
