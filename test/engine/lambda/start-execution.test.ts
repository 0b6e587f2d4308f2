import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { LambdaClient } from "@aws-sdk/client-lambda";
import { afterEach, expect, test } from "vitest";
import { executionInput } from "../../../src/engine/lambda/start-by-name.ts";
import { createExecutionStarter } from "../../../src/engine/lambda/start-execution.ts";
import { type Intent, maxIntentBytes, runKeyOf } from "../../../src/pipeline/intent.ts";

const intent: Intent = {
  work: { installationId: 1, repositoryId: 2, owner: "acme", repo: "app", subject: { kind: "issue", number: 7 } },
  id: "label:agent:builder:2026-01-01T00:00:00Z",
  pipeline: "issue-to-pr",
  actor: { id: 3, login: "octocat", type: "User" },
  at: "2026-01-01T00:00:00.000Z",
  trigger: { kind: "label", label: "agent:builder" },
  deliveryId: "72d3162e",
  text: { title: "Déjà vu", body: "😀" },
};

interface Asked {
  url: string;
  headers: IncomingHttpHeaders;
  body: string;
}

let close: () => void = () => {};
afterEach(() => close());

/** A server in the place of AWS Lambda's, and a starter that asks it once. */
async function lambdaThatAnswers(answer: (response: ServerResponse, asked: Asked) => void) {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const one = { url: request.url ?? "", headers: request.headers, body: Buffer.concat(chunks).toString() };
      asked.push(one);
      answer(response, one);
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const lambda = new LambdaClient({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: "eu-central-1",
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
    maxAttempts: 1,
  });
  close = () => {
    lambda.destroy();
    server.close();
    server.closeAllConnections();
  };
  return { asked, starter: createExecutionStarter({ lambda, functionName: "worker:live" }) };
}

test("createExecutionStarter sends one event under the run's key", async () => {
  const { asked, starter } = await lambdaThatAnswers((response) => response.writeHead(202).end());
  const { runKey, repeated } = await starter.start(intent);
  expect(runKey).toBe(runKeyOf(intent));
  expect(await repeated).toBe("unknown");
  expect(asked).toHaveLength(1);
  expect(asked[0]!.url).toBe("/2015-03-31/functions/worker%3Alive/invocations");
  expect(asked[0]!.headers).toMatchObject({
    "x-amz-invocation-type": "Event",
    "x-amz-durable-execution-name": runKeyOf(intent),
  });
  expect(JSON.parse(asked[0]!.body)).toEqual({ intent });
});

test("createExecutionStarter takes a name that AWS has with another input for started", async () => {
  const { starter } = await lambdaThatAnswers((response) =>
    response
      .writeHead(409, { "x-amzn-errortype": "DurableExecutionAlreadyStartedException" })
      .end(JSON.stringify({ Type: "User", Message: "already started" })),
  );
  const { runKey, repeated } = await starter.start(intent);
  expect(runKey).toBe(runKeyOf(intent));
  expect(await repeated).toBe(true);
});

test.each([
  [429, "TooManyRequestsException"],
  [409, "ResourceConflictException"],
  [500, "ServiceException"],
  [413, "RequestTooLargeException"],
])("createExecutionStarter rejects when AWS answers %i %s", async (status, type) => {
  const { starter } = await lambdaThatAnswers((response) =>
    response.writeHead(status, { "x-amzn-errortype": type }).end(JSON.stringify({ Message: "not now" })),
  );
  await expect(starter.start(intent)).rejects.toThrow("not now");
});

test("executionInput has the same bytes for equal intents whose keys come in another order", () => {
  const reversed = (value: unknown): unknown =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(
          Object.entries(value)
            .toReversed()
            .map(([key, item]) => [key, reversed(item)]),
        )
      : value;
  const other = { ...(reversed(intent) as Intent), command: undefined };
  expect(Object.keys(other)).not.toEqual(Object.keys(intent));
  expect(executionInput(other)).toEqual(executionInput(intent));
  expect(executionInput({ ...intent, id: "other" })).not.toEqual(executionInput(intent));
});

test("executionInput takes every intent that handlers let through, and names the limit above", () => {
  const size = (body: string) => Buffer.byteLength(JSON.stringify({ ...intent, text: { title: "", body } }));
  const largest = "x".repeat(maxIntentBytes - size(""));
  expect(size(largest)).toBe(maxIntentBytes);
  expect(executionInput({ ...intent, text: { title: "", body: largest } }).length).toBeLessThan(901_000);
  expect(() => executionInput({ ...intent, text: { title: "", body: "x".repeat(950_000) } })).toThrow(
    /has \d+ bytes of at most 921600/,
  );
});
