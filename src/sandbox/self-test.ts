import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { join } from "node:path";
import type { Backend } from "./backend.ts";
import type { Command, CommandResult, Limits, SelfTest, Tree } from "./sandbox.ts";

type Run = (command: Command, at: Tree, limits: Limits) => Promise<CommandResult>;
type Check = SelfTest["checks"][number];

const RUNS = "a command runs";
const MAX_PROCESSES = 40;
const LIMITS: Limits = {
  timeoutSeconds: 20,
  maxOutputBytes: 100_000,
  maxMemoryBytes: 1024 ** 3,
  maxProcesses: MAX_PROCESSES,
  maxFileBytes: 1024 ** 2,
  maxCpuSeconds: 10,
};

/**
 * Runs a hostile script in the backend and looks, from outside, at what it reached: this process's environment, a key
 * file, another job's tree, listeners of the worker, the metadata address, files outside, more processes than allowed.
 * A script that could not run at all is a failure too. `directory` is a trusted folder for its files.
 */
export async function selfTest(backend: Backend, run: Run, directory: string): Promise<SelfTest> {
  const missing = await backend.unusable();
  if (missing)
    return { passed: false, checks: [{ name: "installed", passed: false, detail: missing }], advice: missing };
  if ("run" in backend) return await remoteSelfTest(backend, run, directory);
  const stage = await makeStage(directory);
  try {
    const reached = await probe(run, stage);
    const forks = await countForks(run, stage);
    const checks = [...reached, forks];
    const passed = checks.every((check) => check.passed);
    return { passed, checks, ...(!passed && { advice: adviceFor(backend, checks) }) };
  } finally {
    await stage.close();
  }
}

/**
 * Of a machine that isolates by what it is: this process, its files and other jobs are not there, so what is tried is
 * whether commands run and their files come back, and whether that machine gives them rights or a way out.
 */
