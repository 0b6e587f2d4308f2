import { mkdir, readdir, readFile, readlink, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { S3Client } from "@aws-sdk/client-s3";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createEnvironmentArchives } from "../../src/sandbox/lambda/environment-archives.ts";
import { EnvironmentCache } from "../../src/workspace/environment-cache.ts";
import { LocalJob } from "../../src/workspace/job.ts";
import { Mirror } from "../../src/workspace/mirror.ts";
import type { Job } from "../../src/workspace/workspace.ts";
import { startLocalAws } from "../support/local-aws/local-aws.ts";
import { credential, makeWorld, own, person, type World } from "./world.ts";

const paths = { tree: ["node_modules"], home: [".npm"] };

let world: World;
beforeEach(async () => {
  world = await makeWorld();
});
afterEach(() => world.end());

async function install(job: Job, text: string): Promise<void> {
  await mkdir(join(job.tree, "node_modules/a"), { recursive: true });
  await writeFile(join(job.tree, "node_modules/a/index.js"), text);
  await writeFile(join(job.tree, "node_modules/a/run.sh"), "#!/bin/sh\n", { mode: 0o755 });
  await symlink("a/index.js", join(job.tree, "node_modules/link.js"));
  await mkdir(join(job.home, ".npm"), { recursive: true });
  await writeFile(join(job.home, ".npm/cache"), text);
}

const installed = (job: Job) => readFile(join(job.tree, "node_modules/a/index.js"), "utf8");

test("environments.restore brings back what save kept, and false when there is nothing for the key", async () => {
  const { environments } = world.workspaces;
  const first = await world.openMain("first");
  expect(await environments.restore("key", first, paths)).toBe(false);
  await install(first, "installed");
  await environments.save("key", first, paths, own.repositoryId);
  const second = await world.openMain("second");
  expect(await environments.restore("another key", second, paths)).toBe(false);
  expect(await environments.restore("key", second, { ...paths, tree: ["node_modules", ".venv"] })).toBe(false);
  expect(await environments.restore("key", second, paths)).toBe(true);
  expect(await installed(second)).toBe("installed");
  expect(await readFile(join(second.tree, "node_modules/link.js"), "utf8")).toBe("installed");
  expect(await readFile(join(second.home, ".npm/cache"), "utf8")).toBe("installed");
});

test("environments are copies: no job can write into the cache or into another job's tree", async () => {
  const { environments } = world.workspaces;
  const first = await world.openMain("first");
  await install(first, "installed");
  await environments.save("key", first, paths, own.repositoryId);
  await writeFile(join(first.tree, "node_modules/a/index.js"), "spoilt after save");
  const second = await world.openMain("second");
  await environments.restore("key", second, paths);
  expect(await installed(second)).toBe("installed");
  await writeFile(join(second.tree, "node_modules/a/index.js"), "spoilt after restore");
  const third = await world.openMain("third");
  await environments.restore("key", third, paths);
  expect(await installed(third)).toBe("installed");
});

test("environments of a fork are neither kept nor shared with the repository's own", async () => {
  const { environments } = world.workspaces;
  const fork = { ...own, trust: "fork" as const };
  const { main } = await world.workspaces.fetch(fork, ["main"], credential, world.signal);
  const theirs = await world.workspaces.open(fork, "fork", { baseSha: main!, sha: main! }, world.signal);
  await install(theirs, "from a fork");
  await environments.save("key", theirs, paths, own.repositoryId);
  const ours = await world.openMain("ours");
  expect(await environments.restore("key", ours, paths)).toBe(false);
  expect(await environments.restore("key", theirs, paths)).toBe(false);
  await install(ours, "ours");
  await environments.save("key", ours, paths, own.repositoryId);
  expect(await environments.restore("key", theirs, paths)).toBe(false);
});

test("environments are never committed and survive reset", async () => {
  const job = await world.openMain();
  await install(job, "installed");
  await world.workspaces.environments.save("key", job, paths, own.repositoryId);
  expect(await job.dirty()).toEqual([]);
  expect(await job.commit("mine", person, person)).toBeUndefined();
  await job.reset(job.baseSha);
  expect(await installed(job)).toBe("installed");
});

