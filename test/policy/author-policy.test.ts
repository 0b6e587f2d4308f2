import { describe, expect, test } from "vitest";
import { mayAct } from "../../src/policy/author-policy.ts";

const member = { login: "someone", type: "User", permission: "write", isOwnApp: false };
const members = { authors: "members" as const, bots: [] };

describe("mayAct", () => {
  test.each(["none", "read", "triage", "write", "maintain", "admin", ""])(
    "mayAct decides for a person with the permission %j",
    (permission) => {
      const answer = mayAct({ ...member, permission }, members);
      expect(answer.allowed).toBe(["write", "maintain", "admin"].includes(permission));
      expect(mayAct({ ...member, permission }, { ...members, authors: "all" }).allowed).toBe(true);
    },
  );

  test.each(["Bot", "Organization", "Mannequin", ""])("mayAct takes a %s for a bot, whatever it may write", (type) => {
    const bot = { ...member, login: "Renovate[bot]", type, permission: "admin" };
    expect(mayAct(bot, { authors: "all", bots: ["dependabot"] }).allowed).toBe(false);
    expect(mayAct(bot, { authors: "members", bots: ["renovate"] }).allowed).toBe(true);
    expect(mayAct(bot, { authors: "members", bots: ["renovate[bot]"] }).allowed).toBe(true);
    expect(mayAct({ ...bot, login: "renovate-fork[bot]" }, { authors: "members", bots: ["renovate"] }).allowed).toBe(
      false,
    );
  });

  test("mayAct does not take a person for a bot of the same name", () => {
    const person = { ...member, login: "renovate", permission: "read" };
    expect(mayAct(person, { authors: "members", bots: ["renovate"] }).allowed).toBe(false);
  });

  test("mayAct always acts on our own App's pull requests", () => {
    const own = { login: "millwright[bot]", type: "Bot", permission: "none", isOwnApp: true };
    expect(mayAct(own, members)).toEqual({ allowed: true });
  });
});
