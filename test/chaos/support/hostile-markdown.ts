import fc from "fast-check";

/** A piece of text that no generated document has otherwise, so that it can be looked for. */
export interface Canary {
  /** Letters and digits that survive every kind of rendering. */
  word: string;
  /** Whether a reader sees it; undefined where only a renderer can tell. */
  visible: boolean | undefined;
}

export interface HostileMarkdown {
  markdown: string;
  canaries: Canary[];
}

/** What a document is made of, before its canaries have their words: each call gives another word. */
interface Draw {
  (visible: boolean | undefined): string;
  /** A name for a reference that nothing else has. */
  label(): string;
}
type Piece = (draw: Draw) => string;

/** Text with every place for words in it, well formed: what is seen is known. */
export const wellFormed = (): fc.Arbitrary<HostileMarkdown> =>
  fc.array(block(3, false), { minLength: 1, maxLength: 6 }).map(document);

/** Likewise with constructs that are opened and not closed, closed and not opened: only a renderer can tell. */
export const broken = (): fc.Arbitrary<HostileMarkdown> =>
  fc.array(block(3, true), { minLength: 1, maxLength: 8 }).map(document);

function document(blocks: Piece[]): HostileMarkdown {
  const canaries: Canary[] = [];
  const word = (visible: boolean | undefined) => {
    const word = `q${(canaries.length + 1).toString(36)}z${visible === true ? "see" : visible === false ? "hid" : "any"}q`;
    canaries.push({ word, visible });
    return word;
  };
  let labels = 0;
  const draw: Draw = Object.assign(word, { label: () => `l${++labels}` });
  return { markdown: blocks.map((piece) => piece(draw)).join("\n\n"), canaries };
}

const entities = (text: string) => Array.from(text, (character) => `&#${character.charCodeAt(0)};`).join("");
const tags = (text: string) =>
  Array.from(text, (character) => String.fromCodePoint(0xe0000 + character.charCodeAt(0))).join("");
const selectors = (text: string) =>
  Array.from(text, (character) => String.fromCodePoint(0xe0100 + character.charCodeAt(0))).join("");
const sprinkled = (text: string) => Array.from(text).join("\u200b");

const visibleInline: Piece[] = [
  (draw) => draw(true),
  (draw) => `**${draw(true)}**`,
  (draw) => `_${draw(true)}_`,
  (draw) => `~~${draw(true)}~~`,
  (draw) => `\`${draw(true)}\``,
  (draw) => `\`\` ${draw(true)} \` <!-- ${draw(true)} --> \`\``,
  (draw) => `[${draw(true)}](https://host.example/path)`,
  (draw) => `<https://host.example/${draw(true)}>`,
  (draw) => `<b>${draw(true)}</b>`,
  (draw) => `<span hidden style="display:none">${draw(true)}</span>`,
  (draw) => `<sup>${draw(true)}</sup>`,
  (draw) => entities(draw(true)),
  (draw) => `<i>${entities(draw(true))}</i>`,
  (draw) => sprinkled(draw(true)),
  (draw) => `\\<!-- ${draw(true)} --\\>`,
  (draw) => `&lt;!-- ${draw(true)} --&gt;`,
  (draw) => `[${draw(true)}][nowhere]`,
  (draw) => ` $\\text{${draw(true)}}$ `,
  (draw) =>
    `[outer **${draw(true)}** ![${draw(false)}](a.png) \`${draw(true)}\`](https://host.example/ "${draw(false)}")`,
];

const hiddenInline: Piece[] = [
  (draw) => `<!-- ${draw(false)} -->`,
  (draw) => `<!-- ${draw(false)} > ${draw(false)} -->`,
  (draw) => `<b title="${draw(false)}">x</b>`,
  (draw) => `<b title='> ${draw(false)}'>x</b>`,
  (draw) => `<b ${draw(false)}>x</b>`,
  (draw) => `<b title=${draw(false)}>x</b>`,
  (draw) => `<b title="${entities(draw(false))}">x</b>`,
  (draw) => `![${draw(false)}](a.png)`,
  (draw) => `![alt](${draw(false)}.png "${draw(false)}")`,
  (draw) => `![a **${draw(false)}** \`${draw(false)}\`](a.png)`,
  (draw) => `[x](https://host.example/${draw(false)}?${draw(false)}#${draw(false)} "${draw(false)}")`,
  (draw) => `[x](<https://host.example/${draw(false)}> '${draw(false)}')`,
  (draw) => `[x](https://${draw(false)}@host.example/)`,
  (draw) => `[x](data:text/plain,${draw(false)})`,
  (draw) => `<a href="https://host.example/${draw(false)}">x</a>`,
  (draw) => `<img src="x.png" alt="${draw(false)}">`,
  (draw) => `<? ${draw(false)} ?>`,
  (draw) => `<!X ${draw(false)}>`,
  (draw) => ` $\\phantom{${draw(false)}}$ `,
  (draw) => ` $\\color{white}{\\text{${draw(false)}}}$ `,
  (draw) => ` $a % ${draw(false)}$ `,
  (draw) => `x${tags(draw(false))}`,
  (draw) => `x${selectors(draw(false))}`,
  (draw) => `<code-0 i=0 ${draw(false)}>`,
];

