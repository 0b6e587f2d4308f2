import { createHash } from "node:crypto";
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MAGIC, pack } from "../../src/sandbox/lambda/pack.ts";
import { changesBetween, type Snapshot, takeSnapshot } from "../../src/sandbox/lambda/snapshot.ts";
import { unpack } from "../../src/sandbox/lambda/unpack.ts";

let root: string;
let here: { tree: string; home: string };
let there: { tree: string; home: string };
let archive: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "lambda-archive-"));
  const folders = (side: string) => ({ tree: join(root, side, "tree"), home: join(root, side, "home") });
  here = folders("here");
  there = folders("there");
  archive = join(root, "archive");
  for (const folder of [...Object.values(here), ...Object.values(there)]) await mkdir(folder, { recursive: true });
});
afterEach(() => rm(root, { recursive: true, force: true }));

const room = { maxBytes: 1_000_000, maxEntries: 100, maxFileBytes: 100_000 };
const careful = {
  ...room,
  distrust: { withoutGit: ["tree"], linkTargets: ["/usr", "/workspace"] },
  checkFirst: true,
};

describe("pack and unpack", () => {
  test("carry a tree, and then only what changed of it", async () => {
    await mkdir(join(here.tree, "a/b"), { recursive: true });
    await writeFile(join(here.tree, "a/b/file"), "content".repeat(10_000), { mode: 0o640 });
    await writeFile(join(here.tree, "a/empty ü \n"), "");
    await writeFile(join(here.home, "other"), "1");
    await symlink("b/file", join(here.tree, "a/link"));
    const first = await takeSnapshot(here);
    await pack(changesBetween(new Map(), first), here, archive);
    const arrived = await unpack(archive, there, { ...careful, before: new Map() });
    expect(arrived.leftOut).toEqual([]);
    expect(await readFile(join(there.tree, "a/b/file"), "utf8")).toBe("content".repeat(10_000));
    expect(await readlink(join(there.tree, "a/link"))).toBe("b/file");
    const [from, to] = await Promise.all([here, there].map(({ tree }) => lstat(join(tree, "a/b/file"))));
    expect(to?.mode).toBe(from?.mode);
    expect(to?.mtimeMs).toBeCloseTo(from?.mtimeMs ?? 0, 1);
    expect(changesBetween(arrived.snapshot, await takeSnapshot(there, arrived.snapshot))).toEqual([]);

    await rm(join(there.tree, "a/b"), { recursive: true });
    await writeFile(join(there.tree, "a/b"), "a file now");
    await rm(join(there.tree, "a/link"));
    await mkdir(join(there.tree, "a/link"));
    await writeFile(join(there.tree, "a/link/inner"), "x");
    await chmod(join(there.home, "other"), 0o700);
    const changes = changesBetween(arrived.snapshot, await takeSnapshot(there, arrived.snapshot));
    expect(changes.map(({ path, entry, content }) => `${entry?.kind ?? "gone"} ${path} ${content}`)).toEqual([
      "gone tree/a/b false",
      "gone tree/a/link false",
      "file tree/a/b true",
      "directory tree/a/link false",
      "file tree/a/link/inner true",
      "file home/other false",
    ]);
    const packed = await pack(changes, there, archive);
    expect(packed.bytes).toBeLessThan(1_000);
    const back = await unpack(archive, here, { ...careful, before: first });
    expect(await readFile(join(here.tree, "a/b"), "utf8")).toBe("a file now");
    expect(await readdir(join(here.tree, "a/link"))).toEqual(["inner"]);
    expect((await lstat(join(here.home, "other"))).mode & 0o777).toBe(0o700);
    expect(changesBetween(back.snapshot, await takeSnapshot(here, back.snapshot))).toEqual([]);
  });

  test("leave out what is neither file, folder nor link", async () => {
    const server = createServer().listen(join(here.tree, "socket"));
    await writeFile(join(here.tree, "file"), "x");
    expect([...(await takeSnapshot(here)).keys()]).toEqual(["tree/file"]);
    server.close();
  });
});

