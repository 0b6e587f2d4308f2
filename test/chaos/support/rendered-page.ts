import MarkdownIt, { type StateBlock, type StateInline } from "markdown-it";

/**
 * What a person who looks at the rendered page sees, by another road than the product's: markdown-it instead of
 * micromark, whole HTML instead of a tree, and a reader of our own instead of parse5. It knows nothing of the product.
 * The reader follows GitHub where its rules differ from a browser's (tag filter, `style` and `hidden` without effect).
 */
export function renderedPage(markdown: string): string {
  return pageText(withNotes(renderer.render(markdown.replace(marks, "\uFFFD"), Object.create(null) as Notes)));
}

// Stand around a reference to a footnote (0, 1) and around a footnote (2, its label, 3, its text, 4).
const marks = /[\u{F0000}-\u{F0004}]/gu;

/** Labels of the footnotes that the text has. */
type Notes = Record<string, boolean>;

const renderer = new MarkdownIt({ html: true, linkify: false });
// Destinations are not shown, so nothing is gained by refusing some.
renderer.validateLink = () => true;
renderer.renderer.rules["image"] = () => "<img>";
renderer.renderer.rules["fence"] = (tokens, index) => {
  const { info, content } = tokens[index]!;
  const language = info.trim().split(/\s/)[0]!.toLowerCase();
  if (language === "mermaid") return `<pre>${escaped(diagramLabels(content))}</pre>`;
  if (language === "math") return `<pre>${escaped(formulaText(content))}</pre>`;
  if (["geojson", "topojson", "stl"].includes(language)) return "<pre></pre>";
  return `<pre><code>${escaped(content)}</code></pre>`;
};
renderer.block.ruler.before("reference", "footnote", readNote, { alt: ["paragraph", "reference"] });
renderer.inline.ruler.before("link", "footnote_use", readUse);
// It takes every later comment of a paragraph for text once one `<!…`, `<?…` has no end; GitHub does not.
renderer.inline.ruler.before("html_inline", "fresh_html", (state) => {
  state.skipHtmlSpecial = false;
  return false;
});
renderer.renderer.rules["footnote_use"] = (tokens, index) => `\u{F0000}${tokens[index]!.content}\u{F0001}`;
renderer.renderer.rules["footnote_open"] = (tokens, index) => `\u{F0002}${tokens[index]!.content}\u{F0003}`;
renderer.renderer.rules["footnote_close"] = () => "\u{F0004}";

/** `[^label]: …` with what is indented under it: https://docs.github.com/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax#footnotes */
function readNote(state: StateBlock, startLine: number, endLine: number, silent: boolean): boolean {
  const start = state.bMarks[startLine]! + state.tShift[startLine]!;
  const max = state.eMarks[startLine]!;
  if (state.sCount[startLine]! - state.blkIndent >= 4) return false;
  const mark = /^\[\^([^\]\s]+)\]:/.exec(state.src.slice(start, max));
  if (mark === null) return false;
  if (silent) return true;
  (state.env as Notes)[mark[1]!.toLowerCase()] = true;
  state.push("footnote_open", "", 1).content = mark[1]!.toLowerCase();
  const kept = [
    state.bMarks[startLine]!,
    state.tShift[startLine]!,
    state.sCount[startLine]!,
    state.parentType,
  ] as const;
  let at = start + mark[0].length;
  const from = at;
  while (at < max && /[ \t]/.test(state.src[at]!)) at++;
  state.bMarks[startLine] = from;
  state.tShift[startLine] = at - from;
  state.sCount[startLine] = Math.min(at - from, 3) + state.blkIndent + 4;
  state.blkIndent += 4;
  state.parentType = "footnote" as never;
  state.md.block.tokenize(state, startLine, endLine);
  state.blkIndent -= 4;
  [state.bMarks[startLine], state.tShift[startLine], state.sCount[startLine], state.parentType] = kept;
  state.push("footnote_close", "", -1);
  return true;
}

function readUse(state: StateInline, silent: boolean): boolean {
  const label = /^\[\^([^[\]\s]+)\]/.exec(state.src.slice(state.pos, state.pos + 200))?.[1];
  // A reference to nothing is text. Blocks are read before lines, so all notes are known here.
  if (label === undefined || (state.env as Notes)[label.toLowerCase()] !== true) return false;
  if (!silent) state.push("footnote_use", "", 0).content = label.toLowerCase();
  state.pos += label.length + 3;
  return true;
}

/** Takes the notes out of the page and puts those at its end that something on the page refers to, directly or by another. */
function withNotes(html: string): string {
  const notes = new Map<string, string>();
  let page = html;
  for (;;) {
    const note = /\u{F0002}([^\u{F0003}]*)\u{F0003}([^\u{F0002}\u{F0004}]*)\u{F0004}/u.exec(page);
    if (note === null) break;
    if (!notes.has(note[1]!)) notes.set(note[1]!, note[2]!);
    page = page.slice(0, note.index) + page.slice(note.index + note[0].length);
  }
  const used = new Set<string>();
  const follow = (part: string) => {
    for (const [, label] of part.matchAll(/\u{F0000}([^\u{F0001}]*)\u{F0001}/gu)) {
      const note = notes.get(label!);
      if (note === undefined || used.has(label!)) continue;
      used.add(label!);
      follow(note);
    }
  };
  follow(page);
  const atEnd = [...used].map((label) => `<p>${notes.get(label)!}</p>`).join("");
  return `${page}${atEnd}`.replace(/\u{F0000}[^\u{F0001}]*\u{F0001}/gu, "[n]");
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Of a diagram only the labels of its nodes are seen. */
function diagramLabels(source: string): string {
  const lines = source
    .split("\n")
    .filter((line) => !/^\s*(?:%%|accTitle|accDescr|click|style|classDef|linkStyle)/.test(line));
  return lines
    .flatMap((line) => [...line.replace(/%%.*/, "").matchAll(/\[([^\]]*)\]/g)].map(([, label]) => label))
    .join("\n");
}

