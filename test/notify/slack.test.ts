import { describe, expect, test } from "vitest";
import { fitNotice } from "../../src/notify/notice.ts";
import { slackMessage } from "../../src/notify/slack.ts";
import { hostile, notice } from "./sample-notice.ts";

type Text = { type: string; text: string; verbatim?: boolean };
type Block = { type: string; text?: Text; fields?: Text[]; elements?: Text[] };

function blocksOf(of = notice): Block[] {
  return slackMessage(of).blocks as Block[];
}

const textsOf = (blocks: Block[]): Text[] =>
  blocks.flatMap(({ text, fields, elements }) => [...(text ? [text] : []), ...(fields ?? []), ...(elements ?? [])]);

describe("slackMessage", () => {
  test("slackMessage shows title, text, facts and one link in Slack's own marks", () => {
    expect(blocksOf()).toEqual([
      {
        type: "header",
        text: { type: "plain_text", text: "🔴 The check test fails on pull request 7", emoji: false },
      },
      {
        type: "section",
        text: {
          type: "mrkdwn",
          text: "The test `adds` expects *3* and gets 4.\n\n- tried twice\n- not flaky",
          verbatim: true,
        },
      },
      {
        type: "section",
        text: {
          type: "mrkdwn",
          text: "```\nexpect(add(1, 2)).toBe(3);\n  at add.test.ts:4\n```",
          verbatim: true,
        },
      },
      { type: "section", text: { type: "mrkdwn", text: "A person has to decide.", verbatim: true } },
      {
        type: "section",
        fields: [
          { type: "mrkdwn", text: "*Check*\ntest", verbatim: true },
          { type: "mrkdwn", text: "*Commit*\n0123456789abcdef0123456789abcdef01234567", verbatim: true },
        ],
      },
      {
        type: "context",
        elements: [
          {
            type: "mrkdwn",
            text: "<https://github.com/acme/mill/pull/7/checks?check_run_id=12&amp;pr=7|Open on GitHub> · acme/mill",
            verbatim: true,
          },
        ],
      },
    ]);
    expect(slackMessage(notice).text).toBe("🔴 The check test fails on pull request 7 (acme/mill)");
  });

  test("slackMessage lets nothing mention anybody or be a link but the notice's own", () => {
    const message = slackMessage({
      ...notice,
      title: hostile.slice(0, 60),
      text: hostile,
      url: "https://github.com/a|<!here>",
      facts: [{ name: "<!here>", value: "<@U1> & <https://evil.example|x>" }],
    });
    const texts = textsOf(message.blocks as Block[]);
    // A header is plain text: marks mean nothing there.
    for (const { text, type, verbatim } of texts.filter(({ type }) => type !== "plain_text")) {
      expect(type).toBe("mrkdwn");
      expect(verbatim).toBe(true);
      const controls = text.match(/<[^>]*>?/g) ?? [];
      expect(controls.every((control) => control === "<https://github.com/a%7C%3C!here%3E|Open on GitHub>")).toBe(true);
    }
    expect(message.text).not.toMatch(/[<>]/);
    const inCode = texts.filter(({ text }) => text.startsWith("```"));
    for (const { text } of inCode) expect(text.slice(3, -3)).not.toContain("```");
  });

  test("slackMessage stays within Slack's limits whatever it is given", () => {
    const facts = Array.from({ length: 40 }, (_, at) => ({ name: `<${at}>`.padEnd(60, "&"), value: "<".repeat(500) }));
    const texts = [
      "&".repeat(8_000),
      `\`\`\`\n${"<😀".repeat(2_600)}\n\`\`\``,
      Array.from({ length: 4_000 }, () => "&").join("\n"),
      Array.from({ length: 700 }, (_, at) => `\`\`\`\n${at}\n\`\`\``).join("\n"),
    ];
    for (const text of texts) {
      const blocks = blocksOf(fitNotice({ ...notice, title: "&".repeat(300), text, facts }));
      expect(blocks.length).toBeLessThanOrEqual(50);
      expect(blocks[0]?.text?.text.length).toBeLessThanOrEqual(150);
      for (const { text: shown, fields = [] } of blocks) {
        if (shown !== undefined) expect(shown.text.length).toBeLessThanOrEqual(3_000);
        expect(fields.length).toBeLessThanOrEqual(10);
        for (const field of fields) expect(field.text.length).toBeLessThanOrEqual(2_000);
      }
      for (const { text: shown } of textsOf(blocks).slice(1)) {
        expect(shown.length).toBeGreaterThan(0);
        expect(shown).not.toMatch(/&(?!(?:amp|lt|gt);)/);
        expect(shown.isWellFormed()).toBe(true);
      }
    }
  });
});
