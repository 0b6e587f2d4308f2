import { isStopWord, onlyWord, partOfWord, scanWords } from "./words.ts";

export interface Issue {
  title: string;
  body: string;
  comments?: readonly string[];
}

/** What an issue asks for, in the form that the signals read. */
export interface Query {
  /** Word → how much it counts: more in the title, more as an identifier than as prose. */
  words: ReadonlyMap<number, number>;
  /** Strings that may be paths or file names, as written, without line numbers, `./` and quotes. */
  paths: readonly string[];
  /** Identifiers as written, for the reasons given to a reader: word → text. */
  texts: ReadonlyMap<number, string>;
}

/** Longer issues are cut: logs at their end say little more than their beginning. */
const longestTextBytes = 40_000;

/** Reads the query out of an issue. Deterministic; the text is data and is never interpreted otherwise. */
export function readQuery(issue: Issue): Query {
  const words = new Map<number, number>();
  const texts = new Map<number, string>();
  const paths = new Set<string>();
  const title = collect(issue.title, texts, paths);
  const body = collect([issue.body, ...(issue.comments ?? [])].join("\n"), texts, paths);
  for (const [word, weight] of title) words.set(word, 2 * weight);
  for (const [word, weight] of body) words.set(word, (words.get(word) ?? 0) + weight);
  return { words, texts, paths: [...paths].sort() };
}

function collect(text: string, texts: Map<number, string>, paths: Set<string>): Map<number, number> {
  const bytes = Buffer.from(withoutAddresses(text)).subarray(0, longestTextBytes);
  const counts = new Map<number, number>();
  scanWords(bytes, (word, start, end, kind) => {
    if (kind === onlyWord && isStopWord(word)) return;
    counts.set(word, (counts.get(word) ?? 0) + (kind === partOfWord ? 0.5 : 1));
    if (kind !== partOfWord) texts.set(word, bytes.toString("utf8", start, end));
  });
  for (const [path] of bytes
    .toString("utf8")
    .matchAll(/[\w@.+-]*(?:[/\\][\w@.+[\]$-]+)+|[\w@+-]+\.[A-Za-z][\w.]{0,9}\b/g)) {
    paths.add(
      path
        .replaceAll("\\", "/")
        .replace(/^(?:\.{0,2}\/)+/, "")
        .replace(/\.+$/, ""),
    );
  }
  // Saying a word again adds less and less: a long log must not drown the sentence above it.
  for (const [word, count] of counts) counts.set(word, Math.log2(1 + count));
  return counts;
}

/** Hosts of links are no names of this repository, their paths may be. */
function withoutAddresses(text: string): string {
  return text.replace(/\bhttps?:\/\/[^/\s)]+/g, " ");
}
