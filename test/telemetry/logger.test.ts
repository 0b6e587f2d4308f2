import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { createRedactor } from "../../src/policy/redact.ts";
import { adoptLogger, createLogger } from "../../src/telemetry/logger.ts";

const secret = "a-secret-of-the-configuration";
const redactor = createRedactor([{ name: "webhook-secret", value: secret }]);

function collector() {
  const texts: string[] = [];
  const destination = { write: (text: string) => texts.push(text) > 0 };
  return {
    destination: destination as Pick<NodeJS.WritableStream, "write">,
    text: () => texts.join(""),
    lines: () => texts.map((text) => JSON.parse(text) as Record<string, unknown>),
  };
}

describe("createLogger", () => {
  test("createLogger writes JSON lines with level, time and what its children are bound to", () => {
    const { destination, lines } = collector();
    createLogger({ level: "info", redactor, destination }).child({ runKey: "r1" }).info({ step: "a" }, "step done");
    expect(lines()).toEqual([
      { level: "info", time: expect.stringMatching(/^\d{4}-.*Z$/), runKey: "r1", step: "a", msg: "step done" },
    ]);
  });

  test("createLogger redacts known secrets wherever they stand, also those that become known later", () => {
    const { destination, text } = collector();
    const own = createRedactor([{ name: "webhook-secret", value: secret }]);
    const log = createLogger({ level: "info", redactor: own, destination });
    own.add("installation-token", "ghs_0123456789abcdefghij");
    log.error(
      { err: new Error(`refused ${secret}`), url: "https://x-access-token:ghs_0123456789abcdefghij@github.com" },
      secret,
    );
    expect(text()).toContain("[redacted:webhook-secret]");
    expect(text()).not.toContain(secret);
    expect(text()).not.toContain("ghs_0123456789abcdefghij");
  });

  test.each(["http", "event"])("createLogger silences Probot's %s logger and its children", (name) => {
    const { destination, text } = collector();
    const child = createLogger({ level: "trace", redactor, destination }).child({ name });
    child.error("a request");
    child.child({ req: { headers: { "x-hub-signature-256": "sha256=0" } } }).error("a request");
    expect(text()).toBe("");
  });
});

describe("adoptLogger", () => {
  test("adoptLogger takes over the lines of a foreign logger, of its parents and of children made before", () => {
    const before: string[] = [];
    const foreign = pino({ level: "info", name: "probot" }, { write: (line: string) => void before.push(line) });
    const older = foreign.child({ part: "octokit" });
    const { destination, lines, text } = collector();
    adoptLogger(foreign.child({ name: "app" }), { redactor, destination });
    foreign.warn("one");
    older.info({ req: { url: "/", headers: { authorization: "x" } } }, `two ${secret}`);
    older.child({ name: "http" }).info("three");
    expect(before).toEqual([]);
    expect(lines()).toEqual([
      { level: "warn", time: expect.stringMatching(/Z$/), name: "probot", msg: "one" },
      {
        level: "info",
        time: expect.stringMatching(/Z$/),
        name: "probot",
        part: "octokit",
        req: { url: "/" },
        msg: "two [redacted:webhook-secret]",
      },
    ]);
    expect(text()).not.toContain("authorization");
  });

  test("adoptLogger refuses what is not a logger of pino", () => {
    expect(() => adoptLogger({}, { redactor })).toThrow("not one of pino's");
  });
});
