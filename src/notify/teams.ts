import type { Channel } from "./channel.ts";
import { type Notice, signs } from "./notice.ts";
import { postJson } from "./post-json.ts";
import { textParts, type Word } from "./text-parts.ts";

/**
 * Teams refuses messages of about 28 KB, counted with what it makes of them itself, so a card keeps away from it.
 * https://learn.microsoft.com/connectors/teams/#known-issues-and-limitations-with-actions
 */
const maxBytes = 24_000;

/**
 * A workflow of Teams that posts what its webhook gets, from the template "Send webhook alerts to a channel". It answers 202
 * before it posts. https://support.microsoft.com/office/create-incoming-webhooks-with-workflows-for-microsoft-teams-8ae491c7-0394-4861-ba59-055e33f75498
 */
export function createTeamsChannel({ url }: { url: string }): Channel {
  return {
    kind: "teams",
    send: (notice, { signal }) => postJson(url, JSON.stringify(teamsMessage(notice)), { signal }),
  };
}

interface TextBlock {
  type: "RichTextBlock";
  inlines: object[];
  spacing?: "None" | "Medium";
}

/**
 * The notice as an Adaptive Card, within the limit. It is written in text runs alone, which know no Markdown, so that nothing
 * in it is a link. https://adaptivecards.microsoft.com/?topic=TextRun
 */
export function teamsMessage(notice: Notice): object {
  const { facts, repository, severity, title, url } = notice;
  const head = [
    block([{ ...run(`${signs[severity]} ${title}`), size: "Large", weight: "Bolder" }]),
    block([{ ...run(repository), isSubtle: true }], "None"),
    ...facts.map(({ name, value }) => block([{ ...run(`${name}: `), weight: "Bolder" }, run(value)], "None")),
  ];
  const lines = textParts(notice.text).flatMap((part) =>
    part.kind === "code" ? part.lines.map((line) => code(line)) : part.lines.map((words) => styled(words)),
  );
  const whole = cardOf([...head, ...lines], url);
  if (bytesOf(whole) <= maxBytes) return whole;
  const end = block([run("…")]);
  const shown: TextBlock[] = [];
  let bytes = bytesOf(cardOf([...head, end], url));
  for (const line of lines) {
    bytes += bytesOf(line) + 1;
    if (bytes > maxBytes) break;
    shown.push(line);
  }
  return cardOf([...head, ...shown, end], url);
}

function cardOf(body: TextBlock[], url: string): object {
  const content = {
    $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
    type: "AdaptiveCard",
    version: "1.5",
    msteams: { width: "Full" },
    body,
    actions: [{ type: "Action.OpenUrl", title: "Open on GitHub", url }],
  };
  const contentType = "application/vnd.microsoft.card.adaptive";
  return { type: "message", attachments: [{ contentType, contentUrl: null, content }] };
}

function block(inlines: object[], spacing?: TextBlock["spacing"]): TextBlock {
  return { type: "RichTextBlock", inlines, ...(spacing === undefined ? {} : { spacing }) };
}

function run(text: string): { type: "TextRun"; text: string } {
  return { type: "TextRun", text };
}

/** A card joins its blocks without a line between them, so an empty line keeps one. */
function styled(words: Word[]): TextBlock {
  if (words.length === 0) return block([run(" ")], "None");
  const styles = { plain: {}, bold: { weight: "Bolder" }, code: { fontType: "Monospace" } };
  return block(
    words.map(({ text, style }) => ({ ...run(text), ...styles[style] })),
    "None",
  );
}

function code(line: string): TextBlock {
  // Spaces at the beginning of a line would be lost.
  const indented = line.replace(/^[ \t]+/, (spaces) => "\u00a0".repeat(spaces.length));
  return block([{ ...run(indented === "" ? " " : indented), fontType: "Monospace" }], "None");
}

function bytesOf(json: object): number {
  return Buffer.byteLength(JSON.stringify(json));
}
