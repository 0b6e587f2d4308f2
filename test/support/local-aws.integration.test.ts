import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  DurableExecutionAlreadyStartedException,
  InvokeCommand,
  LambdaClient,
  RequestTooLargeException,
  SendDurableExecutionCallbackSuccessCommand,
  TooManyRequestsException,
} from "@aws-sdk/client-lambda";
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { GetParametersCommand, SSMClient } from "@aws-sdk/client-ssm";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bubblewrapMissing } from "../sandbox/available.ts";
import { type LocalAws, startLocalAws } from "./local-aws/local-aws.ts";

let aws: LocalAws;
let s3: S3Client;
let lambda: LambdaClient;
let folder: string;
beforeAll(async () => {
  aws = await startLocalAws({ maxObjectBytes: 1_000_000 });
  aws.s3.bucket("box");
  s3 = new S3Client({ ...aws.client, requestChecksumCalculation: "WHEN_REQUIRED" });
  lambda = new LambdaClient({ ...aws.client, maxAttempts: 1 });
  folder = await mkdtemp(join(tmpdir(), "local-aws-"));
});
afterAll(async () => {
  await aws.close();
  await rm(folder, { recursive: true, force: true });
});

const put = (key: string, Body: string) => s3.send(new PutObjectCommand({ Bucket: "box", Key: key, Body }));

describe("startLocalAws, as S3,", () => {
  test("keeps objects under any key and lists them in pages and folders", async () => {
    const keys = ["a/1", "a/2 with space+&'()*", "b/3", "ü"];
    for (const key of keys) await put(key, `of ${key}`);
    for (const key of keys) {
      const read = await s3.send(new GetObjectCommand({ Bucket: "box", Key: key }));
      expect(await read.Body?.transformToString()).toBe(`of ${key}`);
    }
    const listed: string[] = [];
    let token: string | undefined;
    do {
      const page = await s3.send(new ListObjectsV2Command({ Bucket: "box", MaxKeys: 3, ContinuationToken: token }));
      listed.push(...(page.Contents ?? []).map(({ Key }) => Key ?? ""));
      token = page.NextContinuationToken;
    } while (token !== undefined);
    expect(listed).toEqual(keys);
    const folders = await s3.send(new ListObjectsV2Command({ Bucket: "box", Delimiter: "/" }));
    expect(folders.CommonPrefixes).toEqual([{ Prefix: "a/" }, { Prefix: "b/" }]);
    await s3.send(new DeleteObjectsCommand({ Bucket: "box", Delete: { Objects: keys.map((Key) => ({ Key })) } }));
    await expect(s3.send(new HeadObjectCommand({ Bucket: "box", Key: "ü" }))).rejects.toMatchObject({
      name: "NotFound",
    });
  });

  test("refuses what is too large, damaged, there already, or of another key", async () => {
    await expect(put("large", "x".repeat(1_000_001))).rejects.toMatchObject({ name: "EntityTooLarge" });
    const damaged = new PutObjectCommand({ Bucket: "box", Key: "damaged", Body: "x", ChecksumSHA256: "AAAA" });
    await expect(s3.send(damaged)).rejects.toMatchObject({ name: "BadDigest" });
    await put("once", "1");
    const again = new PutObjectCommand({ Bucket: "box", Key: "once", Body: "2", IfNoneMatch: "*" });
    await expect(s3.send(again)).rejects.toMatchObject({ name: "PreconditionFailed" });
    const stranger = new S3Client({ ...aws.client, credentials: { ...aws.client.credentials, secretAccessKey: "x" } });
    const theft = stranger.send(new GetObjectCommand({ Bucket: "box", Key: "once" }));
    await expect(theft).rejects.toMatchObject({ name: "SignatureDoesNotMatch" });
    await expect(s3.send(new GetObjectCommand({ Bucket: "none", Key: "once" }))).rejects.toMatchObject({
      name: "NoSuchBucket",
    });
  });

  test("takes an upload whose checksum comes as a trailer", async () => {
    const checked = new S3Client({ ...aws.client, requestChecksumCalculation: "WHEN_SUPPORTED" });
    await checked.send(new PutObjectCommand({ Bucket: "box", Key: "summed", Body: "summed" }));
    expect(aws.s3.bucket("box").get("summed")?.bytes.toString()).toBe("summed");
  });

  test("serves a presigned URL for its method, key, headers and time alone", async () => {
    const sign = (command: GetObjectCommand | PutObjectCommand, expiresIn = 60, signingDate = new Date()) =>
      getSignedUrl(s3, command, { expiresIn, signingDate });
    const upload = await sign(new PutObjectCommand({ Bucket: "box", Key: "signed +1" }));
    expect((await fetch(upload, { method: "PUT", body: "by URL" })).status).toBe(200);
    const download = await sign(new GetObjectCommand({ Bucket: "box", Key: "signed +1" }));
    expect(await (await fetch(download)).text()).toBe("by URL");
    const statuses = await Promise.all([
      fetch(download, { method: "DELETE" }),
      fetch(upload),
      fetch(download.replace("signed", "Signed")),
      fetch(download.replace("X-Amz-Expires=60", "X-Amz-Expires=600")),
      fetch(download.replace(/X-Amz-Signature=./, "X-Amz-Signature=g")),
      fetch(download, { headers: { "x-amz-meta-more": "1" } }),
      fetch(await sign(new GetObjectCommand({ Bucket: "box", Key: "signed +1" }), 60, new Date(Date.now() - 61_000))),
      fetch(`${aws.url}/box/once`),
    ]);
    expect(statuses.map(({ status }) => status)).toEqual(Array(8).fill(403));
  });
});

