import { describe, expect, test } from "vitest";
import { createFinder, encodingsOf, newCanary } from "./support/canaries.ts";

const canary = newCanary("a key", "sk-ant-");
const find = createFinder([canary, newCanary("another")]);
const { value } = canary;

describe("createFinder", () => {
  test.each(Object.entries(encodingsOf(value)))("finds a canary that is %s", (_form, text) => {
    expect(find(`before ${text} after`)).toEqual([{ name: "a key", form: expect.any(String) }]);
  });

  test.each([0, 1, 2])("finds a canary inside of a longer base64 text behind %i more bytes", (more) => {
    const longer = Buffer.from(`${"x".repeat(30 + more)}${value} and what follows`);
    expect(find(longer.toString("base64"))).toHaveLength(1);
    expect(find(longer.toString("base64url"))).toHaveLength(1);
    expect(find(longer.toString("base64").replace(/.{20}/g, "$&\n"))).toHaveLength(1);
  });

  test.each([
    ["spaces", " "],
    ["line breaks", "\n"],
    ["escaped line breaks", "\\n"],
    ["zero-width spaces", "\u200b"],
    ["escaped zero-width spaces", "\\u200b"],
    ["concatenation", '" + "'],
    ["null bytes", "\0"],
  ])("finds a canary that is split by %s, in whatever form", (_name, separator) => {
    for (const text of [value, ...Object.values(encodingsOf(value))])
      expect(find(`before ${[...text].join(separator)} after`), text).toHaveLength(1);
  });

  test("finds a canary in another case of letters and among bytes that are no text", () => {
    expect(
      find(Buffer.concat([Buffer.from([0xff, 0xc3]), Buffer.from(value.toUpperCase()), Buffer.from([0xfe])])),
    ).toEqual([{ name: "a key", form: "raw, split" }]);
  });

  test("finds nothing where there is nothing, nor in a part", () => {
    expect(find("nothing to see here")).toEqual([]);
    expect(find(value.slice(0, -4))).toEqual([]);
  });
});
