import { ConfigurationError } from "../../config/operator.ts";
import type { EngineSwept } from "../../engine/lambda/lambda-engine.ts";
import { createChannels } from "../../notify/create-channels.ts";
import { createNotifier } from "../../notify/notifier.ts";
import { createReconciler, type Swept } from "../reconcile/reconciler.ts";
import { type ComposedFunction, composeFunction } from "./compose-function.ts";

let composed: ComposedFunction | undefined = await composeFunction().catch((error: unknown) => {
  if (error instanceof ConfigurationError) throw error;
  return undefined;
});

/** What one look at everything found; a line of the function's log says the same. */
export interface Reconciled {
  engine: EngineSwept | undefined;
  github: Swept | undefined;
}

/** So long before its time is over the look at GitHub ends; the next one goes on where GitHub says that something changed. */
const stopSeconds = 30;
const hour = 3_600;

/**
 * The scheduled function: wakes runs whose wake-up was lost and replaces executions that died, sends notifications, looks at
 * GitHub for what no webhook told, and deletes what is kept too long. Each part is tried whatever became of the others; rejects
 * when one failed.
 */
export async function handler(_event: unknown, context: { getRemainingTimeInMillis(): number }): Promise<Reconciled> {
  composed ??= await composeFunction();
  const { engine, operator, store, log } = composed;
  const reconciler = createReconciler(composed);
  const notifier = createNotifier({ ...composed, channels: createChannels(operator.channels) });
  const endInTime = () => {
    reconciler.stop();
    void notifier.stop();
  };
  const timer = setTimeout(endInTime, Math.max(0, context.getRemainingTimeInMillis() - stopSeconds * 1000));
  const failures: unknown[] = [];
  const attempt = async <T>(what: string, part: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await part();
    } catch (error) {
      log.error({ err: error }, `${what} failed; the next look tries again`);
      failures.push(error);
      return undefined;
    }
  };
  try {
    const swept = await attempt("looking after executions", () => engine.sweep());
    await attempt("sending notifications", () => notifier.deliver());
    const github = await attempt("looking at GitHub", async () => {
      await reconciler.begin();
      await reconciler.lookForReactions();
      return operator.reconcileMinutes === 0 ? undefined : reconciler.sweep();
    });
    await attempt("deleting what is kept too long", async () => {
      if (await store.rateLimit("retention", 1, hour)) await store.data.retain(operator.retentionDays);
    });
    log.info({ engine: swept }, "looked after runs");
    if (failures.length > 0) throw new AggregateError(failures, "A part of reconcile failed");
    return { engine: swept, github };
  } finally {
    clearTimeout(timer);
    await composed.rest();
  }
}
