import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openSpool } from "../../../src/engine/local/spool.ts";
import { intentOf } from "../scripted.ts";

describe("openSpool", () => {
  let directory: string;
  let path: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "millwright-spool-"));
    path = join(directory, "below", "intake.jsonl");
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  test("finds what was appended and not filed, in order, and drops a last line that was cut", async () => {
    const intents = Array.from({ length: 20 }, (_, n) =>
      intentOf({ id: `comment:${n}`, text: { title: "a\nb", body: "\u2028\ud83d\ude00" } }),
    );
    const first = await openSpool(path);
    await Promise.all(intents.map((intent) => first.append(intent)));
    first.filed(3);
    await first.close();
    await appendFile(path, '{"work":{"installationId":1');
    const second = await openSpool(path);
    expect(second.left).toEqual(intents);
    const next = intentOf();
    await second.append(next);
    await second.close();
    const third = await openSpool(path);
    expect(third.left).toEqual([...intents, next]);
    await third.close();
  });

  test("is emptied when all is filed, and never takes an append with it", async () => {
    const spool = await openSpool(path);
    for (let round = 0; round < 50; round += 1) {
      const appended = spool.append(intentOf({ id: `comment:${round}` }));
      if (round > 0) spool.filed(1);
      await appended;
      expect(await readFile(path, "utf8")).toContain(`comment:${round}"`);
    }
    spool.filed(1);
    await spool.close();
    expect(await readFile(path, "utf8")).toBe("");
  });

  test("refuses a file that holds something else, and keeps it", async () => {
    await (await openSpool(path)).close();
    await appendFile(path, "not an intent\n");
    await expect(openSpool(path)).rejects.toThrow();
    expect(await readFile(path, "utf8")).toBe("not an intent\n");
  });
});