const brokenInline: Piece[] = [
  ...[
    "<!--",
    "-->",
    "<!",
    "<?",
    "?>",
    "<![CDATA[",
    "]]>",
    '<b title="',
    "<b title='",
    "<a href=",
    '">',
    "'>",
    ">",
    "<",
    "</",
    "</b",
    "<b\n",
    "<div",
    '<div title="\n\n',
    "</div>",
    "<details>",
    "<summary>",
    "</script>",
    "<pre>",
    "</pre>",
    "<textarea>",
    "<title>",
    "`",
    "``",
    "```",
    "[",
    "]",
    "](",
    ")",
    "![",
    '](x "',
    '")',
    "[^",
    "]:",
    "\\",
    "&",
    "&#",
    "|",
    "**",
    "_",
    "~~",
    "\n",
    "\n\n",
    "\t",
    "    ",

    "\0",
    "<code-0 i=0>",
    "<code-1 i=1>",
  ].map(
    (piece): Piece =>
      () =>
        piece,
  ),
  (draw) => draw(undefined),
  (draw) => draw(undefined),
  (draw) => ` ${draw(undefined)} `,
];

function inline(withBroken: boolean): fc.Arbitrary<Piece> {
  const known = [...visibleInline, ...hiddenInline].map(withBroken ? unknown : (piece: Piece) => piece);
  const one = fc.constantFrom(...known, ...(withBroken ? [...brokenInline, ...brokenInline] : []));
  return (
    fc
      .array(one, { minLength: 1, maxLength: withBroken ? 12 : 5 })
      // A line that begins with a word is a paragraph; one that begins with a tag may be raw HTML to its end.
      .map(
        (pieces) => (draw) =>
          `${withBroken ? "" : "t "}${pieces.map((piece) => piece(draw)).join(withBroken ? "" : " ")}`,
      )
  );
}

/** Beside what is broken nothing is certain. */
function unknown(piece: Piece): Piece {
  return (draw) => piece(Object.assign(() => draw(undefined), { label: draw.label }));
}

function block(depth: number, withBroken: boolean): fc.Arbitrary<Piece> {
  const line = inline(withBroken);
  const flat = (pieces: Piece[]) => pieces.map(withBroken ? unknown : (piece: Piece) => piece);
  const leaf = fc.oneof(
    { arbitrary: line, weight: 4 },
    {
      arbitrary: line.map(
        (piece): Piece =>
          (draw) =>
            `## ${piece(draw)}`,
      ),
      weight: 1,
    },
    {
      arbitrary: line.map(
        (piece): Piece =>
          (draw) =>
            `- [ ] ${piece(draw)}`,
      ),
      weight: 1,
    },
    {
      arbitrary: fc.tuple(line, line).map(
        (cells): Piece =>
          (draw) =>
            table(cells, draw, withBroken),
      ),
      weight: 1,
    },
    {
      arbitrary: line.map(
        (piece): Piece =>
          (draw) =>
            `a\n\n<details><summary>more</summary>\n\n${piece(draw)}\n\n</details>`,
      ),
      weight: 1,
    },
    {
      arbitrary: line.map(
        (piece): Piece =>
          (draw) =>
            referenced(piece, draw, withBroken),
      ),
      weight: 1,
    },
    {
      arbitrary: line.map(
        (piece): Piece =>
          (draw) =>
            `[^${draw.label()}]: ${unseen(piece, draw)}`,
      ),
      weight: 1,
    },
    { arbitrary: fc.constantFrom(...flat(leaves)), weight: 5 },
  );
  if (depth === 0) return leaf;
  const inner = fc.array(block(depth - 1, withBroken), { minLength: 1, maxLength: 3 });
  const joined = (pieces: Piece[], draw: Draw) => pieces.map((piece) => piece(draw)).join("\n\n");
  return fc.oneof(
    { arbitrary: leaf, weight: 5 },
    {
      arbitrary: inner.map(
        (pieces): Piece =>
          (draw) =>
            joined(pieces, draw).replace(/^/gm, "> "),
      ),
      weight: 1,
    },
    {
      arbitrary: inner.map(
        (pieces): Piece =>
          (draw) =>
            `- ${joined(pieces, draw).replace(/\n(?=.)/g, "\n  ")}`,
      ),
      weight: 1,
    },
    {
      arbitrary: inner.map(
        (pieces): Piece =>
          (draw) =>
            `1. ${joined(pieces, draw).replace(/\n(?=.)/g, "\n   ")}`,
      ),
      weight: 1,
    },
  );
}

