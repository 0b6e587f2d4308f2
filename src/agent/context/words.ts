/**
 * Words of source text and of prose, as 32-bit numbers. One scanner serves both, so that `maxBodySize`,
 * `max_body_size` and "max body size" meet. It reads bytes and allocates nothing: tens of thousands of files are
 * read in seconds.
 */

/** Receives each word: its number, the bytes of its identifier, and whether it is all of that or a part of it. */
export type WordSink = (word: number, start: number, end: number, kind: WordKind) => void;

/** `only`: an identifier of one part; `part`: one part of several; `whole`: all parts joined, given after its parts. */
export type WordKind = 0 | 1 | 2;
export const onlyWord = 0;
export const partOfWord = 1;
export const wholeWord = 2;

const longestIdentifierBytes = 80;

const other = 0;
const lower = 1;
const upper = 2;
const digit = 3;
const joiner = 4;

const classes = new Uint8Array(256);
for (let byte = 0x61; byte <= 0x7a; byte++) classes[byte] = lower;
for (let byte = 0x41; byte <= 0x5a; byte++) classes[byte] = upper;
for (let byte = 0x30; byte <= 0x39; byte++) classes[byte] = digit;
for (let byte = 0x80; byte <= 0xff; byte++) classes[byte] = lower;
const joinerByte = 0x5f;
classes[joinerByte] = joiner;

/**
 * Calls `sink` for every word of `bytes`: identifiers split at case changes and underscores, lower-cased (ASCII),
 * with a light English stem. Single characters and runs longer than any identifier (encoded data) are left out.
 */
export function scanWords(bytes: Uint8Array, sink: WordSink): void {
  const cursor = new IdentifierCursor(bytes);
  while (cursor.next()) {
    const count = splitIdentifier(bytes, cursor.start, cursor.end);
    for (let at = 0; at < count; at++) sink(splitWords[at]!, cursor.start, cursor.end, splitKinds[at]! as WordKind);
  }
}

/** Steps through the identifiers of `bytes`. A cursor and not a callback: it is the innermost loop of all. */
export class IdentifierCursor {
  /** The bytes of the identifier that the cursor is at. */
  start = 0;
  end = 0;
  /** A number that equal identifiers share, and few others. */
  hash = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Goes to the next identifier; false where there is none. */
  next(): boolean {
    const bytes = this.#bytes;
    const length = bytes.length;
    let at = this.end;
    while (at < length) {
      let byte = bytes[at]!;
      if (classes[byte] === other) {
        at++;
        continue;
      }
      const start = at;
      let hash = fnvBasis;
      do {
        hash = Math.imul(hash ^ byte, fnvPrime);
        if (++at === length) break;
        byte = bytes[at]!;
      } while (classes[byte] !== other);
      if (at - start < 2 || at - start > longestIdentifierBytes) continue;
      this.start = start;
      this.end = at;
      this.hash = hash;
      return true;
    }
    this.end = length;
    return false;
  }
}

/** The number of one word, as `scanWords` would give it for the whole of `text`. */
export function wordNumber(text: string): number {
  let last = 0;
  scanWords(Buffer.from(text), (word) => {
    last = word;
  });
  return last;
}

const folded = new Uint8Array(longestIdentifierBytes);

/** The words of the identifier split last, and their kinds. */
export const splitWords = new Int32Array(longestIdentifierBytes + 1);
export const splitKinds = new Uint8Array(longestIdentifierBytes + 1);

