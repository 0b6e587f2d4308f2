import pino from "pino";
import { expect, test } from "vitest";
import { repositoriesRemoved } from "../../src/handlers/access-removed.ts";
import type { Known } from "../../src/handlers/handler.ts";
import { createReceive } from "../../src/handlers/receive.ts";
import type { Intent } from "../../src/pipeline/intent.ts";
import { deliveryIn } from "../../src/run/delivery.ts";
import { webhookPayload } from "../support/webhook-payloads.ts";

// It could not be filed and was answered 503, which asks for the same delivery again and again.
test("createReceive ignores a payload whose ids are none", async () => {
  const started: Intent[] = [];
  const engine = {
    start: async (intent: Intent) => {
      started.push(intent);
      return { runKey: "0", repeated: Promise.resolve(false) };
    },
  };
  const receive = createReceive({ engine, known: () => ({}) as Known, log: pino({ level: "silent" }) });
  const name = "installation_repositories";
  const deliver = async (id: unknown) => {
    const payload = webhookPayload<never>(name, "removed", (bent: { installation: { id: unknown } }) => {
      bent.installation.id = id;
    });
    await receive({ id: "delivery-1", name, payload }, repositoriesRemoved as never);
  };
  for (const id of [{}, "7", null, Number.NaN, 1.5]) await deliver(id);
  expect(started).toEqual([]);
  await deliver(7);
  expect(started.map(({ work }) => work.installationId)).toEqual([7]);
});

// Probot failed to make a client before any handler was asked, which was answered 503 likewise.
test("deliveryIn refuses an installation whose id is none", () => {
  const header = (name: string) => ({ "x-github-event": "issues", "x-github-delivery": "delivery-1" })[name];
  const answer = (payload: unknown) => deliveryIn(Buffer.from(JSON.stringify(payload)), header);
  for (const id of [{}, [], "7", null, true, 1.5])
    expect(answer({ installation: { id } })).toMatchObject({ status: 400, text: expect.stringContaining("no number") });
  for (const payload of [{}, { installation: null }, { installation: "x" }, { installation: { id: 7 } }])
    expect(answer(payload)).toHaveProperty("delivery");
});
