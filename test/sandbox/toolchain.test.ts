import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { detectToolchain } from "../../src/sandbox/toolchain.ts";

let root: string;
let home: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "toolchain-")));
  home = join(root, "home");
  mkdirSync(home);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function program(path: string): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, "");
  chmodSync(path, 0o755);
  return dirname(path);
}

test("detectToolchain shows the folder that a program was installed into", () => {
  const searchPath = program(join(home, ".nvm/versions/node/v24/bin/node"));
  expect(detectToolchain({ searchPath, home, hidden: [] })).toMatchObject({
    directories: [join(home, ".nvm/versions/node/v24")],
    searchPath: [searchPath],
  });
});

test("detectToolchain follows a link to where the program is", () => {
  const real = program(join(root, "opt/java-21/bin/java"));
  mkdirSync(join(root, "links"));
  symlinkSync(join(real, "java"), join(root, "links/java"));
  const { directories } = detectToolchain({ searchPath: join(root, "links"), home, hidden: [] });
  expect(directories).toEqual(expect.arrayContaining([join(root, "opt/java-21"), join(root, "links")]));
});

test("detectToolchain shows version managers with the variable by which they are found", () => {
  const searchPath = program(join(home, ".pyenv/shims/python3"));
  const found = detectToolchain({ searchPath, home, hidden: [] });
  expect(found.directories).toContain(join(home, ".pyenv"));
  expect(found.variables).toEqual({ PYENV_ROOT: join(home, ".pyenv") });
});

test("detectToolchain shows of folders that may hold credentials the programs alone", () => {
  program(join(home, ".cargo/bin/cargo"));
  program(join(home, ".local/bin/uv"));
  program(join(home, "bin/node"));
  const searchPath = [".cargo/bin", ".local/bin", "bin"].map((path) => join(home, path)).join(":");
  const { directories } = detectToolchain({ searchPath, home, hidden: [] });
  expect(directories.toSorted()).toEqual(
    [".cargo/bin", ".local/bin", "bin"].map((path) => join(home, path)).toSorted(),
  );
});

test("detectToolchain never shows the home or a hidden folder, however a program is linked", () => {
  const data = join(root, "app/data");
  mkdirSync(data, { recursive: true });
  program(join(root, "app/bin/go"));
  program(join(root, "app/node_modules/.bin/npm"));
  const searchPath = [join(root, "app/bin"), join(root, "app/node_modules/.bin"), home].join(":");
  const { directories, searchPath: shown } = detectToolchain({ searchPath, home, hidden: [data] });
  expect(directories).toContain(join(root, "app/bin"));
  expect(directories).not.toContain(join(root, "app"));
  expect(directories).not.toContain(home);
  expect(shown).not.toContain(join(root, "app/node_modules/.bin"));
  expect(shown).not.toContain(home);
});

test("detectToolchain gives the worker's own Node where there is no other", () => {
  const { searchPath } = detectToolchain({ searchPath: root, home, hidden: [] });
  expect(searchPath).toEqual([root, dirname(process.execPath)]);
});

test("detectToolchain refuses an operator's folder that would show the data directory or does not exist", () => {
  const data = join(root, "data");
  mkdirSync(data);
  for (const extra of [root, data, "/", home, join(root, "gone"), "relative"]) {
    expect(() => detectToolchain({ searchPath: "", home, extra: [extra], hidden: [data] }), extra).toThrow(
      `it is "${extra}"`,
    );
  }
});