/** Puts the words of the identifier at `bytes[start, end)` into `splitWords` and `splitKinds`; returns how many. */
export function splitIdentifier(bytes: Uint8Array, start: number, end: number): number {
  let count = 0;
  let parts = 0;
  let partStart = start;
  let foldedLength = 0;
  let partFolded = 0;
  let before = joiner;
  for (let at = start; at <= end; at++) {
    const byte = at < end ? bytes[at]! : joinerByte;
    const kind = classes[byte]!;
    const startsPart = kind === upper && (before !== upper || (at + 1 < end && classes[bytes[at + 1]!] === lower));
    if ((kind === joiner || startsPart) && foldedLength > partFolded) {
      parts++;
      if (foldedLength - partFolded > 1) {
        splitWords[count] = stemmedNumber(partFolded, foldedLength);
        splitKinds[count++] = at - partStart === end - start ? onlyWord : partOfWord;
      }
    }
    if (kind === joiner || startsPart) {
      partStart = kind === joiner ? at + 1 : at;
      partFolded = foldedLength;
    }
    if (kind !== joiner) folded[foldedLength++] = kind === upper ? byte + 32 : byte;
    before = kind;
  }
  if (parts > 1 && foldedLength > 2) {
    splitWords[count] = stemmedNumber(0, foldedLength);
    splitKinds[count++] = wholeWord;
  }
  return count;
}

const letter = { a: 97, d: 100, e: 101, g: 103, i: 105, l: 108, n: 110, o: 111, s: 115, u: 117, y: 121, z: 122 };

/** FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/ */
const fnvBasis = 0x811c9dc5 | 0;
const fnvPrime = 0x01000193;

/** The hash of the stem of `folded[from, to)`. */
function stemmedNumber(from: number, to: number): number {
  let end = to;
  let last = folded[end - 1]!;
  if (end - from > 3 && last === letter.s) {
    const previous = folded[end - 2]!;
    if (previous === letter.e && folded[end - 3] === letter.i) end -= 2;
    else if (previous !== letter.s && previous !== letter.u && previous !== letter.i) end -= 1;
    last = folded[end - 1]!;
  }
  const stemEnd = end;
  if (end - from > 5 && last === letter.g && folded[end - 2] === letter.n && folded[end - 3] === letter.i) end -= 3;
  else if (end - from > 4 && last === letter.d && folded[end - 2] === letter.e) end -= 2;
  if (end < stemEnd) {
    const tail = folded[end - 1]!;
    const doubled = tail === folded[end - 2] && tail !== letter.l && tail !== letter.s && tail !== letter.z;
    if (doubled && end - from > 3) end--;
  }
  let tail = 0;
  if (end - from > 3 && folded[end - 1] === letter.e) end--;
  else if (end - from > 3 && folded[end - 1] === letter.y) {
    end--;
    tail = letter.i;
  }
  let number = fnvBasis;
  for (let at = from; at < end; at++) number = Math.imul(number ^ folded[at]!, fnvPrime);
  if (tail !== 0) number = Math.imul(number ^ tail, fnvPrime);
  return number | 0;
}

/** English words, and words of every issue, that say nothing about where in a program something is. */
const stopWordList = `a about above after again all also am an and any are as at be because been before being below but by can
cannot could did do does doing don done down during each else even every few first for from further get gets getting got
had has have having he hence her here hers him his how however i if in instead into is isn it its itself just let like
ll longer make makes making may me might more most much must my need needed needs new no nor not now of off on once one
only or other our out over own per please rather re really s same see seem seems she should since so some still such t
take than that the their them then there these they thing this those though through thus to too under until up upon us
use used using ve very via want wants was way we well were what when where whether which while who why will with
within without work working works would yes yet you your
add added adding adds allow allowed allows behavior behaviour bug bugs case cases change changed changes close closed
closes correct correctly current currently ensure expected fix fixed fixes fixing handle handled handles handling
happen happens improve improved instead issue issues now prevent properly proper problem remove removed removes
resolve resolved resolves report reported related same simple support supported supports
chore feat refactor perf style
com github http https org www`;

const stopWords = new Set<number>();
for (const word of stopWordList.split(/\s+/)) if (word.length > 1) stopWords.add(wordNumber(word));

export function isStopWord(word: number): boolean {
  return stopWords.has(word);
}