describe("startLocalAws, as Lambda,", () => {
  const invoke = async (FunctionName: string, event: unknown, more: object = {}) => {
    const answer = await lambda.send(new InvokeCommand({ FunctionName, Payload: JSON.stringify(event), ...more }));
    return {
      error: answer.FunctionError,
      payload: JSON.parse(Buffer.from(answer.Payload ?? "null").toString() || "null"),
    };
  };

  test("invokes a function of this process, and takes the name of a durable execution once", async () => {
    aws.lambda.functions.set("worker", { durable: true, handler: async (event) => ({ got: event }) });
    expect(await invoke("worker:live", { a: 1 }, { DurableExecutionName: "n" })).toEqual({
      error: undefined,
      payload: { got: { a: 1 } },
    });
    expect(aws.lambda.invocations.at(-1)).toMatchObject({ qualifier: "live", durableExecutionName: "n" });
    const count = aws.lambda.invocations.length;
    const start = (event: unknown) =>
      lambda.send(
        new InvokeCommand({
          FunctionName: "arn:aws:lambda:eu-central-1:123456789012:function:worker:live",
          InvocationType: "Event",
          DurableExecutionName: "m",
          Payload: JSON.stringify(event),
        }),
      );
    const [first, second] = [await start({ b: 1 }), await start({ b: 1 })];
    expect(first).toMatchObject({ StatusCode: 202, DurableExecutionArn: second.DurableExecutionArn });
    await expect(start({ b: 2 })).rejects.toThrow(DurableExecutionAlreadyStartedException);
    await aws.lambda.idle();
    expect(aws.lambda.invocations.length).toBe(count + 1);
  });

  test("answers errors, sizes and throttling as AWS does, and hands on callbacks", async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    aws.lambda.functions.set("odd", {
      reservedConcurrency: 1,
      eventAttempts: 3,
      handler: async (event) => {
        if (event === "wait") return held;
        if (event === "large") return "x".repeat(6 * 1024 * 1024);
        throw new TypeError(`no ${event}`);
      },
    });
    expect(await invoke("odd", "luck")).toMatchObject({
      error: "Unhandled",
      payload: { errorType: "TypeError", errorMessage: "no luck" },
    });
    expect(await invoke("odd", "large")).toMatchObject({ payload: { errorType: "Function.ResponseSizeTooLarge" } });
    await expect(invoke("odd", "x".repeat(6 * 1024 * 1024))).rejects.toThrow(RequestTooLargeException);
    await expect(invoke("odd", "x".repeat(1024 * 1024), { InvocationType: "Event" })).rejects.toThrow("exceed");
    await expect(invoke("gone", {})).rejects.toMatchObject({ name: "ResourceNotFoundException" });
    const waiting = invoke("odd", "wait");
    await expect.poll(() => aws.lambda.invocations.at(-1)?.payload.toString()).toBe('"wait"');
    await expect(invoke("odd", "second")).rejects.toThrow(TooManyRequestsException);
    release();
    await waiting;
    await invoke("odd", "event", { InvocationType: "Event" });
    await aws.lambda.idle();
    expect(aws.lambda.deadLetters.map(({ payload }) => payload.toString())).toEqual(['"event"']);

    const heard: string[] = [];
    aws.lambda.onCallback = async ({ callbackId, kind, body }) => void heard.push(`${callbackId} ${kind} ${body}`);
    await lambda.send(
      new SendDurableExecutionCallbackSuccessCommand({ CallbackId: "c/1+=", Result: Buffer.from("yes") }),
    );
    expect(heard).toEqual(["c/1+= succeed yes"]);
  });

  test.skipIf(bubblewrapMissing() !== undefined)(
    "runs a package in a process of its own, one for each tenant",
    async () => {
      const bundle = join(folder, "bundle.mjs");
      await writeFile(
        bundle,
        `import { writeFileSync, readdirSync } from "node:fs";
       let count = 0;
       export const handler = async (event, context) => {
         if (event.exit) process.exit(3);
         if (event.wait) await new Promise((resolve) => setTimeout(resolve, 60_000));
         if (event.write) writeFileSync(event.write, "x");
         return { count: ++count, tmp: readdirSync("/tmp"), uid: process.getuid(), tenant: context.tenantId,
           names: Object.keys(process.env).filter((name) => name.startsWith("AWS_ENDPOINT")), processes: readdirSync("/proc").filter((n) => +n).length };
       };`,
      );
      aws.lambda.functions.set("package", { bundle, isolated: true, tenantIsolation: true, timeoutSeconds: 2 });
      const of = (TenantId: string, event: object) => invoke("package", event, { TenantId });
      expect((await of("one", { write: "/tmp/kept" })).payload).toMatchObject({
        count: 1,
        tmp: ["kept"],
        tenant: "one",
      });
      const warm = (await of("one", {})).payload;
      expect(warm).toMatchObject({ count: 2, tmp: ["kept"], names: [] });
      expect(warm.uid).not.toBe(0);
      expect(warm.processes).toBeLessThan(6);
      expect((await of("two", {})).payload).toMatchObject({ count: 1, tmp: [] });
      const [environment] = aws.lambda.environments();
      expect(await readdir(environment?.temporary ?? "")).toEqual(["kept"]);
      expect(await of("one", { write: "/var/task/own" })).toMatchObject({ payload: { errorMessage: /EROFS/ } });
      expect(await of("one", { exit: true })).toMatchObject({ payload: { errorType: "Runtime.ExitError" } });
      expect(await of("two", { wait: true })).toMatchObject({ payload: { errorType: "Sandbox.Timedout" } });
      expect((await of("one", {})).payload).toMatchObject({ count: 1, tmp: [] });
      await expect(invoke("package", {})).rejects.toThrow("needs a tenant id");
    },
  );
});

test("startLocalAws, as SSM and Secrets Manager, holds values by name", async () => {
  aws.held.parameters.set("/app/key", "value");
  aws.held.secrets.set("database", "postgres://");
  const ssm = new SSMClient(aws.client);
  const answer = await ssm.send(new GetParametersCommand({ Names: ["/app/key", "/app/none"], WithDecryption: true }));
  expect(answer.Parameters).toMatchObject([{ Name: "/app/key", Value: "value" }]);
  expect(answer.InvalidParameters).toEqual(["/app/none"]);
  const secrets = new SecretsManagerClient(aws.client);
  expect(await secrets.send(new GetSecretValueCommand({ SecretId: "database" }))).toMatchObject({
    SecretString: "postgres://",
  });
  await expect(secrets.send(new GetSecretValueCommand({ SecretId: "none" }))).rejects.toMatchObject({
    name: "ResourceNotFoundException",
  });
});
