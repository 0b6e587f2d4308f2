import { link, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ReportFile } from "../../src/checks/commands.ts";
import { readReports } from "../../src/checks/read-reports.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "millwright-reports-"));
  await mkdir(join(root, "reports"));
  await mkdir(join(root, "tree/app/target/surefire-reports"), { recursive: true });
  await writeFile(join(root, "secret.xml"), "secret");
});
afterEach(() => rm(root, { recursive: true, force: true }));

const startedAt = new Date(Date.now() - 5000);
const read = (report: Partial<ReportFile> = {}) =>
  readReports(
    { kind: "junit", path: "*.xml", from: "reports", ...report },
    { reportsDirectory: join(root, "reports"), commandDirectory: join(root, "tree"), startedAt },
  );

describe("readReports", () => {
  it("readReports reads by name and by pattern, sorted", async () => {
    expect(await read()).toEqual([]);
    await writeFile(join(root, "reports/b.xml"), "b");
    await writeFile(join(root, "reports/a.xml"), "a");
    await writeFile(join(root, "reports/c.txt"), "c");
    expect((await read()).map(({ text }) => text)).toEqual(["a", "b"]);
    await writeFile(join(root, "tree/app/target/surefire-reports/TEST-a.xml"), "surefire");
    expect(await read({ from: "tree", path: "**/target/surefire-reports/TEST-*.xml" })).toEqual([
      { kind: "junit", text: "surefire" },
    ]);
  });

  it("readReports leaves out the report of an earlier run", async () => {
    const old = join(root, "reports/old.xml");
    await writeFile(old, "old");
    await utimes(old, new Date(0), new Date(0));
    expect(await read()).toEqual([]);
  });

  it("readReports follows no link out of the tree", async () => {
    await symlink(join(root, "secret.xml"), join(root, "reports/link.xml"));
    await link(join(root, "secret.xml"), join(root, "reports/hard.xml"));
    await symlink(root, join(root, "tree/out"));
    expect(await read()).toEqual([]);
    expect(await read({ from: "tree", path: "**/secret.xml" })).toEqual([]);
  });

  it("readReports does not enter a directory that was replaced by a link", async () => {
    await rm(join(root, "reports"), { recursive: true });
    await symlink(root, join(root, "reports"));
    expect(await read()).toEqual([]);
  });

  it("readReports leaves out files above 8 MB", async () => {
    await writeFile(join(root, "reports/big.xml"), Buffer.alloc(8_000_001));
    expect(await read()).toEqual([]);
  });
});
