import type { fromMarkdown } from "mdast-util-from-markdown";
import { visibleDiagram, visibleFormula } from "./diagrams.ts";
import type { HiddenCounts } from "./hidden-counts.ts";

type Root = ReturnType<typeof fromMarkdown>;
type RootContent = Root["children"][number];
export type Nodes = Root | RootContent;
type Parents = Extract<Nodes, { children: unknown[] }>;
type Table = Extract<Nodes, { type: "table" }>;

/** A page as HTML, in which every piece of code is a tag `<name i=3>` that stands for `code[3]`. */
export interface Page {
  html: string;
  codeTag: string;
  code: { value: string; block: boolean }[];
  /** The character that stands for U+0000, which Markdown would replace. */
  nul: string;
}

/**
 * Writes the tree as HTML with the raw HTML of the source in its place, so that what raw HTML hides across several
 * blocks (an unclosed comment, an attribute with blank lines) is hidden here too. Only what text extraction needs is
 * written. The tag that stands for code is a name that does not occur in the source, so the source cannot forge it.
 */
export function renderPage(
  tree: Nodes,
  source: string,
  { nul, truncated, hidden }: { nul: string; truncated: boolean; hidden: HiddenCounts },
): Page {
  return { ...new Renderer(source, truncated, hidden).page(tree), nul };
}

class Renderer {
  readonly #out: string[] = [];
  readonly #code: Page["code"] = [];
  readonly #codeTag: string;
  readonly #truncated: boolean;
  readonly #hidden: HiddenCounts;
  readonly #definitions = new Map<string, string>();
  readonly #footnotes = new Map<string, Parents>();
  readonly #footnotesUsed: string[] = [];
  readonly #lastClose = new Map<string, number>();
  #htmlSeen = 0;

  constructor(source: string, truncated: boolean, hidden: HiddenCounts) {
    const lower = source.toLowerCase();
    let number = 0;
    while (lower.includes(`code-${number}`)) number++;
    this.#codeTag = `code-${number}`;
    this.#truncated = truncated;
    this.#hidden = hidden;
  }

  page(tree: Nodes): Omit<Page, "nul"> {
    this.#collect(tree, { html: 0 });
    this.#node(tree, undefined, 0);
    this.#writeFootnotes();
    this.#hidden.add("footnote", this.#footnotes.size - this.#footnotesUsed.length);
    return { html: this.#out.join(""), codeTag: this.#codeTag, code: this.#code };
  }

  #collect(node: Nodes, seen: { html: number }): void {
    if (node.type === "definition" && !this.#definitions.has(node.identifier))
      this.#definitions.set(node.identifier, node.url);
    if (node.type === "footnoteDefinition" && !this.#footnotes.has(node.identifier))
      this.#footnotes.set(node.identifier, node);
    if (node.type === "html") {
      seen.html++;
      for (const [, name] of node.value.matchAll(/<\/(script|style)\b/gi))
        this.#lastClose.set(name!.toLowerCase(), seen.html);
    }
    if ("children" in node) for (const child of node.children) this.#collect(child, seen);
  }

  #write(...parts: string[]): void {
    this.#out.push(...parts);
  }

  #element(name: string, node: Parents): void {
    this.#write("<", name, ">");
    this.#children(node);
    this.#write("</", name, ">");
  }

