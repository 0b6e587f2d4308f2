import { setImmediate } from "node:timers/promises";

/** Lets the process answer others in the middle of long work: a webhook waits for no selection. */
export async function breathe(): Promise<void> {
  await setImmediate();
}
