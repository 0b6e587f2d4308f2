import type { Intent } from "../../pipeline/intent.ts";

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

/**
 * Files intents in batches: while one batch is written, the next one gathers. One delivery alone waits for nothing;
 * many at once share one transaction.
 */
export class Intake {
  readonly #file: (intents: Intent[]) => Promise<Filed[]>;
  #waiting: Waiting[] = [];
  #flushing = false;
  /** When the latest intents came, oldest first. */
  readonly #arrivals: number[] = [];

  constructor(file: (intents: Intent[]) => Promise<Filed[]>) {
    this.#file = file;
  }

  /** Resolves once the intent is durable; rejects when it could not be written. */
  add(intent: Intent): Promise<Filed> {
    this.#arrivals.push(performance.now());
    if (this.#arrivals.length > rush.arrivals) this.#arrivals.shift();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ intent, resolve, reject });
      if (!this.#flushing) void this.#flush();
    });
  }

  /** Whether intents come so fast that executing runs would keep their acknowledgements waiting. */
  get rushing(): boolean {
    const [oldest = 0] = this.#arrivals;
    return this.#arrivals.length === rush.arrivals && performance.now() - oldest < rush.windowMs;
  }

  async #flush(): Promise<void> {
    this.#flushing = true;
    // Deliveries that were read from the network in the same turn of the event loop belong together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) await this.#fileBatch(this.#waiting.splice(0, maxBatch));
    this.#flushing = false;
  }

  async #fileBatch(batch: Waiting[]): Promise<void> {
    try {
      const filed = await this.#file(batch.map(({ intent }) => intent));
      batch.forEach(({ resolve }, index) => {
        resolve(filed[index] as Filed);
      });
    } catch (error) {
      // One intent that cannot be written must not take the others with it.
      if (batch.length > 1) for (const one of batch) await this.#fileBatch([one]);
      else for (const { reject } of batch) reject(error);
    }
  }
}
