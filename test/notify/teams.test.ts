import { describe, expect, test } from "vitest";
import { fitNotice } from "../../src/notify/notice.ts";
import { teamsMessage } from "../../src/notify/teams.ts";
import { hostile, notice } from "./sample-notice.ts";

interface Card {
  version: string;
  body: { type: string; inlines: { type: string; text: string; weight?: string; fontType?: string }[] }[];
  actions: unknown[];
}

function cardOf(of = notice): Card {
  const message = teamsMessage(of) as { type: string; attachments: { contentType: string; content: Card }[] };
  expect(message).toMatchObject({
    type: "message",
    attachments: [{ contentType: "application/vnd.microsoft.card.adaptive", contentUrl: null }],
  });
  return message.attachments[0]!.content;
}

describe("teamsMessage", () => {
  test("teamsMessage is an Adaptive Card 1.5 with the notice in text runs and one link", () => {
    const card = cardOf();
    expect(card).toMatchObject({ type: "AdaptiveCard", version: "1.5" });
    expect(card.actions).toEqual([{ type: "Action.OpenUrl", title: "Open on GitHub", url: notice.url }]);
    expect(card.body.map(({ inlines }) => inlines.map(({ text }) => text).join(""))).toEqual([
      "🔴 The check test fails on pull request 7",
      "acme/mill",
      "Check: test",
      "Commit: 0123456789abcdef0123456789abcdef01234567",
      "The test adds expects 3 and gets 4.",
      " ",
      "- tried twice",
      "- not flaky",
      " ",
      "expect(add(1, 2)).toBe(3);",
      "\u00a0\u00a0at add.test.ts:4",
      " ",
      "A person has to decide.",
    ]);
    expect(card.body[4]?.inlines).toEqual([
      { type: "TextRun", text: "The test " },
      { type: "TextRun", text: "adds", fontType: "Monospace" },
      { type: "TextRun", text: " expects " },
      { type: "TextRun", text: "3", weight: "Bolder" },
      { type: "TextRun", text: " and gets 4." },
    ]);
  });

  test("teamsMessage holds what a stranger wrote in text runs alone, which are no Markdown", () => {
    const fact = { name: hostile.slice(0, 60), value: hostile };
    const card = cardOf({ ...notice, title: hostile, text: hostile, facts: [fact] });
    expect(Object.keys(card).toSorted()).toEqual(["$schema", "actions", "body", "msteams", "type", "version"]);
    expect(card).toMatchObject({ msteams: { width: "Full" } });
    for (const { type, inlines } of card.body) {
      expect(type).toBe("RichTextBlock");
      expect(inlines.length).toBeGreaterThan(0);
      for (const run of inlines) {
        expect(run.type).toBe("TextRun");
        expect(Object.keys(run)).not.toContain("selectAction");
      }
    }
    expect(card.actions).toHaveLength(1);
  });

  test("teamsMessage stays below the size that Teams refuses, and says that something was cut", () => {
    const facts = Array.from({ length: 20 }, () => ({ name: "n".repeat(60), value: "é".repeat(500) }));
    for (const text of ["\n".repeat(7_000), "é\n".repeat(4_000), "é".repeat(8_000)]) {
      const fitting = fitNotice({ ...notice, text: `a${text}z`, facts });
      expect(Buffer.byteLength(JSON.stringify(teamsMessage(fitting)))).toBeLessThanOrEqual(28_000);
      expect(cardOf(fitting).body.at(-1)?.inlines[0]?.text).toBe("…");
    }
  });
});
