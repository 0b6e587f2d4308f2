import { describe, expect, test } from "vitest";
import { fitNotice, Notice } from "../../src/notify/notice.ts";
import { notice } from "./sample-notice.ts";

describe("fitNotice", () => {
  test("fitNotice leaves a notice alone that is within its limits", () => {
    expect(fitNotice(notice)).toEqual(notice);
  });

  test("fitNotice cuts what is too long, at whole characters, and makes one line of what has to be one", () => {
    const long = fitNotice({
      ...notice,
      title: `a title\r\nBcc: somebody@example.com\u2028\u0000${"😀".repeat(200)}`,
      text: `${"x".repeat(7_998)}😀\ud800\u0007\u001b[31mred`,
      facts: Array.from({ length: 30 }, (_, at) => ({ name: `n${at}\n`, value: "v\n".repeat(600) })),
    });
    expect(Notice.parse(long)).toEqual(long);
    expect(long.title).toMatch(/^a title Bcc: somebody@example\.com 😀+…$/u);
    expect(long.text).toBe(`${"x".repeat(7_998)}…`);
    expect(long.facts).toHaveLength(20);
    expect(long.facts[0]).toEqual({ name: "n0", value: `${"v ".repeat(249)}v…` });
    expect(fitNotice({ ...notice, title: "\u0000" }).title).toBe("acme/mill");
  });
});
