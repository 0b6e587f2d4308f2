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

  #children(node: Parents): void {
    const children = node.children as RootContent[];
    for (const [index, child] of children.entries()) this.#node(child, children, index);
  }

  #node(node: Nodes, siblings: RootContent[] | undefined, index: number): void {
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
        this.#html(node.value);
        return;
      case "inlineCode":
        this.#inlineCode(node.value, siblings, index);
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
    const children = item.children as RootContent[];
    for (const [index, child] of children.entries()) {
      if (index === 0 && child.type === "paragraph") this.#children(child);
      else this.#node(child, children, index);
    }
    this.#write("</li>");
  }

  #html(value: string): void {
    this.#htmlSeen++;
    this.#write(
      value.replace(filteredTag, (tag, slash: string, name: string) => {
        const lower = name.toLowerCase();
        const closedLater = (this.#lastClose.get(lower) ?? 0) >= this.#htmlSeen;
        const withContent = lower === "script" || lower === "style";
        return withContent && (slash === "/" || closedLater) ? tag : `&lt;${tag.slice(1)}`;
      }),
    );
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

// https://github.github.com/gfm/#disallowed-raw-html-extension-: shown as text by GitHub.
const filteredTag = /<(\/?)(title|textarea|style|xmp|iframe|noembed|noframes|script|plaintext)(?=[\s/>]|$)/gi;

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
