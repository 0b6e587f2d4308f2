import { createHmac } from "node:crypto";
import { createServer, request as httpRequest, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createIntake, type Intake } from "../../src/run/intake.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";

const path = "/api/github/webhooks";
let server: Server;
let intake: Intake;
let url: string;
let received: { id: string; name: string; payload: unknown }[];
let queue: () => Promise<void>;
let lines: string[];

beforeEach(async () => {
  received = [];
  lines = [];
  queue = async () => undefined;
  intake = createIntake({
    webhooks: {
      receive: (async (event: (typeof received)[number]) => {
        await queue();
        received.push(event);
      }) as never,
    },
    path,
    secrets: ["the current secret", "the previous secret"],
    maxBodyBytes: 1_000,
    log: pino({ level: "info" }, { write: (line: string) => void lines.push(line) }),
    metrics: createMetrics(),
  });
  server = createServer(async (request, response) => {
    if (!(await intake.handle(request, response))) response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;
});

afterEach(() => new Promise((resolve) => server.close(resolve)));

const sign = (body: string, secret = "the current secret") =>
  `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;

function deliver(body: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, {
    method: "POST",
    body,
    headers: {
      "x-github-event": "ping",
      "x-github-delivery": "d-1",
      "x-hub-signature-256": sign(body),
      connection: "close",
      ...headers,
    },
  });
}

describe("createIntake", () => {
  test("createIntake hands a signed delivery on and answers 200 after it was queued", async () => {
    const answer = await deliver('{"zen":"yes"}');
    expect(answer.status).toBe(200);
    expect(received).toEqual([{ id: "d-1", name: "ping", payload: { zen: "yes" } }]);
  });

  test("createIntake accepts the previous secret while it is rotated", async () => {
    expect((await deliver("{}", { "x-hub-signature-256": sign("{}", "the previous secret") })).status).toBe(200);
  });

  test.each<[string, Record<string, string>]>([
    ["without a signature", { "x-hub-signature-256": "" }],
    ["with another secret", { "x-hub-signature-256": sign("{}", "development") }],
    ["with a signature of another body", { "x-hub-signature-256": sign("{ }") }],
    [
      "with a sha1 signature alone",
      {
        "x-hub-signature-256": "",
        "x-hub-signature": `sha1=${createHmac("sha1", "the current secret").update("{}").digest("hex")}`,
      },
    ],
  ])("createIntake answers 401 %s, with one log line", async (_how, headers) => {
    expect((await deliver("{}", headers)).status).toBe(401);
    expect(received).toEqual([]);
    expect(lines).toHaveLength(1);
  });

  test.each(["not json", "[1]", '"text"', "null", ""])(
    "createIntake answers 400 for the signed body %j",
    async (body) => {
      expect((await deliver(body)).status).toBe(400);
      expect(lines).toHaveLength(1);
    },
  );

  test("createIntake answers 400 without a delivery id", async () => {
    expect((await deliver("{}", { "x-github-delivery": "" })).status).toBe(400);
  });

  test("createIntake answers 400 for an empty event", async () => {
    expect((await deliver("{}", { "x-github-event": "" })).status).toBe(400);
  });

  test("createIntake gives the body up that holds most when all together are above the cap, and takes the small ones", async () => {
    const begun = (size: number) => {
      const answer = Promise.withResolvers<number>();
      const headers = { "transfer-encoding": "chunked", "x-hub-signature-256": `sha256=${"0".repeat(64)}` };
      const request = httpRequest(url, { method: "POST", headers }, ({ statusCode }) =>
        answer.resolve(statusCode ?? 0),
      );
      request.on("error", answer.reject);
      request.write("x".repeat(size));
      return { request, status: answer.promise };
    };
    const largest = begun(500);
    const middle = begun(400);
    await new Promise((settle) => setTimeout(settle, 100));
    expect((await deliver(`{"a":"${"x".repeat(180)}"}`)).status).toBe(200);
    largest.request.end("x");
    expect(await largest.status).toBe(503);
    middle.request.end();
    expect(await middle.status).toBe(401);
  });

  test("createIntake answers 413 for a body above the cap, declared or streamed, before it is read", async () => {
    expect((await deliver(`{"a":"${"x".repeat(2_000)}"}`)).status).toBe(413);
    const streamed = await new Promise<number>((resolve, reject) => {
      const request = httpRequest(url, { method: "POST", headers: { "transfer-encoding": "chunked" } }, (answer) =>
        resolve(answer.statusCode ?? 0),
      );
      request.on("error", reject);
      for (let index = 0; index < 20; index += 1) request.write("x".repeat(100));
    });
    expect(streamed).toBe(413);
    expect(received).toEqual([]);
  });

  test.each(["declared", "streamed"])("createIntake lets the sender of a %s flood see the answer", async (how) => {
    const chunk = Buffer.alloc(1_000_000, "x");
    for (let round = 0; round < 5; round += 1) {
      const status = await new Promise<number>((resolve, reject) => {
        const headers = how === "declared" ? { "content-length": 50_000_000 } : { "transfer-encoding": "chunked" };
        const request = httpRequest(url, { method: "POST", headers }, (answer) => resolve(answer.statusCode ?? 0));
        request.on("error", reject);
        for (let sent = 0; sent < 50; sent += 1) request.write(chunk);
        request.end();
      });
      expect(status).toBe(413);
    }
  });

  test("createIntake answers 503 when the intent could not be queued", async () => {
    queue = () => Promise.reject(new Error("database is down"));
    expect((await deliver("{}")).status).toBe(503);
  });

  test("createIntake, once closed, has answered what was under way and answers 503 to the rest", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let begun = false;
    queue = () => {
      begun = true;
      return promise;
    };
    const underWay = deliver("{}");
    while (!begun) await new Promise((settle) => setTimeout(settle, 5));
    let closed = false;
    const closing = intake.close().then(() => {
      closed = true;
    });
    expect((await deliver("{}")).status).toBe(503);
    expect(closed).toBe(false);
    resolve();
    expect((await underWay).status).toBe(200);
    await closing;
    expect(received).toHaveLength(1);
  });

  test("createIntake answers 415 to a signed form, which needs another setting of the webhook", async () => {
    const answer = await deliver("payload=%7B%7D", { "content-type": "application/x-www-form-urlencoded" });
    expect([answer.status, await answer.text()]).toEqual([415, expect.stringContaining("application/json")]);
  });

  test("createIntake leaves other paths and methods to others", async () => {
    expect((await fetch(url.replace(path, "/elsewhere"), { method: "POST" })).status).toBe(404);
    expect((await fetch(url)).status).toBe(404);
  });
});
