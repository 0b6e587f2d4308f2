/** The telling words of a title: identifiers split at case changes, lower case, without endings and without filler. */
function wordsOf(title: string): Set<string> {
  const parts = title
    .slice(0, 1_000)
    .replace(/(\p{Ll}|\p{N})(?=\p{Lu})/gu, "$1 ")
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u);
  return new Set(parts.filter((word) => word.length > 1 && !filler.has(word)).map(stem));
}

/** The share of words that two titles have in common, by the shorter one: 0 (none) to 1 (all of its words). */
export function similarity(a: string, b: string): number {
  const [left, right] = [wordsOf(a), wordsOf(b)];
  const smaller = Math.min(left.size, right.size);
  return smaller === 0 ? 0 : left.intersection(right).size / smaller;
}

function stem(word: string): string {
  return word.length > 4 ? word.replace(/(?:ing|ed|es|s)$/, "") : word;
}

const filler = new Set(
  "the an and or of in on to for from with without by is are be was not no can may could will does do this that it its at as when if".split(
    " ",
  ),
);
