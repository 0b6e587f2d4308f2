import { execFileSync } from "node:child_process";
import { link, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SessionFiles } from "../../src/coder/session-files.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "millwright-session-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

test("SessionFiles reads no link, no second name and no pipe in the place of a conversation", async () => {
  const files = new SessionFiles(join(root, "tmp"), { temporary: "/tmp", tree: "/workspace" });
  const id = "6e8e1a9c-4f0b-4a53-9c1a-1d6f3f1f4f11";
  const secret = join(root, "secret.jsonl");
  await writeFile(secret, '{"secret":true}\n');
  const projects = join(join(root, "tmp"), "claude-code/config/projects");
  const place = join(projects, `-workspace/${id}.jsonl`);
  await files.prepare({}, { id, lines: [{ a: 1 }] });
  expect(await files.read(id)).toEqual({ id, lines: [{ a: 1 }] });
  for (const plant of [
    () => symlink(secret, place),
    () => link(secret, place),
    async () => execFileSync("/usr/bin/mkfifo", [place]),
    async () => {
      await rm(join(projects, "-workspace"), { recursive: true });
      await symlink(root, join(projects, "-workspace"));
      await writeFile(join(root, `${id}.jsonl`), '{"secret":true}\n');
    },
  ]) {
    await rm(place, { force: true });
    await plant();
    expect(await files.read(id)).toBeUndefined();
  }
  // What stands there is removed before anything is written, and never written through.
  await files.prepare({}, { id, lines: [{ b: 2 }] });
  expect(await files.read(id)).toEqual({ id, lines: [{ b: 2 }] });
  expect(await readFile(join(root, `${id}.jsonl`), "utf8")).toBe('{"secret":true}\n');
});
