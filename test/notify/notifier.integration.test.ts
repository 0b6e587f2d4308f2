import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inArray, sql } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ChannelConfig, secretsOf } from "../../src/config/channels.ts";
import { createChannels } from "../../src/notify/create-channels.ts";
import { createNotifier, type Notifier, type NotifierOptions } from "../../src/notify/notifier.ts";
import { createRedactor } from "../../src/policy/redact.ts";
import { type OpenStore, openStore } from "../../src/store/open-store.ts";
import { notifications } from "../../src/store/schema.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { copyDatabaseTemplate } from "../support/database-template.ts";
import { type Postgres, postgresAvailable, startPostgres } from "../support/postgres.ts";
import { type Answer, type Receiver, startReceiver } from "../support/receiver.ts";
import { notice } from "./sample-notice.ts";

const silent = createLogger({ level: "silent", redactor: createRedactor([]) });
const word = "abcDEF123456abcDEF123456";

function notifierSuite(open: () => Promise<OpenStore>): void {
  let store: OpenStore;
  let receivers: [Receiver, Receiver];
  let channels: Record<string, ChannelConfig>;
  let lines: string[];
  const metrics = createMetrics();
  beforeAll(async () => {
    store = await open();
    receivers = [await startReceiver(), await startReceiver()];
    const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
    channels = {
      hook: { kind: "webhook", url: `${receivers[0].url}/hook`, secret: [secret] },
      slack: { kind: "slack", url: `${receivers[1].url}/services/T0/B0/${word}` },
    };
  });
  beforeEach(() => {
    lines = [];
    metrics.registry.resetMetrics();
  });
  afterEach(async () => {
    await store.database.db.delete(notifications);
    for (const receiver of receivers) receiver.received.length = receiver.answers.length = 0;
  });
  afterAll(async () => {
    for (const receiver of receivers) await receiver.close();
    await store.close();
  });

  function notifier(over: Partial<NotifierOptions> = {}): Notifier {
    const redactor = createRedactor(
      Object.entries(channels).flatMap(([name, channel]) => secretsOf(channel).map((value) => ({ name, value }))),
    );
    const destination = { write: (line: string) => lines.push(line) > 0 };
    const log = createLogger({ level: "trace", redactor, destination: destination as never });
    return createNotifier({ store, channels: createChannels(channels), redactor, metrics, log, ...over });
  }

  const file = (channel: string, ...keys: string[]) =>
    store.notifications.file(
      keys.map((key) => ({ key, repositoryId: 1, runKey: `run-${key}`, channel, content: notice })),
    );
  const rows = () => store.database.db.select().from(notifications).orderBy(notifications.key);
  /** Lets time pass for everything that is queued. */
  const elapse = () => store.database.db.update(notifications).set({ nextAt: sql`now()` });
  const secondsUntilDue = async (key: string): Promise<number> => {
    const result = await store.database.db.execute(
      sql`SELECT extract(epoch FROM next_at - clock_timestamp())::float8 AS seconds FROM notifications WHERE key = ${key}`,
    );
    return (result as unknown as { rows: { seconds: number }[] }).rows[0]!.seconds;
  };
  const counted = async () =>
    Object.fromEntries(
      (await metrics.notifications.get()).values.map(({ labels, value }) => [
        `${labels["kind"]} ${labels["result"]}`,
        value,
      ]),
    );
  const idsOf = ({ received }: Receiver) => received.map(({ headers }) => String(headers["webhook-id"]));

  test("createNotifier sends what is filed to its channels, each once", async () => {
    expect(await file("hook", "a", "b")).toEqual(["a", "b"]);
    expect(await file("hook", "b", "c")).toEqual(["c"]);
    await file("slack", "d");
    await file("of-another-worker", "e");
    const { deliver } = notifier();
    await deliver();
    await deliver();
    expect(await file("hook", "a")).toEqual([]);
    await deliver();
    expect(idsOf(receivers[0])).toEqual(["msg_a", "msg_b", "msg_c"]);
    expect(receivers[1].received).toHaveLength(1);
    expect((await rows()).map(({ key, state }) => [key, state])).toEqual([
      ...["a", "b", "c", "d"].map((key) => [key, "sent"]),
      ["e", "queued"],
    ]);
    expect(await counted()).toEqual({ "webhook sent": 3, "slack sent": 1 });
  });

  test("createNotifier tries eight times, at growing distances, and keeps the last error", async () => {
    await file("hook", "a");
    const distances: number[] = [];
    for (let attempt = 1; attempt <= 8; attempt += 1) {
      receivers[0].answers.push({ status: 500, body: `down ${attempt}` });
      await notifier().deliver();
      // Not due: nothing is sent.
      await notifier().deliver();
      expect(receivers[0].received).toHaveLength(attempt);
      distances.push(await secondsUntilDue("a"));
      await elapse();
    }
    const expected = [30, 120, 480, 1_920, 7_680, 21_600, 21_600];
    for (const [at, seconds] of expected.entries()) {
      expect(distances[at]).toBeGreaterThan(seconds * 0.9 - 30);
      expect(distances[at]).toBeLessThan(seconds * 1.1);
    }
    await notifier().deliver();
    expect(receivers[0].received).toHaveLength(8);
    expect(await rows()).toMatchObject([{ state: "failed", attempts: 8, lastError: "HTTP 500 down 8" }]);
    expect(await counted()).toEqual({ "webhook retried": 7, "webhook failed": 1 });
  });

  test("createNotifier gives up at once what will never go through, and goes on with the next", async () => {
    await file("hook", "a", "c");
    await store.notifications.file([
      { key: "b", repositoryId: 1, runKey: "r", channel: "hook", content: { title: "of another version" } },
    ]);
    receivers[0].answers.push({ status: 302, headers: { location: `${receivers[1].url}/elsewhere` } });
    await notifier().deliver();
    expect(receivers[1].received).toEqual([]);
    expect((await rows()).map(({ state }) => state)).toEqual(["failed", "failed", "sent"]);
  });

  test("createNotifier asks a channel nothing more for as long as it asks to wait", async () => {
    await file("hook", "a", "b");
    receivers[0].answers.push({ status: 429, headers: { "retry-after": "1000" } });
    await notifier().deliver();
    await notifier().deliver();
    expect(receivers[0].received).toHaveLength(1);
    for (const key of ["a", "b"]) expect(await secondsUntilDue(key)).toBeGreaterThan(900);
    await elapse();
    await notifier().deliver();
    expect((await rows()).map(({ state }) => state)).toEqual(["sent", "sent"]);
  });

  test("createNotifier sends to one channel while another hangs, and takes the hanging one up again later", async () => {
    await file("hook", "a", "b");
    await file("slack", "c", "d");
    receivers[0].answers.push("nothing");
    const { deliver, stop } = notifier({ sendSeconds: 30 });
    const hanging = deliver();
    await expect.poll(() => receivers[1].received.length, { timeout: 20_000 }).toBe(2);
    // Another call leaves the channel to the first one.
    await deliver();
    expect(receivers[0].received).toHaveLength(1);
    await receivers[0].close();
    await hanging;
    await stop();
    receivers[0] = await startReceiver();
    channels["hook"] = {
      ...(channels["hook"] as ChannelConfig & { kind: "webhook" }),
      url: `${receivers[0].url}/hook`,
    };
    await elapse();
    receivers[0].answers.push("nothing");
    await notifier({ sendSeconds: 0.2 }).deliver();
    expect(receivers[0].received).toHaveLength(1);
    const trouble = (await rows()).filter(({ state }) => state === "queued").map(({ lastError }) => lastError);
    expect(trouble).toContain("no answer within 0.2 s");
    await elapse();
    await notifier().deliver();
    expect((await rows()).map(({ state }) => state)).toEqual(["sent", "sent", "sent", "sent"]);
  });

  test("createNotifier sends each notice once when several processes send at the same time", async () => {
    const keys = Array.from({ length: 40 }, (_, at) => `k${at}`);
    await file("hook", ...keys);
    await Promise.all([notifier(), notifier(), notifier()].map(({ deliver }) => deliver()));
    expect(idsOf(receivers[0]).toSorted()).toEqual(keys.map((key) => `msg_${key}`).toSorted());
    expect((await rows()).every(({ state, attempts }) => state === "sent" && attempts === 1)).toBe(true);
  });

  test("notifications.take gives back what a process took that died, and hears no more of that process", async () => {
    await file("hook", "a");
    const dead = await store.notifications.take("hook", 60);
    expect(dead).toMatchObject({ key: "a", runKey: "run-a", attempt: 1, content: notice });
    expect(await store.notifications.take("hook", 60)).toBeUndefined();
    await notifier().deliver();
    expect(receivers[0].received).toEqual([]);
    await elapse();
    receivers[0].answers.push({ status: 503 });
    await notifier().deliver();
    await store.notifications.sent(dead!);
    await store.notifications.failed(dead!, "late");
    await store.notifications.retry(dead!, { seconds: 0, why: "late", holdChannel: false });
    expect(await rows()).toMatchObject([{ state: "queued", attempts: 2, lastError: "HTTP 503" }]);
    await elapse();
    await notifier().deliver();
    // The receiver knows by the id that it is the same.
    expect(idsOf(receivers[0])).toEqual(["msg_a", "msg_a"]);
  });

  test("data.retain deletes notifications after thirty days, sent or not; data.forgetRepository deletes them at once", async () => {
    await file("hook", "a", "b");
    await file("of-another-worker", "c", "d");
    await notifier().deliver();
    const age = (days: number, ...keys: string[]) =>
      store.database.db
        .update(notifications)
        .set({ createdAt: sql`now() - make_interval(days => ${days}::int)` })
        .where(inArray(notifications.key, keys));
    await age(31, "a", "c");
    await age(29, "b", "d");
    await store.data.retain({ transcripts: 1, logs: 1, blobs: 1 });
    expect((await rows()).map(({ key }) => key)).toEqual(["b", "d"]);
    await store.data.forgetRepository(1);
    expect(await rows()).toEqual([]);
  });

  test("createNotifier sends nothing again that every process died of", async () => {
    await file("hook", "a");
    for (let attempt = 1; attempt <= 8; attempt += 1) {
      expect(await store.notifications.take("hook", 0)).toMatchObject({ attempt });
    }
    await notifier().deliver();
    expect(receivers[0].received).toEqual([]);
    expect(await rows()).toMatchObject([{ state: "failed", lastError: expect.stringContaining("died") }]);
  });

  test("createNotifier shows no secret of a channel in its log or in what it keeps", async () => {
    await file("slack", "a", "b");
    receivers[1].answers.push({ status: 400, body: `no such hook: ${word}` }, { status: 500, body: word });
    await notifier().deliver();
    await receivers[1].close();
    await elapse();
    await notifier().deliver();
    receivers[1] = await startReceiver();
    channels["slack"] = { kind: "slack", url: `${receivers[1].url}/services/T0/B0/${word}` };
    expect((await rows()).map(({ lastError }) => lastError)).toEqual([
      "HTTP 400 no such hook: [redacted:slack]",
      expect.stringMatching(/ECONNREFUSED/),
    ]);
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { level: "error", channel: "slack", kind: "slack", runKey: "run-a", attempt: 1 },
      { level: "warn", runKey: "run-b", attempt: 1, why: "HTTP 500 [redacted:slack]" },
      { level: "warn", runKey: "run-b", attempt: 2 },
    ]);
    expect(JSON.stringify([lines, await rows()])).not.toContain(word);
  });

  test("createNotifier begins nothing once it was stopped, and waits for what it is sending", async () => {
    await file("hook", "a", "b");
    const answer = Promise.withResolvers<Answer>();
    receivers[0].answers.push(answer.promise);
    const { deliver, stop } = notifier();
    const sending = deliver();
    await expect.poll(() => receivers[0].received.length, { timeout: 20_000 }).toBe(1);
    const stopped = stop();
    answer.resolve({ status: 200 });
    await stopped;
    expect(await rows()).toMatchObject([{ state: "sent" }, { state: "queued", attempts: 0 }]);
    await sending;
    await deliver();
    expect(receivers[0].received).toHaveLength(1);
  });
}