  #children(parent: Parents): void {
    const under = tagsUnderFootnotes(parent.children as RootContent[]);
    for (const index of parent.children.keys()) this.#child(parent, index, under);
  }

  #child(parent: Parents, index: number, tagsUnder: Map<number, string>): void {
    const tag = tagsUnder.get(index);
    if (tag === undefined) {
      this.#node(parent.children[index] as RootContent, parent, index);
      return;
    }
    this.#hidden.add("footnote", 1);
    // Whether it opens something for what follows is as uncertain.
    if (!/^(?:[^<>]|<\/?[a-z][a-z0-9-]*>)*$/i.test(tag)) this.#write("<i ", this.#codeTag, ">");
  }

  #node(node: Nodes, parent: Parents | undefined, index: number): void {
    switch (node.type) {
      case "text":
        this.#write(
          escapeHtml(
            this.#truncated
              ? node.value.replace(/\]\[[^\]]*(?:\]|$)/g, "]").replace(/\[\^[^\]]*(?:\]|$)/g, "")
              : node.value,
          ),
        );
        return;
      case "html":
        this.#html(node.value, parent, index);
        return;
      case "inlineCode":
        this.#inlineCode(node.value, parent?.children as RootContent[] | undefined, index);
        return;
      case "code":
        this.#codeBlock(node.value, node.lang, node.meta);
        return;
      case "break":
        this.#write("<br>");
        return;
      case "thematicBreak":
        this.#write("<hr>");
        return;
      case "link":
        this.#link(node, node.url, node.title);
        return;
      case "linkReference":
        this.#link(node, this.#definitions.get(node.identifier) ?? "", undefined);
        return;
      case "image":
      case "imageReference":
        this.#hidden.add("image-alt", node.alt ? 1 : 0);
        this.#hidden.add("link-title", node.type === "image" && node.title ? 1 : 0);
        this.#write("<img>");
        return;
      case "definition":
        this.#hidden.add("link-definition", 1);
        return;
      case "footnoteReference":
        this.#footnoteReference(node.identifier);
        return;
      case "footnoteDefinition":
      case "yaml":
        return;
      case "heading":
      case "paragraph":
        this.#element("p", node);
        return;
      case "blockquote":
        this.#element("blockquote", node);
        return;
      case "list":
        for (const [position, item] of node.children.entries()) {
          const mark = node.ordered ? `${(node.start ?? 1) + position}. ` : "- ";
          const box = item.checked === true ? "[x] " : item.checked === false ? "[ ] " : "";
          this.#item(mark + box, item);
        }
        return;
      case "table":
        this.#table(node);
        return;
      default:
        if ("children" in node) this.#children(node);
    }
  }

  /** The first paragraph stands on the line of the item's mark. */
  #item(mark: string, item: Parents): void {
    this.#write("<li>", mark);
    const under = tagsUnderFootnotes(item.children as RootContent[]);
    for (const [index, child] of item.children.entries()) {
      if (index === 0 && child.type === "paragraph") this.#children(child);
      else this.#child(item, index, under);
    }
    this.#write("</li>");
  }

  #html(value: string, parent: Parents | undefined, index: number): void {
    this.#htmlSeen++;
    this.#write(
      value.replace(filteredTag, (tag, slash: string, name: string) => {
        const lower = name.toLowerCase();
        const closedLater = (this.#lastClose.get(lower) ?? 0) >= this.#htmlSeen;
        const withContent = lower === "script" || lower === "style";
        return withContent && (slash === "/" || closedLater) ? tag : `&lt;${tag.slice(1)}`;
      }),
    );
    this.#probe(value, parent, index);
  }

  /**
   * A tag behind raw HTML that may have left a tag open, for the reader of the page to notice: see `leavesUncertain`. A
   * piece of a paragraph is a whole tag or comment, unless it also ends a comment or a script.
   */
  #probe(value: string, parent: Parents | undefined, index: number): void {
    const inParagraph = parent !== undefined && !flowParents.has(parent.type);
    const quote = /=\s*["']/.test(value);
    if (inParagraph ? !quote || !/-->|--!>|<\/s/i.test(value) : !quote && /^[^<>]*>$|^<[^<>]*>\s*$/.test(value)) return;
    const ends = inParagraph || parent === undefined || tagFollows(parent, index);
    const name = this.#codeTag;
    this.#write(inParagraph ? "" : "\n", "<", name, ` i="${name}" i='${name}'${ends ? "" : ` ${name}`}>`);
  }

  #inlineCode(value: string, siblings: RootContent[] | undefined, index: number): void {
    const [before, after] = [siblings?.[index - 1], siblings?.[index + 1]];
    const formula =
      before?.type === "text" && before.value.endsWith("$") && after?.type === "text" && after.value.startsWith("$");
    if (formula) this.#write(escapeHtml(visibleFormula(value, this.#hidden)));
    else this.#placeCode(value, false);
  }

  #codeBlock(value: string, lang: string | null | undefined, meta: string | null | undefined): void {
    this.#hidden.add("fence-info", (lang ? 1 : 0) + (meta ? 1 : 0));
    const shown = visibleDiagram(value, (lang ?? "").toLowerCase(), this.#hidden);
    this.#placeCode(shown, true);
  }

  #placeCode(value: string, block: boolean): void {
    this.#write("<", this.#codeTag, ` i=${this.#code.length}>`);
    this.#code.push({ value, block });
  }

  #link(node: Parents, url: string, title: string | null | undefined): void {
    this.#hidden.add("link-title", title ? 1 : 0);
    // Without quotes: those of our own must not end an attribute that raw HTML left open.
    this.#write(
      "<a href=",
      url.slice(0, 2_000).replace(/[^a-z0-9]/gi, (character) => `&#${character.charCodeAt(0)};`),
      ">",
    );
    this.#children(node);
    this.#write("</a>");
  }

  #footnoteReference(identifier: string): void {
    if (!this.#footnotes.has(identifier)) return;
    let number = this.#footnotesUsed.indexOf(identifier) + 1;
    if (number === 0) number = this.#footnotesUsed.push(identifier);
    this.#write(`[${number}]`);
  }

  /** At the end of the page, in the order of their first use; those used only in other footnotes come last. */
  #writeFootnotes(): void {
    for (let index = 0; index < this.#footnotesUsed.length; index++) {
      this.#item(`[${index + 1}] `, this.#footnotes.get(this.#footnotesUsed[index]!)!);
    }
  }

  #table(table: Table): void {
    const columns = table.children[0]?.children.length ?? 0;
    for (const row of table.children) {
      this.#hidden.add("table-cell", Math.max(0, row.children.length - columns));
      this.#write("<tr>");
      for (const cell of row.children.slice(0, columns)) this.#element("td", cell);
      this.#write("</tr>");
    }
  }
}

