import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LambdaClient } from "@aws-sdk/client-lambda";
import { S3Client } from "@aws-sdk/client-s3";
import { bundleSandboxHandler } from "../../deploy/lambda/bundle.ts";
import type { LambdaOptions } from "../../src/sandbox/lambda/lambda.ts";
import { type LocalAws, startLocalAws } from "../support/local-aws/local-aws.ts";

export interface LambdaSandbox {
  aws: LocalAws;
  /** For `createSandbox`, with the packaged function registered as the sandbox's and as set-up's. */
  options: LambdaOptions;
  close(): Promise<void>;
}

/** A stand-in for AWS that runs the packaged function of the sandbox, each job on a machine of its own. */
export async function lambdaSandbox(settings: { proxyPort?: number } = {}): Promise<LambdaSandbox> {
  const folder = await mkdtemp(join(tmpdir(), "sandbox-package-"));
  const aws = await startLocalAws();
  const bundle = join(folder, "sandbox.mjs");
  await bundleSandboxHandler(bundle);
  const common = { bundle, isolated: true, tenantIsolation: true, timeoutSeconds: 600 };
  aws.lambda.functions.set("sandbox", common);
  aws.lambda.functions.set("setup", {
    ...common,
    reaches: settings.proxyPort === undefined ? [] : [settings.proxyPort],
  });
  aws.s3.bucket("work");
  return {
    aws,
    options: {
      sandboxFunction: "sandbox",
      setupFunction: "setup",
      bucket: "work",
      egressProxy: settings.proxyPort === undefined ? undefined : `http://127.0.0.1:${settings.proxyPort}`,
      clients: {
        s3: new S3Client({ ...aws.client, requestChecksumCalculation: "WHEN_REQUIRED" }),
        lambda: new LambdaClient({ ...aws.client, maxAttempts: 1 }),
      },
    },
    async close() {
      await aws.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
