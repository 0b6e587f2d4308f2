import type { FileFacts } from "./file-facts.ts";

/** The facts of many blobs in few large arrays: about 1.3 kB for a file, and no object for the collector to walk. */
export class FactStore {
  readonly #chunks: Int32Array[] = [];
  readonly #places = new Map<string, number>();
  #used = chunkWords;

  get size(): number {
    return this.#places.size;
  }

  /** Memory held, in bytes, the map of names included. */
  get bytes(): number {
    return this.#chunks.length * chunkWords * 4 + this.#places.size * 120;
  }

  has(blobSha: string): boolean {
    return this.#places.has(blobSha);
  }

  keys(): MapIterator<string> {
    return this.#places.keys();
  }

  add(blobSha: string, facts: FileFacts): void {
    const imports = Buffer.from(facts.imports.join("\n"));
    const { words, counts, definitions } = facts;
    const countWords = Math.ceil(counts.length / 4);
    const length = headerWords + words.length + countWords + definitions.length + Math.ceil(imports.length / 4);
    this.#append(blobSha, length, (record) => {
      record.set(encodeSha(blobSha), 1);
      record[9] = facts.wordCount;
      record[10] = words.length;
      record[11] = definitions.length;
      record[12] = imports.length;
      record[13] = facts.generated ? 1 : 0;
      record[14] = facts.sizeBytes;
      let at = headerWords;
      record.set(words, at);
      at += words.length;
      bytesOf(record, at).set(counts);
      at += countWords;
      record.set(definitions, at);
      at += definitions.length;
      bytesOf(record, at).set(imports);
    });
  }

  /** The facts of a blob as views into the store: valid as long as the store, not to be changed. */
  get(blobSha: string): FileFacts | undefined {
    const place = this.#places.get(blobSha);
    if (place === undefined) return undefined;
    return new StoredFacts(this.#chunks[Math.floor(place / chunkWords)]!, place % chunkWords);
  }

  /** A store of only those blobs, for which this one has facts. */
  only(blobShas: Iterable<string>): FactStore {
    const kept = new FactStore();
    for (const blobSha of blobShas) {
      const record = this.#record(blobSha);
      if (record && !kept.has(blobSha)) kept.#append(blobSha, record.length, (place) => place.set(record));
    }
    return kept;
  }

  /** The used part of each chunk, to be written to a file and given to `restore`. */
  *parts(): Generator<Int32Array> {
    for (let index = 0; index < this.#chunks.length; index++) {
      const chunk = this.#chunks[index]!;
      let end = 0;
      while (end < chunk.length && chunk[end] !== 0) end += chunk[end]!;
      yield chunk.subarray(0, end);
    }
  }

  /** Takes records as `parts` gave them. Throws a RangeError when they are not. */
  restore(words: Int32Array): void {
    let at = 0;
    while (at < words.length) {
      const length = words[at]!;
      if (length < headerWords || at + length > words.length) {
        throw new RangeError(`Cannot restore facts: the record at ${at} has length ${length} of ${words.length - at}`);
      }
      const record = words.subarray(at, at + length);
      this.#append(decodeSha(record), length, (place) => place.set(record));
      at += length;
    }
  }

  #append(blobSha: string, length: number, fill: (record: Int32Array) => void): void {
    if (length > chunkWords)
      throw new RangeError(`Cannot store facts of ${blobSha}: ${length} words, at most ${chunkWords}`);
    if (this.#used + length > chunkWords) {
      this.#chunks.push(new Int32Array(chunkWords));
      this.#used = 0;
    }
    const chunk = this.#chunks.at(-1)!;
    const record = chunk.subarray(this.#used, this.#used + length);
    fill(record);
    record[0] = length;
    this.#places.set(blobSha, (this.#chunks.length - 1) * chunkWords + this.#used);
    this.#used += length;
  }

  #record(blobSha: string): Int32Array | undefined {
    const place = this.#places.get(blobSha);
    if (place === undefined) return undefined;
    const chunk = this.#chunks[Math.floor(place / chunkWords)]!;
    const start = place % chunkWords;
    return chunk.subarray(start, start + chunk[start]!);
  }
}

/** One record. Views are made when they are asked for: tens of thousands of them kept would cost more than the search. */
class StoredFacts implements FileFacts {
  readonly #chunk: Int32Array;
  readonly #at: number;

  constructor(chunk: Int32Array, at: number) {
    this.#chunk = chunk;
    this.#at = at;
  }

  get sizeBytes(): number {
    return this.#chunk[this.#at + 14]! >>> 0;
  }

  get wordCount(): number {
    return this.#chunk[this.#at + 9]!;
  }

  get generated(): boolean {
    return this.#chunk[this.#at + 13] === 1;
  }

  get words(): Int32Array {
    return this.#chunk.subarray(this.#at + headerWords, this.#countsAt);
  }

  get counts(): Uint8Array {
    return this.#bytes(this.#countsAt, this.#wordLength);
  }

  get definitions(): Int32Array {
    return this.#chunk.subarray(this.#definitionsAt, this.#importsAt);
  }

  get imports(): readonly string[] {
    const { buffer, byteOffset, byteLength } = this.#bytes(this.#importsAt, this.#chunk[this.#at + 12]!);
    const text = Buffer.from(buffer, byteOffset, byteLength).toString("utf8");
    return text === "" ? [] : text.split("\n");
  }

  get #wordLength(): number {
    return this.#chunk[this.#at + 10]!;
  }

  get #countsAt(): number {
    return this.#at + headerWords + this.#wordLength;
  }

  get #definitionsAt(): number {
    return this.#countsAt + Math.ceil(this.#wordLength / 4);
  }

  get #importsAt(): number {
    return this.#definitionsAt + this.#chunk[this.#at + 11]!;
  }

  #bytes(at: number, length: number): Uint8Array {
    return new Uint8Array(this.#chunk.buffer, this.#chunk.byteOffset + at * 4, length);
  }
}

/** Larger than the record of the largest file that is indexed: each word of it takes at least two bytes. */
const chunkWords = 1 << 20;

/** length, object name (8), word count, words, definitions, import bytes, flags, size */
const headerWords = 15;

function bytesOf(record: Int32Array, at: number): Uint8Array {
  return new Uint8Array(record.buffer, record.byteOffset + at * 4, (record.length - at) * 4);
}

function encodeSha(blobSha: string): Int32Array {
  const bytes = Buffer.alloc(32);
  bytes.write(blobSha, "hex");
  return new Int32Array(bytes.buffer, bytes.byteOffset, 8);
}

/** SHA-1 names leave the last three of eight numbers zero; a SHA-256 name does so once in 2^96. */
function decodeSha(record: Int32Array): string {
  const short = record[6] === 0 && record[7] === 0 && record[8] === 0;
  return Buffer.from(record.buffer, record.byteOffset + 4, short ? 20 : 32).toString("hex");
}
