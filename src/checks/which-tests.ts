const maxTests = 50;
const testName = /^(?:test_(?<python>.+)|(?<suffix>.+?)(?:[._-](?:test|spec|tests)|Tests?|Spec|IT))$/;
const testFolder = /(?:^|\/)(?:__tests__|tests?|spec|specs)\//;

/**
 * Returns the test files that belong to a changed source file by their name ("cart.ts": "cart.test.ts", "test_cart.py",
 * "CartTest.java", "cart_spec.rb"), those with the most folders in common first, at most 50. A changed test file is
 * its own answer.
 *
 * @param changedPath relative to the repository's root
 * @param files the paths of all files of the repository
 */
export function whichTests(changedPath: string, files: readonly string[]): string[] {
  const changed = partsOf(changedPath);
  if (changed.tested !== undefined) return files.includes(changedPath) ? [changedPath] : [];
  const matches: { path: string; shared: number }[] = [];
  for (const path of files) {
    const candidate = partsOf(path);
    const tested = candidate.tested ?? (testFolder.test(path) ? candidate.stem : undefined);
    if (tested?.toLowerCase() !== changed.stem.toLowerCase() || !sameLanguage(candidate.extension, changed.extension))
      continue;
    matches.push({ path, shared: sharedFolders(changedPath, path) });
  }
  matches.sort((a, b) => b.shared - a.shared || (a.path < b.path ? -1 : 1));
  return matches.slice(0, maxTests).map((match) => match.path);
}

function partsOf(path: string): { stem: string; extension: string; tested: string | undefined } {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  const stem = dot <= 0 ? name : name.slice(0, dot);
  const groups = testName.exec(stem)?.groups;
  return { stem, extension: dot <= 0 ? "" : name.slice(dot + 1), tested: groups?.python ?? groups?.suffix };
}

function sameLanguage(a: string, b: string): boolean {
  const script = /^[cm]?[jt]sx?$/;
  return a === b || (script.test(a) && script.test(b));
}

function sharedFolders(a: string, b: string): number {
  const others = new Set(b.split("/").slice(0, -1));
  return a
    .split("/")
    .slice(0, -1)
    .filter((folder) => others.has(folder)).length;
}
