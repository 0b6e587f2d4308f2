import { createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Metafile } from "esbuild";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { bundleWebhook } from "../../deploy/lambda/bundle.ts";
import type { Intent } from "../../src/pipeline/intent.ts";
import { runKeyOf } from "../../src/pipeline/run-key.ts";
import type { HttpEvent, HttpReply } from "../../src/run/lambda/webhook.ts";
import {
  type Ending,
  type ExecutionEnvironment,
  startEnvironment,
} from "../support/local-aws/execution-environment.ts";
import { type LocalAws, startLocalAws } from "../support/local-aws/local-aws.ts";
import { webhookPayload } from "../support/webhook-payloads.ts";

const secret = "the current secret";
const previous = "the previous secret";
const folder = mkdtempSync(join(tmpdir(), "webhook-"));
const bundle = join(folder, "index.mjs");
const settings = {
  APP_ID: "4242",
  MILLWRIGHT_APP_SLUG: "millwright",
  MILLWRIGHT_WORKER_FUNCTION: "worker:live",
  MILLWRIGHT_WEBHOOK_SECRET_PARAMETER: "/millwright/webhook-secret",
  MILLWRIGHT_WEBHOOK_SECRET_PREVIOUS_SECRET: "millwright/webhook-secret-previous",
};

let inside: Metafile["outputs"][string]["inputs"];
let aws: LocalAws;
let webhook: ExecutionEnvironment;

beforeAll(async () => {
  const { outputs } = await bundleWebhook(bundle);
  inside = Object.values(outputs)[0]!.inputs;
  aws = await startLocalAws();
  aws.held.parameters.set("/millwright/webhook-secret", secret);
  aws.held.secrets.set("millwright/webhook-secret-previous", previous);
  webhook = await coldStart(settings);
});

beforeEach(() => {
  aws.lambda.functions.set("worker", { durable: true, handler: async () => null });
});

afterEach(async () => {
  aws.lambda.fault = undefined;
  await aws.lambda.idle();
  aws.lambda.invocations.length = 0;
  aws.lambda.executions.forget();
});

