import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createSandbox } from "../../src/sandbox/create-sandbox.ts";
import { MAGIC } from "../../src/sandbox/lambda/pack.ts";
import type { SandboxRequest } from "../../src/sandbox/lambda/request.ts";
import type { Command, Limits, Sandbox, Tree } from "../../src/sandbox/sandbox.ts";
import type { LocalFunction } from "../support/local-aws/lambda.ts";
import { bubblewrapMissing } from "./available.ts";
import { type LambdaSandbox, lambdaSandbox } from "./lambda-sandbox.ts";
import { processesWith, skips } from "./sandbox.testsuite.ts";
import { LIMITS, makeTree } from "./trees.ts";

const missing = bubblewrapMissing();
const log = { info: () => {}, warn: () => {} };

describe.skipIf(skips(missing))(`lambda${missing ? ` (needs ${missing})` : ""}`, () => {
  let root: string;
  let proxy: Server;
  let asked: string[];
  let standIn: LambdaSandbox;
  let sandbox: Sandbox;
  let packaged: LocalFunction;
  let at: Tree & { environment: { directory: string; readOnly?: boolean } };
  let job = 0;

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "lambda-"));
    asked = [];
    proxy = createServer((request, response) => {
      asked.push(request.url ?? "");
      response.end("package");
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    standIn = await lambdaSandbox({ proxyPort: (proxy.address() as AddressInfo).port });
    packaged = standIn.aws.lambda.functions.get("sandbox")!;
    sandbox = await open();
    expect(await sandbox.selfTest()).toMatchObject({ passed: true });
  });
  afterAll(async () => {
    await sandbox?.close();
    await standIn?.close();
    proxy?.close();
    await rm(root, { recursive: true, force: true });
  });
  beforeEach(async () => {
    job++;
    at = { ...(await makeTree(root, `job-${job}`)), job: { repositoryId: 42, name: `run-${job}` } };
    standIn.aws.lambda.fault = undefined;
    standIn.aws.lambda.functions.set("sandbox", packaged);
  });

  const open = (options: Partial<LambdaSandbox["options"]> = {}) =>
    createSandbox({
      backend: "lambda",
      lambda: { ...standIn.options, ...options },
      slots: 2,
      dataDirectory: join(root, "data"),
      log,
    });
  const run = (text: string, limits: Partial<Limits> = {}, signal?: AbortSignal, command: Partial<Command> = {}) =>
    sandbox.run({ run: text, network: "none", ...command }, at, { ...LIMITS, ...limits }, signal);
  const objects = () => standIn.aws.s3.bucket("work");
  const lastInvocation = () => standIn.aws.lambda.invocations.at(-1)!;
  const lastRequest = () => JSON.parse(lastInvocation().payload.toString()) as SandboxRequest;

  test("run sends a tree once, and then what changed since the function was sent it", async () => {
    await writeFile(join(at.directory, "large"), randomBytes(1_000_000));
    expect(await run("echo one > made")).toMatchObject({ kind: "ok" });
    expect(lastRequest().layers.map(({ bytes }) => bytes > 1_000_000)).toEqual([true]);
    await writeFile(join(at.directory, "small"), "by the worker");
    expect(await run("cat made small; rm large")).toMatchObject({ stdout: "one\nby the worker" });
    // The tree, what the first command made of it, and what the worker wrote.
    expect(lastRequest().layers.map(({ bytes }) => bytes > 1_000)).toEqual([true, false, false]);
    for (let n = 0; n < 10; n++) expect(await run(`echo ${n} >> made`)).toMatchObject({ kind: "ok" });
    expect(await readFile(join(at.directory, "made"), "utf8")).toBe("one\n0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    const { layers } = lastRequest();
    expect(layers.length).toBeLessThanOrEqual(9);
    expect(layers.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(20_000);
    // What no command needs any more is not kept either.
    const mine = [...objects().keys()].filter((key) => key.startsWith("trees/42/"));
    expect(mine.length).toBeLessThanOrEqual(layers.length + 1);
  });

  test("run gives each job a machine of its own, and addresses that are good for minutes", async () => {
    await run("true");
    const first = lastInvocation().tenantId;
    expect(first).toMatch(/^42-[0-9a-f]{32}$/);
    await run("true");
    expect(lastInvocation().tenantId).toBe(first);
    const { layers, resultUrl } = lastRequest();
    for (const url of [...layers.map((layer) => layer.url), resultUrl]) {
      expect(new URL(url).pathname).toContain(`/work/trees/42/${first}/`);
      expect(Number(new URL(url).searchParams.get("X-Amz-Expires"))).toBeLessThanOrEqual(LIMITS.timeoutSeconds + 180);
    }
    at = { ...at, job: { repositoryId: 43, name: at.job?.name ?? "" } };
    await run("true");
    expect(lastInvocation().tenantId).not.toBe(first);
  });

  test("run leaves neither a process nor a file, also of one that left its session and closed its folders", async () => {
    const mark = 4_000_000 + Math.floor(Math.random() * 1_000_000);
    const daemon = `(setsid bash -c 'trap "" TERM HUP; (sleep ${mark} </dev/null >/dev/null 2>&1 &) ; sleep ${mark}' </dev/null >/dev/null 2>&1 &)`;
    const files =
      "mkdir -p /tmp/own/closed && echo x > /tmp/own/closed/file && chmod 0 /tmp/own/closed && echo x > /dev/shm/x";
    expect(await run(`${daemon}; ${files}; sleep 0.2; echo left`)).toMatchObject({ kind: "ok", stdout: "left\n" });
    expect(await processesWith(`${mark}`)).toEqual([]);
    const mine = standIn.aws.lambda.environments().filter(({ tenantId }) => tenantId === lastInvocation().tenantId);
    expect(mine.length).toBe(1);
    expect(await readdir(mine[0]?.temporary ?? "")).toEqual([]);
    expect((await run("ls -A /dev/shm /tmp")).stdout).toBe("/dev/shm:\n\n/tmp:\nsandbox\n");
    expect(await run(`${daemon}; sleep 30`, { timeoutSeconds: 1 })).toMatchObject({ kind: "timed-out" });
    expect(await processesWith(`${mark}`)).toEqual([]);
  });

  test("run ends what starts itself again in sessions of its own, and the machine is used on", async () => {
    const bomb = "while :; do setsid bash ./bomb & setsid bash ./bomb & sleep 0.05; done 2>/dev/null";
    await writeFile(join(at.directory, "bomb"), bomb);
    const result = await run("bash ./bomb", { maxProcesses: 60, timeoutSeconds: 2 });
    expect(["timed-out", "failed", "killed"]).toContain(result.kind);
    expect(await processesWith("./bomb")).toEqual([]);
    const tenant = lastInvocation().tenantId;
    expect(standIn.aws.lambda.environments().filter(({ tenantId }) => tenantId === tenant).length).toBe(1);
    expect(await run("ls")).toMatchObject({ kind: "ok", stdout: "bomb\n" });
    expect(standIn.aws.lambda.environments().filter(({ tenantId }) => tenantId === tenant).length).toBe(1);
  });

  test("run shows a command neither the function's variables nor a way out", async () => {
    const port = new URL(standIn.aws.url).port;
    const result = await run(`env; tr '\\0' '\\n' < /proc/self/environ; ls -A /var/task
      for p in 1 ${(proxy.address() as AddressInfo).port}; do (exec 3<>/dev/tcp/127.0.0.1/$p) 2>/dev/null && echo "reached $p"; done
      (exec 3<>/dev/tcp/127.0.0.1/${port}) && echo "the bucket answers"`);
    expect(result.stdout).toContain("CI=true");
    expect(result.stdout).toContain("the bucket answers");
    expect(result.stdout).not.toMatch(/AWS_|X-Amz|LAMBDA|reached/);
    expect(result.stdout).not.toContain("HTTP_PROXY");
  });

  test("run keeps an environment that is only to be read as it is", async () => {
    await writeFile(join(at.environment.directory, "package"), "installed");
    at.environment.readOnly = true;
    expect(
      await run('cat "$HOME/package"; echo spoilt > "$HOME/package"; touch "$HOME/new"; echo x > y'),
    ).toMatchObject({
      kind: "ok",
      stdout: "installed",
    });
    expect(await readdir(at.environment.directory)).toEqual(["package"]);
    expect(await readFile(join(at.environment.directory, "package"), "utf8")).toBe("installed");
    expect(await run('cat "$HOME/package" y')).toMatchObject({ stdout: "installedx\n" });
  });

  test("run installs through the egress proxy in the function for it, and refuses without one", async () => {
    const network = { hosts: ["registry.example.com"] };
    const get = "curl -sS --max-time 5 http://registry.example.com/is-odd";
    expect(await run(get, {}, undefined, { network })).toMatchObject({ kind: "ok", stdout: "package" });
    expect(asked).toEqual(["http://registry.example.com/is-odd"]);
    expect(lastInvocation().functionName).toBe("setup");
    expect((await run(get)).kind).toBe("failed");
    expect(lastInvocation().functionName).toBe("sandbox");

    const without = await open({ egressProxy: undefined });
    const count = standIn.aws.lambda.invocations.length;
    await without.selfTest();
    const result = await without.run({ run: get, network }, at, LIMITS);
    expect(result).toMatchObject({ kind: "refused" });
    expect(result.reason).toMatch(/Cannot install dependencies: .*MILLWRIGHT_EGRESS_PROXY/);
    expect(standIn.aws.lambda.invocations.length).toBe(count + 1);
    const address = await run(get, {}, undefined, { network: { hosts: ["10.0.0.1"] } });
    expect(address).toMatchObject({ kind: "refused" });
  });

  test("run leaves out links to elsewhere and repositories, says so, and goes on from there", async () => {
    await writeFile(join(at.directory, "file"), "x");
    const result = await run(
      "ln -s /tmp/sandbox/../../etc/passwd sly; ln -s ../../x out; ln -s file in; mkdir -p sub/.git; echo x > sub/.git/config; echo y > kept",
    );
    expect(result).toMatchObject({ kind: "ok" });
    expect(result.reason).toMatch(/left out, .*: out, sly, sub\/\.git$/);
    expect((await readdir(at.directory, { recursive: true })).toSorted()).toEqual(["file", "in", "kept", "sub"]);
    expect((await run("ls -A . sub; cat in kept")).stdout).toBe(".:\nfile\nin\nkept\nsub\n\nsub:\nxy\n");
  });

  test("run takes nothing of a command whose caller aborted, whatever it did afterwards", async () => {
    await run("true");
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 300);
    const started = performance.now();
    expect(await run("sleep 1; echo x > late", {}, controller.signal)).toMatchObject({ kind: "killed", stdout: "" });
    expect(performance.now() - started).toBeLessThan(2_300);
    await standIn.aws.lambda.idle();
    expect(lastInvocation().ending).toMatchObject({ result: { kind: "ok" } });
    expect(await readdir(at.directory)).toEqual([]);
    expect(await run("ls")).toMatchObject({ kind: "ok", stdout: "" });
  });

  test("run ends when the function's own time does", async () => {
    standIn.aws.lambda.functions.set("sandbox", { ...packaged, timeoutSeconds: 32 });
    const result = await run("echo begun; sleep 25", { timeoutSeconds: 30 });
    expect(result).toMatchObject({ kind: "timed-out", stdout: "begun\n" });
    expect(result.durationSeconds).toBeLessThan(10);
  });

  test("run ends as killed when a command takes the function down, and the next one works", async () => {
    const result = await run("echo x > written; kill -9 $PPID; sleep 5");
    expect(result).toMatchObject({ kind: "killed", stdout: "" });
    expect(result.reason).toContain("Runtime.ExitError");
    expect(await readdir(at.directory)).toEqual([]);
    expect(await run("echo again")).toMatchObject({ kind: "ok", stdout: "again\n" });
  });

  test("run asks again when it is throttled, and throws what is no command's fault", async () => {
    let refused = 0;
    standIn.aws.lambda.fault = () => (refused++ < 2 ? { status: 429, type: "TooManyRequestsException" } : undefined);
    expect(await run("echo ran")).toMatchObject({ kind: "ok", stdout: "ran\n" });
    expect(refused).toBe(3);
    standIn.aws.lambda.fault = () => ({ status: 429, type: "TooManyRequestsException" });
    const askedAt = performance.now();
    // An engine waits for it, which costs no worker and no attempt.
    await expect(run("echo ran")).rejects.toMatchObject({ name: "TooManyRequestsException", retryAfterSeconds: 20 });
    expect(performance.now() - askedAt).toBeLessThan(30_000);
    standIn.aws.lambda.fault = () => ({ status: 403, type: "AccessDeniedException" });
    await expect(run("echo ran")).rejects.toMatchObject({ name: "AccessDeniedException" });
    standIn.aws.lambda.fault = undefined;
    standIn.aws.s3.fault = ({ method }) =>
      method === "PUT" ? { status: 403, code: "AccessDenied", message: "no" } : undefined;
    await writeFile(join(at.directory, "new"), "x");
    await expect(run("echo ran")).rejects.toMatchObject({ name: "AccessDenied" });
    standIn.aws.s3.fault = undefined;
    expect(await run("cat new")).toMatchObject({ kind: "ok", stdout: "x" });
  });

  test("run sends a large tree again that the bucket did not take at first", async () => {
    await writeFile(join(at.directory, "large"), randomBytes(9_000_000));
    let refused = 0;
    standIn.aws.s3.fault = ({ method }) =>
      method === "PUT" && refused++ === 0 ? { status: 503, code: "SlowDown", message: "slower" } : undefined;
    expect(await run("wc -c < large")).toMatchObject({ kind: "ok", stdout: "9000000\n" });
    expect(refused).toBeGreaterThan(1);
    standIn.aws.s3.fault = undefined;
  });

  describe("with a function that lies", () => {
    const answer = { kind: "ok", exitCode: 0, droppedOutputBytes: 0, durationSeconds: 1 };
    const lies = (handler: (event: SandboxRequest) => Promise<unknown>) =>
      standIn.aws.lambda.functions.set("sandbox", {
        tenantIsolation: true,
        handler: (event) => handler(event as SandboxRequest),
      });
    /** Uploads as the function would, and says what was uploaded. */
    const uploaded = async (url: string, records: object[], content = Buffer.alloc(0)) => {
      const parts = [...records, { end: records.length }].map((record) => {
        const json = Buffer.from(JSON.stringify(record));
        const length = Buffer.alloc(4);
        length.writeUInt32LE(json.length);
        return Buffer.concat([length, json, "content" in record ? content : Buffer.alloc(0)]);
      });
      const bytes = zstdCompressSync(Buffer.concat([MAGIC, ...parts]));
      expect((await fetch(url, { method: "PUT", body: new Uint8Array(bytes) })).status).toBe(200);
      return { sha256: createHash("sha256").update(bytes).digest("hex"), bytes: bytes.length };
    };

    test.each<[string, (event: SandboxRequest) => Promise<unknown>]>([
      ["a form of its own", async () => ({ kind: "passed" })],
      ["nothing", async () => null],
      ["an exit code that is none", async () => ({ ...answer, exitCode: 1e9 })],
      ["a reason without end", async () => ({ ...answer, reason: "x".repeat(100_000) })],
      ["a result that is not there", async () => ({ ...answer, result: { sha256: "0".repeat(64), bytes: 10 } })],
      [
        "a result that is another",
        async ({ resultUrl }) => ({
          ...answer,
          result: { ...(await uploaded(resultUrl, [])), sha256: "0".repeat(64) },
        }),
      ],
      [
        "a result that is longer",
        async ({ resultUrl }) => ({ ...answer, result: { ...(await uploaded(resultUrl, [])), bytes: 3 } }),
      ],
      [
        "a path out of the tree",
        async ({ resultUrl }) => ({
          ...answer,
          result: await uploaded(resultUrl, [
            { path: "tree/made", kind: "directory", mode: 0o755 },
            { path: "tree/../escaped", kind: "directory", mode: 0o755 },
          ]),
        }),
      ],
      [
        "a path through a link of the repository",
        async ({ resultUrl }) => ({
          ...answer,
          result: await uploaded(resultUrl, [{ path: "tree/way-out/made", kind: "directory", mode: 0o755 }]),
        }),
      ],
    ])("run refuses %s, and changes nothing", async (_, handler) => {
      await mkdir(join(root, `elsewhere-${job}`));
      await symlink(join(root, `elsewhere-${job}`), join(at.directory, "way-out"));
      lies(handler);
      const result = await run("true");
      expect(result).toMatchObject({ kind: "killed", stdout: "", stderr: "" });
      expect(result.reason).toContain("the sandbox's function failed");
      expect(result.reason?.length).toBeLessThan(1_000);
      expect(await readdir(at.directory)).toEqual(["way-out"]);
      expect(await readdir(join(root, `elsewhere-${job}`))).toEqual([]);
      expect((await readdir(join(at.directory, ".."))).toSorted()).toEqual(["home", "tmp", "tree"]);
    });

    test("selfTest fails, and run refuses, where a command has a way out, rights or credentials", async () => {
      const content = Buffer.from(
        "begin\nenvironment=AWS\nmetadata=reached\ninternet=reached\ncapabilities=00000000a80425fb\nend\n",
      );
      const sha256 = createHash("sha256").update(content).digest("hex");
      const file = { kind: "file", mode: 0o644, mtimeUs: 1, size: content.length, sha256, content: true };
      lies(async ({ resultUrl }) => ({
        ...answer,
        result: await uploaded(resultUrl, [{ ...file, path: "output/stdout" }], content),
      }));
      const closed = await open();
      const { passed, checks, advice } = await closed.selfTest();
      expect(passed).toBe(false);
      expect(checks.filter((check) => !check.passed).map(({ name }) => name)).toEqual([
        "a command writes its tree",
        "the machine's credentials are hidden",
        "the metadata address is out of reach",
        "the internet is out of reach",
        "there are no privileges",
      ]);
      expect(advice).toContain("serverless.yml");
      const count = standIn.aws.lambda.invocations.length;
      const result = await closed.run({ run: "true", network: "none" }, at, LIMITS);
      expect(result).toMatchObject({
        kind: "refused",
        reason: expect.stringContaining("the internet is out of reach"),
      });
      expect(standIn.aws.lambda.invocations.length).toBe(count);
    });

    test("run caps the output that comes back", async () => {
      const content = Buffer.alloc(4_000, "x");
      const sha256 = createHash("sha256").update(content).digest("hex");
      const file = { kind: "file", mode: 0o644, mtimeUs: 1, size: content.length, sha256, content: true };
      lies(async ({ resultUrl }) => ({
        ...answer,
        result: await uploaded(resultUrl, [{ ...file, path: "output/stdout" }], content),
      }));
      const result = await run("true", { maxOutputBytes: 2_000 });
      expect(result.stdout.length).toBeLessThan(2_500);
      expect(result).toMatchObject({ kind: "ok", stderr: "" });
    });
  });

  test("run sends a tree again that the bucket has lost", async () => {
    await writeFile(join(at.directory, "file"), "x");
    expect(await run("echo y > made")).toMatchObject({ kind: "ok" });
    for (const key of [...objects().keys()]) if (key.startsWith("trees/42/")) objects().delete(key);
    expect(await run("cat file made")).toMatchObject({ kind: "ok", stdout: "xy\n" });
    const lied = standIn.aws.lambda.invocations.length;
    standIn.aws.lambda.functions.set("sandbox", {
      tenantIsolation: true,
      handler: () => Promise.reject(new Error("Cannot download layer 0")),
    });
    expect(await run("true")).toMatchObject({ kind: "killed" });
    expect(standIn.aws.lambda.invocations.length).toBe(lied + 2);
  });

  test("run tests a machine again that could not be asked before", async () => {
    const other = await open();
    standIn.aws.lambda.fault = () => ({ status: 403, type: "AccessDeniedException" });
    const once = () => other.run({ run: "echo ran", network: "none" }, at, LIMITS);
    await expect(once()).rejects.toMatchObject({ name: "AccessDeniedException" });
    standIn.aws.lambda.fault = undefined;
    expect(await once()).toMatchObject({ kind: "ok", stdout: "ran\n" });
    await other.close();
  });

  test("close deletes what lies in the bucket", async () => {
    const other = await open();
    expect(await other.run({ run: "echo x > y", network: "none" }, at, LIMITS)).toMatchObject({ kind: "ok" });
    const tenant = lastInvocation().tenantId;
    const mine = () => [...objects().keys()].filter((key) => key.includes(tenant ?? ""));
    expect(mine().length).toBe(1);
    await other.close();
    expect(mine()).toEqual([]);
  });

  test("handler refuses to run on a machine that is not Lambda's", async () => {
    standIn.aws.lambda.functions.set("sandbox", {
      ...packaged,
      ...{ environment: { AWS_LAMBDA_RUNTIME_API: "" } },
    } as LocalFunction);
    const result = await run("true");
    expect(result).toMatchObject({ kind: "killed" });
    expect(result.reason).toContain("Cannot run outside of AWS Lambda");
  });
});
