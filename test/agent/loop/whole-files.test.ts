import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseInstructions } from "../../../src/agent/loop/whole-files.ts";

const calls = (text: string) => {
  const { parts, problem } = parseInstructions(text);
  return problem ?? parts.map((part) => (part.type === "text" ? part.text : [part.name, part.input]));
};

describe("parseInstructions", () => {
  test("parseInstructions reads files, instructions of one line, and words around them", () => {
    const answer =
      'I change two files.\n@@@ write src/a.js\nline 1\n\n  line 3\n@@@ end\nAnd then:\n@@@ delete {"file_path":"b.js"}\n@@@ run {"command":"npm test"}\nThat is all.';
    expect(calls(answer)).toEqual([
      "I change two files.",
      ["write", { file_path: "src/a.js", content: "line 1\n\n  line 3\n" }],
      "And then:",
      ["delete", { file_path: "b.js" }],
      ["run", { command: "npm test" }],
      "That is all.",
    ]);
  });

  test.each([
    ["a file that does not end", "@@@ write a.js\nhalf", 'the file a.js does not end with "@@@ end"'],
    ["a file in a file", "@@@ write a.js\n@@@ write b.js\nx\n@@@ end", 'the file a.js does not end with "@@@ end"'],
    ["an end of nothing", "x\n@@@ end", '"@@@ end" stands where no file was begun'],
    [
      "a file that holds the end of a file",
      "@@@ write a\n1\n@@@ end\n2\n@@@ end",
      '"@@@ end" stands where no file was begun',
    ],
    ["no JSON", "@@@ read a.js", 'what follows "@@@ read" is not JSON on one line'],
    ["a file without a name", "@@@ write\nx\n@@@ end", '"@@@ write" names no file'],
  ])("parseInstructions uses nothing of an answer with %s", (_, answer, problem) => {
    expect(parseInstructions(`@@@ delete {"file_path":"first.js"}\n${answer}`).parts).toEqual([]);
    expect(calls(answer)).toContain(problem);
  });

  test("parseInstructions takes a fence around a file away, but not in Markdown", () => {
    expect(calls("@@@ write a.js\n```js\nx\n```\n@@@ end")).toEqual([["write", { file_path: "a.js", content: "x\n" }]]);
    expect(calls("@@@ write a.md\n```js\nx\n```\n@@@ end")).toEqual([
      ["write", { file_path: "a.md", content: "```js\nx\n```\n" }],
    ]);
  });

  test("parseInstructions gives back every file that has no line with the mark", () => {
    const line = fc.string().map((text) => text.replaceAll(/[\r\n]/g, "").replace(/^(@@@|```)/, ""));
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 20 }), (lines) => {
        const content = `${lines.join("\n")}\n`;
        expect(calls(`@@@ write a.js\n${content}@@@ end`)).toEqual([["write", { file_path: "a.js", content }]]);
      }),
    );
  });

  test("parseInstructions has different ids for calls of one answer", () => {
    const { parts } = parseInstructions('@@@ read {"file_path":"a"}\n@@@ read {"file_path":"b"}');
    expect(new Set(parts.map((part) => part.type === "tool_use" && part.id)).size).toBe(2);
  });
});
