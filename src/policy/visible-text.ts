import { fromMarkdown } from "mdast-util-from-markdown";
import { gfmFromMarkdown } from "mdast-util-gfm";
import { gfm } from "micromark-extension-gfm";
import { beforeUncertain } from "./visible/before-uncertain.ts";
import { HiddenCounts } from "./visible/hidden-counts.ts";
import { pageText } from "./visible/page-text.ts";
import { type Nodes, renderPage } from "./visible/render-page.ts";
import { withinBudget } from "./visible/within-budget.ts";

export interface VisibleText {
  /** What a reader of the rendered page sees: plain text with code in back quotes. */
  text: string;
  /** What was left out, by kind, in alphabetical order. */
  hidden: { kind: string; count: number }[];
  /** Whether the end is missing because of the size or the cost of reading it. */
  truncated: boolean;
}

/** GitHub's own limit for the body of an issue or a comment, in characters. */
const maxCharacters = 65_536;

/**
 * What a person who reads this Markdown on GitHub sees, and nothing else: the only way from a stranger's text to a
 * prompt (security.md M5). Comments, attributes, titles, alternative texts, link definitions, fence infos, surplus
 * table cells, unreferenced footnotes, comments in diagrams and formulas and invisible characters are left out, link
 * destinations are reduced to their host. Code stays byte for byte (line ends as `\n`), except that forbidden characters are
 * shown as `\u{200B}`. GitHub strips `hidden` and `style`, so what they would hide is visible and kept.
 *
 * Pure, deterministic and bounded: it reads at most 65,536 characters and less where Markdown is costly to parse
 * (deep nesting, very many brackets); it returns at most `maxBytes` bytes of UTF-8 and never throws.
 */
export function visibleText(markdown: string, { maxBytes = 65_536 }: { maxBytes?: number } = {}): VisibleText {
  const hidden = new HiddenCounts();
  const head = markdown.slice(0, maxCharacters).replace(/\r\n?/g, "\n");
  const source = withinBudget(head, markdown.length > maxCharacters);
  const certain = beforeUncertain(source.text);
  const isWhole = !source.truncated && certain.length === source.text.length;
  if (certain.length < source.text.length) hidden.add("uncertain list", 1);
  const text = readable(certain, !isWhole, hidden);
  const cut = cutBytes(text, maxBytes);
  return { text: cut, hidden: hidden.list(), truncated: !isWhole || cut.length < text.length };
}

/**
 * A block for a prompt: the value as JSON between tags that name it. `<`, and everything that is not plainly visible,
 * is escaped, so that no value can close the block or look like another one.
 */
export function asData(label: string, value: unknown): string {
  const name = label.replace(/[^\w./ -]/gu, "_").slice(0, 200);
  const json = (JSON.stringify(value, undefined, 1) ?? "null").replace(/[<>\u2028\u2029]|[^\P{C}\n]/gu, escapeJson);
  return `<data name="${name}">\n${json}\n</data>`;
}

function escapeJson(character: string): string {
  return Array.from(
    { length: character.length },
    (_, index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`,
  ).join("");
}

function readable(source: string, truncated: boolean, hidden: HiddenCounts): string {
  try {
    const [nul = ""] = unusedCharacters(source, 1);
    const tree = parse(source.replaceAll("\0", nul), nul);
    return pageText(renderPage(tree, source, { nul, truncated, hidden }), { truncated, hidden });
  } catch {
    // The parsers are not ours; a text that breaks one of them is withheld as a whole rather than passed unread.
    hidden.add("unreadable", 1);
    return "";
  }
}

// Emphasis, setext headings and literal links change no word, but are slow to resolve on hostile input.
const withoutCostlyStyle = {
  disable: {
    null: ["attention", "strikethrough", "setextUnderline", "wwwAutolink", "protocolAutolink", "emailAutolink"],
  },
};
// The transforms find literal e-mail addresses by a regular expression that is not linear.
const nodes = gfmFromMarkdown().map(({ transforms: _, ...extension }) => extension);

function parse(source: string, taken: string): Nodes {
  const [closing, slash, backslash, opening] = unusedCharacters(source + taken, 4) as [string, string, string, string];
  const mended = source
    // micromark 4 overlooks the end of a CDATA section after a third bracket, and takes what follows for raw HTML.
    .replace(/\](?=\]\]>)/g, closing)
    // It takes a tag for text when the value of an attribute without quotes has a slash, and shows what the tag hides.
    .replace(/=[\s>]*[^\s"'=<>`]+/g, (value) => value.replaceAll("/", slash))
    // It takes a footnote for text when its label has a backslash or a bracket, which GitHub takes as they are.
    .replace(/^[\t >*+.)\d-]*\[\^[^\]\s]+(?=\]:)/gm, (start) => {
      const label = start.indexOf("[^") + 2;
      return start.slice(0, label) + start.slice(label).replaceAll("\\", backslash).replaceAll("[", opening);
    });
  const tree = fromMarkdown(mended, { extensions: [gfm(), withoutCostlyStyle], mdastExtensions: nodes });
  if (mended !== source) restore(tree, { [closing]: "]", [slash]: "/", [backslash]: "\\", [opening]: "[" });
  return tree;
}

function restore(node: Nodes, marks: Record<string, string>): void {
  const texts = node as unknown as Record<string, unknown>;
  const pattern = new RegExp(Object.keys(marks).join("|"), "g");
  for (const key of ["value", "url", "title", "alt", "lang", "meta", "identifier"]) {
    const text = texts[key];
    if (typeof text === "string") texts[key] = text.replace(pattern, (mark) => marks[mark]!);
  }
  if ("children" in node) for (const child of node.children) restore(child, marks);
}

/** Private-use characters that do not occur in the text, so that each can stand for another character. */
function unusedCharacters(text: string, count: number): string[] {
  const used = new Set(text);
  const unused: string[] = [];
  for (let code = 0xe000; code <= 0xf8ff && unused.length < count; code++)
    if (!used.has(String.fromCharCode(code))) unused.push(String.fromCharCode(code));
  // Beyond the Unicode range that a person writes in, there are more; a text of 65,536 characters cannot use them all.
  for (let code = 0xf0000; unused.length < count; code++)
    if (!used.has(String.fromCodePoint(code))) unused.push(String.fromCodePoint(code));
  return unused;
}

function cutBytes(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text;
  return Buffer.from(text)
    .subarray(0, Math.max(0, maxBytes))
    .toString("utf8")
    .replace(/\uFFFD+$/u, "");
}
