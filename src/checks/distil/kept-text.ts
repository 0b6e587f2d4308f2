/** Whole lines of a log that are kept, and where they stood among its characters. */
export interface Kept {
  at: number;
  text: string;
  /** Whether something in them looks like an error, and not only like a word that errors have. */
  strong: boolean;
}

/** Keeps the first and the last parts that were added, each up to a number of characters. */
export class KeptText {
  readonly #maxLength: number;
  readonly #first: Kept[] = [];
  #last: Kept[] = [];
  #firstLength = 0;
  #lastLength = 0;
  #dropped = 0;

  /** @param maxLength characters of the first parts, and as many of the last ones */
  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  add(part: Kept): void {
    if (this.#last.length === 0 && this.#firstLength + part.text.length <= this.#maxLength) {
      this.#first.push(part);
      this.#firstLength += part.text.length;
      return;
    }
    this.#last.push(part);
    this.#lastLength += part.text.length;
    while (this.#lastLength > this.#maxLength && this.#dropped < this.#last.length - 1) {
      this.#lastLength -= this.#last[this.#dropped++]!.text.length;
    }
    if (this.#dropped > 500) {
      this.#last = this.#last.slice(this.#dropped);
      this.#dropped = 0;
    }
  }

  parts(): Kept[] {
    return [...this.#first, ...this.#last.slice(this.#dropped)];
  }
}
