import { InvokeCommand, type LambdaClient } from "@aws-sdk/client-lambda";
import { createNamedStarter, type ExecutionStarter } from "./start-by-name.ts";

/** Starts runs as durable executions of `functionName` (with its version or alias) through the AWS SDK. */
export function createExecutionStarter(options: { lambda: LambdaClient; functionName: string }): ExecutionStarter {
  return createNamedStarter(({ name, payload }) =>
    options.lambda.send(
      new InvokeCommand({
        FunctionName: options.functionName,
        InvocationType: "Event",
        DurableExecutionName: name,
        Payload: payload,
      }),
    ),
  );
}
