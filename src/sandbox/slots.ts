/** A place for one running command. On a worker that is root each slot has a user id of its own. */
export interface Slot {
  number: number;
  uid: number;
}

/** The first user id of the slots: above those that distributions give out, below `nobody` (65534). */
const FIRST_UID = 65_000;
const MAX_SLOTS = 500;

/**
 * Hands out `count` slots, first come, first served. `take` settles with undefined when the signal aborts first.
 * Throws RangeError when `count` is not a whole number from 1 to 500.
 */
export function createSlots(count: number) {
  if (!Number.isInteger(count) || count < 1 || count > MAX_SLOTS) {
    throw new RangeError(`Cannot create sandbox slots: their number must be from 1 to ${MAX_SLOTS}, it is ${count}`);
  }
  const free: Slot[] = Array.from({ length: count }, (_, index) => ({ number: index, uid: FIRST_UID + index }));
  const waiting: ((slot: Slot) => void)[] = [];

  return { take, give };

  function take(signal?: AbortSignal): Promise<Slot | undefined> {
    if (signal?.aborted) return Promise.resolve(undefined);
    const slot = free.shift();
    if (slot) return Promise.resolve(slot);
    return new Promise((resolve) => {
      const receive = (given: Slot) => {
        signal?.removeEventListener("abort", leave);
        resolve(given);
      };
      const leave = () => {
        waiting.splice(waiting.indexOf(receive), 1);
        resolve(undefined);
      };
      waiting.push(receive);
      signal?.addEventListener("abort", leave, { once: true });
    });
  }

  function give(slot: Slot): void {
    const next = waiting.shift();
    if (next) next(slot);
    else free.push(slot);
  }
}
