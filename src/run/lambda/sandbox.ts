import type { SandboxAnswer } from "../../sandbox/lambda/request.ts";
import { type FunctionContext, sandboxFunction } from "../../sandbox/lambda/sandbox-function.ts";

/** The handler of the functions `sandbox` and `setup`. Throws on any other machine, which it would empty. */
export async function handler(event: unknown, context: FunctionContext): Promise<SandboxAnswer> {
  if (!process.env["AWS_LAMBDA_RUNTIME_API"]) {
    throw new Error("Cannot run outside of AWS Lambda: this function ends all other processes and empties /tmp");
  }
  return await sandboxFunction(event, context);
}
