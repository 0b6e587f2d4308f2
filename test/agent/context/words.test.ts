import fc from "fast-check";
import { expect, test } from "vitest";
import {
  isStopWord,
  onlyWord,
  partOfWord,
  scanWords,
  wholeWord,
  wordNumber,
} from "../../../src/agent/context/words.ts";

function texts(text: string): string[] {
  const found: string[] = [];
  const bytes = Buffer.from(text);
  scanWords(bytes, (_, start, end, kind) => {
    if (kind !== partOfWord) found.push(bytes.toString("utf8", start, end));
  });
  return found;
}

function numbers(text: string): number[] {
  const found: number[] = [];
  scanWords(Buffer.from(text), (word) => found.push(word));
  return found;
}

test("scanWords gives identifiers as they are written", () => {
  expect(texts("const maxBodySize = this.HTTPServer2.get_in('größe', x1);")).toEqual([
    "const",
    "maxBodySize",
    "this",
    "HTTPServer2",
    "get_in",
    "größe",
    "x1",
  ]);
});

test("scanWords lets camel case, snake case and prose meet", () => {
  const [max, body, size, whole] = numbers("maxBodySize");
  expect(numbers("max_body_size")).toEqual([max, body, size, whole]);
  expect(numbers("max body size")).toEqual([max, body, size]);
  expect(numbers("MAX_BODY_SIZE")).toEqual([max, body, size, whole]);
  expect(numbers("HTTPServer")).toEqual([wordNumber("http"), wordNumber("server"), wordNumber("httpserver")]);
});

test("scanWords says whether a word is all of its identifier or a part", () => {
  const kinds: number[] = [];
  scanWords(Buffer.from("plain twoParts"), (_, __, ___, kind) => kinds.push(kind));
  expect(kinds).toEqual([onlyWord, partOfWord, partOfWord, wholeWord]);
});

test.each([
  ["decorator", "decorators"],
  ["resolve", "resolved"],
  ["resolve", "resolving"],
  ["entry", "entries"],
  ["stop", "stopping"],
  ["class", "classes"],
])("scanWords gives %s and %s one number", (a, b) => {
  expect(wordNumber(b)).toBe(wordNumber(a));
});

test.each([
  ["status", "statu"],
  ["bus", "bu"],
  ["path", "patch"],
])("scanWords keeps %s and %s apart", (a, b) => {
  expect(wordNumber(b)).not.toBe(wordNumber(a));
});

test("scanWords leaves out single characters and encoded data", () => {
  expect(numbers(`a b ${"A1b2C3d4".repeat(20)} _`)).toEqual([]);
});

test("isStopWord knows words that say nothing, in any form", () => {
  expect(["the", "Fixes", "should", "issues"].map((word) => isStopWord(wordNumber(word)))).toEqual([
    true,
    true,
    true,
    true,
  ]);
  expect(isStopWord(wordNumber("parser"))).toBe(false);
});

test("scanWords takes any bytes, and its places lie within them", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      scanWords(bytes, (word, start, end) => {
        expect(Number.isInteger(word) && start >= 0 && start < end && end <= bytes.length).toBe(true);
      });
    }),
  );
});
