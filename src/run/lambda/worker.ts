import type { DurableLambdaHandler } from "@aws/durable-execution-sdk-js";
import { ConfigurationError } from "../../config/operator.ts";
import { type ComposedFunction, composeFunction } from "./compose-function.ts";

// A missing setting ends the cold start with its name. When AWS or the database could not be asked, each invocation asks
// again: one that fails is repeated by AWS, later and later.
let composed: ComposedFunction | undefined = await composeFunction().catch((error: unknown) => {
  if (error instanceof ConfigurationError) throw error;
  return undefined;
});

/** The durable function that executes runs: one execution for each, as many invocations as it takes. */
export const handler: DurableLambdaHandler = async (event, context) => {
  composed ??= await composeFunction();
  // A warm function keeps what earlier runs left here, and runs may go on in other ones.
  await composed.workspaces.makeRoom();
  return composed.engine.handler(event, context);
};
