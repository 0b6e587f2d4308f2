import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { confinedPath, PathRefused, refuseGitDirectory } from "../../../src/agent/tools/confined-path.ts";
import { treeOf } from "../support.ts";

let root = "";
let outside = "";

beforeAll(async () => {
  outside = await treeOf({ "secret.txt": "x" });
  root = await treeOf({ "src/a.ts": "a", "sub/.git/config": "c", "..odd/a.txt": "a" });
  await symlink(outside, join(root, "out"));
  await symlink(join(outside, "secret.txt"), join(root, "out.txt"));
  await symlink(join(outside, "not-there"), join(root, "dangling"));
  await symlink("src", join(root, "in"));
  await symlink("sub/.git", join(root, "to-git"));
  await symlink("loop", join(root, "loop"));
  await mkdir(`${root}-beside`);
});

test.each([
  ["src/a.ts", "src/a.ts"],
  ["./src/../src/a.ts", "src/a.ts"],
  ["in/a.ts", "src/a.ts"],
  ["in/new/deep.ts", "src/new/deep.ts"],
  ["new/file.ts", "new/file.ts"],
  ["..odd/a.txt", "..odd/a.txt"],
  [".github/workflows/ci.yml", ".github/workflows/ci.yml"],
  [".gitignore", ".gitignore"],
  [".", ""],
])("confinedPath resolves %s to %s", async (given, expected) => {
  expect(await confinedPath(root, given)).toBe(join(root, expected));
});

test("confinedPath takes an absolute path that lies inside", async () => {
  expect(await confinedPath(root, join(root, "src/a.ts"))).toBe(join(root, "src/a.ts"));
});

test.each([
  ["../x", "is outside of the repository"],
  ["/etc/passwd", "is outside of the repository"],
  ["src/../../x", "is outside of the repository"],
  ["out", "is outside of the repository"],
  ["out/secret.txt", "is outside of the repository"],
  ["out/new.txt", "is outside of the repository"],
  ["out.txt", "is outside of the repository"],
  ["dangling", "leads nowhere"],
  ["dangling/x", "leads nowhere"],
  ["loop", "cannot be resolved (ELOOP)"],
  ["src/a.ts/x", "goes through a file"],
  [".git", "is in a git directory"],
  [".git/config", "is in a git directory"],
  ["new/.git/hooks/pre-commit", "is in a git directory"],
  ["sub/.GIT/config", "is in a git directory"],
  [".g\u200bit/config", "is in a git directory"],
  [".git./config", "is in a git directory"],
  ["git~1/config", "is in a git directory"],
  ["to-git/config", "is in a git directory"],
  ["a\0b", "is not a path"],
])("confinedPath refuses %j", async (given, message) => {
  const refused = expect(confinedPath(root, given)).rejects;
  await refused.toThrow(PathRefused);
  await expect(confinedPath(root, given)).rejects.toThrow(message);
});

test("confinedPath refuses a directory whose name only begins like the root's", async () => {
  await expect(confinedPath(root, `${root}-beside`)).rejects.toThrow("is outside of the repository");
});

test("confinedPath's messages name no path but the given one", async () => {
  const error = (await confinedPath(root, "out/secret.txt").catch((thrown: unknown) => thrown)) as Error;
  expect(error.message).not.toContain(outside);
  expect(error.message).not.toContain(root);
});

test("refuseGitDirectory leaves names alone that only contain git", () => {
  for (const path of [".github/a", ".gitmodules", "src/git/a", "a.git", "my.git/x"])
    expect(() => refuseGitDirectory(path)).not.toThrow();
});
