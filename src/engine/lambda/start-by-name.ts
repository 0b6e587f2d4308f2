import type { Intent } from "../../pipeline/intent.ts";
import { runKeyOf } from "../../pipeline/run-key.ts";
import type { Started } from "../engine.ts";

/** An asynchronous invocation may carry 1 MB; `maxIntentBytes` leaves the rest for what AWS adds. */
const maxInputBytes = 900 * 1024;

export interface ExecutionStarter {
  /** Resolves when AWS has taken the event. Rejects when it could not be asked or refused for now: ask again. */
  start(intent: Intent): Promise<Started>;
}

/** Lambda's Invoke, type Event, of the durable function. Rejects with AWS's error, whose `name` is its code. */
export type InvokeExecution = (request: { name: string; payload: Uint8Array }) => Promise<unknown>;

/**
 * Starts runs as durable executions named by the run's key: AWS takes one name once, whoever asks. The same name with
 * another input is refused by AWS and counts as started already.
 * https://docs.aws.amazon.com/lambda/latest/dg/durable-execution-idempotency.html
 */
export function createNamedStarter(invoke: InvokeExecution): ExecutionStarter {
  return {
    async start(intent) {
      const runKey = runKeyOf(intent);
      try {
        await invoke({ name: runKey, payload: executionInput(intent) });
      } catch (error) {
        if ((error as Error).name !== "DurableExecutionAlreadyStartedException") throw error;
        return { runKey, repeated: Promise.resolve(true) };
      }
      // For the same name and input AWS answers as for a new execution.
      return { runKey, repeated: Promise.resolve("unknown") };
    },
  };
}

/** `{ intent }` as JSON in UTF-8 with sorted keys: equal intents have equal bytes. Throws above 900 KiB. */
export function executionInput(intent: Intent): Uint8Array {
  const bytes = Buffer.from(JSON.stringify(sorted({ intent })));
  if (bytes.length <= maxInputBytes) return bytes;
  throw new Error(
    `Cannot start run ${runKeyOf(intent)}: its input has ${bytes.length} bytes of at most ${maxInputBytes}`,
  );
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, sorted(item)]),
  );
}
