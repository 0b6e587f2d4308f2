import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { History, inputHashOf, type RecordedStep } from "../../src/engine/history.ts";
import { recordError, replayError } from "../../src/engine/recorded-error.ts";
import { travelling } from "../../src/engine/travelling.ts";
import { UserFacingError } from "../../src/pipeline/step.ts";

const row = (path: string, over: Partial<RecordedStep> = {}): RecordedStep => ({
  path,
  name: path.replace(/^.*\//, "").replace(/#\d+$/, ""),
  attempt: 1,
  status: "done",
  inputHash: "h",
  output: path,
  error: null,
  retryAt: null,
  transientSince: null,
  ...over,
});

describe("History", () => {
  test("next replays what was recorded, call by call", () => {
    const history = new History([row("a#1"), row("a#2"), row("b#1")]);
    expect(history.next("", "a", "h")).toEqual({ kind: "done", path: "a#1", output: "a#1" });
    expect(history.next("", "a", "h")).toEqual({ kind: "done", path: "a#2", output: "a#2" });
    expect(history.next("", "b", "h")).toEqual({ kind: "done", path: "b#1", output: "b#1" });
    expect(history.next("", "b", "h")).toEqual({ kind: "open", path: "b#2", dropped: [] });
  });

  test("next drops the rest at the first call with another input", () => {
    const history = new History([row("a#1"), row("b#1"), row("c#1")]);
    expect(history.next("", "a", "h").kind).toBe("done");
    expect(history.next("", "b", "other")).toEqual({ kind: "open", path: "b#1", dropped: ["b#1", "c#1"] });
    expect(history.next("", "c", "h")).toEqual({ kind: "open", path: "c#1", dropped: [] });
  });

  test("next drops the rest when two steps changed places", () => {
    const history = new History([row("a#1"), row("b#1")]);
    expect(history.next("", "b", "h")).toEqual({ kind: "open", path: "b#1", dropped: ["a#1", "b#1"] });
  });

  test("next gives a begun step back to be done again, and a failed one as failed", () => {
    const begun = row("b#1", { status: "running", attempt: 2, output: null });
    const error = { name: "Error", message: "no", userFacing: false, transient: false };
    const history = new History([row("a#1", { status: "failed", error, output: null }), begun]);
    expect(history.next("", "a", "h")).toEqual({ kind: "failed", path: "a#1", error });
    expect(history.next("", "b", "h")).toEqual({ kind: "open", path: "b#1", begun, dropped: [] });
  });

  test("next does a step again whose output no longer fits", () => {
    const history = new History([row("a#1"), row("b#1")], (name) => name !== "a");
    expect(history.next("", "a", "h")).toEqual({ kind: "open", path: "a#1", dropped: ["a#1", "b#1"] });
  });

  test("next keeps the branches beside a changed one, and drops what came after them", () => {
    const history = new History([row("x/a#1"), row("y/a#1"), row("x/b#1"), row("y/b#1"), row("after#1")]);
    const branches = history.openBranches("", ["x", "y"]);
    expect(branches).toEqual(["x/", "y/"]);
    expect(history.next("x/", "a", "other")).toEqual({
      kind: "open",
      path: "x/a#1",
      dropped: ["x/a#1", "x/b#1", "after#1"],
    });
    expect(history.next("y/", "a", "h").kind).toBe("done");
    expect(history.next("y/", "b", "h").kind).toBe("done");
    history.closeBranches(branches);
    expect(history.next("", "after", "h")).toEqual({ kind: "open", path: "after#1", dropped: [] });
  });

  test("next gives the same answers in whichever order branches ask", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("x/", "y/", "z/"), { maxLength: 30 }), (order) => {
        const names = ["x/", "y/", "z/"].flatMap((branch) =>
          Array.from({ length: 10 }, (_, n) => row(`${branch}s#${n + 1}`)),
        );
        const history = new History(names);
        history.openBranches("", ["x", "y", "z"]);
        const asked: Record<string, number> = { "x/": 0, "y/": 0, "z/": 0 };
        for (const branch of order) {
          const count = (asked[branch] ?? 0) + 1;
          asked[branch] = count;
          const path = `${branch}s#${count}`;
          expect(history.next(branch, "s", "h")).toEqual(
            count <= 10 ? { kind: "done", path, output: path } : { kind: "open", path, dropped: [] },
          );
        }
      }),
    );
  });

  test("openBranches refuses a name that would break paths", () => {
    expect(() => new History([]).openBranches("", ["a/b"])).toThrow('"a/b"');
  });
});

test("inputHashOf is the same for equal inputs however their keys are ordered, and differs for others", () => {
  expect(inputHashOf({ a: 1, b: { c: 2, d: [3] } })).toBe(inputHashOf({ b: { d: [3], c: 2 }, a: 1 }));
  expect(inputHashOf({ a: [1, 2] })).not.toBe(inputHashOf({ a: [2, 1] }));
  expect(inputHashOf(undefined)).not.toBe(inputHashOf(null));
});

test("travelling gives a value as it will be replayed, and refuses what is larger than 32 KB", () => {
  expect(travelling({ at: new Date(0), gone: undefined }, "x")).toEqual({ at: "1970-01-01T00:00:00.000Z" });
  expect(travelling(undefined, "x")).toBeUndefined();
  expect(() => travelling("x".repeat(32 * 1024 - 2), "output of a")).not.toThrow();
  expect(() => travelling("x".repeat(32 * 1024 - 1), "output of a")).toThrow(/output of a has 32769 bytes/);
});

test("replayError restores a UserFacingError with its advice, and any other by name and message", () => {
  const user = replayError(recordError(new UserFacingError("no", { transient: true, advice: "do" })));
  expect(user).toBeInstanceOf(UserFacingError);
  expect(user).toMatchObject({ message: "no", transient: true, advice: "do" });
  const type = replayError(recordError(new TypeError("odd")));
  expect(type).not.toBeInstanceOf(UserFacingError);
  expect(type).toMatchObject({ name: "TypeError", message: "odd" });
  expect(replayError(recordError("text"))).toMatchObject({ name: "Error", message: "text" });
});