type Header = Record<string, unknown>;

/** An archive as its format says, whatever is in it. */
async function forge(records: (Header | [Header, string])[], end?: Buffer): Promise<void> {
  const parts: Buffer[] = [MAGIC];
  for (const record of [...records, { end: records.length }]) {
    const [header, content = ""] = Array.isArray(record) ? record : [record];
    const json = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(json.length);
    parts.push(length, json, Buffer.from(content));
  }
  await writeFile(archive, zstdCompressSync(Buffer.concat([...parts, end ?? Buffer.alloc(0)])));
}

const hash = (text: string) => createHash("sha256").update(text).digest("hex");
const file = (path: string, text: string, more: Header = {}): [Header, string] => [
  { path, kind: "file", mode: 0o644, mtimeUs: 1, size: text.length, sha256: hash(text), content: true, ...more },
  text,
];
const link = (path: string, target: string) => ({ path, kind: "link", target });
const folder = (path: string) => ({ path, kind: "directory", mode: 0o755 });

describe("unpack", () => {
  const secret = "outside, untouched";
  let before: Snapshot;
  beforeEach(async () => {
    await writeFile(join(root, "outside"), secret);
    await mkdir(join(root, "elsewhere"));
    await writeFile(join(root, "elsewhere/kept"), secret);
    await writeFile(join(here.tree, "mine"), "mine");
    await symlink(join(root, "elsewhere"), join(here.tree, "way-out"));
    before = await takeSnapshot(here);
  });
  const untouched = async () => {
    expect(await readFile(join(root, "outside"), "utf8")).toBe(secret);
    expect(await readFile(join(root, "elsewhere/kept"), "utf8")).toBe(secret);
    expect(await readdir(join(root, "elsewhere"))).toEqual(["kept"]);
  };

  test.each<[string, (Header | [Header, string])[]]>([
    ["a path that goes up", [file("tree/../../outside", "x")]],
    ["an absolute path", [file("/etc/x", "x")]],
    ["a path of another root", [file("output/x", "x")]],
    ["a root's own name", [link("tree", "/usr")]],
    ["a root from the prototype", [file("constructor/x", "x")]],
    ["an empty name", [file("tree//x", "x")]],
    ["a dot", [file("tree/./x", "x")]],
    ["a NUL", [file("tree/x\0", "x")]],
    ["a long name", [file(`tree/${"x".repeat(256)}`, "x")]],
    ["a file through a link that was there", [file("tree/way-out/kept", "x")]],
    [
      "a removal through a link that was there, then a file",
      [{ path: "tree/way-out/kept" }, file("tree/way-out/new", "x")],
    ],
    ["a file through a link that it brings", [link("tree/inner", "sub"), file("tree/inner/x", "x")]],
    ["a folder through a link", [link("tree/inner", "sub"), folder("tree/inner/x")]],
    ["a file in a folder that it replaced", [folder("tree/f"), file("tree/f", "x"), file("tree/f/x", "x")]],
    ["a file below a file", [file("tree/mine/x", "x")]],
    ["a file without a folder", [file("tree/none/x", "x")]],
    ["a device", [{ path: "tree/x", kind: "device", major: 1, minor: 3 }]],
    ["a set-user-id bit", [file("tree/x", "x", { mode: 0o4755 })]],
    ["another content", [file("tree/x", "x", { sha256: hash("y") })]],
    ["a content that is not there", [[{ ...file("tree/x", "x")[0], content: false }, ""]]],
    ["a link to nothing", [link("tree/x", "")]],
    ["a file that is too large", [file("tree/x", "x".repeat(100_001))]],
    ["too many entries", Array.from({ length: 101 }, (_, n) => file(`tree/${n}`, "x"))],
    ["too many bytes", Array.from({ length: 11 }, (_, n) => file(`tree/${n}`, "x".repeat(99_999)))],
    ["a header that is too long", [{ ...folder("tree/x"), more: "x".repeat(70_000) }]],
    ["a size that is none", [[{ ...file("tree/x", "x")[0], size: -1 }, "x"]]],
  ])("refuses %s, and writes nothing before", async (_, records) => {
    await forge([file("tree/first", "x"), { path: "tree/mine" }, ...records]);
    await expect(unpack(archive, here, { ...careful, before })).rejects.toMatchObject({ name: "BadArchive" });
    await untouched();
    expect((await readdir(here.tree)).toSorted()).toEqual(["mine", "way-out"]);
  });

  test("refuses what is no archive, is cut, or goes on after its end", async () => {
    const refused = async () =>
      expect(unpack(archive, here, { ...careful, before })).rejects.toMatchObject({ name: "BadArchive" });
    await forge([file("tree/first", "x")], Buffer.from("more"));
    await refused();
    await forge([file("tree/first", "x".repeat(5_000))]);
    const whole = await readFile(archive);
    await writeFile(archive, whole.subarray(0, -8));
    await refused();
    await writeFile(archive, zstdCompressSync(MAGIC));
    await refused();
    await writeFile(archive, zstdCompressSync(Buffer.alloc(10)));
    await refused();
    await writeFile(archive, "no zstd at all");
    await refused();
    await writeFile(archive, zstdCompressSync(Buffer.concat([MAGIC, Buffer.from([255, 255, 255, 255])])));
    await refused();
    expect((await readdir(here.tree)).toSorted()).toEqual(["mine", "way-out"]);
  });

  test("leaves out links to elsewhere and repositories, and keeps the rest", async () => {
    await forge([
      ...[
        link("tree/up", "../../outside"),
        link("tree/absolute", join(root, "outside")),
        link("tree/hop", "sub/../../x"),
      ],
      ...[link("tree/sly", "/usr/../etc/shadow"), link("tree/like", "/usr2/x"), link("tree/mine", "/")],
      ...[
        folder("tree/.GIT"),
        file("tree/.GIT/config", "evil"),
        folder("tree/sub"),
        file("tree/sub/.git", "gitdir: x"),
      ],
      ...[folder("home/.git"), file("home/.git/config", "of a package manager")],
      ...[
        link("tree/sub/ok", "../sub/file"),
        link("tree/python", "/usr/bin/python3"),
        link("tree/abs", "/workspace/x"),
      ],
      file("tree/sub/file", "x"),
    ]);
    const { leftOut, snapshot } = await unpack(archive, here, { ...careful, before });
    const out = ["up", "absolute", "hop", "sly", "like", "mine", ".GIT", "sub/.git"].map((name) => `tree/${name}`);
    expect(leftOut).toEqual(out);
    expect((await readdir(here.tree)).toSorted()).toEqual(["abs", "python", "sub", "way-out"]);
    expect((await readdir(join(here.tree, "sub"))).toSorted()).toEqual(["file", "ok"]);
    expect(await readdir(join(here.home, ".git"))).toEqual(["config"]);
    expect(changesBetween(snapshot, await takeSnapshot(here, snapshot))).toEqual([]);
    await untouched();
  });

  test("removes and replaces a link, not what it leads to", async () => {
    await forge([{ path: "tree/way-out" }, folder("tree/way-out"), file("tree/way-out/kept", "new")]);
    await unpack(archive, here, { ...careful, before });
    expect(await readFile(join(here.tree, "way-out/kept"), "utf8")).toBe("new");
    await untouched();
  });

  test("lets the owner read and write whatever modes say", async () => {
    await forge([{ ...folder("tree/closed"), mode: 0 }, file("tree/closed/file", "x", { mode: 0o111 })]);
    await unpack(archive, here, { ...careful, before });
    expect((await lstat(join(here.tree, "closed"))).mode & 0o777).toBe(0o700);
    expect((await lstat(join(here.tree, "closed/file"))).mode & 0o777).toBe(0o711);
  });
});
