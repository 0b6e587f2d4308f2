import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { missingQuotes, quotesAsIn } from "../../src/policy/evidence.ts";

const log = "src/a.ts(3,5): error TS2322: Type 'string'\n  is not assignable to type 'number'.\n\nFound 1 error.";

describe("missingQuotes", () => {
  test.each([
    ["letter by letter", "error TS2322: Type 'string'"],
    ["wrapped in another way", "Type 'string' is not\tassignable\nto type"],
    ["in another case", "FOUND 1 ERROR"],
    ["escaped as in JSON", String.raw`Type 'string'\n  is not assignable`],
  ])("missingQuotes finds a quote that is there %s", (_how, quote) => {
    expect(missingQuotes([quote], log)).toEqual([]);
  });

  test.each([
    ["is not there", "Segmentation fault"],
    ["has one letter more", "error TS2322: Types"],
    ["leaves something out", "error … not assignable"],
    ["says nothing", ""],
    ["is white space", " \n "],
    ["is punctuation that is there", "'.\n\n"],
    ["is one letter that is there", "e"],
  ])("missingQuotes returns a quote that %s", (_why, quote) => {
    expect(missingQuotes([quote], log)).toEqual([quote]);
  });

  test("missingQuotes finds whatever is cut from the text, however it is wrapped", () => {
    const piece = fc.constantFrom(
      ...["ΟΔΟΣ", "İı", "ß", "ﬁ", "😀", "e\u0301", "\u200b", "\\n", '"', "\\", " ", "\n", "\r\n", "  ", "error", "42"],
    );
    const text = fc.array(piece, { maxLength: 60 });
    fc.assert(
      fc.property(text, fc.nat(), fc.nat(), fc.constantFrom(" ", "\n", " \t\n"), (pieces, from, length, space) => {
        const characters = [...pieces.join("")];
        const start = characters.length === 0 ? 0 : from % characters.length;
        const quote = characters.slice(start, start + 1 + (length % 40)).join("");
        fc.pre(/[\p{L}\p{N}]{2}/u.test(quote.toUpperCase()));
        expect(missingQuotes([quote.replaceAll(/\s+/g, space)], characters.join(""))).toEqual([]);
      }),
    );
  });

  test("missingQuotes and quotesAsIn never throw, and find nothing in an empty text", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: fc.constantFrom(...'ab1 \n\\"([{*+?.^$|-/😀\ud800') })), (quotes) => {
        expect(missingQuotes(quotes, "")).toEqual(quotes);
        expect(quotesAsIn(quotes, "")).toEqual([]);
        expect(quotesAsIn(quotes, quotes.join("\n")).length).toBeLessThanOrEqual(quotes.length);
      }),
    );
  });
});

describe("quotesAsIn", () => {
  test("quotesAsIn says the numbers of this text and leaves out what it does not have", () => {
    const quotes = ["connect (ECONNREFUSED) 127.0.0.1:40123", "1 test failed", "Segmentation fault"];
    expect(quotesAsIn(quotes, "Error: connect (ECONNREFUSED) 127.0.0.1:51877\n1 test failed")).toEqual([
      "connect (ECONNREFUSED) 127.0.0.1:51877",
      "1 test failed",
    ]);
  });
});
