import { expect, test } from "vitest";
import { createSlots } from "../../src/sandbox/slots.ts";

test("createSlots gives each slot a user of its own and lets further ones wait in order", async () => {
  const slots = createSlots(2);
  const first = await slots.take();
  const second = await slots.take();
  expect(new Set([first?.uid, second?.uid]).size).toBe(2);
  const order: string[] = [];
  const third = slots.take().then((slot) => order.push(`third ${slot?.uid}`));
  const fourth = slots.take().then((slot) => order.push(`fourth ${slot?.uid}`));
  slots.give(second!);
  slots.give(first!);
  await Promise.all([third, fourth]);
  expect(order).toEqual([`third ${second?.uid}`, `fourth ${first?.uid}`]);
});

test("createSlots stops waiting when the signal aborts, and loses no slot", async () => {
  const slots = createSlots(1);
  const first = await slots.take();
  const controller = new AbortController();
  const waiting = slots.take(controller.signal);
  controller.abort();
  expect(await waiting).toBeUndefined();
  expect(await slots.take(AbortSignal.abort())).toBeUndefined();
  slots.give(first!);
  expect(await slots.take()).toEqual(first);
});

test("createSlots refuses a number that is none", () => {
  for (const count of [0, -1, 1.5, 501, Number.NaN]) expect(() => createSlots(count)).toThrow(`it is ${count}`);
});
