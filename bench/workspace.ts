/**
 * How long until a tree is ready: `workspace.cold` with nothing on the disk, `workspace.warm` after an earlier job, each
 * against `git clone --depth 1` of the same repository in the same run. `history.cold` is the blobless history that
 * follows in the background.
 */
import { spawn } from "node:child_process";
import { createCipheriv } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gitEnvironment } from "../src/workspace/git-environment.ts";
import { createWorkspaces, type LocalWorkspaces } from "../src/workspace/workspaces.ts";
import type { Figure } from "./retrieval.ts";

const rounds = 11;
const token = "a-token-for-the-bench";
const repository = { installationId: 1, repositoryId: 1, owner: "bench", repo: "large", trust: "own" } as const;

/** The three figures; a generated repository of 200 MB is served by another process on this machine. */
export async function workspaceFigures(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "workspace-bench-"));
  const served = join(directory, "served");
  const bare = join(served, repository.owner, `${repository.repo}.git`);
  await writeRepository(bare);
  const server = spawn(process.execPath, [join(import.meta.dirname, "../test/support/git-server.ts"), served, token], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [address] = await once(server.stdout, "data");
    const url = String(address).trim();
    const times = { clone: [] as number[], cold: [] as number[], warm: [] as number[], history: [] as number[] };
    // The first round warms the machine's caches for all of them and does not count.
    for (let round = 0; round <= rounds; round++) {
      await mkdir(join(directory, `round-${round}`));
      const one = await measureOnce(join(directory, `round-${round}`), url, round % 2 === 1);
      if (round === 0) continue;
      for (const name of ["clone", "cold", "warm", "history"] as const) times[name].push(one[name]);
    }
    const clone = median(times.clone);
    return [
      figure("workspace.cold", median(times.cold), clone, 1.15),
      figure("workspace.warm", median(times.warm), clone, 0.25),
      figure("history.cold", median(times.history), null, null),
    ];
  } finally {
    server.kill();
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * Milliseconds of one clone, one cold and one warm tree, and of the history, each with nothing else going on. What was
 * written before is on the disk when a time is taken, and nothing is deleted in between: else one pays for another.
 */
async function measureOnce(directory: string, url: string, isColdFirst: boolean) {
  const ignored = () => {};
  const log = { debug: ignored, warn: (...words: unknown[]) => console.error(...words) } as never;
  const { signal } = new AbortController();
  const credential = async () => token;
  const open = (name: string) =>
    createWorkspaces({
      dataDirectory: join(directory, name),
      gitBaseUrl: url,
      diskWatermarkBytes: 0,
      maxRepositoryBytes: 2_000_000_000,
      log,
    });
  const ready = async (workspaces: LocalWorkspaces, runKey: string) => {
    const { main } = await workspaces.fetch(repository, ["main"], credential, signal);
    await workspaces.open(repository, runKey, { baseSha: main!, sha: main! }, signal);
    return main!;
  };
  const header = `Authorization: Basic ${Buffer.from(`x-access-token:${token}`).toString("base64")}`;
  const address = `${url}/${repository.owner}/${repository.repo}.git`;
  const mirrored = open("data");
  let clone = 0;
  let cold = 0;
  let sha = "";
  const inTurn = [
    async () => {
      clone = await timed(() => git(["clone", "--quiet", "--depth=1", address, join(directory, "clone")], header));
    },
    async () => {
      cold = await timed(async () => {
        sha = await ready(mirrored, "cold");
      });
    },
  ];
  // Who comes first changes from round to round.
  for (const measure of isColdFirst ? inTurn.reverse() : inTurn) await measure();
  await mirrored.remove("cold");
  await mirrored.settled();
  const warm = await timed(() => ready(mirrored, "warm"));
  const empty = open("history");
  await empty.fetch(repository, [], credential, signal);
  const history = await timed(() => empty.fetchHistory(repository, [sha], credential, signal));
  return { clone, cold, warm, history };
}

/**
 * 2,000 files of 10 kB that do not compress, a quarter of them changed by each of 36 later commits: 200 MB of history
 * above a tree of 20 MB. The same bytes on every machine.
 */
async function writeRepository(bare: string): Promise<void> {
  await mkdir(bare, { recursive: true });
  await git(["init", "--quiet", "--bare", "--initial-branch=main", bare]);
  const child = spawn("git", ["--git-dir", bare, "fast-import", "--quiet"], {
    env: gitEnvironment(),
    stdio: ["pipe", "ignore", "inherit"],
  });
  const closed = once(child, "close");
  const random = createCipheriv("aes-128-ctr", Buffer.alloc(16, 7), Buffer.alloc(16, 1));
  const write = async (chunk: string | Buffer) => {
    if (!child.stdin.write(chunk)) await once(child.stdin, "drain");
  };
  for (let commit = 0; commit <= 36; commit++) {
    const message = `commit ${commit}`;
    await write(
      `commit refs/heads/main\ncommitter Bench <bench@example.com> ${1_700_000_000 + commit} +0000\ndata ${message.length}\n${message}\n`,
    );
    for (let file = 0; file < 2_000; file++) {
      if (commit > 0 && (file + commit) % 4 !== 0) continue;
      await write(`M 100644 inline part-${file % 40}/group-${file % 7}/file-${file}.bin\ndata 10000\n`);
      await write(random.update(Buffer.alloc(10_000)));
      await write("\n");
    }
  }
  child.stdin.end();
  const [code] = await closed;
  if (code !== 0) throw new Error(`git fast-import ended with ${code}`);
}

async function git(args: string[], header?: string): Promise<void> {
  const environment = gitEnvironment([
    ["protocol.http.allow", "always"],
    ...(header === undefined ? [] : [["http.extraHeader", header] as const]),
  ]);
  const child = spawn("git", args, { env: environment, stdio: ["ignore", "ignore", "inherit"] });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`git ${args[0]} ended with ${code}`);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  await once(spawn("sync", { stdio: "ignore" }), "close");
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function figure(name: string, value: number, baseline: number | null, ratioLimit: number | null): Figure {
  const ratio = baseline === null ? null : value / baseline;
  const ok = ratioLimit === null || (ratio !== null && ratio <= ratioLimit);
  const rounded = (number: number | null) => (number === null ? null : Math.round(number * 1_000) / 1_000);
  return {
    name,
    value: rounded(value)!,
    unit: "ms",
    baseline: rounded(baseline),
    ratio: rounded(ratio),
    limit: null,
    ratioLimit,
    ok,
  };
}

if (import.meta.main) {
  const figures = await workspaceFigures();
  for (const one of figures) console.log(JSON.stringify(one));
  if (!figures.every(({ ok }) => ok)) process.exitCode = 1;
}
