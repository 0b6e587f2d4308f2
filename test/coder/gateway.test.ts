import { existsSync } from "node:fs";
import { type ClientRequest, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { afterEach, expect, test } from "vitest";
import { type Budget, type CallRecord, ModelRefusedError, TransientModelError } from "../../src/agent/model.ts";
import { type Gateway, openGateway, stopPath, type Upstream } from "../../src/coder/gateway.ts";
import { budget, prompt } from "../agent/support.ts";
import { finish } from "../support/model-replies.ts";
import { type RawModel, type RawReply, type RawRequest, startRawModel } from "../support/scripted-model.ts";
import { realKey, upstreamAt } from "./support.ts";

let model: RawModel | undefined;
let gateway: Gateway | undefined;
const calls: CallRecord[] = [];
afterEach(async () => {
  calls.length = 0;
  await gateway?.close();
  await model?.close();
});

/** A gateway before a model that answers like this. */
async function open(
  reply: RawReply | ((request: RawRequest) => RawReply),
  part: { budget?: Partial<Budget>; upstream?: Partial<Upstream>; idleTimeoutSeconds?: number } = {},
): Promise<Gateway> {
  model = await startRawModel((request) => (typeof reply === "function" ? reply(request) : reply));
  gateway = await openGateway({
    ...{ prompt, budget: budget(part.budget), upstream: upstreamAt(model.url, part.upstream) },
    idleTimeoutSeconds: part.idleTimeoutSeconds,
    record: async (call) => void calls.push(call),
  });
  return gateway;
}

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  whole: boolean;
}

const message = { model: "claude-opus-5-5", max_tokens: 4_096, messages: [{ role: "user", content: "Hello" }] };

function send(
  path: string,
  body: unknown,
  { method = "POST", headers = {}, token = gateway!.token }: { method?: string; headers?: object; token?: string } = {},
): { request: ClientRequest; answer: Promise<Answer> } {
  const all = { "x-api-key": token, "content-type": "application/json", "anthropic-version": "2023-06-01", ...headers };
  const request = httpRequest({ socketPath: gateway!.socket, path, method, headers: all });
  const answer = new Promise<Answer>((resolve, reject) => {
    request.once("error", reject);
    request.once("response", (response: IncomingMessage) => {
      let text = "";
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("error", () => {});
      response.once("close", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, whole: response.complete }),
      );
    });
  });
  answer.catch(() => {});
  request.end(method === "GET" ? undefined : typeof body === "string" ? body : JSON.stringify(body));
  return { request, answer };
}
const ask = (part: object = {}, options = {}) =>
  send("/v1/messages?beta=true", { ...message, ...part }, options).answer;

test("openGateway passes messages on with the real key, and what belongs to the question alone", async () => {
  const { token } = await open(finish("Hi."));
  const answer = await ask(
    {},
    { headers: { "anthropic-beta": "some-beta", cookie: "c", "x-forwarded-for": "1.2.3.4" } },
  );
  expect(answer).toMatchObject({ status: 200, whole: true });
  expect(JSON.parse(answer.text).content[0].text).toBe("Hi.");
  const [sent] = model!.requests;
  expect(sent).toMatchObject({ path: "/v1/messages?beta=true", body: message });
  expect(sent!.headers).toMatchObject({ authorization: `Bearer ${realKey}`, "anthropic-beta": "some-beta" });
  expect(JSON.stringify(sent!.headers)).not.toMatch(new RegExp(`${token}|cookie|forwarded|x-api-key`));
  expect(JSON.stringify(answer.headers)).not.toContain(realKey);
});

