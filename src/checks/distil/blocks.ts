const blockBytes = 256 * 1024;
const keptOfLongLine = 16 * 1024;

/**
 * Cuts a stream of bytes into blocks of whole lines, each ended by a newline, whose characters are the bytes. Where the
 * stream was cut makes no difference. Of a line that is longer than a block (256 KB), its beginning and its end remain.
 */
export class Blocks {
  readonly #buffer = Buffer.allocUnsafe(blockBytes);
  readonly #take: (block: string) => void;
  #length = 0;
  #headOfLongLine: string | undefined;

  constructor(take: (block: string) => void) {
    this.#take = take;
  }

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const count = Math.min(blockBytes - this.#length, bytes.length - at);
      this.#buffer.set(bytes.subarray(at, at + count), this.#length);
      this.#length += count;
      at += count;
      if (this.#length === blockBytes) this.#emit();
    }
  }

  end(): void {
    if (this.#length > 0 && this.#buffer[this.#length - 1] !== 10) {
      // A full buffer was emitted, so there is room for one byte more.
      this.#buffer[this.#length++] = 10;
    }
    if (this.#length > 0) this.#emit();
  }

  #emit(): void {
    const newline = this.#buffer.lastIndexOf(10, this.#length - 1);
    if (newline === -1) {
      this.#headOfLongLine ??= this.#buffer.toString("latin1", 0, keptOfLongLine);
      this.#moveToFront(this.#length - keptOfLongLine);
      return;
    }
    const text = this.#buffer.toString("latin1", 0, newline + 1);
    this.#take(this.#headOfLongLine === undefined ? text : `${this.#headOfLongLine} ... ${text}`);
    this.#headOfLongLine = undefined;
    this.#moveToFront(newline + 1);
  }

  #moveToFront(from: number): void {
    this.#buffer.copyWithin(0, from, this.#length);
    this.#length -= from;
  }
}