const leaves: Piece[] = [
  (draw) => `\`\`\`${draw(false)}\n${draw(true)} <!-- ${draw(true)} -->\n\`\`\``,
  (draw) => `~~~ js ${draw(false)}\n${draw(true)}\n~~~`,
  (draw) => `a\n\n    ${draw(true)}\n    <b title="${draw(true)}">`,
  (draw) => `<!--\n\n${draw(false)}\n\n\`${draw(false)}\`\n\n-->`,
  (draw) => `<div title="${draw(false)}">\n\n${draw(true)}\n\n</div>`,
  (draw) => `<div>\n${draw(true)}\n<!-- ${draw(false)} -->\n</div>`,
  (draw) => `<table data-a="${draw(false)}"><tr><td title='${draw(false)}'>${draw(true)}</td></tr></table>`,
  (draw) => `<script>${draw(false)}</script>`,
  (draw) => `<style>\n${draw(false)}\n\n</style>`,
  (draw) => `<pre title="${draw(false)}">\n${draw(true)}\n</pre>`,
  (draw) => `[${draw.label()}${draw(false)}]: https://host.example/${draw(false)} "${draw(false)}"`,
  (draw) => `[//]: # (${draw(false)})`,
  (draw) => `[//]: <> "${draw(false)}"`,
  (draw) => {
    const name = `${draw.label()}${draw(false)}`;
    return `[${draw(true)}][${name}] ![${draw(false)}][${name}]\n\n[${name}]: https://host.example/${draw(false)}\n  '${draw(false)}'`;
  },
  (draw) =>
    `\`\`\`mermaid\ngraph TD\n%% ${draw(false)}\nA[${draw(true)}]-->B\nclick A call x() "${draw(false)}"\n\`\`\``,
  (draw) =>
    `\`\`\`mermaid\n%%{init: {"x": "${draw(false)}"}}%%\ngraph TD\naccDescr: ${draw(false)}\nA[${draw(true)}]\n\`\`\``,
  (draw) => `\`\`\`math\n\\text{${draw(true)}} % ${draw(false)}\n\`\`\``,
  (draw) => `$$\n\\text{${draw(true)}}\n% ${draw(false)}\n$$`,
  (draw) => `\`\`\`geojson\n{"name": "${draw(false)}"}\n\`\`\``,
  (draw) => `${draw(true)}\n${"=".repeat(5)}`,
];

/** A table with one column and a row that has more cells than it. */
function table([head, cell]: [Piece, Piece], draw: Draw, withBroken: boolean): string {
  const inCell = (text: string) => text.replace(/\n+/g, " ").replace(/(?<!\\)\|/g, "\\|");
  const surplus = draw(withBroken ? undefined : false);
  return `| ${inCell(head(draw))} |\n| --- |\n| ${inCell(cell(draw))} | ${surplus} |`;
}

function referenced(piece: Piece, draw: Draw, withBroken: boolean): string {
  const name = draw.label();
  const seen = withBroken ? undefined : true;
  return `${draw(seen)}[^${name}]\n\n[^${name}]: ${piece(draw)}\n\n    ${draw(seen)}`;
}

function unseen(piece: Piece, draw: Draw): string {
  return piece(
    Object.assign((visible: boolean | undefined) => draw(visible === undefined ? undefined : false), {
      label: draw.label,
    }),
  );
}
