/**
 * Keeps the first and the last part of a stream, at most `maxBytes` together, and counts what it drops. The end is kept
 * because test runners print their summary there. Memory stays within `maxBytes` however much comes.
 */
export class CappedOutput {
  droppedBytes = 0;
  readonly #headBytes: number;
  readonly #head: Buffer[] = [];
  #headLength = 0;
  readonly #tail: Buffer;
  #tailEnd = 0;
  #tailTotal = 0;

  constructor(maxBytes: number) {
    this.#headBytes = Math.ceil(maxBytes / 2);
    this.#tail = Buffer.alloc(maxBytes - this.#headBytes);
  }

  /** Copies what it keeps: the caller may reuse the chunk's memory. */
  add(chunk: Uint8Array): void {
    const room = this.#headBytes - this.#headLength;
    if (room > 0) {
      const part = Buffer.from(chunk.subarray(0, room));
      this.#head.push(part);
      this.#headLength += part.length;
    }
    if (chunk.length > room) this.#addToTail(room > 0 ? chunk.subarray(room) : chunk);
  }

  /** UTF-8 text; where bytes were dropped one line says how many. */
  text(): string {
    const kept = Math.min(this.#tailTotal, this.#tail.length);
    const tail = Buffer.concat(
      this.#tailTotal <= this.#tail.length
        ? [this.#tail.subarray(0, kept)]
        : [this.#tail.subarray(this.#tailEnd), this.#tail.subarray(0, this.#tailEnd)],
    );
    if (this.droppedBytes === 0) return Buffer.concat([...this.#head, tail]).toString("utf8");
    const gap = `\n[${this.droppedBytes} bytes of output dropped]\n`;
    return Buffer.concat(this.#head).toString("utf8") + gap + tail.toString("utf8");
  }

  #addToTail(chunk: Uint8Array): void {
    const size = this.#tail.length;
    this.#tailTotal += chunk.length;
    this.droppedBytes = Math.max(0, this.#tailTotal - size);
    if (size === 0) return;
    const part = chunk.subarray(Math.max(0, chunk.length - size));
    const first = Math.min(part.length, size - this.#tailEnd);
    this.#tail.set(part.subarray(0, first), this.#tailEnd);
    this.#tail.set(part.subarray(first), 0);
    this.#tailEnd = (this.#tailEnd + part.length) % size;
  }
}
