import { describe, expect, it } from "vitest";
import { accountServed, mayAnswer, mayTrigger } from "../../src/policy/who-may-trigger.ts";

describe("mayTrigger", () => {
  const permissions = ["none", "read", "triage", "write", "maintain", "admin", "", "owner"];
  const types = ["User", "Bot", "Organization", "Mannequin", "EnterpriseUserAccount", ""];
  it.each(permissions.flatMap((permission) => types.map((actorType) => [permission, actorType] as const)))(
    "decides for permission %j of a %j",
    (permission, actorType) => {
      const answer = mayTrigger({ permission, actorType, login: "someone", isOwnApp: false, allowedBots: [] });
      expect(answer.allowed).toBe(actorType === "User" && ["write", "maintain", "admin"].includes(permission));
    },
  );

  it("allows a bot that the operator listed, and never the App itself", () => {
    const bot = {
      permission: "write",
      actorType: "Bot",
      login: "Renovate[bot]",
      isOwnApp: false,
      allowedBots: ["renovate"],
    };
    expect(mayTrigger(bot).allowed).toBe(true);
    expect(mayTrigger({ ...bot, login: "renovate-fork[bot]" }).allowed).toBe(false);
    expect(mayTrigger({ ...bot, isOwnApp: true }).allowed).toBe(false);
    expect(mayTrigger({ ...bot, actorType: "User", permission: "admin", isOwnApp: true }).allowed).toBe(false);
  });
});

describe("mayAnswer", () => {
  it.each([
    ["the author", { actorType: "User", isAuthor: true, earlierAnswers: 2 }, true],
    ["the author a fourth time", { actorType: "User", isAuthor: true, earlierAnswers: 3 }, false],
    ["someone else", { actorType: "User", isAuthor: false, earlierAnswers: 0 }, false],
    ["a bot that opened the issue", { actorType: "Bot", isAuthor: true, earlierAnswers: 0 }, false],
    ["an unknown count", { actorType: "User", isAuthor: true, earlierAnswers: Number.NaN }, false],
  ])("decides for %s", (_, actor, allowed) => {
    expect(mayAnswer(actor).allowed).toBe(allowed);
  });
});

describe("accountServed", () => {
  it.each([
    ["App's owner by default", "Acme", "acme", [], true],
    ["another by default", "other", "acme", [], false],
    ["a listed one in other case", "OTHER", "acme", ["other"], true],
    ["the App's owner when not listed", "acme", "acme", ["other"], false],
    ["anyone with *", "third", "acme", ["*"], true],
    ["no name", "", "", [], false],
  ])("decides for %s", (_, owner, appOwner, accounts, served) => {
    expect(accountServed({ owner, appOwner, accounts })).toBe(served);
  });
});