test("openGateway answers nobody else, and nothing else", async () => {
  await open(finish());
  const refused = [
    [await ask({}, { token: "wrong" }), 401],
    [await ask({}, { token: "" }), 401],
    [await ask({ model: "claude-fable-5-2" }), 403],
    [await ask({ model: undefined }), 403],
    [await send("/v1/models", "", { method: "GET" }).answer, 404],
    [await send("/v1/files", {}).answer, 404],
    [await send("/v1/messages/batches", message).answer, 404],
    [await send("/v1/messages/../files", message).answer, 404],
    [await send("/v1/messages", "not json").answer, 400],
    [await send("/v1/messages", "null").answer, 400],
  ] as const;
  for (const [answer, status] of refused) {
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.text)).toMatchObject({ type: "error" });
  }
  expect(model!.requests).toEqual([]);
  const counted = await send("/v1/messages/count_tokens", message).answer;
  expect(counted.status).toBe(200);
  expect(calls).toEqual([]);
});

test("openGateway records what a streamed answer cost before its end is seen", async () => {
  const usage = { input_tokens: 50, output_tokens: 30, cache_read_input_tokens: 900, cache_creation_input_tokens: 100 };
  await open({ message: { content: "Hello there.", usage } });
  const answer = await ask({ stream: true });
  expect(answer.headers["content-type"]).toContain("event-stream");
  expect(answer.text).toContain("message_stop");
  expect(calls).toMatchObject([
    {
      ...{ provider: "anthropic", model: "claude-opus-5-5", prompt: "write-change", promptVersion: "1" },
      ...{ inputTokens: 50, outputTokens: 30, cacheReadTokens: 900, cacheWriteTokens: 100, ending: "end_turn" },
    },
  ]);
  expect(gateway!.usage()).toMatchObject({ calls: 1, cacheReadTokens: 900 });
  expect(gateway!.usage().costUsd).toBeCloseTo(calls[0]!.costUsd);
});

test("openGateway asks for no longer answer than the budget allows, and then for none", async () => {
  const usage = { input_tokens: 10, output_tokens: 2_500 };
  await open({ message: { content: "Long.", usage } }, { budget: { outputTokens: 5_000 } });
  const thinking = { type: "enabled", budget_tokens: 30_000 };
  expect((await ask({ max_tokens: 32_000, thinking })).status).toBe(200);
  expect(model!.requests[0]!.body).toMatchObject({ max_tokens: 5_000, thinking: { budget_tokens: 4_999 } });
  expect((await ask()).status).toBe(200);
  expect(model!.requests[1]!.body.max_tokens).toBe(2_500);
  const told = send(stopPath, "", { method: "GET" }).answer;
  const refused = await ask();
  expect(refused).toMatchObject({ status: 403 });
  expect(refused.text).toContain("output tokens are left");
  expect(gateway!.ending()).toMatchObject({ kind: "out-of-budget" });
  expect((await told).text).toBe("stop\n");
  expect(model!.requests).toHaveLength(2);
});

test("openGateway cuts an answer that is longer than it was allowed to be", async () => {
  await open({ message: { content: "word ".repeat(20_000) } }, { budget: { outputTokens: 3_000 } });
  const answer = await ask({ stream: true });
  expect(answer.whole).toBe(false);
  expect(gateway!.ending()).toMatchObject({ kind: "out-of-budget" });
  expect(calls).toHaveLength(1);
  expect(calls[0]!.outputTokens).toBeGreaterThan(3_000);
});

test("openGateway asks one question at a time, so that two cannot exceed what is left together", async () => {
  const usage = { input_tokens: 10, output_tokens: 2_500 };
  await open({ message: { content: "One.", usage } }, { budget: { outputTokens: 4_000 } });
  const statuses = (await Promise.all([ask(), ask(), ask()])).map(({ status }) => status);
  expect(statuses.toSorted()).toEqual([200, 403, 403]);
  expect(model!.requests).toHaveLength(1);
});

test("openGateway holds what comes after its pause, when there was an answer, and tells to stop", async () => {
  await open(finish());
  gateway!.stopAt(new Date(), new Date(Date.now() + 60_000));
  expect((await ask()).status).toBe(200);
  const told = send(stopPath, "", { method: "GET" });
  const held = send("/v1/messages", message);
  expect((await told.answer).text).toBe("stop\n");
  expect(gateway!.stopped()).toBe(true);
  expect(model!.requests).toHaveLength(1);
  held.request.destroy();
  gateway!.stopAt(new Date(Date.now() + 60_000), new Date(Date.now() + 60_000));
  expect(gateway!.stopped()).toBe(false);
  expect((await ask()).status).toBe(200);
});

