import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { ConfigurationError, readOperatorConfig } from "../../src/config/operator.ts";

const privateKey = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
  publicKeyEncoding: { type: "spki", format: "pem" },
}).privateKey;
const enough = { APP_ID: "1", PRIVATE_KEY: privateKey, WEBHOOK_SECRET: "long enough", ANTHROPIC_API_KEY: "key" };

function problemsOf(environment: Record<string, string>): string {
  try {
    readOperatorConfig(environment);
    return "";
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return (error as Error).message;
  }
}

describe("readOperatorConfig", () => {
  test("readOperatorConfig names every missing credential and where to get it", () => {
    const message = problemsOf({});
    for (const name of [
      "APP_ID is not set",
      "PRIVATE_KEY is not set",
      "WEBHOOK_SECRET is not set",
      "ANTHROPIC_API_KEY is not set",
    ])
      expect(message).toContain(name);
    expect(message).toContain("settings page");
    expect(message).toContain("npm run setup");
  });

  test.each(["temporal", "http://temporal:7233", "temporal:port", ":7233", "temporal:7233/"])(
    "readOperatorConfig refuses %s as Temporal's address by its setting's name",
    (address) => {
      const temporal = { MILLWRIGHT_ENGINE: "temporal", DATABASE_URL: "postgres://localhost/millwright" };
      expect(problemsOf({ ...enough, ...temporal })).toBe("");
      expect(problemsOf({ ...enough, ...temporal, MILLWRIGHT_TEMPORAL_ADDRESS: address })).toMatch(
        /- MILLWRIGHT_TEMPORAL_ADDRESS: must be host:port/,
      );
    },
  );

  test("readOperatorConfig counts an empty variable as not set", () => {
    expect(problemsOf({ ...enough, APP_ID: "" })).toContain("APP_ID is not set");
  });

  test("readOperatorConfig needs no Anthropic key for Bedrock and Vertex", () => {
    const { ANTHROPIC_API_KEY: _, ...without } = enough;
    expect(readOperatorConfig({ ...without, MILLWRIGHT_PROVIDER: "bedrock" }).model.provider).toBe("bedrock");
  });

  test("readOperatorConfig refuses a coder that cannot work with the provider or the sandbox", () => {
    expect(readOperatorConfig(enough).coder).toEqual({ name: "agent", claudeCode: "claude" });
    const chosen = { ...enough, MILLWRIGHT_CODER: "claude-code", MILLWRIGHT_CLAUDE_CODE: "/opt/claude" };
    expect(readOperatorConfig(chosen).coder).toEqual({ name: "claude-code", claudeCode: "/opt/claude" });
    const elsewhere = {
      ...chosen,
      MILLWRIGHT_PROVIDER: "bedrock",
      AWS_REGION: "eu-west-1",
      MILLWRIGHT_SANDBOX: "lambda",
    };
    const message = problemsOf(elsewhere);
    expect(message).toContain("claude-code, which needs MILLWRIGHT_PROVIDER anthropic");
    expect(message).toContain("claude-code, which cannot run in the lambda sandbox");
  });

  test("readOperatorConfig needs the function and the bucket of the lambda sandbox", () => {
    const lambda = { ...enough, MILLWRIGHT_SANDBOX: "lambda", MILLWRIGHT_EGRESS_PROXY: "http://proxy:3128" };
    expect(() => readOperatorConfig(lambda)).toThrow(
      /MILLWRIGHT_SANDBOX_FUNCTION is not set.*\n.*MILLWRIGHT_BUCKET is not set.*\n.*MILLWRIGHT_SETUP_FUNCTION is not set/,
    );
    const functions = {
      MILLWRIGHT_SANDBOX_FUNCTION: "hands",
      MILLWRIGHT_SETUP_FUNCTION: "setup",
      MILLWRIGHT_BUCKET: "b",
    };
    const config = readOperatorConfig({ ...lambda, ...functions });
    expect(config.sandbox).toMatchObject({
      backend: "lambda",
      sandboxFunction: "hands",
      egressProxy: "http://proxy:3128",
    });
    expect(config.bucket).toBe("b");
    const known = { ...lambda, ...functions, MILLWRIGHT_EGRESS_PROXY: "http://user:secret@proxy:3128" };
    expect(() => readOperatorConfig(known)).toThrow("must hold no user and no password");
  });

  test("readOperatorConfig takes the private key with escaped line breaks and in base64", () => {
    expect(readOperatorConfig({ ...enough, PRIVATE_KEY: privateKey.replaceAll("\n", "\\n") }).app.privateKey).toBe(
      privateKey,
    );
    expect(
      readOperatorConfig({ ...enough, PRIVATE_KEY: Buffer.from(privateKey).toString("base64") }).app.privateKey,
    ).toBe(privateKey);
    expect(problemsOf({ ...enough, PRIVATE_KEY: "nonsense" })).toContain("neither PEM nor base64");
  });

  test("readOperatorConfig derives the addresses of GitHub Enterprise Server, and takes any other", () => {
    expect(readOperatorConfig(enough).github).toEqual({
      apiUrl: "https://api.github.com",
      gitUrl: "https://github.com",
    });
    expect(readOperatorConfig({ ...enough, GHE_HOST: "git.example.com" }).github).toEqual({
      apiUrl: "https://git.example.com/api/v3",
      gitUrl: "https://git.example.com",
    });
    expect(
      readOperatorConfig({
        ...enough,
        GITHUB_API_URL: "http://127.0.0.1:1/api/",
        GITHUB_SERVER_URL: "http://127.0.0.1:1",
      }).github.apiUrl,
    ).toBe("http://127.0.0.1:1/api");
  });

  test("readOperatorConfig refuses a wrong value with its variable, rule and meaning", () => {
    expect(problemsOf({ ...enough, PORT: "http" })).toMatch(/PORT: .*number.* Port of the webhook server/);
    expect(problemsOf({ ...enough, WEBHOOK_SECRET: "short" })).toMatch(/WEBHOOK_SECRET: .*8/);
  });
});
