import { lstatSync, readFileSync, statSync } from "node:fs";
import { chmod, symlink } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createFileTools } from "../../../src/agent/tools/file-tools.ts";
import { toolLimits } from "../../../src/agent/tools/tool-limits.ts";
import { treeOf } from "../support.ts";

async function toolsOf(files: Record<string, string>) {
  const root = await treeOf(files);
  const tools = createFileTools(root);
  const call = async (name: string, input: Record<string, unknown>) => {
    const tool = tools.find((candidate) => candidate.name === name);
    if (tool === undefined) throw new Error(`no tool ${name}`);
    return String(await tool.run(tool.parse(input)));
  };
  const text = (path: string) => readFileSync(join(root, path), "utf8");
  return { root, call, text, names: tools.map((tool) => tool.name) };
}

test("createFileTools reads, writes, edits, finds, deletes and moves files", async () => {
  const { root, call, text, names } = await toolsOf({ "a.txt": "one\ntwo\n", "src/b.ts": "export const b = 1;\n" });
  expect(names).toEqual(["read", "write", "edit", "glob", "grep", "delete", "move"]);
  expect(await call("read", { file_path: "a.txt" })).toBe("one\ntwo\n");
  expect(await call("read", { file_path: "a.txt", view_range: [2, 2] })).toBe("two");
  await call("write", { file_path: "new/deep/c.txt", content: "c" });
  expect(text("new/deep/c.txt")).toBe("c");
  await call("edit", { file_path: "a.txt", old_string: "two", new_string: "$& three" });
  expect(text("a.txt")).toBe("one\n$& three\n");
  expect(await call("glob", { pattern: "**/*.ts" })).toBe("src/b.ts");
  expect(await call("grep", { pattern: "const b" })).toContain("src/b.ts:1:export const b = 1;");
  expect(await call("move", { from: "a.txt", to: "moved/d.txt" })).toBe("moved a.txt to moved/d.txt");
  expect(text("moved/d.txt")).toContain("one");
  expect(await call("delete", { file_path: "moved/d.txt" })).toBe("deleted moved/d.txt");
  expect(() => lstatSync(join(root, "moved/d.txt"))).toThrow("ENOENT");
});

test("createFileTools shows no path of the host", async () => {
  const { root, call } = await toolsOf({ "a.txt": "needle\n" });
  const shown = [
    await call("glob", { pattern: "*" }),
    await call("grep", { pattern: "needle" }),
    await call("grep", { pattern: "needle", path: "a.txt" }),
  ];
  const error = await call("read", { file_path: join(root, "missing.txt") }).catch((thrown: Error) => thrown.message);
  expect([...shown, error].join("\n")).not.toContain(root);
  expect(error).toContain("missing.txt: no such file or directory");
});

test("createFileTools makes files that others may read, and keeps the mode of those that exist", async () => {
  const { root, call } = await toolsOf({ "run.sh": "#!/bin/sh\n" });
  await chmod(join(root, "run.sh"), 0o755);
  await call("edit", { file_path: "run.sh", old_string: "sh\n", new_string: "sh -e\n" });
  await call("write", { file_path: "x/y/z.txt", content: "z" });
  const mode = (path: string) => statSync(join(root, path)).mode & 0o777;
  expect([mode("run.sh"), mode("x"), mode("x/y"), mode("x/y/z.txt")]).toEqual([0o755, 0o755, 0o755, 0o644]);
});

test("createFileTools refuses files that are too large", async () => {
  const { call } = await toolsOf({ "big.txt": "x".repeat(toolLimits.maxFileBytes + 1) });
  await expect(call("read", { file_path: "big.txt" })).rejects.toThrow(`exceeds ${toolLimits.maxFileBytes}-byte limit`);
  await expect(
    call("write", { file_path: "new.txt", content: "x".repeat(toolLimits.maxWriteBytes + 1) }),
  ).rejects.toThrow(`content has ${toolLimits.maxWriteBytes + 1} bytes`);
});

test("createFileTools leaves a link's target alone when the link is deleted or moved", async () => {
  const outside = await treeOf({ "keep.txt": "kept" });
  const { root, call, text } = await toolsOf({ "a.txt": "a" });
  await symlink(join(outside, "keep.txt"), join(root, "link"));
  await symlink("a.txt", join(root, "inner"));
  await call("delete", { file_path: "link" });
  await call("move", { from: "inner", to: "renamed" });
  expect(readFileSync(join(outside, "keep.txt"), "utf8")).toBe("kept");
  expect(text("a.txt")).toBe("a");
  expect(lstatSync(join(root, "renamed")).isSymbolicLink()).toBe(true);
});

test.each([
  ["read", { file_path: ".git/config" }],
  ["write", { file_path: "sub/.git/config", content: "x" }],
  ["edit", { file_path: ".git/config", old_string: "a", new_string: "b" }],
  ["glob", { pattern: ".git/*" }],
  ["glob", { pattern: "*", path: ".git" }],
  ["grep", { pattern: "core", path: ".git" }],
  ["grep", { pattern: "core", path: ".git/config", file_path: "" }],
  ["grep", { pattern: "core", path: ".git/config", file_path: "a.txt" }],
  ["glob", { pattern: "*", path: ".git", file_path: "a.txt" }],
  ["delete", { file_path: ".git/config" }],
  ["move", { from: "a.txt", to: ".git/hooks/pre-commit" }],
  ["move", { from: ".git/config", to: "a2.txt" }],
])("createFileTools refuses to %s in a git directory", async (name, input) => {
  const { call, text } = await toolsOf({ ".git/config": "[core]\n", "a.txt": "a" });
  await expect(call(name, input)).rejects.toThrow("is in a git directory");
  expect(text(".git/config")).toBe("[core]\n");
  expect(text("a.txt")).toBe("a");
});

test("createFileTools finds nothing behind links or in git directories", async () => {
  const outside = await treeOf({ "secret.txt": "needle" });
  const { root, call } = await toolsOf({ ".git/config": "needle", "a.txt": "hay" });
  await symlink(outside, join(root, "out"));
  expect(await call("grep", { pattern: "needle" })).toBe("no matches");
  expect(await call("glob", { pattern: "out/*" })).toBe("no matches");
  await expect(call("grep", { pattern: "needle", path: "out" })).rejects.toThrow("is outside of the repository");
});

test.each([
  ["delete", { file_path: "../a" }],
  ["delete", { file_path: "src" }],
  ["delete", { file_path: "missing" }],
  ["delete", { file_path: "." }],
  ["move", { from: "a.txt", to: "src/b.txt" }],
  ["move", { from: "a.txt", to: "../b.txt" }],
  ["move", { from: "../a.txt", to: "b.txt" }],
  ["move", { from: "src", to: "lib" }],
])("createFileTools refuses to %s %j", async (name, input) => {
  const { call, text } = await toolsOf({ "a.txt": "a", "src/b.txt": "b" });
  await expect(call(name, input)).rejects.toThrow();
  expect([text("a.txt"), text("src/b.txt")]).toEqual(["a", "b"]);
});

test("createFileTools names a refused path as it was given, not the host's", async () => {
  const { call } = await toolsOf({ "a.txt": "a" });
  await expect(call("delete", { file_path: "../b.txt" })).rejects.toThrow('"../b.txt" is outside of the repository');
  await expect(call("delete", { file_path: "." })).rejects.toThrow('"." is outside of the repository');
});
