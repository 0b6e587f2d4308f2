import { createSocket } from "node:dgram";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Limits, Sandbox, Tree } from "../../src/sandbox/sandbox.ts";
import { LIMITS, makeTree } from "./trees.ts";

export interface Contender {
  name: string;
  /** Why it cannot be tested here; undefined when it can. */
  missing: string | undefined;
  /** Who isolates: the backend, the machine that a remote one runs commands on, or nobody. */
  isolation: "own" | "machine" | "none";
  create(dataDirectory: string): Promise<Sandbox>;
}

/** A server of HTTP at a Unix socket in a folder that only its owner can enter. */
async function openGateway(root: string): Promise<{ socket: string; close(): void }> {
  const folder = await mkdtemp(join(root, "gateway-"));
  const socket = join(folder, "g.sock");
  const server = createHttpServer((request, response) => response.end(`gateway at ${request.url}`)).listen(socket);
  await once(server, "listening");
  await chmod(socket, 0o666);
  return { socket, close: () => server.close() };
}

function lines(count: number): string {
  return Array.from({ length: count }, (_, index) => `line ${index + 1}\n`).join("");
}

/** A missing tool skips the tests with its reason, but never where everything must be installed. */
export function skips(missing: string | undefined): boolean {
  return missing !== undefined && process.env.CI !== "true";
}