/**
 * Whether a tag swallowed the probe for a tag that raw HTML left open, and nobody can say where GitHub's page ends that
 * tag. In a quoted value it depends on each quotation mark of the HTML that GitHub writes for what follows; in a tag, on
 * whether GitHub writes another tag first: a paragraph of a list may have none. The name cannot be forged.
 */
export function leavesUncertain(
  codeTag: string,
  tag: { tagName: string; attrs: readonly { name: string }[] },
): boolean {
  return (
    tag.tagName !== codeTag &&
    tag.attrs.some(({ name }) => name === `${codeTag}"` || name === `${codeTag}'` || name === codeTag)
  );
}

const flowParents: ReadonlySet<string> = new Set(["root", "blockquote", "listItem", "footnoteDefinition"]);

/** Whether the page has a tag of GitHub's own right behind this child: of the next block, or the end of the parent's. */
function tagFollows(parent: Parents, index: number): boolean {
  const next = (parent.children as RootContent[])
    .slice(index + 1)
    .find(({ type }) => type !== "definition" && type !== "footnoteDefinition");
  if (next === undefined) return true;
  return next.type !== "html" && !(next.type === "paragraph" && parent.type === "listItem");
}

/**
 * Children that stand right under a footnote without a blank line and begin with a tag, with the tag's HTML: CommonMark
 * reads them as the footnote's text, because such a tag may not interrupt a paragraph; micromark as a text behind it.
 */
function tagsUnderFootnotes(siblings: RootContent[]): Map<number, string> {
  const found = new Map<number, string>();
  for (const [index, node] of siblings.entries()) {
    const before = siblings[index - 1];
    if (before === undefined || startLine(node) !== endLine(before) + 1) continue;
    const tag = before.type === "footnoteDefinition" ? lastHtml([...before.children, node]) : found.get(index - 1);
    const name = /^<\/?([a-z][a-z0-9-]*)/i.exec(tag ?? "")?.[1]?.toLowerCase();
    if (tag !== undefined && name !== undefined && !blockNames.has(name)) found.set(index, tag);
  }
  return found;
}

/** Of a footnote's text and what stands under it: micromark counts only the line of the tag as the footnote's. */
function lastHtml(nodes: RootContent[]): string | undefined {
  const html = nodes.slice(-2).find(({ type }) => type === "html");
  return html?.type === "html" ? html.value : undefined;
}

function startLine(node: RootContent): number {
  return node.position?.start.line ?? 0;
}

/** Of the last text in it: what contains others may end with blank lines. */
function endLine(node: Nodes): number {
  const last = node.type === "footnoteDefinition" ? node.children.at(-1) : undefined;
  return (last ?? node).position?.end.line ?? 0;
}

/** Elements whose tags begin a new line of text. */
export const blockNames: ReadonlySet<string> = new Set(
  "address article aside blockquote br caption center dd details dialog div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr legend li main nav ol option p pre section summary table tbody tfoot thead tr ul".split(
    " ",
  ),
);

// https://github.github.com/gfm/#disallowed-raw-html-extension-: shown as text by GitHub.
const filteredTag = /<(\/?)(title|textarea|style|xmp|iframe|noembed|noframes|script|plaintext)(?=[\s/>]|$)/gi;

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
