import fc from "fast-check";
import { fromMarkdown } from "mdast-util-from-markdown";
import { gfmFromMarkdown } from "mdast-util-gfm";
import { gfm } from "micromark-extension-gfm";
import { describe, expect, it } from "vitest";
import { neutralise } from "../../src/policy/neutralise.ts";
import { processorMs } from "../support/processor-time.ts";

const options = { allowHosts: ["github.com"], maxBytes: 10_000 };
const zeroWidth = "\u200b";

/** What GitHub would find alive in a comment, by an independent parse of the result. */
function alive(markdown: string): string[] {
  const found: string[] = [];
  const visit = (
    node: ReturnType<typeof fromMarkdown> | ReturnType<typeof fromMarkdown>["children"][number],
    inLink = false,
  ): void => {
    if (node.type === "html" || node.type === "image" || node.type === "imageReference" || node.type === "definition")
      found.push(node.type);
    if (node.type === "link" && new URL(node.url, "https://github.com").hostname !== "github.com")
      found.push(`link ${node.url}`);
    if (node.type === "listItem" && typeof node.checked === "boolean") found.push("task");
    if (node.type === "text" && /(?<![\w`])@[a-z\d]/i.test(node.value)) found.push(`mention ${node.value}`);
    if (node.type === "text" && !inLink && /#\d/.test(node.value)) found.push(`reference ${node.value}`);
    if ("children" in node) for (const child of node.children) visit(child, node.type === "link");
  };
  visit(fromMarkdown(markdown, { extensions: [gfm()], mdastExtensions: gfmFromMarkdown() }));
  if (/\b(?:close[sd]?|fix(?:es|ed)?|resolve[sd]?)[\s:]*(?:[\w./-]*#\d|https:\/\/\S*\/issues\/)/i.test(markdown))
    found.push("closing word");
  return found;
}

describe("neutralise", () => {
  it.each([
    ["a mention", "thanks @octocat", `thanks @${zeroWidth}octocat`],
    ["a team", "@org/team", `@${zeroWidth}org/team`],
    ["an escaped mention", "\\@octocat", `\\@${zeroWidth}octocat`],
    ["a mention as an entity", "&#64;octocat", `&${zeroWidth}#${zeroWidth}64;octocat`],
    ["a closing word", "Fixes #12", `Fix${zeroWidth}es #${zeroWidth}12`],
    ["a closing word with another repository", "closes: a/b#3", `clos${zeroWidth}es: a/b#${zeroWidth}3`],
    [
      "a closing word with an allowed link",
      "resolves https://github.com/a/b/issues/1",
      `resolv${zeroWidth}es https://github.com/a/b/issues/1`,
    ],
    ["an image", "![alt](https://evil.example/a.png)", "alt (evil.example)"],
    ["an image put together", "[a!](./x)[b](https://github.com/z.png)", "a[b](https://github.com/z.png)"],
    ["a foreign link", '[text](https://evil.example/x?q "title")', "text (evil.example)"],
    ["a script link", "[text](javascript:alert)", "text"],
    ["a foreign address", "see https://evil.example/x?leak=1.", "see evil.example."],
    ["a foreign address in angle brackets", "<https://evil.example/x>", `<${zeroWidth}evil.example>`],
    ["www", "www.evil.example/x", `www${zeroWidth}.evil.example`],
    ["a user name in an address", "https://github.com@evil.example/", "evil.example"],
    ["our own mark", "<!-- millwright:status abc -->", `<${zeroWidth}!-- millwright:status abc -->`],
    ["a tag", "<img src=x onerror=y>", `<${zeroWidth}img src=x onerror=y>`],
    ["a task", "- [ ] a\n- [x] b", "- ☐ a\n- ☑ b"],
    ["a definition", "[a]: https://evil.example/", `[a]${zeroWidth}: evil.example`],
    ["an open fence", "```js\ncode", "```js\ncode\n```"],
    ["a fence's info", '```js title="x" <b>\ncode\n```', "```js\ncode\n```"],
    ["a suggestion", "```suggestion\ncode\n```", "```text\ncode\n```"],
    ["a closing word in a fence", "```\nfixes #1\n```", `\`\`\`\nfix${zeroWidth}es #1\n\`\`\``],
    ["invisible characters", `a${zeroWidth}b\u{E0041}c\u202e`, "abc"],
  ])("silences %s", (_, markdown, expected) => {
    const result = neutralise(markdown, options);
    expect(result).toBe(expected);
    expect(alive(result)).toEqual([]);
  });

  it.each([
    ["prose", "## Title\n\nSome *text* with `Array` and a_b, 50% & more.\n\n- one\n- two"],
    ["an allowed link", "[pull](https://github.com/a/b/pull/1) and https://github.com/a/b"],
    ["a fence", "```ts\nconst a: Array<string> = ['@x'];\n```"],
    ["comparison", "a < b && b > c"],
    ["a table", "| a | b |\n| - | - |\n| 1 | 2 |"],
  ])("leaves %s as it is", (_, markdown) => {
    expect(neutralise(markdown, options)).toBe(markdown);
  });

  it("leaves boxes where they are allowed", () => {
    expect(neutralise("- [ ] a", { ...options, allowTaskLists: true })).toBe("- [ ] a");
  });

  const piece = fc.constantFrom(
    "a",
    " ",
    "\n",
    "\n\n",
    "@octocat",
    "@",
    "#1",
    "#",
    "1",
    "fixes ",
    "Closes",
    ": ",
    "a/b",
    "GH-1",
    "![",
    "[",
    "]",
    "](",
    ")",
    "(",
    "!",
    "https://evil.example/x",
    "https://github.com/a/b/issues/1",
    "www.",
    "evil.example",
    "<",
    "<!--",
    "-->",
    "<b>",
    "</b>",
    "<a href=x>",
    "`",
    "```",
    "```js\n",
    "~~~",
    "\n```\n",
    "> ",
    "- ",
    "- [ ] ",
    "[x] ",
    "1. ",
    "    ",
    "\\",
    "&#64;",
    "&lt;",
    "&",
    ";",
    "]: ",
    "][",
    '"',
    "'",
    "|",
    "\u200b",
    "\u0001",
    "\u0002",
    "*",
    "_",
    "$",
    "\t",
  );

  it("leaves nothing alive in any arrangement of hostile pieces", () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 25 }), (pieces) => {
        expect(alive(neutralise(pieces.join(""), options))).toEqual([]);
      }),
      { numRuns: 3_000 },
    );
  }, 60_000);

  it("keeps no address that stands right behind a word, where its end would be a reference", () => {
    expect(alive(neutralise("1https://github.com/a/b/issues/1#1", options))).toEqual([]);
  });

  it("draws the box that is left where an image's mark was taken away", () => {
    expect(neutralise("![x] done", options)).toBe("☑ done");
  });

  it("changes nothing when applied again, keeps the limit and never throws", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(piece, { maxLength: 25 }).map((pieces) => pieces.join("")),
          fc.string({ unit: "binary" }),
        ),
        fc.nat(80),
        (text, maxBytes) => {
          const once = neutralise(text, options);
          expect(neutralise(once, options)).toBe(once);
          const short = neutralise(text, { ...options, maxBytes });
          expect(Buffer.byteLength(short)).toBeLessThanOrEqual(maxBytes);
          expect(alive(short)).toEqual([]);
        },
      ),
      { numRuns: 1_000 },
    );
  }, 60_000);

  it("takes linear time", () => {
    for (const bomb of [
      "[",
      "](",
      "`",
      "@",
      "```\n",
      "<",
      "&",
      "https://",
      "a.",
      "fixes ",
      "![",
      "[a](b",
      "- [ ] ",
      "fixes [",
      " ",
      "/",
      "#",
      "a/",
    ]) {
      const start = processorMs();
      neutralise(bomb.repeat(200_000 / bomb.length), { allowHosts: [], maxBytes: 200_000 });
      expect(processorMs() - start, bomb).toBeLessThan(2_000);
    }
  }, 60_000);
});
