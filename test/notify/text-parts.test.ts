import { describe, expect, test } from "vitest";
import { textParts } from "../../src/notify/text-parts.ts";
import { processorMs } from "../support/processor-time.ts";

const plain = (text: string) => ({ text, style: "plain" });

describe("textParts", () => {
  test("textParts takes lines, marked words and fenced code apart", () => {
    expect(textParts("a **b** `c*`\n\n~~~sh\n**x**\n```\n~~~\nd")).toEqual([
      {
        kind: "lines",
        lines: [[plain("a "), { text: "b", style: "bold" }, plain(" "), { text: "c*", style: "code" }], []],
      },
      { kind: "code", lines: ["**x**", "```"] },
      { kind: "lines", lines: [[plain("d")]] },
    ]);
  });

  test("textParts reads a fence that nobody closed to the end, and takes no marked words for a fence", () => {
    expect(textParts("````\na\n```\nb")).toEqual([{ kind: "code", lines: ["a", "```", "b"] }]);
    expect(textParts("```a``` b")).toMatchObject([{ kind: "lines" }]);
    expect(textParts("")).toEqual([]);
  });

  test.each(["*", "**", "`", "**a", "`a`", "```\n", " ", "\n"])("textParts is linear in %j", (piece) => {
    const before = processorMs();
    textParts(piece.repeat(400_000 / piece.length));
    expect(processorMs() - before).toBeLessThan(2_000);
  });
});
