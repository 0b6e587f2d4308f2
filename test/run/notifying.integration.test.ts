import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { redactorFor } from "../../src/run/parts.ts";
import { openStore } from "../../src/store/open-store.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { notice } from "../notify/sample-notice.ts";
import { copyDatabaseTemplate } from "../support/database-template.ts";
import { type LocalApp, startApp, startGitHub } from "../support/local-app.ts";
import type { LocalGitHub } from "../support/local-github/index.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

let github: LocalGitHub | undefined;
let app: LocalApp | undefined;
let receiver: Receiver | undefined;
const directory = mkdtempSync(join(tmpdir(), "millwright-notifying-"));

afterEach(async () => {
  await app?.close();
  await github?.close();
  await receiver?.close();
  rmSync(directory, { recursive: true });
});

test("compose sends what was filed before it started, and its redactor knows the channels", async () => {
  [github, receiver] = [await startGitHub(), await startReceiver()];
  await copyDatabaseTemplate(directory);
  const log = createLogger({ level: "silent", redactor: { redact: (text: string) => text } as never });
  const store = await openStore({ dataDirectory: directory, log });
  await store.notifications.file([{ key: "a", repositoryId: 1, runKey: "r", channel: "hook", content: notice }]);
  await store.close();

  const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
  const hook = { kind: "webhook", url: `${receiver.url}/hook`, secret };
  app = await startApp({
    github,
    modelUrl: "http://127.0.0.1:1",
    dataDirectory: directory,
    environment: { MILLWRIGHT_CHANNELS: JSON.stringify({ hook }) },
  });
  await expect.poll(() => receiver?.received.length, { timeout: 60_000 }).toBe(1);
  expect(receiver.received[0]).toMatchObject({ path: "/hook", headers: { "webhook-id": "msg_a" } });
  expect(redactorFor(app.operator).redact(`${secret} ${hook.url}`)).toBe(
    "[redacted:channel-hook] [redacted:channel-hook]",
  );
});
