import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

test("pipelines import types and each other only, so that every engine can bundle them", () => {
  const files = ["issue-to-pr.ts", "iterate-pr.ts", "answer-command.ts", "forget-data.ts"];
  expect(readdirSync("src/pipeline")).toEqual(expect.arrayContaining(files));
  for (const file of files) {
    const text = readFileSync(`src/pipeline/${file}`, "utf8");
    const values = [...text.matchAll(/^import (?!type )[^;]*from "([^"]+)";/gm)].map((match) => match[1]);
    expect({ file, values: values.filter((path) => !files.includes(`${path?.replace("./", "")}`)) }).toEqual({
      file,
      values: [],
    });
  }
});

test("pipelines never call Promise.all over steps: timing would decide what a step is", () => {
  for (const file of ["issue-to-pr.ts", "iterate-pr.ts", "answer-command.ts", "forget-data.ts"]) {
    expect(readFileSync(`src/pipeline/${file}`, "utf8")).not.toMatch(/Promise\.(all|race|any|allSettled)/);
  }
});
