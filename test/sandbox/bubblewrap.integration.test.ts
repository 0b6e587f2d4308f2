import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createSandbox } from "../../src/sandbox/create-sandbox.ts";
import type { Command, Sandbox, Tree } from "../../src/sandbox/sandbox.ts";
import { bubblewrapMissing } from "./available.ts";
import { processesWith, skips } from "./sandbox.testsuite.ts";
import { LIMITS, makeTree } from "./trees.ts";

const missing = bubblewrapMissing();
const isRoot = process.getuid?.() === 0;

describe.skipIf(skips(missing))(`bubblewrap${missing ? ` (needs ${missing})` : ""}`, () => {
  let root: string;
  let sandbox: Sandbox;
  let at: Tree & { environment: { directory: string; readOnly?: boolean } };
  let registry: Server;
  let address: string;

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "bubblewrap-"));
    await chmod(root, 0o755);
    at = await makeTree(root);
    sandbox = await createSandbox({
      backend: "bubblewrap",
      slots: 2,
      dataDirectory: join(root, "data"),
      searchPath: process.env.PATH,
      allowLoopbackHosts: true,
      log: { info: () => {}, warn: () => {} },
    });
    registry = createServer((request, response) => response.end(`package at ${request.url}\n`)).listen(0, "127.0.0.1");
    await once(registry, "listening");
    address = `127.0.0.1:${(registry.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    registry.close();
    await sandbox.close();
    await rm(root, { recursive: true, force: true });
  });
  const run = (text: string, command: Partial<Command> = {}, where: Tree = at) =>
    sandbox.run({ run: text, network: "none", ...command }, where, { ...LIMITS, timeoutSeconds: 100 });

  describe("network", () => {
    const get = (url: string) => `curl -sS --max-time 10 --noproxy "" -w "%{http_code}" ${url}`;

    test("run reaches an allowed host through the proxy", async () => {
      const result = await run(get(`http://${address}/is-odd`), { network: { hosts: [address] } });
      expect(result).toMatchObject({ kind: "ok", stdout: "package at /is-odd\n200" });
    });

    test("run reaches no other host through the proxy, nor without it", async () => {
      const other = createServer((_, response) => response.end("other")).listen(0, "127.0.0.1");
      await once(other, "listening");
      const port = (other.address() as AddressInfo).port;
      const hosts = [address];
      for (const url of [
        `http://127.0.0.1:${port}/`,
        "http://169.254.169.254/",
        "http://10.0.0.1/",
        "http://localhost:1/",
        "http://[::1]:1/",
      ]) {
        expect((await run(get(url), { network: { hosts } })).stdout, url).toMatch(/403$/);
      }
      expect(
        (await run(`unset HTTP_PROXY http_proxy; ${get(`http://${address}/`)}`, { network: { hosts } })).kind,
      ).toBe("failed");
      other.close();
    });

    test("run without network cannot use the proxy of another command", async () => {
      const both = await Promise.all([
        run(`echo "$HTTP_PROXY" > url; sleep 2`, { network: { hosts: [address] } }),
        (async () => {
          const second = await makeTree(root, "second");
          while (!existsSync(join(at.directory, "url"))) await new Promise((resolve) => setTimeout(resolve, 20));
          const url = (await readFile(join(at.directory, "url"), "utf8")).trim();
          return await run(`curl -sS --max-time 3 --noproxy "" -x "${url}" http://${address}/; ls /run`, {}, second);
        })(),
      ]);
      expect(both[0]).toMatchObject({ kind: "ok" });
      expect(both[1].stdout).toBe("");
    });

    test("run keeps the allow-lists of commands apart", async () => {
      const second = await makeTree(root, "apart");
      const hosts = ["registry.example.org"];
      const both = await Promise.all([
        run(`sleep 1; ${get(`http://${address}/`)}`, { network: { hosts: [address] } }),
        run(`sleep 0.5; ${get(`http://${address}/`)}`, { network: { hosts } }, second),
      ]);
      expect(both[0].stdout).toMatch(/200$/);
      expect(both[1].stdout).toMatch(/403$/);
      expect((await run(get(`http://${address}/`), { network: { hosts } })).stdout).toMatch(/403$/);
    });

    test("run tunnels for clients that use CONNECT, and refuses tunnels elsewhere", async () => {
      const tunnel = (to: string) =>
        run(`curl -sS --max-time 10 --noproxy "" --proxytunnel http://${to}/is-odd`, { network: { hosts: [address] } });
      expect(await tunnel(address)).toMatchObject({ kind: "ok", stdout: "package at /is-odd\n" });
      const refused = await tunnel("127.0.0.1:9");
      expect(refused).toMatchObject({ kind: "failed", stdout: "" });
      expect(refused.stderr).toContain("403");
    });

    test("run passes no password of the proxy into the sandbox", async () => {
      const result = await run("env; cat /proc/*/cmdline | tr '\\0' ' '", { network: { hosts: [address] } });
      expect(result.stdout).toContain("HTTPS_PROXY=http://127.0.0.1:3128\n");
      expect(result.stdout).not.toMatch(/srt\.|@localhost|@127/);
    });

    test("run refuses addresses, local names and malformed hosts", async () => {
      const strict = await createSandbox({
        backend: "bubblewrap",
        slots: 1,
        dataDirectory: join(root, "strict"),
        proxyHosts: ["registry.npmjs.org"],
        log: { info: () => {}, warn: () => {} },
      });
      for (const host of [
        address,
        "127.0.0.1",
        "169.254.169.254",
        "localhost",
        "[::1]:80",
        "2130706433",
        "0x7f.1",
        "*.com",
        "*",
        "a b.org",
        "pypi.org",
      ]) {
        const result = await strict.run({ run: "true", network: { hosts: [host] } }, at, LIMITS);
        expect(result, host).toMatchObject({ kind: "refused" });
        expect(result.reason).toContain(host);
      }
      await strict.close();
    });

    test("run does not let a helper hang a command that waits for its children", async () => {
      const result = await run("sleep 0.1 & wait; echo waited", { network: { hosts: [address] } });
      expect(result).toMatchObject({ kind: "ok", stdout: "waited\n" });
      expect(result.durationSeconds).toBeLessThan(10);
    });
  });

  test("run keeps a read-only environment as it is and caches elsewhere", async () => {
    await writeFile(join(at.environment.directory, "installed"), "yes");
    const where = { ...at, environment: { ...at.environment, readOnly: true } };
    const result = await run(
      'cat "$HOME/installed"; touch "$HOME/new"; touch "$HOME/installed" || mkdir -p "$GOCACHE" && echo cached',
      {},
      where,
    );
    expect(result.stdout).toBe("yescached\n");
    expect(await readdir(at.environment.directory)).not.toContain("new");
  });

  test("run applies no variable of the command before its privileges are gone and its limits hold", async () => {
    await writeFile(join(at.directory, "early.sh"), 'echo "early: $(ulimit -u)"\n');
    const env = { BASH_ENV: "/workspace/early.sh", LD_PRELOAD: "/workspace/none.so" };
    const result = await run("true", { env });
    expect(result.stdout).toBe(`early: ${LIMITS.maxProcesses}\n`);
    const loaded = result.stderr.split("\n").filter((line) => line.includes("none.so"));
    expect(loaded).toHaveLength(1); // The command's own shell, and nothing before it.
  });

  test("run refuses system calls that no namespace confines", async () => {
    const script = `
import ctypes, socket
libc = ctypes.CDLL(None, use_errno=True)
for name, family in (("vsock", 40), ("alg", 38), ("bluetooth", 31), ("packet", 17)):
    try:
        socket.socket(family, socket.SOCK_STREAM if name != "alg" else 5, 0); print(name, "opened")
    except OSError as error: print(name, error.errno)
for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6): socket.socket(family, socket.SOCK_STREAM)
calls = {"x86_64": {"keyctl": 250, "bpf": 321, "userfaultfd": 323, "io_uring": 425}, "aarch64": {"keyctl": 219, "bpf": 280, "userfaultfd": 282, "io_uring": 425}}
import platform
for name, number in calls[platform.machine()].items():
    result = libc.syscall(number, 0, 0, 0, 0, 0); print(name, result, ctypes.get_errno())
`;
    await writeFile(join(at.directory, "calls.py"), script);
    const result = await run("/usr/bin/python3 calls.py");
    expect(result.stderr).toBe("");
    expect(result.stdout.trim().split("\n")).toEqual([
      ...["vsock 97", "alg 97", "bluetooth 97", "packet 97"],
      ...["keyctl -1 1", "bpf -1 1", "userfaultfd -1 1", "io_uring -1 38"],
    ]);
  });

  test("run gives the tree back to the worker, and no set-user-id file", async () => {
    await run("cp /bin/true tool && chmod 4755 tool && mkdir -m 0700 private && echo a > private/a");
    const tool = await stat(join(at.directory, "tool"));
    expect(tool.uid).toBe(process.getuid?.());
    if (isRoot) expect(tool.mode & 0o4000).toBe(0);
    expect(await readFile(join(at.directory, "private/a"), "utf8")).toBe("a\n");
  });

  test("run ends with the worker that started it, even one that is killed", async () => {
    const mark = `${5_000_000 + Math.floor(Math.random() * 1_000_000)}`;
    const script = join(dirname(fileURLToPath(import.meta.url)), "dying-worker.ts");
    const worker = spawn(process.execPath, [script, root, `(setsid sleep ${mark} &) ; sleep ${mark}`], {
      stdio: "ignore",
    });
    while ((await processesWith(mark)).filter((line) => line.startsWith("sleep")).length < 2) await sleep(20);
    worker.kill("SIGKILL");
    await once(worker, "exit");
    const until = performance.now() + 2_000;
    while ((await processesWith(mark)).length > 0 && performance.now() < until) await sleep(20);
    expect(await processesWith(mark)).toEqual([]);
  });

  test("run leaves nothing of its own in the tree or the data directory", async () => {
    const clean = await makeTree(root, "clean");
    await run("true", { network: { hosts: [address] } }, clean);
    expect(await readdir(clean.directory)).toEqual([]);
    expect((await readdir(join(root, "data", "sandbox"))).filter((name) => !name.startsWith("etc-"))).toEqual([]);
  });

  test.skipIf(!isRoot && process.env.CI !== "true")(
    "a worker that is not root has the same sandbox (needs root to become another user)",
    async () => {
      const home = await mkdtemp(join(tmpdir(), "unprivileged-"));
      await chown(home, 4321, 4321);
      const script = join(dirname(fileURLToPath(import.meta.url)), "unprivileged-worker.ts");
      const worker = [process.execPath, script, home];
      const asOther = ["setpriv", "--reuid", "4321", "--regid", "4321", "--clear-groups", ...worker];
      const [file = "", ...args] = isRoot ? asOther : worker;
      // The worker has descriptors of its own that it was started with: 3 to 6.
      const child = spawn(file, args, {
        env: { PATH: "/usr/bin:/bin" },
        stdio: ["ignore", "pipe", "pipe", "ignore", "ignore", "ignore", "ignore"],
      });
      let output = "";
      child.stdout?.on("data", (chunk) => (output += chunk));
      child.stderr?.on("data", (chunk) => (output += chunk));
      await once(child, "close");
      await rm(home, { recursive: true, force: true });
      expect(JSON.parse(output)).toEqual({ failed: [], passed: true, stdout: "1000\n0 1 2 3\n", mine: true });
    },
  );
});

