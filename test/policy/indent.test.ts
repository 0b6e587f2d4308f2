import { expect, test } from "vitest";
import { indentOf } from "../../src/policy/indent.ts";

test.each([
  ["", 0],
  ["a  b", 0],
  ["    a", 4],
  ["\ta", 8],
  ["  \ta", 8],
  ["\t  a", 10],
  ["\u00a0a", 0],
])("indentOf counts the columns of %j", (line, columns) => {
  expect(indentOf(line)).toBe(columns);
});
