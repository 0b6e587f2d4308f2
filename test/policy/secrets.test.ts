import { describe, expect, it } from "vitest";
import { findSecrets } from "../../src/policy/secrets.ts";
import { processorMs } from "../support/processor-time.ts";

// Put together here so that no file of this repository contains anything that looks like a secret.
const random = (length: number, alphabet = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xYz0cFiLoPqRsT") =>
  Array.from({ length }, (_, index) => alphabet[(index * 7 + (index >> 2) * 3) % alphabet.length]).join("");
const hex = (length: number) => random(length, "0a1b2c3d4e5f6789");
const upper = (length: number) => random(length, "QWERTYUIOPASDFGH234567");

const secrets: [rule: string, text: string][] = [
  ["github-token", `ghp_${random(36)}`],
  ["github-installation-token", `ghs_${random(40)}.${random(40)}-${random(30)}`],
  ["github-fine-grained-token", `github_pat_${random(22)}_${random(59)}`],
  ["gitlab-token", `glpat-${random(20)}`],
  ["aws-access-key", `AKIA${upper(16)}`],
  ["aws-secret-key", `aws_secret_access_key = ${random(40)}`],
  ["anthropic-key", `sk-ant-api03-${random(90)}`],
  ["openai-key", `sk-proj-${random(40)}T3BlbkFJ${random(40)}`],
  ["google-api-key", `AIza${random(35)}`],
  ["google-oauth-secret", `GOCSPX-${random(28)}`],
  ["slack-token", `xoxb-204856173921-${random(24)}`],
  ["slack-webhook", `https://hooks.slack.com/services/T${upper(8)}/B${upper(8)}/${random(24)}`],
  ["stripe-key", `sk_live_${random(24)}`],
  ["npm-token", `npm_${random(36)}`],
  ["npm-auth", `//registry.npmjs.org/:_authToken=${random(40)}`],
  ["pypi-token", `pypi-AgE${random(80)}`],
  ["rubygems-key", `rubygems_${hex(48)}`],
  ["crates-token", `cio${random(32)}`],
  ["docker-token", `dckr_pat_${random(27)}`],
  ["digitalocean-token", `dop_v1_${hex(64)}`],
  ["sendgrid-key", `SG.${random(22)}.${random(43)}`],
  ["twilio-key", `SK${hex(32)}`],
  ["hugging-face-token", `hf_${random(34)}`],
  ["azure-storage-key", `AccountKey=${random(86)}==`],
  ["telegram-token", `123456789:AA${random(33)}`],
  ["private-key", `-----BEGIN RSA PRIVATE KEY-----\n${random(64)}\n-----END RSA PRIVATE KEY-----`],
  ["private-key", `key = "-----BEGIN PRIVATE KEY-----\\n${random(64)}\\n-----END PRIVATE KEY-----"`],
  ["putty-private-key", `PuTTY-User-Key-File-3: ssh-rsa\nPrivate-Lines: 1\n${random(64)}`],
  ["jwt", `eyJ${random(30)}.eyJ${random(60)}.${random(43)}`],
  ["connection-string", `postgres://admin:${random(12)}@db.internal:5432/app`],
  ["assigned-secret", `const apiKey = "${random(32)}";`],
  ["assigned-secret", `"client_secret": "${random(32)}",`],
  ["assigned-secret", `DB_PASSWORD=${random(24)}`],
];

const innocent: [name: string, text: string][] = [
  ["placeholder", 'const apiKey = "your-api-key-goes-here-1234";'],
  ["stars", "password: '****************'"],
  ["environment", "const token = process.env.GITHUB_TOKEN_FOR_RELEASES;"],
  ["template", `password: "\${DATABASE_PASSWORD_FROM_VAULT}"`],
  ["documented key", `aws_access_key_id = AKIA${"IOSFODNN7EXAMPLE"}`],
  ["stripe test key", `sk_test_${random(24)}`],
  ["border lines of a key", 'if (text.startsWith("-----BEGIN PRIVATE KEY-----")) return parse(text);'],
  ["public key", `-----BEGIN PUBLIC KEY-----\n${random(64)}\n-----END PUBLIC KEY-----`],
  ["commit", "see 3f786850e387550fdab836ed7e6dc881de23001b"],
  ["integrity", `"integrity": "sha512-${random(86)}=="`],
  ["local database", "postgres://user@localhost:5432/app"],
  ["short example password", "postgres://postgres:postgres@localhost/app"],
  ["function call", 'const tokenName = "authentication.token.name";'],
  ["translation", 'password_label: "Please.enter.your.password.again"'],
  ["selector", `passwordField: "#login-form__password-input"`],
  ["repeated", `token: "${"a".repeat(40)}"`],
  ["uuid of an event", "id: 123e4567-e89b-12d3-a456-426614174000"],
];

describe("findSecrets", () => {
  it.each(secrets)("finds a %s", (rule, text) => {
    const found = findSecrets(`first line\n${text}\nlast line`, { path: "src/config.ts" });
    expect(found.map((secret) => secret.rule)).toContain(rule);
    expect(found.find((secret) => secret.rule === rule)?.line).toBeGreaterThanOrEqual(2);
    expect(Object.keys(found[0]!)).toEqual(["rule", "line"]);
  });

  it.each(innocent)("lets a %s pass", (_, text) => {
    expect(findSecrets(text, { path: "src/config.ts" })).toEqual([]);
  });

  it("does not apply the general rules to tests, examples and documentation, but the forms of real keys", () => {
    const made = `const apiKey = "${random(32)}"`;
    expect(findSecrets(made, { path: "src/a.ts" })).toHaveLength(1);
    for (const path of ["test/a.ts", "src/a.test.ts", "docs/setup.md", "examples/app.py", "tests/test_a.py"]) {
      expect(findSecrets(made, { path })).toEqual([]);
      expect(findSecrets(`ghp_${random(36)}`, { path })).toEqual([{ rule: "github-token", line: 1 }]);
    }
  });

  it("takes linear time", () => {
    for (const bomb of [
      "aws key ",
      "secret",
      "token=",
      "eyJa",
      "eyJaaaaaaaaaaa.",
      "postgres://a:",
      "-----BEGIN PRIVATE KEY-----",
      "PuTTY-User-Key-File-3",
      "a",
      "://",
      "_auth",
      "ghs_",
      "SECRET_",
      " ",
    ]) {
      const start = processorMs();
      findSecrets(bomb.repeat(500_000 / bomb.length), { path: "src/a.ts" });
      expect(processorMs() - start, bomb).toBeLessThan(3_000);
    }
  }, 60_000);
});
