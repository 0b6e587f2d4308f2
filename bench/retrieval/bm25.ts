/** A document as plain BM25 sees it. */
export interface PlainDocument {
  counts: Map<string, number>;
  length: number;
}

const k1 = 1.2;
const b = 0.75;
const pathRepeats = 3;

export function plainDocument(content: Buffer): PlainDocument {
  const counts = new Map<string, number>();
  const words = content.subarray(0, 8000).includes(0) ? [] : plainWords(content.toString("utf8"));
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return { counts, length: words.length };
}

/**
 * The baseline: BM25 over contents, with path words counted three times, best first, ties by path.
 * Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009).
 */
export function plainBm25(files: readonly { path: string; document: PlainDocument }[], question: string): string[] {
  const documents = files.map(({ path, document }) => {
    const pathCounts = new Map<string, number>();
    const words = plainWords(path);
    for (const word of words) pathCounts.set(word, (pathCounts.get(word) ?? 0) + pathRepeats);
    const count = (word: string) => (document.counts.get(word) ?? 0) + (pathCounts.get(word) ?? 0);
    return { path, count, length: document.length + pathRepeats * words.length, score: 0 };
  });
  const average = documents.reduce((sum, { length }) => sum + length, 0) / documents.length;
  for (const word of new Set(plainWords(question))) {
    const having = documents.filter(({ count }) => count(word) > 0);
    const rarity = Math.log(1 + (documents.length - having.length + 0.5) / (having.length + 0.5));
    for (const one of having) {
      const count = one.count(word);
      one.score += (rarity * count * (k1 + 1)) / (count + k1 * (1 - b + b * (one.length / average)));
    }
  }
  return documents.sort((x, y) => y.score - x.score || (x.path < y.path ? -1 : 1)).map(({ path }) => path);
}

/** Words of letters and digits, in lower case; an identifier of several parts counts as its parts and as itself. */
function plainWords(text: string): string[] {
  return [...text.matchAll(/[A-Za-z][A-Za-z0-9]*|[0-9]+/g)].flatMap(([word]) => {
    const parts = word
      .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
      .replace(/([A-Z]+)([A-Z][a-z])/g, "$1 $2")
      .toLowerCase()
      .split(" ");
    return parts.length > 1 ? [...parts, word.toLowerCase()] : parts;
  });
}