test("openGateway keeps what went wrong, and does not show a provider's refusal", async () => {
  const body = {
    type: "error",
    error: { type: "authentication_error", message: `no such key ${realKey} of acme-corp` },
  };
  await open({ status: 401, body });
  const refused = await ask();
  expect(refused.status).toBe(403);
  expect(refused.text).not.toMatch(/acme|sk-ant/);
  const fault = gateway!.fault();
  expect(fault?.kind === "fatal" && fault.error).toBeInstanceOf(ModelRefusedError);
  expect(JSON.stringify(fault?.kind === "fatal" && fault.error.message)).not.toContain(realKey);
  // It is not asked again.
  expect((await ask()).status).toBe(403);
  expect(model!.requests).toHaveLength(1);
});

test("openGateway names the setting that an operator has to look at", async () => {
  const error = (type: string, message: string) => ({ type: "error", error: { type, message } });
  const cases: [RawReply, string][] = [
    [{ status: 404, body: error("not_found_error", "model: claude-opus-5-5") }, "MILLWRIGHT_MODEL"],
    [{ status: 400, body: error("invalid_request_error", "Your credit balance is too low") }, "ANTHROPIC_API_KEY"],
    [{ status: 302, headers: { location: "http://127.0.0.1:9/" } }, "ANTHROPIC_BASE_URL"],
    [{ status: 200, body: "<html>Log in</html>", headers: { "content-type": "text/html" } }, "ANTHROPIC_BASE_URL"],
  ];
  for (const [reply, setting] of cases) {
    await open(reply);
    expect((await ask({ stream: true })).status).toBe(403);
    const fault = gateway!.fault();
    const told = fault?.kind === "fatal" || fault?.kind === "transient" ? fault.error : undefined;
    expect((told as ModelRefusedError).forPeople.reason).toContain(setting);
    await gateway!.close();
    await model!.close();
  }
});

test("openGateway knows what may pass: overload, cut and stalled streams, a server that is not there", async () => {
  const overloaded = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } };
  const replies: RawReply[] = [
    { status: 529, body: overloaded, headers: { "retry-after": "7" } },
    { message: { content: "Hello there." }, cutAfterBytes: 700 },
    { message: { content: "Hello there." }, stallAfterBytes: 700 },
    "hang-up",
    finish("At last."),
  ];
  await open(({ index }) => replies[index]!, { idleTimeoutSeconds: 0.3 });
  const first = await ask({ stream: true });
  expect(first).toMatchObject({ status: 529, headers: { "retry-after": "7" } });
  for (const expected of [false, false]) {
    const cut = await ask({ stream: true });
    expect(cut.whole).toBe(expected);
    const fault = gateway!.fault();
    expect(fault?.kind === "transient" && fault.error).toBeInstanceOf(TransientModelError);
  }
  expect((await ask({ stream: true })).status).toBe(502);
  expect(await ask({ stream: true })).toMatchObject({ status: 200, whole: true });
  expect(gateway!.fault()).toBeUndefined();
  // Cut answers cost too.
  expect(calls.map(({ ending }) => ending)).toEqual(["transient", "transient", "end_turn"]);
});

test("openGateway ends with its job: nothing is open, nothing is left, what was asked is recorded", async () => {
  await open({ message: { content: "Hello there." }, stallAfterBytes: 700 });
  const { socket } = gateway!;
  const asked = send("/v1/messages", { ...message, stream: true });
  await new Promise<void>((resolve) =>
    asked.request.once("response", (response) => response.once("data", () => resolve())),
  );
  await gateway!.close();
  expect((await asked.answer).whole).toBe(false);
  expect(calls).toMatchObject([{ ending: "aborted" }]);
  expect(existsSync(socket)).toBe(false);
});
