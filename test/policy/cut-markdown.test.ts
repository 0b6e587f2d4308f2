import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cutMarkdown } from "../../src/policy/cut-markdown.ts";

describe("cutMarkdown", () => {
  test("cutMarkdown leaves alone what fits, counted in characters and not in code units", () => {
    const text = "😀".repeat(200);
    expect(cutMarkdown(text, 200)).toBe(text);
  });

  test("cutMarkdown ends after a whole line and says how much is missing", () => {
    const lines = Array.from({ length: 50 }, (_, at) => `Line ${String(at).padStart(4, "0")}`);
    const cut = cutMarkdown(lines.join("\n"), 300);
    const [head = "", note = ""] = cut.split("\n\n");
    expect(lines.join("\n").startsWith(`${head}\n`)).toBe(true);
    expect(note).toBe(`*${lines.join("\n").length - head.length} more characters were left out.*`);
  });

  test.each([
    ["```ts", "```"],
    ["~~~~", "~~~~"],
  ])("cutMarkdown closes a code block that begins with %s", (opening, closing) => {
    const cut = cutMarkdown(`Before\n${opening}\n${"code();\n".repeat(100)}${closing}\nAfter`, 300);
    expect(cut).toMatch(new RegExp(`code\\(\\);\n${closing}\n\n\\*\\d+ more characters were left out\\.\\*$`));
  });

  test("cutMarkdown closes the folded part that it was cut in, and no tag of a code block", () => {
    const cut = cutMarkdown(`<details>\n\n\`\`\`\n<details>\n\`\`\`\n${"word\n".repeat(100)}\n</details>`, 300);
    expect(cut.match(/<\/details>/g)).toHaveLength(1);
  });

  test.each([300, 301])("cutMarkdown splits no character at %i", (limit) => {
    expect(cutMarkdown("😀".repeat(1_000), limit)).toMatch(/^(😀)+\n\n\*\d+ more/u);
  });

  test("cutMarkdown never exceeds the limit nor splits a character", () => {
    const piece = fc.constantFrom(
      "```\n",
      "~~~~~\n",
      "<details>\n",
      "</details>",
      "😀",
      "word ",
      "\n",
      "`",
      "x".repeat(90),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 300 }), fc.integer({ min: 200, max: 400 }), (pieces, limit) => {
        const cut = cutMarkdown(pieces.join(""), limit);
        expect([...cut].length).toBeLessThanOrEqual(limit);
        expect(cut.isWellFormed()).toBe(true);
      }),
    );
  });

  test("cutMarkdown refuses a limit without room for the note", () => {
    expect(() => cutMarkdown("x", 199)).toThrow("maxCharacters must be at least 200, but is 199");
  });
});
