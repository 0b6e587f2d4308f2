import { DurableExecutionAlreadyStartedException, InvokeCommand, type LambdaClient } from "@aws-sdk/client-lambda";
import { type Intent, runKeyOf } from "../../pipeline/intent.ts";
import type { Started } from "../engine.ts";

/** An asynchronous invocation may carry 1 MB; `maxIntentBytes` leaves the rest for what AWS adds. */
const maxInputBytes = 900 * 1024;

export interface ExecutionStarter {
  /** Resolves when AWS has taken the event. Rejects when it could not be asked or refused for now: ask again. */
  start(intent: Intent): Promise<Started>;
}

/**
 * Starts runs as durable executions of `functionName` (with its version or alias), named by the run's key: AWS takes one
 * name once, whoever asks. The same name with another input is refused by AWS and counts as started already.
 * https://docs.aws.amazon.com/lambda/latest/dg/durable-execution-idempotency.html
 */
export function createExecutionStarter(options: { lambda: LambdaClient; functionName: string }): ExecutionStarter {
  return {
    async start(intent) {
      const runKey = runKeyOf(intent);
      const command = new InvokeCommand({
        FunctionName: options.functionName,
        InvocationType: "Event",
        DurableExecutionName: runKey,
        Payload: executionInput(intent),
      });
      try {
        await options.lambda.send(command);
      } catch (error) {
        if (!(error instanceof DurableExecutionAlreadyStartedException)) throw error;
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