afterAll(async () => {
  await webhook?.close();
  await aws?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The packaged function in a process of its own, after its cold start. */
function coldStart(environment: Record<string, string>): Promise<ExecutionEnvironment> {
  // A role's credentials have a token, which is signed too.
  const role = { ...aws.environment, AWS_SESSION_TOKEN: "a token" };
  return startEnvironment("webhook", undefined, { bundle }, { ...role, ...environment }, 0);
}

function sign(body: string | Buffer, by = secret): string {
  return `sha256=${createHmac("sha256", by).update(body).digest("hex")}`;
}

/** An event of a function URL, as AWS documents its format 2.0. */
function eventOf(body: string | Buffer, headers: Record<string, string> = {}): HttpEvent & Record<string, unknown> {
  return {
    version: "2.0",
    routeKey: "$default",
    rawPath: "/api/github/webhooks",
    rawQueryString: "",
    headers: {
      "content-type": "application/json",
      "user-agent": "GitHub-Hookshot/044aadd",
      "x-github-event": "issues",
      "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
      "x-hub-signature-256": sign(body),
      ...headers,
    },
    requestContext: { http: { method: "POST", path: "/api/github/webhooks" } },
    body: body.toString(),
    isBase64Encoded: false,
  };
}

async function ending(event: unknown, by = webhook): Promise<Ending> {
  return by.run(event, {}, 60);
}

/** What the sender is answered. */
async function answered(event: unknown, by = webhook): Promise<HttpReply> {
  const ended = await ending(event, by);
  if ("error" in ended) throw new Error(`thrown: ${ended.error.errorMessage}`);
  return ended.result as HttpReply;
}

/** A labelled issue with such a text, as GitHub sends it. */
function labelled(body: string): string {
  return JSON.stringify(
    webhookPayload<{ issue: { body: string; state: string }; label: { name: string } }>("issues", "labeled", (it) => {
      it.label.name = "agent:builder";
      it.issue.body = body;
      it.issue.state = "open";
    }),
  );
}

/** The intents that the worker was started with. */
function started(): Intent[] {
  return aws.lambda.invocations.map(({ payload }) => (JSON.parse(payload.toString()) as { intent: Intent }).intent);
}

describe("the packaged webhook function", () => {
  test("webhook starts the worker with the intent, once and by the run's key", async () => {
    expect(await answered(eventOf(labelled("Please add a title. 😀")))).toMatchObject({
      statusCode: 200,
      body: "ok\n",
    });
    const [intent] = started();
    expect(intent).toMatchObject({
      pipeline: "issue-to-pr",
      trigger: { kind: "label", label: "agent:builder" },
      text: { body: "Please add a title. 😀" },
      deliveryId: "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    });
    expect(aws.lambda.invocations).toHaveLength(1);
    expect(aws.lambda.invocations[0]).toMatchObject({
      functionName: "worker",
      qualifier: "live",
      type: "Event",
      durableExecutionName: runKeyOf(intent!),
    });
  });

  test("webhook starts nothing twice when a delivery is repeated, and takes a name that is in use for started", async () => {
    for (const delivery of ["first", "first", "second"]) {
      const event = eventOf(labelled("the same"), { "x-github-delivery": delivery });
      expect((await answered(event)).statusCode).toBe(200);
    }
    expect(started().map(({ deliveryId }) => deliveryId)).toEqual(["first"]);
  });

  test("webhook takes a base64 body, and headers in any case", async () => {
    const body = Buffer.from(labelled("Ünïcödé"));
    const event = eventOf(body);
    const headers = Object.fromEntries(
      Object.entries(event.headers ?? {}).map(([name, value]) => [
        name.replace(/^x-github|^x-hub/, (it) => it.toUpperCase()),
        value,
      ]),
    );
    expect(Object.keys(headers)).toContain("X-HUB-signature-256");
    expect(await answered({ ...event, headers, body: body.toString("base64"), isBase64Encoded: true })).toMatchObject({
      statusCode: 200,
    });
    expect(started()[0]?.text?.body).toBe("Ünïcödé");
  });

  test("webhook accepts the previous secret while it is rotated", async () => {
    const body = labelled("rotated");
    expect((await answered(eventOf(body, { "x-hub-signature-256": sign(body, previous) }))).statusCode).toBe(200);
    expect(started()).toHaveLength(1);
  });

  const body = labelled("forged");
  test.each<[string, Partial<HttpEvent>]>([
    ["no signature", { headers: { ...eventOf(body).headers, "x-hub-signature-256": undefined } }],
    ["another secret", { headers: { ...eventOf(body).headers, "x-hub-signature-256": sign(body, "development") } }],
    ["a signature of another body", { headers: { ...eventOf(body).headers, "x-hub-signature-256": sign(`${body} `) } }],
    [
      "a signature in capitals",
      { headers: { ...eventOf(body).headers, "x-hub-signature-256": sign(body).toUpperCase() } },
    ],
    [
      "a sha1 signature alone",
      {
        headers: {
          ...eventOf(body).headers,
          "x-hub-signature-256": undefined,
          "x-hub-signature": `sha1=${createHmac("sha1", secret).update(body).digest("hex")}`,
        },
      },
    ],
    ["a body that only says that it is base64", { isBase64Encoded: true }],
    ["no body", { body: undefined }],
    ["no headers", { headers: undefined }],
  ])("webhook answers 401 to %s, and throws nothing", async (_what, change) => {
    expect(await answered({ ...eventOf(body), ...change })).toMatchObject({ statusCode: 401 });
    expect(started()).toEqual([]);
  });

  test.each<[number, string, () => unknown]>([
    [400, "a body that is not JSON", () => eventOf("not json")],
    [400, "a body that is no object", () => eventOf("[1]")],
    [400, "no delivery id", () => eventOf(body, { "x-github-delivery": "" })],
    [400, "an event that every object has", () => eventOf(body, { "x-github-event": "toString" })],
    [415, "a form", () => eventOf("payload=%7B%7D", { "content-type": "application/x-www-form-urlencoded" })],
    [404, "another method", () => ({ ...eventOf(""), requestContext: { http: { method: "GET", path: "/" } } })],
    [404, "another path", () => ({ ...eventOf(body), requestContext: { http: { method: "POST", path: "/probot" } } })],
    [404, "an event of the first format", () => ({ httpMethod: "GET", path: "/probot", headers: {} })],
    [404, "an empty event", () => ({})],
    [413, "more than 1 MB without a signature", () => eventOf("x".repeat(1_100_000), { "x-hub-signature-256": "" })],
  ])("webhook answers %i to %s", async (status, _what, event) => {
    expect(await answered(event())).toMatchObject({ statusCode: status });
    expect(started()).toEqual([]);
  });

  test("webhook takes deliveries at the root of its own address too", async () => {
    const event = { ...eventOf(body), requestContext: { http: { method: "POST", path: "/" } } };
    expect((await answered(event)).statusCode).toBe(200);
  });

  test("webhook answers 200 to an event that nobody handles", async () => {
    expect((await answered(eventOf('{"zen":"yes"}', { "x-github-event": "ping" }))).statusCode).toBe(200);
    expect(started()).toEqual([]);
  });

  test.each(["plain", "base64"])(
    "webhook turns a %s event of 5.9 MB into one command that says that the text is too large",
    async (how) => {
      const text = "y".repeat(how === "plain" ? 5_890_000 : 4_410_000);
      const large = labelled(text);
      const event = eventOf(large);
      const sent =
        how === "plain" ? event : { ...event, body: Buffer.from(large).toString("base64"), isBase64Encoded: true };
      expect(JSON.stringify(sent).length).toBeGreaterThan(5_880_000);
      expect((await answered(sent)).statusCode).toBe(200);
      const [intent, ...others] = started();
      expect(others).toEqual([]);
      expect(intent).toMatchObject({ pipeline: "answer-command", command: "too-large" });
      expect(aws.lambda.invocations[0]!.payload.length).toBeLessThan(2_000);
    },
  );

  test("webhook answers 413 to a signed body above the cap", async () => {
    const small = await coldStart({ ...settings, MILLWRIGHT_MAX_BODY_BYTES: "2000000" });
    try {
      const event = eventOf(labelled("x".repeat(2_000_001)));
      expect((await answered(event, small)).statusCode).toBe(413);
      const encoded = { ...event, body: Buffer.from(event.body ?? "").toString("base64"), isBase64Encoded: true };
      expect((await answered(encoded, small)).statusCode).toBe(413);
      expect((await answered(eventOf(labelled("x".repeat(1_500_000))), small)).statusCode).toBe(200);
    } finally {
      await small.close();
    }
  });

  test("webhook tries again when AWS is busy, and answers 503 when it stays so", async () => {
    let asked = 0;
    aws.lambda.fault = () => (++asked === 1 ? { status: 429, type: "TooManyRequestsException" } : undefined);
    expect((await answered(eventOf(labelled("busy")))).statusCode).toBe(200);
    expect([asked, started().length]).toEqual([2, 1]);
    aws.lambda.fault = () => {
      asked += 1;
      return { status: 500, type: "ServiceException" };
    };
    asked = 0;
    expect(await answered(eventOf(labelled("down")))).toMatchObject({
      statusCode: 503,
      body: "Not queued; please deliver again.\n",
    });
    expect(asked).toBe(3);
  });

  test("webhook answers 503 at once when there is no worker", async () => {
    aws.lambda.functions.delete("worker");
    expect((await answered(eventOf(labelled("nobody")))).statusCode).toBe(503);
  });
});

describe("the cold start of the packaged webhook function", () => {
  test.each<[string, Record<string, string>, string]>([
    [
      "a parameter",
      { MILLWRIGHT_WEBHOOK_SECRET_PARAMETER: "/millwright/none" },
      "MILLWRIGHT_WEBHOOK_SECRET_PARAMETER names /millwright/none for WEBHOOK_SECRET",
    ],
    [
      "a secret",
      { MILLWRIGHT_WEBHOOK_SECRET_PREVIOUS_SECRET: "millwright/none" },
      "MILLWRIGHT_WEBHOOK_SECRET_PREVIOUS_SECRET names millwright/none",
    ],
    ["the worker's name", { MILLWRIGHT_WORKER_FUNCTION: "" }, "MILLWRIGHT_WORKER_FUNCTION is not set"],
    ["the App's id", { APP_ID: "" }, "APP_ID is not set"],
    ["the App's name", { MILLWRIGHT_APP_SLUG: "" }, "MILLWRIGHT_APP_SLUG is not set"],
    ["any webhook secret", { MILLWRIGHT_WEBHOOK_SECRET_PARAMETER: "" }, "WEBHOOK_SECRET is not set"],
  ])("webhook does not start without %s, and names it", async (_what, change, message) => {
    await expect(coldStart({ ...settings, ...change })).rejects.toThrow(message);
  });

  test("webhook answers 503 while its parameters cannot be read, and works once they can", async () => {
    let down = true;
    let hangs = true;
    const tokens = new Set<unknown>();
    const ssm = createServer((request, response) => {
      tokens.add(request.headers["x-amz-security-token"]);
      // A request that is never answered is given up and repeated.
      if (hangs) {
        hangs = false;
        return;
      }
      request.resume().on("end", () => {
        const found = [{ Name: settings.MILLWRIGHT_WEBHOOK_SECRET_PARAMETER, Value: secret }];
        response.writeHead(down ? 500 : 200).end(JSON.stringify(down ? {} : { Parameters: found }));
      });
    });
    await once(ssm.listen(0, "127.0.0.1"), "listening");
    const address = `http://127.0.0.1:${(ssm.address() as AddressInfo).port}`;
    const early = await coldStart({ ...settings, AWS_ENDPOINT_URL_SSM: address });
    try {
      expect((await answered(eventOf(labelled("early")), early)).statusCode).toBe(503);
      down = false;
      expect((await answered(eventOf(labelled("later")), early)).statusCode).toBe(200);
      expect(started().map(({ text }) => text?.body)).toEqual(["later"]);
      expect([...tokens]).toEqual(["a token"]);
    } finally {
      await early.close();
      ssm.close();
      ssm.closeAllConnections();
    }
  });

  test("bundleWebhook leaves out what a start would wait for and a webhook never needs", () => {
    const packages = new Set(
      Object.keys(inside).flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []),
    );
    expect(packages).toContain("@probot/adapter-aws-lambda-serverless");
    expect(packages).toContain("probot");
    const unwanted = /^(zod|pg|pg-boss|drizzle-orm|simple-git|execa|@aws-sdk\/.*|@anthropic-ai\/.*|@electric-sql\/.*)$/;
    expect([...packages].filter((name) => unwanted.test(name))).toEqual([]);
  });
});
