import { expect, test } from "vitest";
import { mentions } from "../../src/notify/mentions.ts";

test("mentions names people and teams once, and leaves out what is no login", () => {
  expect(mentions(["octocat", "@Octocat", "acme/mill-people", " hub-ot "])).toBe("@octocat @acme/mill-people @hub-ot");
  expect(mentions(["", "@", "a b", "x@example.com", "-a", "a/b/c", "a\n@b", "<b>", "acme/"])).toBe("");
});