async function remoteSelfTest(backend: Backend, run: Run, directory: string): Promise<SelfTest> {
  const root = await mkdtemp(join(directory, "self-test-"));
  try {
    const tree = { directory: join(root, "tree"), temporary: join(root, "temporary") };
    for (const folder of Object.values(tree)) await mkdir(folder);
    const result = await run({ run: REMOTE_PROBE, network: "none" }, tree, LIMITS);
    const lines = result.stdout.split("\n");
    const wrote = await readFile(join(tree.directory, "written.txt"), "utf8").catch(() => "");
    const checks = [
      checked(RUNS, lines.includes("begin") && lines.includes("end"), whyNot(result)),
      checked("a command writes its tree", wrote.trim() === "written", "the file that it wrote is not there"),
      checked("the machine's credentials are hidden", !lines.includes("environment=AWS"), "AWS_* variables were seen"),
      checked("the metadata address is out of reach", !lines.includes("metadata=reached"), "169.254.169.254 answered"),
      checked("the internet is out of reach", !lines.includes("internet=reached"), "1.1.1.1 port 443 was reached"),
      checked(
        "there are no privileges",
        lines.includes("capabilities=0000000000000000"),
        "the command has capabilities",
      ),
    ];
    const passed = checks.every((check) => check.passed);
    return { passed, checks, ...(!passed && { advice: adviceFor(backend, checks) }) };
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

const REMOTE_PROBE = `
echo begin
echo written > written.txt
env | grep -q '^AWS_' && echo environment=AWS
timeout 1 bash -c 'exec 3<>/dev/tcp/169.254.169.254/80' 2>/dev/null && echo metadata=reached
timeout 1 bash -c 'exec 3<>/dev/tcp/1.1.1.1/443' 2>/dev/null && echo internet=reached
while read -r name value; do [ "$name" = CapEff: ] && echo "capabilities=$value"; done < /proc/self/status
echo end
`;

interface Stage {
  secret: string;
  tree: Tree;
  key: string;
  sibling: string;
  tcpPort: number;
  udpPort: number;
  connections(): number;
  datagrams(): number;
  close(): Promise<void>;
}

async function makeStage(directory: string): Promise<Stage> {
  const root = await mkdtemp(join(directory, "self-test-"));
  await chmod(root, 0o755);
  const secret = `canary-${randomBytes(16).toString("hex")}`;
  const tree = { directory: join(root, "tree"), temporary: join(root, "temporary") };
  const sibling = join(root, "sibling");
  for (const folder of [tree.directory, tree.temporary, sibling]) await mkdir(folder);
  const key = join(root, "private-key.pem");
  await writeFile(key, secret, { mode: 0o644 });
  await writeFile(join(sibling, "source.txt"), secret, { mode: 0o644 });

  let connections = 0;
  let datagrams = 0;
  const tcp = createServer((socket) => {
    connections++;
    socket.destroy();
  }).listen(0, "127.0.0.1");
  const udp = createSocket("udp4", () => {
    datagrams++;
  }).bind(0, "127.0.0.1");
  await Promise.all([once(tcp, "listening"), once(udp, "listening")]);
  return {
    secret,
    tree,
    key,
    sibling,
    tcpPort: (tcp.address() as AddressInfo).port,
    udpPort: udp.address().port,
    connections: () => connections,
    datagrams: () => datagrams,
    close: async () => {
      tcp.close();
      udp.close();
      await rm(root, { recursive: true, force: true });
    },
  };
}

async function probe(run: Run, stage: Stage): Promise<Check[]> {
  const result = await run({ run: probeScript(stage), network: "none" }, stage.tree, LIMITS);
  const lines = result.stdout.split("\n");
  const ran = lines.includes("begin") && lines.includes("end");
  const wrote = await readFile(join(stage.tree.directory, "written.txt"), "utf8").catch(() => "");
  const said = (line: string) => lines.includes(line);
  return [
    checked(RUNS, ran, whyNot(result)),
    checked("a command writes its tree", wrote.trim() === "written", "the file that it wrote is not there"),
    checked("the worker's environment is hidden", !readsEnvironment(lines), `/proc/${process.pid}/environ was read`),
    checked("a key file is hidden", !said(`key=${stage.secret}`), `${stage.key} was read`),
    checked("another job's tree is hidden", !said(`sibling=${stage.secret}`), `${stage.sibling} was read`),
    checked(
      "the worker's listeners are out of reach",
      stage.connections() === 0,
      "a TCP connection to loopback arrived",
    ),
    checked("datagrams do not leave", stage.datagrams() === 0, "a UDP packet to loopback arrived"),
    checked("the metadata address is out of reach", !said("metadata=reached"), "169.254.169.254 port 80 was reached"),
    checked("name servers are out of reach", !said("dns=routed"), "a UDP socket to 192.0.2.1 port 53 found a route"),
    checked("files outside cannot be written", !said("outside=written"), "a file outside of the tree was written"),
    checked("there are no privileges", said("capabilities=0000000000000000"), "the command has capabilities"),
  ];
}

/**
 * Whether the script saw a variable with which this process was started. A sandbox has processes of its own, one of
 * which may have this one's number, and variables of its own, whose names may be.
 */
function readsEnvironment(lines: readonly string[]): boolean {
  const given = new Set(lines.filter((line) => line.startsWith("given=")).map((line) => line.slice(6)));
  const seen = new Set(lines.filter((line) => line.startsWith("environment=")).map((line) => line.slice(12)));
  const own = readFileSync("/proc/self/environ", "utf8").split(/[\0\n]/);
  return own.some((line) => line.includes("=") && !given.has(line.slice(0, line.indexOf("="))) && seen.has(line));
}

function checked(name: string, passed: boolean, detail: string): Check {
  return { name, passed, detail: passed ? "held" : detail };
}

function whyNot(result: CommandResult): string {
  return `${result.kind} ${result.reason ?? ""} ${result.stderr.slice(-500)}`.trim();
}

function probeScript(stage: Stage): string {
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  return `
echo begin
echo written > written.txt
env | sed 's/=.*//; s/^/given=/'
tr '\\0' '\\n' < /proc/${process.pid}/environ 2>/dev/null | sed 's/^/environment=/'
echo "key=$(cat ${quoted(stage.key)} 2>/dev/null)"
echo "sibling=$(cat ${quoted(join(stage.sibling, "source.txt"))} 2>/dev/null)"
(exec 3<>/dev/tcp/127.0.0.1/${stage.tcpPort}) 2>/dev/null
(echo out > /dev/udp/127.0.0.1/${stage.udpPort}) 2>/dev/null
timeout 1 bash -c 'exec 3<>/dev/tcp/169.254.169.254/80' 2>/dev/null && echo metadata=reached
(exec 3<>/dev/udp/192.0.2.1/53) 2>/dev/null && echo dns=routed
for place in / /usr /etc /home /root /var ${quoted(stage.sibling)}; do
  (echo x > "$place/millwright-self-test") 2>/dev/null && { rm -f "$place/millwright-self-test"; echo outside=written; }
done
while read -r name value; do [ "$name" = CapEff: ] && echo "capabilities=$value"; done < /proc/self/status
echo end
`;
}

/**
 * Starts three times as many processes as are allowed and counts, without starting another one, how many live at once.
 * bash tries again when it cannot fork, so how many started in all would say nothing.
 */
async function countForks(run: Run, stage: Stage): Promise<Check> {
  const name = "a fork bomb stays within its limit";
  const script = `
mkfifo "$TMPDIR/never"
(for i in {1..${MAX_PROCESSES * 3}}; do sleep 10 & done) 2>/dev/null &
most=0
for i in {1..10}; do
  read -r -t 0.1 <> "$TMPDIR/never"
  set -- /proc/[0-9]*
  [ $# -gt $most ] && most=$#
done
echo "most=$most"`;
  const result = await run({ run: script, network: "none" }, stage.tree, LIMITS);
  const most = Number(/^most=(\d+)$/m.exec(result.stdout)?.[1] ?? Number.NaN);
  // The init of a PID namespace is not the command's own.
  const passed = most > MAX_PROCESSES / 2 && most <= MAX_PROCESSES + 1;
  const seen = `${most} processes lived at once where ${MAX_PROCESSES} are allowed; ${result.stderr.slice(-200)}`;
  return { name, passed, detail: passed ? "held" : seen };
}

function adviceFor(backend: Backend, checks: Check[]): string {
  const failed = checks.filter((check) => !check.passed).map((check) => `${check.name} (${check.detail})`);
  return `${howToRepair(backend)} What failed: ${failed.join("; ")}.`;
}

function howToRepair(backend: Backend): string {
  switch (backend.name) {
    case "bubblewrap":
      return (
        "Install bubblewrap 0.8 or newer and socat, and allow unprivileged user namespaces " +
        "(kernel.unprivileged_userns_clone=1; on Ubuntu 24.04 kernel.apparmor_restrict_unprivileged_userns=0 or an AppArmor " +
        "profile for bwrap), or choose the container backend."
      );
    case "container":
      return "Check that the image holds bash and that the engine may set limits, or choose the bubblewrap backend.";
    case "lambda":
      return (
        "Check that the sandbox's function is deployed as serverless.yml says: in subnets whose only route is the bucket's " +
        "gateway endpoint, with bash in its image, and with a role that allows nothing."
      );
    case "none":
      return "The backend none isolates nothing. Install bubblewrap and choose it.";
  }
}
