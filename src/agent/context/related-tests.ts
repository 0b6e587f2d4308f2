import type { Candidate } from "./candidates.ts";

/** A test file and how surely it tests the file asked about, above 0 and at most 1. */
export interface RelatedTest {
  index: number;
  certainty: number;
}

const maxTests = 3;
const minCertainty = 0.3;

/**
 * The tests of a source file: named after it (`body.test.ts`, `test_body.py`, `BodyTest.java` for `body`), or changed
 * together with it. At most three, the surest first.
 */
export function createTestFinder(
  candidates: readonly Candidate[],
  together: (seeds: ReadonlyMap<number, number>) => Float64Array,
): (source: number) => readonly RelatedTest[] {
  const tests = candidates.flatMap(({ path, kind }, index) =>
    kind === "test" ? [{ index, name: testedName(path) }] : [],
  );
  return (source) => {
    const name = nameOf(candidates[source]!.path);
    const changed = together(new Map([[source, 1]]));
    const rated = tests.map(({ index, name: tested }) => {
      const byName = tested === name ? 1 : tested.length > 3 && name.length > 3 && startsAlike(tested, name) ? 0.5 : 0;
      // Half of the changes of a file, each with one other file, is as sure as a test file gets without its name.
      return { index, certainty: Math.min(1, byName + 2 * changed[index]!) };
    });
    return rated
      .filter(({ certainty }) => certainty >= minCertainty)
      .sort((a, b) => b.certainty - a.certainty || a.index - b.index)
      .slice(0, maxTests);
  };
}

/** Names that say only that a file is the folder's main one. */
const folderFiles = new Set(["index", "mod", "lib", "main", "init"]);

function nameOf(path: string): string {
  const parts = path.split("/");
  const stem = plain(parts.at(-1)!.replace(/\..*$/, ""));
  return folderFiles.has(stem) && parts.length > 1 ? plain(parts.at(-2)!) : stem;
}

function testedName(path: string): string {
  const file = path.slice(path.lastIndexOf("/") + 1).replace(/\.[^.]*$/, "");
  const bare = file
    .replace(/^(?:tests?|spec)[._-]/i, "")
    .replace(/[._-](?:tests?|specs?|e2e|test-d|internal)(?=[._-]|$)/gi, "")
    .replace(/(?:Tests?|Spec|TestCase|IT)$/, "");
  return plain(bare.replace(/\..*$/, ""));
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, "");
}

function startsAlike(a: string, b: string): boolean {
  return a.startsWith(b) || b.startsWith(a);
}
