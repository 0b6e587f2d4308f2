import { type Token, type TokenHandler, Tokenizer, TokenizerMode } from "parse5";
import { visibleFormulas } from "./diagrams.ts";
import type { HiddenCounts } from "./hidden-counts.ts";
import { blockNames, leavesUncertain, type Page } from "./render-page.ts";

/** The text of a page, block by block; code between back quotes. */
export function pageText(page: Page, { truncated, hidden }: { truncated: boolean; hidden: HiddenCounts }): string {
  const reader = new PageReader(page, truncated, hidden);
  const tokenizer = new Tokenizer({ sourceCodeLocationInfo: false }, reader);
  reader.tokenizer = tokenizer;
  tokenizer.write(page.html, true);
  return reader.text();
}

/** Follows the tokens of the page. Tokens, not a tree: the construction of a tree is not linear on hostile input. */
class PageReader implements TokenHandler {
  tokenizer!: Tokenizer;
  readonly #page: Page;
  readonly #truncated: boolean;
  readonly #hidden: HiddenCounts;
  readonly #done: string[] = [];
  readonly #links: { host: string; from: number }[] = [];
  #line = "";
  #quotes = 0;
  #withheld = false;
  #uncertain = false;

  constructor(page: Page, truncated: boolean, hidden: HiddenCounts) {
    this.#page = page;
    this.#truncated = truncated;
    this.#hidden = hidden;
  }

  text(): string {
    this.#endBlock();
    return this.#done.join("\n").trim();
  }

  onCharacter(token: Token.CharacterToken): void {
    if (!this.#withheld && !this.#uncertain) this.#line += token.chars;
  }

  onWhitespaceCharacter(token: Token.CharacterToken): void {
    this.onCharacter(token);
  }

  onNullCharacter(): void {
    this.#hidden.add("invisible-character", 1);
  }

  onComment(): void {
    this.#hidden.add("html-comment", 1);
  }

  onDoctype(): void {
    this.#hidden.add("html-comment", 1);
  }

  onParseError(error: { code: string }): void {
    if (error.code === "eof-in-tag") this.#hidden.add("html-attribute", 1);
  }

  onEof(): void {
    this.#endBlock();
  }

  onStartTag(tag: Token.TagToken): void {
    const name = tag.tagName;
    if (this.#isUncertain(tag)) return;
    if (name === this.#page.codeTag) {
      this.#code(Number(tag.attrs[0]?.value));
      return;
    }
    this.#hidden.add("html-attribute", tag.attrs.filter((attribute) => attribute.name !== "href").length);
    if (name === "script" || name === "style") this.#withhold(name);
    else if (name === "a")
      this.#links.push({
        host: hostOf(tag.attrs.find((attribute) => attribute.name === "href")?.value ?? ""),
        from: this.#line.length,
      });
    else if (name === "img") this.#line += "[image]";
    else if (name === "td" || name === "th") this.#line += this.#line.trim() === "" ? "" : " | ";
    else if (blockNames.has(name)) this.#endBlock();
    if (name === "blockquote") this.#quotes++;
  }

  onEndTag(tag: Token.TagToken): void {
    const name = tag.tagName;
    if (this.#isUncertain(tag)) return;
    if (name === "script" || name === "style") this.#withheld = false;
    else if (name === "a") this.#endLink();
    else if (blockNames.has(name)) this.#endBlock();
    if (name === "blockquote") this.#quotes = Math.max(0, this.#quotes - 1);
  }

  /** What stands behind a tag whose end is uncertain is not read. */
  #isUncertain(tag: Token.TagToken): boolean {
    if (!this.#uncertain && leavesUncertain(this.#page.codeTag, tag)) {
      this.#uncertain = true;
      this.#hidden.add("html-attribute", 1);
    }
    return this.#uncertain;
  }

  #withhold(name: "script" | "style"): void {
    this.tokenizer.state = name === "script" ? TokenizerMode.SCRIPT_DATA : TokenizerMode.RAWTEXT;
    this.#withheld = true;
    this.#hidden.add(name, 1);
  }

  #endLink(): void {
    const link = this.#links.pop();
    if (link === undefined || link.host === "") return;
    if (!this.#line.slice(link.from).toLowerCase().includes(link.host)) this.#line += ` (${link.host})`;
  }

  #code(index: number): void {
    const code = this.#page.code[index];
    if (code === undefined || this.#withheld) return;
    const value = code.value.replace(
      forbidden,
      (character) =>
        `\\u{${(character === this.#page.nul ? 0 : character.codePointAt(0)!).toString(16).toUpperCase()}}`,
    );
    const fence = "`".repeat(Math.max(code.block ? 3 : 1, longestRun(value) + 1));
    if (code.block) {
      this.#endBlock();
      this.#done.push(`${fence}\n${value}\n${fence}`);
      return;
    }
    const room = value.startsWith("`") || value.endsWith("`") ? " " : "";
    this.#keepText();
    this.#kept += `${fence}${room}${value}${room}${fence}`;
  }

  /** Text of this block that is final: code must not be filtered again. */
  #kept = "";

  #keepText(): void {
    const text = visibleFormulas(this.#line, this.#truncated, this.#hidden);
    this.#kept += text.replace(forbidden, () => {
      this.#hidden.add("invisible-character", 1);
      return "";
    });
    this.#line = "";
    for (const link of this.#links) link.from = 0;
  }

  #endBlock(): void {
    this.#keepText();
    const text = this.#kept.trim();
    this.#kept = "";
    if (text === "") return;
    const quote = "> ".repeat(Math.min(this.#quotes, 8));
    this.#done.push(quote === "" ? text : text.replace(/^/gm, quote));
  }
}

// Tabs and line ends are the only controls that survive.
const forbidden = /[\p{Default_Ignorable_Code_Point}\p{Co}\p{Cs}]|(?![\t\n])\p{Cc}/gu;

function longestRun(value: string): number {
  let longest = 0;
  for (const [run] of value.matchAll(/`+/g)) longest = Math.max(longest, run.length);
  return longest;
}

/** The host that a link leads to, without user name and port; empty for links within the site, `mailto` for addresses. */
function hostOf(destination: string): string {
  const match = /^[\s\p{Cc}]*(?:([a-z][a-z0-9+.-]*):)?(?:[/\\]{2}(?:[^/\\?#@]*@)?([^/\\?#:@]*))?/iu.exec(destination);
  const [, scheme = "", host = ""] = match ?? [];
  if (host !== "")
    return host
      .slice(0, 253)
      .toLowerCase()
      .replace(/[^a-z0-9.-]/g, "?");
  return scheme === "" ? "" : scheme.slice(0, 20).toLowerCase();
}
