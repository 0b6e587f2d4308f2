import { type LambdaClient, SendDurableExecutionCallbackSuccessCommand } from "@aws-sdk/client-lambda";
import type { Logger } from "pino";
import { dropWakers, readWakers } from "../../store/executions.ts";
import type { OpenStore } from "../../store/open-store.ts";

/** What AWS says of a callback that was completed before, whose time is over, or whose execution has ended. */
const over = new Set(["CallbackTimeoutException", "InvalidParameterValueException", "ResourceNotFoundException"]);

/** Completes a callback, which wakes whoever waits for it. One that is over is fine: its run is awake. */
export async function completeCallback(lambda: LambdaClient, callbackId: string): Promise<void> {
  try {
    await lambda.send(new SendDurableExecutionCallbackSuccessCommand({ CallbackId: callbackId }));
  } catch (error) {
    if (!over.has((error as Error).name)) throw error;
  }
}

/**
 * Wakes the executions of runs that sleep. A wake-up that AWS does not take now stays armed and is sent again by the next
 * sweep: what happened to the run is in the store.
 */
export function createWake(options: { lambda: LambdaClient; store: OpenStore; log: Logger }) {
  const { lambda, store, log } = options;
  const { db } = store.database;
  return async (runs: readonly { runKey: string; engine: string }[]): Promise<void> => {
    const ours = runs.filter(({ engine }) => engine === "lambda").map(({ runKey }) => runKey);
    for (const armed of await readWakers(db, ours)) {
      if (armed.wakers.length === 0) continue;
      try {
        await Promise.all(armed.wakers.map((callbackId) => completeCallback(lambda, callbackId)));
        await dropWakers(db, armed);
      } catch (error) {
        log.warn({ runKey: armed.runKey, err: error }, "a run could not be woken; the next sweep wakes it");
      }
    }
  };
}
