import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type TemporalConfig, type TemporalEnvironment, temporalConfigOf } from "../../src/config/temporal.ts";

const directory = mkdtempSync(join(tmpdir(), "millwright-tls-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const given: TemporalEnvironment = {
  DATABASE_URL: "postgres://localhost/millwright",
  MILLWRIGHT_WORKER_STEPS: "all",
  MILLWRIGHT_TEMPORAL_ADDRESS: "temporal:7233",
  MILLWRIGHT_TEMPORAL_NAMESPACE: "default",
  MILLWRIGHT_TEMPORAL_TLS: "off",
};

function read(over: Partial<TemporalEnvironment>): { config: TemporalConfig; problems: string[] } {
  const problems: string[] = [];
  return { config: temporalConfigOf({ ...given, ...over }, problems), problems };
}

function file(name: string, content: string): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

describe("temporalConfigOf", () => {
  test("temporalConfigOf needs a database that servers and workers share", () => {
    expect(read({ DATABASE_URL: undefined }).problems).toEqual([expect.stringContaining("DATABASE_URL")]);
    expect(read({}).problems).toEqual([]);
  });

  test("temporalConfigOf uses TLS when it is on, or when a file or a name is given", () => {
    expect(read({}).config.tls).toBeUndefined();
    expect(read({ MILLWRIGHT_TEMPORAL_TLS: "on" }).config.tls).toEqual({});
    expect(read({ MILLWRIGHT_TEMPORAL_TLS_SERVER_NAME: "temporal.example" }).config.tls).toEqual({
      serverName: "temporal.example",
    });
  });

  test.each(["MILLWRIGHT_TEMPORAL_TLS_CA", "MILLWRIGHT_TEMPORAL_TLS_CERT", "MILLWRIGHT_TEMPORAL_TLS_KEY"] as const)(
    "temporalConfigOf names %s when its file cannot be read",
    (name) => {
      const path = join(directory, "missing.pem");
      expect(read({ [name]: path }).problems).toContainEqual(
        expect.stringMatching(new RegExp(`^${name}: .*missing.pem`)),
      );
    },
  );

  test.each(["MILLWRIGHT_TEMPORAL_TLS_CA", "MILLWRIGHT_TEMPORAL_TLS_CERT"] as const)(
    "temporalConfigOf names %s when its file is no certificate",
    (name) => {
      const path = file("certificate.pem", "no certificate\n");
      expect(read({ [name]: path }).problems).toContainEqual(expect.stringMatching(new RegExp(`^${name}: .*TLS`)));
    },
  );

  test("temporalConfigOf wants a client certificate and its key together", () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const key = file("key.pem", privateKey.export({ type: "pkcs8", format: "pem" }) as string);
    expect(read({ MILLWRIGHT_TEMPORAL_TLS_KEY: key }).problems).toEqual([
      expect.stringContaining("MILLWRIGHT_TEMPORAL_TLS_CERT is not set"),
    ]);
  });

  test("temporalConfigOf reads payload keys in their order, and refuses those of another length", () => {
    const [one, two] = [randomBytes(32), randomBytes(32)];
    const { config, problems } = read({
      MILLWRIGHT_TEMPORAL_KEY: `2026:${one.toString("base64")}, old:${two.toString("base64")}`,
    });
    expect(problems).toEqual([]);
    expect(config.keys).toEqual([
      { id: "2026", secret: one },
      { id: "old", secret: two },
    ]);
    const short = `short:${randomBytes(16).toString("base64")}`;
    expect(read({ MILLWRIGHT_TEMPORAL_KEY: short }).problems).toEqual([
      expect.stringContaining("MILLWRIGHT_TEMPORAL_KEY"),
    ]);
  });

  test("temporalConfigOf lets a worker take all steps, or those of one kind", () => {
    expect(read({}).config.takes).toEqual({ ordinary: true, sandboxed: true });
    expect(read({ MILLWRIGHT_WORKER_STEPS: "ordinary" }).config.takes).toEqual({ ordinary: true, sandboxed: false });
    expect(read({ MILLWRIGHT_WORKER_STEPS: "sandboxed" }).config.takes).toEqual({ ordinary: false, sandboxed: true });
  });
});
