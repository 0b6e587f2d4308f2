import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type RuntimeApi, startRuntimeApi } from "../support/runtime-api.ts";

const client = join(import.meta.dirname, "../../src/run/lambda/runtime-client.ts");

describe("runtimeClient", () => {
  let api: RuntimeApi;
  let directory: string;
  let child: ChildProcess | undefined;
  beforeEach(async () => {
    api = await startRuntimeApi();
    directory = await mkdtemp(join(tmpdir(), "millwright-runtime-"));
  });
  afterEach(async () => {
    child?.kill("SIGKILL");
    child = undefined;
    await api.close();
    await rm(directory, { recursive: true });
  });

  async function start(source: string, name = "handler"): Promise<ChildProcess> {
    const file = join(directory, "handler.mjs");
    await writeFile(file, source);
    const env = { PATH: process.env["PATH"], AWS_LAMBDA_RUNTIME_API: api.address, AWS_LAMBDA_FUNCTION_NAME: "worker" };
    child = spawn(process.execPath, [client, `${file}#${name}`], { env, stdio: ["ignore", "ignore", "ignore"] });
    return child;
  }

  test("runtimeClient hands each event to the handler with the context of its invocation", async () => {
    await start(`export const handler = async (event, context) => ({
      event, name: context.functionName, arn: context.invokedFunctionArn, id: context.awsRequestId,
      tenant: context.tenantId, left: context.getRemainingTimeInMillis(), trace: process.env._X_AMZN_TRACE_ID });`);
    const first = await api.invoke({ n: 1 }, { tenantId: "job-1", seconds: 30 });
    expect(first).toMatchObject({
      path: "/invocation/invocation-1/response",
      body: {
        event: { n: 1 },
        name: "worker",
        arn: "arn:aws:lambda:eu-central-1:123456789012:function:worker:7",
        id: "invocation-1",
        tenant: "job-1",
        trace: "Root=invocation-1",
      },
    });
    const { left } = first.body as { left: number };
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(30_000);
    expect(await api.invoke({ n: 2 })).toMatchObject({ body: { event: { n: 2 }, id: "invocation-2" } });
  });

  test("runtimeClient answers null for a handler that returns nothing", async () => {
    await start("export const handler = () => undefined;");
    expect(await api.invoke({})).toMatchObject({ path: "/invocation/invocation-1/response", body: null });
  });

  test("runtimeClient reports what a handler throws as the invocation's error, and goes on", async () => {
    await start(
      `export const handler = (event) => { if (event.bad) throw new RangeError("too far"); return "fine"; };`,
    );
    expect(await api.invoke({ bad: true })).toMatchObject({
      path: "/invocation/invocation-1/error",
      errorType: "Unhandled",
      body: { errorType: "RangeError", errorMessage: "too far" },
    });
    expect(await api.invoke({})).toMatchObject({ body: "fine" });
  });

  test("runtimeClient reports a handler that cannot be loaded as an error at start, and ends", async () => {
    const started = await start("export const other = 1;");
    const [code] = await once(started, "exit");
    expect(code).not.toBe(0);
    expect(api.others).toMatchObject([
      {
        path: "/init/error",
        body: { errorType: "TypeError", errorMessage: expect.stringContaining("exports no function named handler") },
      },
    ]);
  });
});