test("environments refuse paths outside and a link in place of a parent directory", async () => {
  const { environments } = world.workspaces;
  const job = await world.openMain();
  for (const path of ["../x", "/etc", "a/../../x", "", "a//b", "./a"]) {
    await expect(environments.save("key", job, { tree: [path], home: [] }, own.repositoryId)).rejects.toThrow(
      /must be relative and stay below/,
    );
  }
  const outside = join(world.directory, "outside");
  await mkdir(join(outside, "node_modules"), { recursive: true });
  await writeFile(join(outside, "node_modules/secret"), "secret");
  const inside = { tree: ["packages/node_modules"], home: [] };
  await symlink(outside, join(job.tree, "packages"));
  await expect(environments.save("key", job, inside, own.repositoryId)).rejects.toThrow(/a parent directory is a link/);
  await rm(join(job.tree, "packages"));
  await mkdir(join(job.tree, "packages/node_modules"), { recursive: true });
  await environments.save("key", job, inside, own.repositoryId);
  await rm(join(job.tree, "packages"), { recursive: true });
  await symlink(outside, join(job.tree, "packages"));
  await expect(environments.restore("key", job, inside)).rejects.toThrow(/a parent directory is a link/);
  expect(await readdir(join(outside, "node_modules"))).toEqual(["secret"]);
});

test("EnvironmentCache removes what was used longest ago when it is full", async () => {
  const cache = new EnvironmentCache(join(world.dataDirectory, "environments"), { maxBytes: 25_000 });
  const opened = await world.openMain();
  const log = pino({ level: "silent" });
  const mirror = new Mirror({
    directory: join(world.dataDirectory, "mirrors/7/42/own"),
    gitBaseUrl: world.server.url,
    maxRepositoryBytes: 1e9,
    log,
  });
  const directory = join(opened.tree, "..");
  const job = new LocalJob({
    directory,
    repository: own,
    baseSha: opened.baseSha,
    mirror,
    gitBaseUrl: world.server.url,
    signal: world.signal,
  });
  await mkdir(join(job.tree, "node_modules"));
  await writeFile(join(job.tree, "node_modules/large"), Buffer.alloc(10_000));
  const only = { tree: ["node_modules"], home: [] };
  const entries = join(world.dataDirectory, "environments/7/42/own");
  await cache.save("old", job, only);
  const old = new Date(Date.now() - 60_000);
  for (const name of await readdir(entries)) await utimes(join(entries, name), old, old);
  await cache.save("middle", job, only);
  await cache.save("new", job, only);
  expect(await cache.restore("old", job, only)).toBe(false);
  expect(await cache.restore("middle", job, only)).toBe(true);
  expect(await cache.restore("new", job, only)).toBe(true);
});

test("EnvironmentCache with archives restores on another disk what one worker kept, for the same repository alone", async () => {
  const aws = await startLocalAws();
  try {
    const objects = aws.s3.bucket("work");
    const archives = createEnvironmentArchives({ s3: new S3Client(aws.client), bucket: "work", keyPrefix: "m/" });
    const disk = (name: string) => new EnvironmentCache(join(world.dataDirectory, name), { archives });
    const first = (await world.openMain("first")) as LocalJob;
    await install(first, "installed");
    await symlink("/usr/bin/env", join(first.tree, "node_modules/absolute"));
    await disk("one").save("key", first, paths);
    expect([...objects.keys()]).toEqual([expect.stringMatching(/^m\/environments\/42\/7\/own\/[0-9a-f]{64}$/)]);

    const second = (await world.openMain("second")) as LocalJob;
    expect(await disk("two").restore("another key", second, paths)).toBe(false);
    expect(await disk("two").restore("key", second, paths)).toBe(true);
    expect(await installed(second)).toBe("installed");
    expect(await readFile(join(second.home, ".npm/cache"), "utf8")).toBe("installed");
    expect(await readlink(join(second.tree, "node_modules/absolute"))).toBe("/usr/bin/env");
    expect((await stat(join(second.tree, "node_modules/a/run.sh"))).mode & 0o777).toBe(0o755);

    const asked = aws.s3.requests.length;
    expect(await disk("two").restore("key", second, paths)).toBe(true);
    expect(aws.s3.requests.length).toBe(asked); // Once it is on the disk, nobody asks the bucket.
    const [object] = objects.values();
    if (object) object.bytes = object.bytes.subarray(0, -10);
    expect(await disk("three").restore("key", second, paths)).toBe(false);
    expect(await readdir(join(world.dataDirectory, "three/7/42/own"))).toEqual([]);
  } finally {
    await aws.close();
  }
});
