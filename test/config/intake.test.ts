import { describe, expect, test } from "vitest";
import { readIntakeConfig } from "../../src/config/intake.ts";
import { readOperatorConfig } from "../../src/config/operator.ts";

const least = {
  APP_ID: "4242",
  MILLWRIGHT_APP_SLUG: "millwright",
  MILLWRIGHT_WORKER_FUNCTION: "worker:durable",
  WEBHOOK_SECRET: "a secret of a test",
};
const further = { PRIVATE_KEY: "-----BEGIN RSA PRIVATE KEY-----", ANTHROPIC_API_KEY: "a key" };

describe("readIntakeConfig", () => {
  test.each<[string, Record<string, string>]>([
    ["nothing else", {}],
    [
      "all that it knows",
      {
        WEBHOOK_SECRET_PREVIOUS: "the secret before",
        WEBHOOK_PATH: "/hooks",
        MILLWRIGHT_LABEL: "do-it",
        MILLWRIGHT_LABEL_DONE: "done",
        MILLWRIGHT_LABEL_NEEDS_REVIEW: "review",
        MILLWRIGHT_LABEL_NEEDS_INFO: "info",
        MILLWRIGHT_LABEL_FAILED: "failed",
        MILLWRIGHT_SHORT_COMMANDS: " code , stop,,",
        MILLWRIGHT_ALLOWED_BOTS: "one[bot], two[bot]",
        MILLWRIGHT_MAX_BODY_BYTES: "1000",
        LOG_LEVEL: "debug",
      },
    ],
  ])("readIntakeConfig reads what readOperatorConfig reads, given %s", (_what, given) => {
    const { app, webhookPath, maxBodyBytes, ...intake } = readIntakeConfig({ ...least, ...given });
    const operator = readOperatorConfig({ ...least, ...further, ...given });
    expect(intake).toEqual({
      labels: operator.labels,
      shortCommands: operator.shortCommands,
      allowedBots: operator.allowedBots,
      logLevel: operator.logLevel,
      workerFunction: "worker:durable",
    });
    expect({ webhookPath, maxBodyBytes }).toEqual({
      webhookPath: operator.server.webhookPath,
      maxBodyBytes: operator.server.maxBodyBytes,
    });
    expect(app).toEqual({ id: 4242, slug: "millwright", webhookSecrets: operator.app.webhookSecrets });
  });

  test.each([
    ["APP_ID", "none", "APP_ID: it must be"],
    ["APP_ID", "", "APP_ID is not set"],
    ["MILLWRIGHT_APP_SLUG", "", "MILLWRIGHT_APP_SLUG is not set"],
    ["MILLWRIGHT_WORKER_FUNCTION", "", "MILLWRIGHT_WORKER_FUNCTION is not set"],
    ["WEBHOOK_SECRET", "short", "WEBHOOK_SECRET: it must be"],
    ["MILLWRIGHT_MAX_BODY_BYTES", "-1", "MILLWRIGHT_MAX_BODY_BYTES: it must be"],
    ["LOG_LEVEL", "loud", "LOG_LEVEL: it must be"],
  ])("readIntakeConfig names %s when it is %j", (name, value, message) => {
    expect(() => readIntakeConfig({ ...least, [name]: value })).toThrow(message);
  });

  test("readIntakeConfig names everything that is missing at once", () => {
    expect(() => readIntakeConfig({})).toThrow(
      /APP_ID[\s\S]*MILLWRIGHT_APP_SLUG[\s\S]*WEBHOOK_SECRET[\s\S]*MILLWRIGHT_WORKER_FUNCTION/,
    );
  });
});
