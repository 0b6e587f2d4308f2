import type { Logger } from "pino";
import { type Intent, runKeyOf } from "../../pipeline/intent.ts";
import type { Started } from "../engine.ts";
import type { Spool } from "./spool.ts";

export interface Filed {
  runKey: string;
  repeated: boolean;
}

interface Waiting {
  intent: Intent;
  resolve(filed: Filed): void;
  reject(error: unknown): void;
}

/** More arrivals than this within the window are a rush. */
const rush = { arrivals: 10, windowMs: 250 };

/** So that one flush stays a short transaction. */
const maxBatch = 200;

/** How long a batch gathers in a rush, when nobody waits for it. */
const gatherMs = 100;

/** How soon filing is tried again when the database did not take what was spooled. */
const retryMs = 1_000;

/**
 * Files intents in batches: while one batch is written, the next one gathers. One delivery alone waits for nothing; many
 * at once share one transaction. With a spool an intent is acknowledged when it is on disk, whatever the database does
 * then, and what an earlier process left there is filed first.
 */
export class Intake {
  readonly #file: (intents: Intent[]) => Promise<Filed[]>;
  #spool: Spool | undefined;
  readonly #log: Pick<Logger, "warn" | "info">;
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | undefined;
  #closed = false;
  /** When the latest intents came, oldest first. */
  readonly #arrivals: number[] = [];

  constructor(file: (intents: Intent[]) => Promise<Filed[]>, log: Pick<Logger, "warn" | "info">) {
    this.#file = file;
    this.#log = log;
  }

  /** From now on intents are acknowledged by the spool. What is in it is filed. */
  open(spool: Spool): void {
    this.#spool = spool;
    if (spool.left.length === 0) return;
    this.#log.info({ intents: spool.left.length }, "taking up deliveries that an earlier process acknowledged");
    for (const intent of spool.left) void this.#enqueue(intent);
  }

  /** Resolves once the intent is durable; rejects when it could not be written. */
  async add(intent: Intent): Promise<Started> {
    this.#arrivals.push(performance.now());
    if (this.#arrivals.length > rush.arrivals) this.#arrivals.shift();
    if (this.#spool === undefined) {
      const { runKey, repeated } = await this.#enqueue(intent);
      return { runKey, repeated: Promise.resolve(repeated) };
    }
    if (this.#closed) throw new Error("the engine is stopping");
    await this.#spool.append(intent);
    return { runKey: runKeyOf(intent), repeated: this.#enqueue(intent).then(({ repeated }) => repeated) };
  }

  /** Whether intents come so fast that executing runs would keep their acknowledgements waiting. */
  get rushing(): boolean {
    const [oldest = 0] = this.#arrivals;
    return this.#arrivals.length === rush.arrivals && performance.now() - oldest < rush.windowMs;
  }

  /** Nothing more is taken; what is spooled and cannot be filed any more is left to the next process. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#flushing;
    await this.#spool?.close();
  }

  #enqueue(intent: Intent): Promise<Filed> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ intent, resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  async #flush(): Promise<void> {
    // Deliveries that were read from the network in the same turn of the event loop belong together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      if (this.#spool !== undefined && this.rushing) await pause(gatherMs);
      if (!(await this.#fileBatch(this.#waiting.splice(0, maxBatch)))) break;
    }
    this.#flushing = undefined;
  }

  /** False when the batch is left to the next process. */
  async #fileBatch(batch: Waiting[]): Promise<boolean> {
    for (;;) {
      try {
        const filed = await this.#file(batch.map(({ intent }) => intent));
        batch.forEach(({ resolve }, index) => {
          resolve(filed[index] as Filed);
        });
        this.#spool?.filed(batch.length);
        return true;
      } catch (error) {
        // One intent that cannot be written must not take the others with it.
        if (batch.length > 1) {
          for (const one of batch) if (!(await this.#fileBatch([one]))) return false;
          return true;
        }
        if (this.#spool === undefined) {
          for (const { reject } of batch) reject(error);
          return true;
        }
        if (this.#closed) return false;
        this.#log.warn({ err: error }, "an acknowledged delivery cannot be filed yet; trying again");
        await pause(retryMs);
      }
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
