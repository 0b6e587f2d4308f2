import { describe, expect, test } from "vitest";
import { type Filed, Intake } from "../../../src/engine/local/intake.ts";
import type { Intent } from "../../../src/pipeline/intent.ts";
import { intentOf } from "../scripted.ts";

const filedAs = (intents: Intent[]): Filed[] => intents.map(({ id }) => ({ runKey: id, repeated: false }));

describe("Intake", () => {
  test("add files what comes while a batch is written as the next batch", async () => {
    const batches: number[] = [];
    const intake = new Intake(async (intents) => {
      batches.push(intents.length);
      await new Promise((resolve) => setTimeout(resolve, 20));
      return filedAs(intents);
    });
    const first = intake.add(intentOf({ id: "first" }));
    await new Promise((resolve) => setTimeout(resolve, 10));
    const rest = await Promise.all(["a", "b", "c"].map((id) => intake.add(intentOf({ id }))));
    expect(await first).toEqual({ runKey: "first", repeated: false });
    expect(rest.map(({ runKey }) => runKey)).toEqual(["a", "b", "c"]);
    expect(batches).toEqual([1, 3]);
  });

  test("add files an intent that comes right when the last batch was answered", async () => {
    const intake = new Intake(async (intents) => filedAs(intents));
    const second = intake.add(intentOf({ id: "one" })).then(() => intake.add(intentOf({ id: "two" })));
    expect(await second).toEqual({ runKey: "two", repeated: false });
  });

  test("add rejects for the intent that cannot be written, and for no other of its batch", async () => {
    const intake = new Intake(async (intents) => {
      if (intents.some(({ id }) => id === "bad")) throw new Error("cannot be written");
      return filedAs(intents);
    });
    const settled = await Promise.allSettled(["good", "bad", "fine"].map((id) => intake.add(intentOf({ id }))));
    expect(settled.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  });

  test("rushing is true after many arrivals in a moment, and ends with them", async () => {
    const intake = new Intake(async (intents) => filedAs(intents));
    await intake.add(intentOf());
    expect(intake.rushing).toBe(false);
    await Promise.all(Array.from({ length: 20 }, () => intake.add(intentOf())));
    expect(intake.rushing).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(intake.rushing).toBe(false);
  });
});
