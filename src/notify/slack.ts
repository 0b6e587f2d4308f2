import type { Channel } from "./channel.ts";
import { cut, type Notice, signs } from "./notice.ts";
import { postJson } from "./post-json.ts";
import { type TextPart, textParts, type Word } from "./text-parts.ts";

// https://docs.slack.dev/reference/block-kit/blocks and …/composition-objects/text-object
const limits = { blocks: 50, text: 3_000, header: 150, fields: 10, field: 2_000 };

/** An incoming webhook of Slack. https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks */
export function createSlackChannel({ url }: { url: string }): Channel {
  return {
    kind: "slack",
    send: (notice, { signal }) => postJson(url, JSON.stringify(slackMessage(notice)), { signal }),
  };
}

/** The notice as blocks, within Slack's limits. Nothing in it can mention anybody or become a link but the notice's address. */
export function slackMessage(notice: Notice): { text: string; blocks: object[] } {
  const title = `${signs[notice.severity]} ${notice.title}`;
  const fields = notice.facts.map(({ name, value }) => {
    const head = `*${escaped(name)}*\n`;
    return mrkdwn(head + cutEscaped(value, limits.field - head.length));
  });
  const around = [
    { type: "header", text: { type: "plain_text", text: cut(title, limits.header), emoji: false } },
    ...chunked(fields, limits.fields).map((some) => ({ type: "section", fields: some })),
    { type: "context", elements: [mrkdwn(`${link(notice.url, "Open on GitHub")} · ${escaped(notice.repository)}`)] },
  ];
  const texts = sectionsOf(textParts(notice.text)).map((text) => ({ type: "section", text: mrkdwn(text) }));
  const room = limits.blocks - around.length;
  const shown = texts.length <= room ? texts : [...texts.slice(0, room - 1), { type: "section", text: mrkdwn("…") }];
  return { text: escaped(`${title} (${notice.repository})`), blocks: [around[0]!, ...shown, ...around.slice(1)] };
}

/** `verbatim`: names of channels and people and addresses in the text stay text. */
function mrkdwn(text: string): object {
  return { type: "mrkdwn", text, verbatim: true };
}

/** Texts of sections, each within the limit; code that is longer goes on in a block of its own. */
function sectionsOf(parts: TextPart[]): string[] {
  return parts.flatMap((part) => {
    const lines =
      part.kind === "code" ? part.lines.map((line) => codeLine(line)) : part.lines.map((words) => styled(words));
    const [open, close] = part.kind === "code" ? ["```\n", "\n```"] : ["", ""];
    return packed(lines, limits.text - open.length - close.length)
      .map((text) => (part.kind === "code" ? open + text + close : text.trim()))
      .filter((text) => text !== "");
  });
}

/** Lines joined to texts of at most `length` characters; a longer line is cut. */
function packed(lines: string[], length: number): string[] {
  const texts: string[] = [];
  for (const line of lines) {
    const fitting = line.length <= length ? line : cutEscaped(unescaped(line), length);
    const last = texts.at(-1);
    if (last !== undefined && last.length + 1 + fitting.length <= length)
      texts[texts.length - 1] = `${last}\n${fitting}`;
    else texts.push(fitting);
  }
  return texts;
}

function styled(words: Word[]): string {
  const marks = { plain: "", bold: "*", code: "`" };
  return words.map(({ text, style }) => marks[style] + escaped(text) + marks[style]).join("");
}

/** Three back quotes would end the block. */
function codeLine(line: string): string {
  return escaped(line.replace(/`(?=``)/g, "`\u200b"));
}

// https://docs.slack.dev/messaging/formatting-message-text#escaping
function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function unescaped(text: string): string {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

/** Escaped, and short enough with that; no entity is cut in two. */
function cutEscaped(text: string, length: number): string {
  const whole = escaped(text);
  if (whole.length <= length) return whole;
  return `${whole.slice(0, length - 1).replace(/(?:&[a-z]{0,3}|[\uD800-\uDBFF])$/, "")}…`;
}

function link(url: string, label: string): string {
  return `<${escaped(new URL(url).href.replaceAll("|", "%7C"))}|${label}>`;
}

function chunked<T>(items: T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));
}