const toolchains: { name: string; files: Record<string, string>; run: string; output: RegExp }[] = [
  {
    name: "npm test",
    files: {
      "package.json": '{"name":"a","scripts":{"test":"node --test"}}',
      "a.test.js": 'require("node:test")("adds", () => require("node:assert").equal(1 + 1, 2))',
    },
    run: "npm test",
    output: /pass 1/,
  },
  {
    name: "python3",
    files: {
      "test_a.py": "import unittest\nclass A(unittest.TestCase):\n  def test_a(self): self.assertEqual(1, 1)\n",
    },
    run: "python3 -m unittest -v 2>&1",
    output: /OK/,
  },
  {
    name: "go test",
    files: {
      "go.mod": "module a\n\ngo 1.21\n",
      "a_test.go": 'package a\n\nimport "testing"\n\nfunc TestA(t *testing.T) {}\n',
    },
    run: "go test ./...",
    output: /^ok/m,
  },
  {
    name: "cargo test",
    files: {
      "Cargo.toml": '[package]\nname = "a"\nversion = "0.1.0"\nedition = "2021"\n',
      "src/lib.rs": "#[test]\nfn adds() { assert_eq!(1 + 1, 2); }\n",
    },
    run: "cargo test --offline 2>&1",
    output: /1 passed/,
  },
  {
    name: "java",
    files: { "A.java": 'public class A { public static void main(String[] a) { System.out.println("java runs"); } }' },
    run: "java A.java",
    output: /java runs/,
  },
];

describe.skipIf(skips(missing))("toolchains in bubblewrap", () => {
  for (const { name, files, run, output } of toolchains) {
    const program = name.split(" ")[0] ?? "";
    const installed = (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, program)));
    test.skipIf(skips(installed ? undefined : program))(
      `${name} runs inside${installed ? "" : ` (needs ${program})`}`,
      async () => {
        const root = await mkdtemp(join(tmpdir(), "toolchain-"));
        await chmod(root, 0o755);
        const at = await makeTree(root);
        for (const [path, text] of Object.entries(files)) {
          await mkdir(dirname(join(at.directory, path)), { recursive: true });
          await writeFile(join(at.directory, path), text);
        }
        const sandbox = await createSandbox({
          backend: "bubblewrap",
          slots: 1,
          dataDirectory: join(root, "data"),
          searchPath: process.env.PATH,
          log: { info: () => {}, warn: () => {} },
        });
        const result = await sandbox.run({ run, network: "none" }, at, { ...LIMITS, timeoutSeconds: 100 });
        await rm(root, { recursive: true, force: true });
        expect(result, result.stderr).toMatchObject({ kind: "ok" });
        expect(result.stdout).toMatch(output);
      },
    );
  }
});