/** The contract, which every backend keeps, and isolation for those that isolate by themselves. */
export function sandboxSuite(contender: Contender): void {
  const { name, missing, isolation } = contender;
  const title = missing === undefined ? name : `${name} (needs ${missing})`;

  describe.skipIf(skips(missing))(`Sandbox ${title}`, () => {
    let root: string;
    let sandbox: Sandbox;
    let at: Tree;

    beforeAll(async () => {
      root = await mkdtemp(join(tmpdir(), "sandbox-suite-"));
      await chmod(root, 0o755);
      at = await makeTree(root);
      sandbox = await contender.create(join(root, "data"));
    });
    afterAll(async () => {
      await sandbox?.close();
      await rm(root, { recursive: true, force: true });
    });
    const run = (text: string, limits: Partial<Limits> = {}, signal?: AbortSignal) =>
      sandbox.run({ run: text, network: "none" }, at, { ...LIMITS, ...limits }, signal);

    describe("contract", () => {
      test("run returns the output of a command that succeeds", async () => {
        const result = await run("echo out; echo err >&2; pwd");
        expect(result).toMatchObject({ kind: "ok", exitCode: 0, stderr: "err\n", droppedOutputBytes: 0 });
        expect(result.stdout).toBe(`out\n${sandbox.paths(at).tree}\n`);
        expect(result.durationSeconds).toBeGreaterThan(0);
      });

      test("run returns the exit code of a command that fails", async () => {
        expect(await run("exit 7")).toMatchObject({ kind: "failed", exitCode: 7 });
        expect(await run("kill -TERM $$")).toMatchObject({ kind: "failed", exitCode: 143, signal: "SIGTERM" });
      });

      test("run gives pipes that can be opened by name", async () => {
        expect(await run("echo named > /dev/stderr")).toMatchObject({ kind: "ok", stderr: "named\n" });
      });

      test("run writes the tree, the environment and the temporary folder, as files of the worker", async () => {
        const result = await run('mkdir sub && echo a > sub/a && echo b > "$HOME/b" && echo c > "$TMPDIR/c"');
        expect(result).toMatchObject({ kind: "ok", stderr: "" });
        expect(await readFile(join(at.directory, "sub/a"), "utf8")).toBe("a\n");
        expect(await readFile(join(at.environment!.directory, "b"), "utf8")).toBe("b\n");
        expect(await readFile(join(at.temporary, "c"), "utf8")).toBe("c\n");
        expect((await stat(join(at.directory, "sub/a"))).uid).toBe(process.getuid?.());
      });

      test("run starts in the directory of the command and refuses one outside of the tree", async () => {
        await mkdir(join(at.directory, "inner"), { recursive: true });
        const inner = await sandbox.run({ run: "pwd", directory: "inner", network: "none" }, at, LIMITS);
        expect(inner.stdout).toBe(`${sandbox.paths(at).tree}/inner\n`);
        for (const directory of ["../other", "/etc", "a/../../b"]) {
          const result = await sandbox.run({ run: "pwd", directory, network: "none" }, at, LIMITS);
          expect(result).toMatchObject({ kind: "refused", stdout: "" });
          expect(result.reason).toContain(directory);
        }
      });

      test("run does not follow a link out of the tree to start there", async () => {
        await symlink(root, join(at.directory, "way-out"));
        const result = await sandbox.run({ run: "ls", directory: "way-out", network: "none" }, at, LIMITS);
        expect(result.kind === "ok" ? result.stdout : "").not.toContain("data");
        expect(result.kind).not.toBe("ok");
        await rm(join(at.directory, "way-out"));
      });

      test("run passes an allow-list of variables and those of the command", async () => {
        process.env.SANDBOX_TEST_SECRET = "canary-environment";
        try {
          const result = await sandbox.run({ run: "env", env: { EXTRA: "given" }, network: "none" }, at, LIMITS);
          const names = result.stdout.split("\n").map((line) => line.split("=")[0]);
          expect(result.stdout).toContain("EXTRA=given");
          expect(result.stdout).toContain("CI=true");
          expect(result.stdout).not.toContain("canary-environment");
          expect(
            names.filter((entry) => /KEY|TOKEN|SECRET|PASSWORD|npm_config_(?!cache|update)/i.test(entry ?? "")),
          ).toEqual([]);
        } finally {
          delete process.env.SANDBOX_TEST_SECRET;
        }
      });

      test("run gives stdout as it comes, also beyond what is kept", async () => {
        let seen = "";
        const command = {
          run: "echo first; for i in {1..2000}; do echo line $i; done",
          network: "none" as const,
          onStdout: (chunk: Uint8Array) => {
            seen += Buffer.from(chunk).toString();
          },
        };
        const result = await sandbox.run(command, at, { ...LIMITS, maxOutputBytes: 100 });
        expect(result.kind).toBe("ok");
        expect(seen).toBe(isolation === "machine" ? "" : `first\n${lines(2_000)}`);
      });

      test("run lets a command reach its gateway, or refuses it", async () => {
        const { socket, close } = await openGateway(root);
        try {
          const ask = `exec 3<>"/dev/tcp/127.0.0.1/\${MILLWRIGHT_GATEWAY##*:}"; printf 'GET /a HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3`;
          const result = await sandbox.run({ run: ask, network: { gateway: socket } }, at, LIMITS);
          if (isolation === "machine") {
            expect(result).toMatchObject({ kind: "refused", stdout: "" });
            expect(result.reason).toContain("needs the bubblewrap or the container backend");
          } else expect(result).toMatchObject({ kind: "ok", stdout: expect.stringContaining("gateway at /a") });
        } finally {
          close();
        }
      });

      test("run stops at the time limit and is free at most 2 seconds later", async () => {
        const started = performance.now();
        const result = await run("trap '' TERM INT HUP; echo begun; while true; do sleep 1; done", {
          timeoutSeconds: 1,
        });
        const seconds = (performance.now() - started) / 1000;
        expect(result).toMatchObject({ kind: "timed-out", stdout: "begun\n" });
        expect(result.reason).toContain("1 second");
        expect(seconds).toBeGreaterThan(0.9);
        expect(seconds).toBeLessThan(3);
      });

      test("run stops when its caller aborts", async () => {
        const controller = new AbortController();
        setTimeout(() => controller.abort(), 500);
        const started = performance.now();
        expect(await run("sleep 20", {}, controller.signal)).toMatchObject({
          kind: "killed",
          reason: "stopped by its caller",
        });
        expect(performance.now() - started).toBeLessThan(2_500);
        expect(await run("echo never", {}, AbortSignal.abort())).toMatchObject({ kind: "killed", stdout: "" });
      });

      test("run keeps the beginning and the end of long output", async () => {
        const result = await run("seq 1 200000", { maxOutputBytes: 2_000 });
        expect(result.kind).toBe("ok");
        expect(result.stdout.startsWith("1\n2\n")).toBe(true);
        expect(result.stdout.endsWith("199999\n200000\n")).toBe(true);
        expect(result.stdout.length).toBeLessThan(2_100);
        expect(result.droppedOutputBytes).toBe(1_288_895 - 2_000);
      });

      test("run adds at most 96 MB to the worker for 1 GB of output", async () => {
        await run("true");
        const before = process.memoryUsage.rss();
        let peak = before;
        const timer = setInterval(() => {
          peak = Math.max(peak, process.memoryUsage.rss());
        }, 5);
        const result = await run("head -c 1073741824 /dev/zero");
        clearInterval(timer);
        expect(result.droppedOutputBytes).toBe(1_073_741_824 - LIMITS.maxOutputBytes);
        expect((peak - before) / 1e6).toBeLessThan(96);
      });

      test("run limits memory, file size and processor time", async () => {
        const memory = "dd if=/dev/zero of=/dev/null bs=512M count=1";
        expect(await run(memory)).toMatchObject({ kind: "ok" });
        expect((await run(memory, { maxMemoryBytes: 256 * 1024 ** 2 })).kind).not.toBe("ok");
        const file = await run("head -c 3000000 /dev/zero > large", { maxFileBytes: 1_000_000 });
        expect(file.kind).not.toBe("ok");
        expect((await stat(join(at.directory, "large"))).size).toBeLessThanOrEqual(1_000_448); // in units of 1024 bytes
        const cpu = await run("exec bash -c 'while :; do :; done'", { maxCpuSeconds: 1, timeoutSeconds: 20 });
        expect(cpu.kind).toBe("killed");
        expect(cpu.durationSeconds).toBeLessThan(10);
      });

      test("run waits for a slot and for the tree, and refuses limits that are none", async () => {
        const both = await Promise.all([run("echo 1 >> order; sleep 0.3; echo 2 >> order"), run("echo 3 >> order")]);
        expect(both.map(({ kind }) => kind)).toEqual(["ok", "ok"]);
        expect(await readFile(join(at.directory, "order"), "utf8")).toBe("1\n2\n3\n");
        const result = await run("true", { timeoutSeconds: 0 });
        expect(result).toMatchObject({ kind: "refused" });
        expect(result.reason).toContain("timeoutSeconds");
      });

      test("run refuses a variable that no shell can hold and folders that do not exist", async () => {
        const result = await sandbox.run({ run: "true", env: { "A=B": "x" }, network: "none" }, at, LIMITS);
        expect(result).toMatchObject({ kind: "refused" });
        const gone = await sandbox.run(
          { run: "true", network: "none" },
          { ...at, directory: join(root, "gone") },
          LIMITS,
        );
        expect(gone).toMatchObject({ kind: "refused" });
        expect(gone.reason).toContain(join(root, "gone"));
      });

      test("run leaves the tree as the command left it", async () => {
        await run(
          "mkdir -p shape/old/deep && echo 1 > shape/kept && echo 2 > shape/old/deep/gone && echo 3 > shape/moved",
        );
        const early = await run(
          "cd shape && ln -s kept link && touch -d '2001-02-03 04:05:06 UTC' kept && printf '#!/bin/sh\\n' > script && chmod 750 script",
        );
        expect(early).toMatchObject({ kind: "ok", stderr: "" });
        const late = await run(
          "cd shape && rm -r old && echo file > old && mv moved elsewhere && ln -sf script link && echo 4 >> kept && mkdir empty && mkfifo pipe",
        );
        expect(late).toMatchObject({ kind: "ok", stderr: "" });
        await rm(join(at.directory, "shape/pipe"), { force: true }); // Not every way back can carry one.
        const place = (name: string) => join(at.directory, "shape", name);
        expect((await readdir(place("."))).toSorted()).toEqual(["elsewhere", "empty", "kept", "link", "old", "script"]);
        expect(await readFile(place("kept"), "utf8")).toBe("1\n4\n");
        expect(await readFile(place("old"), "utf8")).toBe("file\n");
        expect(await readlink(place("link"))).toBe("script");
        expect((await stat(place("script"))).mode & 0o777).toBe(0o750);
        await writeFile(place("kept"), "by the worker");
        await rm(place("elsewhere"));
        const seen = await run("cd shape && cat kept && echo && ls && touch -d @1000000000 script && echo 5 >> new");
        expect(seen.stdout).toBe("by the worker\nempty\nkept\nlink\nold\nscript\n");
        expect((await run("stat -c %Y shape/script")).stdout).toBe("1000000000\n");
      });

      test("run leaves nothing of a command that started others", async () => {
        const mark = 4_000_000 + Math.floor(Math.random() * 1_000_000);
        expect(await run(`sleep ${mark} & sleep ${mark} & echo left`)).toMatchObject({ kind: "ok", stdout: "left\n" });
        expect(await processesWith(`${mark}`)).toEqual([]);
        expect(await run(`sleep ${mark} & sleep ${mark}`, { timeoutSeconds: 1 })).toMatchObject({ kind: "timed-out" });
        expect(await processesWith(`${mark}`)).toEqual([]);
      });

      test("selfTest says whether the backend isolates", async () => {
        const result = await sandbox.selfTest();
        const failed = result.checks.filter(({ passed }) => !passed).map(({ name }) => name);
        if (isolation !== "none") {
          expect(failed).toEqual([]);
          expect(result.passed).toBe(true);
        } else {
          expect(result.passed).toBe(false);
          expect(failed).toEqual(
            expect.arrayContaining([
              "a key file is hidden",
              "another job's tree is hidden",
              "the worker's listeners are out of reach",
              "datagrams do not leave",
              "a fork bomb stays within its limit",
            ]),
          );
        }
      });
    });

    // A machine of its own is asserted where it is described: the template, and the tests of its function.
    // What does not apply to a backend is no test that was left out.
    const whereIsolated = isolation === "own" ? describe : () => undefined;
    whereIsolated("isolation", () => {
      test("run hides the worker's environment and processes", async () => {
        const result = await run(
          `cat /proc/${process.pid}/environ /proc/$PPID/environ /proc/1/environ | tr '\\0' '\\n'; ls -d /proc/[0-9]* | wc -l; kill -0 ${process.pid} && echo reachable`,
        );
        expect(result.stdout).not.toMatch(/npm_lifecycle|npm_package|VITEST|NODE_ENV/);
        expect(result.stdout).not.toContain("reachable");
        expect(Number(/^\d+$/m.exec(result.stdout)?.[0])).toBeLessThan(12);
      });

      test("run with a gateway reaches nothing else, and what has none reaches no gateway", async () => {
        const { socket, close } = await openGateway(root);
        const other = createServer((client) => client.end("other")).listen(0, "127.0.0.1");
        await once(other, "listening");
        const port = (other.address() as AddressInfo).port;
        const ask = (to: string) => `exec 3<>/dev/tcp/${to} && cat <&3`;
        try {
          for (const to of [`127.0.0.1/${port}`, "169.254.169.254/80", "10.0.0.1/80", "1.1.1.1/53"]) {
            const result = await sandbox.run({ run: ask(to), network: { gateway: socket } }, at, LIMITS);
            expect(result, to).toMatchObject({ kind: "failed", stdout: "" });
          }
          expect((await run(`${ask("127.0.0.1/3129")}; ls /run`)).stdout).not.toContain("gateway");
        } finally {
          other.close();
          close();
        }
      });

      test("run hides keys, other trees, homes and sockets of the host in 40 places", async () => {
        const sibling = await makeTree(root, "sibling");
        const secret = "canary-0f3a9c";
        const places = [
          ...["key.pem", ".env", "mirror.git/config", "tokens.json"].map((name) => join(root, "data", name)),
          ...["src/a.ts", ".npmrc", ".git/config"].map((name) => join(sibling.directory, name)),
          ...["credentials", ".netrc"].map((name) => join(sibling.environment.directory, name)),
          join(sibling.temporary, "note"),
          join(root, "private-key.pem"),
        ];
        for (const place of places) {
          await mkdir(join(place, ".."), { recursive: true });
          await writeFile(place, secret, { mode: 0o644 });
        }
        const host = [
          ...[
            "/root/.ssh",
            "/root/.aws",
            "/root/.npmrc",
            "/root/.netrc",
            "/root/.gitconfig",
            "/root/.bash_history",
            "/root/.cargo/credentials.toml",
            "/root/.docker",
          ],
          ...[
            "/home",
            "/etc/shadow",
            "/etc/gshadow",
            "/etc/ssh",
            "/etc/sudoers",
            "/etc/ssl/private",
            "/etc/machine-id",
            "/etc/environment",
            "/etc/resolv.conf",
          ],
          ...[
            "/run/docker.sock",
            "/var/run/docker.sock",
            "/run/systemd",
            "/run/dbus",
            "/run/secrets",
            "/var/run/secrets",
            "/run/user",
          ],
          ...[
            "/var/lib/docker",
            "/var/log",
            "/var/spool",
            "/srv",
            "/mnt",
            "/boot",
            "/sys/firmware",
            "/proc/kcore",
            process.cwd(),
          ],
        ];
        const script = `for p in ${[...places, ...host].join(" ")}; do [ -d "$p" ] && ls -A "$p" 2>/dev/null | sed "s|^|LISTED $p |"; [ -f "$p" ] && head -c 200 "$p" 2>/dev/null | sed "s|^|READ $p |"; done; grep -r ${secret} / --include='*' -s -l --exclude-dir={proc,sys,usr,lib,.pyenv,.rustup,.cargo} | head; echo end`;
        const result = await run(script, { timeoutSeconds: 60 });
        expect(places.length + host.length).toBeGreaterThanOrEqual(40);
        const own = result.stdout.split("\n").filter((line) => line !== "" && line !== "end");
        // An image brings folders and tables of its own; what matters there is that none of them is the host's.
        expect(name === "container" ? own.filter((line) => line.includes(root) || line.includes(secret)) : own).toEqual(
          [],
        );
        expect(result.stdout).toMatch(/end\n$/);
      });

      test("run shows the system and no other part of the host", async () => {
        if (name !== "bubblewrap") return expect((await run("ls /")).stdout).toContain("workspace");
        const result = await run("ls -A /etc");
        const allowed =
          /^(alternatives|ca-certificates|crypto-policies|group|hosts|java.*|ld\.so.*|localtime|maven|mime\.types|nsswitch\.conf|passwd|pki|protocols|services|ssl)$/;
        expect(
          result.stdout
            .trim()
            .split("\n")
            .filter((entry) => !allowed.test(entry)),
        ).toEqual([]);
      });

      test("run sends no packet anywhere", async () => {
        let arrived = 0;
        const refuse = (socket: Socket) => {
          arrived++;
          socket.destroy();
        };
        const tcp = createServer(refuse).listen(0, "127.0.0.1");
        const abstract = createServer(refuse).listen("\0millwright-sandbox-test");
        const udp = createSocket("udp4", () => void arrived++).bind(0, "127.0.0.1");
        const wide = createServer(refuse).listen(0, "::");
        await Promise.all([tcp, abstract, udp, wide].map((server) => once(server, "listening")));
        const port = (tcp.address() as AddressInfo).port;
        const widePort = (wide.address() as AddressInfo).port;
        const script = `
          tcp() { timeout 2 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null && echo "reached $1"; }
          tcp 127.0.0.1 ${port}; tcp 127.0.0.1 ${widePort}; tcp ::1 ${widePort}; tcp 169.254.169.254 80; tcp 1.1.1.1 443
          tcp 2606:4700:4700::1111 443; tcp 10.0.0.1 80; tcp fd00:ec2::254 80
          echo x > /dev/udp/127.0.0.1/${udp.address().port}; (exec 3<>/dev/udp/8.8.8.8/53) && echo "route to 8.8.8.8"
          (exec 3<>/dev/udp/2001:4860:4860::8888/53) && echo "route to 2001:4860:4860::8888"
          command -v socat >/dev/null && socat -u OPEN:/dev/null ABSTRACT-CONNECT:millwright-sandbox-test && echo "reached abstract"
          ls /sys/class/net 2>/dev/null | grep -v '^lo$'; tail -n +3 /proc/net/dev | grep -v -E '^ *lo:'; echo end`;
        const result = await run(script);
        await sleep(100);
        for (const server of [tcp, abstract, wide]) server.close();
        udp.close();
        const interfaces = result.stdout
          .split("\n")
          .filter(
            (line) =>
              line && !/^ *(lo|tunl0|sit0|ip6tnl0|gre\w*|erspan0|ip_vti0|ip6_vti0|ip6gre0|teql0|dummy0):?/.test(line),
          );
        expect(interfaces).toEqual(["end"]);
        expect(arrived).toBe(0);
      });

      test("run writes nowhere outside", async () => {
        const script = `for d in / /usr /usr/bin /etc /root /home /var /run /dev /proc /sys ${root} ${process.cwd()}; do (echo x > $d/sandbox-wrote) 2>/dev/null && echo "wrote $d"; done; echo end`;
        const result = await run(script);
        // A container's /run is a temporary file system of its own.
        expect(result.stdout.split("\n").filter((line) => line && line !== "wrote /run")).toEqual(["end"]);
        if (name === "bubblewrap") expect(result.stdout).not.toContain("wrote /run");
      });

      test("run has no capability, gets none, and cannot make namespaces or mounts", async () => {
        const result = await run(
          "grep -E '^(CapEff|CapPrm|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; mount -t tmpfs x /tmp && echo mounted; id -u",
        );
        expect(result.stdout).toContain("CapEff:\t0000000000000000");
        expect(result.stdout).toContain("CapPrm:\t0000000000000000");
        expect(result.stdout).toContain("NoNewPrivs:\t1");
        expect(result.stdout).toContain("Seccomp:\t2");
        expect(result.stdout).not.toContain("mounted");
        expect(result.stdout.trim().split("\n").at(-1)).not.toBe("0");
        expect(result.stdout).toContain("CapBnd:\t0000000000000000");
        // podman's own filter allows user namespaces, docker's does not.
        if (name !== "bubblewrap") return;
        expect((await run("unshare --user --map-root-user id -u")).kind).toBe("failed");
        expect((await run("unshare true || setsid true && echo system calls work")).stdout).toContain("work");
      });

      test("run bounds a fork bomb and the machine stays usable", async () => {
        const started = performance.now();
        const bomb = run(":(){ :|:& };:; sleep 20", { maxProcesses: 50, timeoutSeconds: 3 });
        await sleep(1_500);
        const slow = performance.now();
        await sleep(50);
        expect(performance.now() - slow).toBeLessThan(1_000);
        const result = await bomb;
        expect(["timed-out", "failed", "killed"]).toContain(result.kind);
        expect((performance.now() - started) / 1000).toBeLessThan(5.5);
        expect(await run("echo alive")).toMatchObject({ kind: "ok", stdout: "alive\n" });
      });

      test("run leaves no process, even one that left its session", async () => {
        const mark = 4_000_000 + Math.floor(Math.random() * 1_000_000);
        const daemon = `(setsid bash -c 'trap "" TERM HUP; (sleep ${mark} </dev/null >/dev/null 2>&1 &) ; sleep ${mark}' </dev/null >/dev/null 2>&1 &)`;
        expect(await run(`${daemon}; sleep 0.2; echo left`)).toMatchObject({ kind: "ok", stdout: "left\n" });
        expect(await processesWith(`${mark}`)).toEqual([]);
        expect(await run(`${daemon}; sleep 30`, { timeoutSeconds: 1 })).toMatchObject({ kind: "timed-out" });
        expect(await processesWith(`${mark}`)).toEqual([]);
      });
    });
  });
}

/** Command lines of living processes of the machine that contain the text. */
export async function processesWith(text: string): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid);
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return lines.filter((line) => line.includes(text));
}
