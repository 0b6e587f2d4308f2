import { describe, expect, test } from "vitest";
import { ChannelsSetting, secretsOf } from "../../src/config/channels.ts";

const secret = `whsec_${Buffer.from("a secret of 24 bytes or more").toString("base64")}`;
const slack = { kind: "slack", url: "https://hooks.slack.com/services/T00000000/B00000000/abcDEF123456abcDEF123456" };
const webhook = {
  kind: "webhook",
  url: "https://hooks.example.com/millwright-notifications?token=t0ken-of-16-chars",
  secret,
};
const email = { kind: "email", url: "smtps://mail.example.com", from: "ci@example.com", to: ["team@example.com"] };

function problemOf(channels: unknown): string {
  const text = typeof channels === "string" ? channels : JSON.stringify(channels);
  const { error } = ChannelsSetting.safeParse(text);
  return error?.issues.map(({ message }) => message).join("; ") ?? "";
}

describe("ChannelsSetting", () => {
  test("ChannelsSetting takes every kind of channel", () => {
    const given = {
      "team-a": { ...slack, accounts: ["acme"] },
      teams: { kind: "teams", url: "https://example.westeurope.logic.azure.com:443/workflows/1/triggers/manual" },
      webhook,
      rotating: { ...webhook, url: "http://127.0.0.1:1/hook", secret: [secret, secret] },
      email: { ...email, user: "ci", password: "a password" },
      starttls: { ...email, url: "smtp://mail.example.com:587" },
    };
    expect(ChannelsSetting.parse(JSON.stringify(given))).toEqual({
      ...given,
      webhook: { ...webhook, secret: [secret] },
    });
  });

  test.each([
    ["no JSON", `{"a": ${secret}`, /^must be JSON/],
    ["a list", [slack], /expected record/],
    ["an unknown kind", { a: { ...slack, kind: "pager" } }, /^a\.kind: /],
    ["an unknown key", { a: { ...slack, channel: "#general" } }, /^a: Unrecognized key: "channel"/],
    ["a name with capitals", { A: slack }, /small letters/],
    ["the name github", { github: slack }, /^github is always there/],
    [
      "an address without TLS",
      { a: { ...slack, url: "http://hooks.slack.com/x" } },
      /^a\.url: must be an https address/,
    ],
    ["an address of a file", { a: { ...slack, url: "file:///etc/passwd" } }, /^a\.url: must be an https address/],
    ["a host that only looks like this machine", { a: { ...slack, url: "http://127.0.0.1.example.com/" } }, /https/],
    ["a user in the address", { a: { ...slack, url: "https://u:p@example.com/" } }, /^a\.url: must hold no user/],
    ["a webhook without a secret", { a: { ...webhook, secret: undefined } }, /^a\.secret: /],
    ["a short secret", { a: { ...webhook, secret: "whsec_c2hvcnQ=" } }, /^a\.secret: must be whsec_/],
    ["a secret of another kind", { a: { ...webhook, secret: "a secret of 24 bytes or more" } }, /whsec_/],
    ["three secrets", { a: { ...webhook, secret: [secret, secret, secret] } }, /^a\.secret: /],
    ["a mail server by HTTP", { a: { ...email, url: "https://mail.example.com" } }, /^a\.url: must be smtps/],
    ["two addresses in one", { a: { ...email, to: ["a@example.com,b@example.com"] } }, /^a\.to\.0: /],
    ["a header in an address", { a: { ...email, from: "a@example.com\r\nBcc: b@example.com" } }, /^a\.from: /],
    ["nobody to write to", { a: { ...email, to: [] } }, /^a\.to: /],
    ["a user without a password", { a: { ...email, user: "ci" } }, /belong together/],
    ["accounts that are nobody", { a: { ...slack, accounts: [] } }, /^a\.accounts: /],
  ])("ChannelsSetting refuses %s by path and rule, and shows no value", (_, channels, rule) => {
    const problem = problemOf(channels);
    expect(problem).toMatch(rule);
    for (const value of [secret, "c2hvcnQ=", "a secret of", "hooks.", "u:p", "passwd"])
      expect(problem).not.toContain(value);
  });
});

describe("secretsOf", () => {
  test("secretsOf names what gives access, and no ordinary word of an address", () => {
    const parsed = ChannelsSetting.parse(
      JSON.stringify({ slack, webhook, email: { ...email, user: "ci", password: "p4ss" } }),
    );
    expect(secretsOf(parsed["slack"]!)).toEqual([slack.url, slack.url, "abcDEF123456abcDEF123456"]);
    expect(secretsOf(parsed["webhook"]!)).toEqual([
      secret,
      secret.slice(6),
      webhook.url,
      webhook.url,
      "t0ken-of-16-chars",
    ]);
    expect(secretsOf(parsed["email"]!)).toEqual(["p4ss"]);
    const bare = ChannelsSetting.parse(JSON.stringify({ a: { ...slack, url: "https://example.com" } }));
    expect(secretsOf(bare["a"]!)).toEqual([]);
  });
});