/** Of a formula only the words in `\text{…}` are seen, unless a command hides or colours them. */
function formulaText(source: string): string {
  const code = source.replace(/(?<!\\)%.*/g, "");
  if (/\\(?:phantom|vphantom|hphantom|color|textcolor|label|tag|def|newcommand|href)/.test(code)) return "";
  return [...code.matchAll(/\\text\{([^}]*)\}/g)].map(([, text]) => text).join(" ");
}

/** The characters between the tags, read once from left to right as a browser does. */
function pageText(html: string): string {
  let text = "";
  let at = 0;
  let code = 0;
  const add = (shown: string) => (text += code > 0 ? shown.replaceAll("$", "\u{F0000}") : shown);
  while (at < html.length) {
    const open = html.indexOf("<", at);
    if (open === -1) {
      add(unescaped(html.slice(at)));
      break;
    }
    add(unescaped(html.slice(at, open)));
    at = open;
    const rest = html.slice(open);
    if (rest.startsWith("<!--")) {
      const end = /^<!--(?:-?>|[\s\S]*?--!?>)/.exec(rest);
      at = end === null ? html.length : open + end[0].length;
    } else if (/^<(?:[!?]|\/[^a-z])/i.test(rest)) {
      const end = rest.indexOf(">");
      at = end === -1 ? html.length : open + end + 1;
    } else if (/^<\/?[a-z]/i.test(rest)) {
      const tag = readTag(rest);
      if (tag === undefined) break;
      const shownAsText = filtered.has(tag.name) && !closes(rest, tag.name);
      if (shownAsText) {
        text += "<";
        at = open + 1;
      } else if (tag.name === "script" || tag.name === "style") {
        const end = new RegExp(`</${tag.name}[\\s/>]`, "i").exec(rest);
        at = open + (rest[1] === "/" || end === null ? tag.length : end.index);
      } else {
        if (tag.name === "code" || tag.name === "pre") code = Math.max(0, code + (rest[1] === "/" ? -1 : 1));
        text += inline.has(tag.name) ? "" : "\n";
        at = open + tag.length;
      }
    } else {
      text += "<";
      at = open + 1;
    }
  }
  return withoutFormulas(text).replaceAll("\u{F0000}", "$");
}

/** https://github.github.com/gfm/#disallowed-raw-html-extension- : these are text; only whole scripts and styles are taken out. */
const filtered = new Set("title textarea style xmp iframe noembed noframes script plaintext".split(" "));
const inline = new Set("a b i em strong s del code span sub sup kbd u ins mark small".split(" "));

function closes(rest: string, name: string): boolean {
  if (name !== "script" && name !== "style") return false;
  return rest[1] === "/" || new RegExp(`</${name}[\\s/>]`, "i").test(rest);
}

/** A tag with its attributes, read as https://html.spec.whatwg.org/#before-attribute-name-state says; undefined when the page ends in it. */
function readTag(html: string): { name: string; length: number } | undefined {
  const name = /^<\/?([^\s/>]+)/.exec(html)!;
  let state: "before-name" | "name" | "after-name" | "before-value" | "value" | '"' | "'" = "before-name";
  for (let at = name[0].length; at < html.length; at++) {
    const character = html[at]!;
    const space = /\s/.test(character);
    if (state === '"' || state === "'") {
      if (character === state) state = "before-name";
      continue;
    }
    if (character === ">") return { name: name[1]!.toLowerCase(), length: at + 1 };
    if (state === "before-value" && (character === '"' || character === "'")) state = character;
    else if (state === "before-value") state = space ? state : "value";
    else if (state === "value") state = space ? "before-name" : state;
    else if (character === "/") state = "before-name";
    else if (space) state = state === "before-name" ? state : "after-name";
    else if (character === "=" && state !== "before-name") state = "before-value";
    else state = "name";
  }
  return undefined;
}

function unescaped(html: string): string {
  return html.replace(
    /&(?:#(\d+)|#x([\da-f]+)|(lt|gt|amp|quot|nbsp));/gi,
    (whole, decimal: string, hex: string, name: string) => {
      if (name !== undefined) return { lt: "<", gt: ">", amp: "&", quot: '"', nbsp: " " }[name.toLowerCase()] ?? whole;
      const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
      return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    },
  );
}

/** Formulas in running text show what they typeset. */
function withoutFormulas(text: string): string {
  return text
    .replace(/\$\$([^$]+)\$\$/g, (_, formula: string) => `\u{F0001}${formulaText(formula)}\u{F0001}`)
    .replace(/\$([^$\n\u{F0001}]+)\$/gu, (_, formula: string) => formulaText(formula));
}
