/** The telling words of a text: identifiers split at case changes, lower case, without endings and without filler. */
export function wordsOf(text: string): ReadonlySet<string> {
  const parts = text
    .slice(0, 3_000)
    .replace(/(\p{Ll}|\p{N})(?=\p{Lu})/gu, "$1 ")
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u);
  return new Set(parts.filter((word) => word.length > 1 && !filler.has(word)).map(stem));
}

/**
 * The share of words that two texts have in common, by the shorter one: 0 to 1 (all of its words). One common word says
 * nothing, unless the shorter one has no other.
 */
export function similarity(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const [few, many] = a.size <= b.size ? [a, b] : [b, a];
  let common = 0;
  for (const word of few) if (many.has(word)) common += 1;
  return few.size === 0 || common < Math.min(2, few.size) ? 0 : common / few.size;
}

function stem(word: string): string {
  return word.length > 4 ? word.replace(/(?:ing|ed|es|s)$/, "") : word;
}

/** Words that say nothing about the subject; half of all findings miss something. */
const filler = new Set(
  (
    "the an and or of in on to for from with by is are be was can may could will does do this that it its at as when if here there " +
    "not no never always without missing misses lacks lack wrong incorrect possible possibly potential potentially should must"
  ).split(" "),
);
