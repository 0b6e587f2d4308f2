/** Word → its place in the query, without a hash map's cost: most words of most files are not asked for. */
export class WordSlots {
  readonly #keys: Int32Array;
  readonly #slots: Int32Array;

  constructor(words: readonly number[]) {
    const size = 1 << (Math.ceil(Math.log2(Math.max(16, words.length))) + 3);
    this.#keys = new Int32Array(size);
    this.#slots = new Int32Array(size).fill(-1);
    words.forEach((word, index) => {
      let at = word & (size - 1);
      while (this.#slots[at]! >= 0) at = (at + 1) & (size - 1);
      this.#keys[at] = word;
      this.#slots[at] = index;
    });
  }

  find(word: number): number {
    const mask = this.#keys.length - 1;
    let at = word & mask;
    while (this.#slots[at]! >= 0) {
      if (this.#keys[at] === word) return this.#slots[at]!;
      at = (at + 1) & mask;
    }
    return -1;
  }
}
