import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { describe, expect, test } from "vitest";
import { type Filed, Intake } from "../../../src/engine/local/intake.ts";
import { openSpool } from "../../../src/engine/local/spool.ts";
import type { Intent } from "../../../src/pipeline/intent.ts";
import { intentOf } from "../scripted.ts";

const log = pino({ level: "silent" });
const filedAs = (intents: Intent[]): Filed[] => intents.map(({ id }) => ({ runKey: id, repeated: false }));

describe("Intake", () => {
  test("add files what comes while a batch is written as the next batch", async () => {
    const batches: number[] = [];
    const intake = new Intake(async (intents) => {
      batches.push(intents.length);
      await new Promise((resolve) => setTimeout(resolve, 20));
      return filedAs(intents);
    }, log);
    const first = intake.add(intentOf({ id: "first" }));
    await new Promise((resolve) => setTimeout(resolve, 10));
    const rest = await Promise.all(["a", "b", "c"].map((id) => intake.add(intentOf({ id }))));
    expect((await first).runKey).toBe("first");
    expect(await (await first).repeated).toBe(false);
    expect(rest.map(({ runKey }) => runKey)).toEqual(["a", "b", "c"]);
    expect(batches).toEqual([1, 3]);
  });

  test("add files an intent that comes right when the last batch was answered", async () => {
    const intake = new Intake(async (intents) => filedAs(intents), log);
    const second = intake.add(intentOf({ id: "one" })).then(() => intake.add(intentOf({ id: "two" })));
    expect((await second).runKey).toBe("two");
  });

  test("add rejects for the intent that cannot be written, and for no other of its batch", async () => {
    const intake = new Intake(async (intents) => {
      if (intents.some(({ id }) => id === "bad")) throw new Error("cannot be written");
      return filedAs(intents);
    }, log);
    const settled = await Promise.allSettled(["good", "bad", "fine"].map((id) => intake.add(intentOf({ id }))));
    expect(settled.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  });

  test("rushing is true after many arrivals in a moment, and ends with them", async () => {
    const intake = new Intake(async (intents) => filedAs(intents), log);
    await intake.add(intentOf());
    expect(intake.rushing).toBe(false);
    await Promise.all(Array.from({ length: 20 }, () => intake.add(intentOf())));
    expect(intake.rushing).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(intake.rushing).toBe(false);
  });

  test("add with a spool acknowledges while the database is away, and files when it is back or in the next process", async () => {
    const directory = await mkdtemp(join(tmpdir(), "millwright-spool-"));
    const path = join(directory, "intake.jsonl");
    const filed: string[] = [];
    let away = true;
    const file = async (intents: Intent[]) => {
      if (away) throw new Error("the database is away");
      filed.push(...intents.map(({ id }) => id));
      return filedAs(intents);
    };
    try {
      const first = new Intake(file, log);
      first.open(await openSpool(path));
      const started = await first.add(intentOf({ id: "one" }));
      expect(filed).toEqual([]);
      await first.close();
      await expect(first.add(intentOf({ id: "late" }))).rejects.toThrow("stopping");

      const second = new Intake(file, log);
      second.open(await openSpool(path));
      const next = await second.add(intentOf({ id: "two" }));
      away = false;
      expect(await next.repeated).toBe(false);
      expect(filed).toEqual(["one", "two"]);
      expect(started.runKey).not.toBe(next.runKey);
      await second.close();
      const third = await openSpool(path);
      expect(third.left).toEqual([]);
      await third.close();
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