describe("createNotifier on the embedded database", () => {
  const directory = mkdtempSync(join(tmpdir(), "millwright-notifier-"));
  afterAll(() => rmSync(directory, { recursive: true }));
  notifierSuite(async () => {
    await copyDatabaseTemplate(directory);
    return openStore({ dataDirectory: directory, log: silent });
  });
});

describe.runIf(postgresAvailable)("createNotifier on PostgreSQL", () => {
  let postgres: Postgres;
  const open = async () =>
    openStore({ databaseUrl: await postgres.createDatabase(), dataDirectory: "unused", log: silent });
  beforeAll(async () => {
    postgres = await startPostgres();
  });
  afterAll(() => postgres?.stop());
  notifierSuite(open);

  test("createNotifier survives a database that does not answer", async () => {
    const store = await open();
    await store.close();
    const lines: string[] = [];
    const redactor = createRedactor([]);
    const destination = { write: (line: string) => lines.push(line) > 0 };
    const log = createLogger({ level: "info", redactor, destination: destination as never });
    const channels = createChannels({ slack: { kind: "slack", url: "http://127.0.0.1:1/x" } });
    await createNotifier({ store, channels, redactor, metrics: createMetrics(), log }).deliver();
    expect(lines.join("")).toContain("sending notifications failed; it is tried again");
  });
});
