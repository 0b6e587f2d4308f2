import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ChannelsSetting } from "../../../../src/config/channels.ts";
import { Notice } from "../../../../src/notify/notice.ts";
import type { Deps } from "../../../../src/pipeline/deps.ts";
import type { StepContext } from "../../../../src/pipeline/step.ts";
import { fileNotice } from "../../../../src/pipeline/steps/support/notify.ts";
import { createRedactor } from "../../../../src/policy/redact.ts";
import { type OpenStore, openStore } from "../../../../src/store/open-store.ts";
import { notifications } from "../../../../src/store/schema.ts";
import { createLogger } from "../../../../src/telemetry/logger.ts";
import { notice } from "../../../notify/sample-notice.ts";
import { copyDatabaseTemplate } from "../../../support/database-template.ts";

const secret = "a-secret-of-the-configuration";
const redactor = createRedactor([{ name: "model-key", value: secret }]);
const lines: string[] = [];
const destination = { write: (line: string) => lines.push(line) > 0 };
const log = createLogger({ level: "info", redactor, destination: destination as never });
const channels = ChannelsSetting.parse(
  JSON.stringify({
    all: { kind: "slack", url: "https://hooks.slack.com/services/1" },
    ours: { kind: "teams", url: "https://example.com/workflows/1", accounts: ["Acme", "other"] },
    theirs: { kind: "teams", url: "https://example.com/workflows/2", accounts: ["other"] },
  }),
);

describe("fileNotice", () => {
  const directory = mkdtempSync(join(tmpdir(), "millwright-notices-"));
  let store: OpenStore;
  let deps: Deps;
  beforeAll(async () => {
    await copyDatabaseTemplate(directory);
    store = await openStore({ dataDirectory: directory, log });
    const operator = { channels, github: { gitUrl: "https://github.com" } };
    deps = { store, redactor, operator } as unknown as Deps;
  });
  afterEach(async () => {
    lines.length = 0;
    await store.database.db.delete(notifications);
  });
  afterAll(async () => {
    await store?.close();
    rmSync(directory, { recursive: true });
  });

  const context = (number: number, runKey = "a-run", signal = new AbortController().signal) =>
    ({
      intent: { work: { repositoryId: 5, owner: "acme", repo: "mill", subject: { kind: "pull-request", number } } },
      ...{ runKey, signal, log },
    }) as unknown as StepContext;
  const rows = () => store.database.db.select().from(notifications).orderBy(notifications.channel);

  test("fileNotice tells the channels that the owner may use, and leaves the others out with a line each", async () => {
    const names = ["theirs", "all", "github", "missing", "constructor", "ours", "all"];
    expect(await fileNotice(deps, context(7), { about: "test fails", channels: names, notice })).toEqual([
      "all",
      "ours",
    ]);
    expect(await rows()).toMatchObject([
      { channel: "all", repositoryId: 5, runKey: "a-run", state: "queued", attempts: 0 },
      { channel: "ours" },
    ]);
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { level: "warn", channel: "theirs", why: "the channel is not for this account" },
      { level: "warn", channel: "missing", why: "MILLWRIGHT_CHANNELS has no such channel" },
      { level: "warn", channel: "constructor" },
    ]);
    expect(await fileNotice(deps, context(7), { about: "test fails", channels: [], notice })).toEqual([]);
  });

  test("fileNotice tells a channel once of one problem of one subject, whichever run finds it", async () => {
    const file = (number: number, runKey: string, about: string, names: string[]) =>
      fileNotice(deps, context(number, runKey), { about, channels: names, notice });
    expect(await file(7, "one", "test fails", ["all"])).toEqual(["all"]);
    expect(await file(7, "one", "test fails", ["all"])).toEqual([]);
    expect(await file(7, "two", "test fails", ["all", "ours"])).toEqual(["ours"]);
    expect(await file(8, "two", "test fails", ["all"])).toEqual(["all"]);
    expect(await file(7, "two", "lint fails", ["all"])).toEqual(["all"]);
    expect(new Set((await rows()).map(({ key }) => key)).size).toBe(4);
    for (const { key } of await rows()) expect(key).toMatch(/^[0-9a-f]{40}$/);
  });

  test("fileNotice keeps no secret and nothing that is alive, and cuts what is too long", async () => {
    const text = `@everyone look at ${secret} [here](https://evil.example/x)\n${"x".repeat(40_000)}`;
    const title = `Fixes #12 ${secret}\nfor @all`;
    const facts = [{ name: "Key", value: secret }];
    await fileNotice(deps, context(7), { about: "a", channels: ["all"], notice: { ...notice, title, text, facts } });
    const [row] = await rows();
    const kept = Notice.parse(row?.content);
    expect(JSON.stringify(kept)).not.toContain(secret);
    expect(kept.facts).toEqual([{ name: "Key", value: "[redacted:model-key]" }]);
    expect(kept.title).not.toMatch(/@all|#12|\n/);
    expect(kept.text).not.toMatch(/@everyone|https:\/\//);
    expect(kept.text.length).toBe(8_000);
  });

  test("fileNotice files nothing for a run that was cancelled", async () => {
    const cancelled = context(7, "a-run", AbortSignal.abort(new Error("cancelled")));
    await expect(fileNotice(deps, cancelled, { about: "a", channels: ["all"], notice })).rejects.toThrow("cancelled");
    expect(await rows()).toEqual([]);
  });
});
