/**
 * The distinct identifiers of one file, numbered in the order of their first occurrence. A file has each of its
 * identifiers several times: what is worked out from the identifier alone is worked out once.
 */
export class IdentifierTable {
  size = 0;
  #bytes: Uint8Array = new Uint8Array();
  #slots = new Int32Array(1 << 12);
  #starts = new Int32Array(1 << 11);
  #ends = new Int32Array(1 << 11);
  #hashes = new Int32Array(1 << 11);
  #counts = new Int32Array(1 << 11);

  /** Forgets all identifiers; those added next are places in `bytes`. */
  reset(bytes: Uint8Array): void {
    const mask = this.#slots.length - 1;
    for (let id = 0; id < this.size; id++) {
      let slot = spread(this.#hashes[id]!) & mask;
      while (this.#slots[slot] !== 0) {
        this.#slots[slot] = 0;
        slot = (slot + 1) & mask;
      }
    }
    this.size = 0;
    this.#bytes = bytes;
  }

  /** The number of the identifier at `bytes[start, end)`; its count goes up by one. Equal ones have equal hashes. */
  add(start: number, end: number, hash: number): number {
    const mask = this.#slots.length - 1;
    let slot = spread(hash) & mask;
    for (let id = this.#slots[slot]! - 1; id >= 0; id = this.#slots[slot]! - 1) {
      if (this.#hashes[id] === hash && this.#isAt(id, start, end)) {
        this.#counts[id]!++;
        return id;
      }
      slot = (slot + 1) & mask;
    }
    const id = this.size++;
    this.#starts[id] = start;
    this.#ends[id] = end;
    this.#hashes[id] = hash;
    this.#counts[id] = 1;
    this.#slots[slot] = id + 1;
    if (this.size === this.#starts.length) this.#grow();
    return id;
  }

  count(id: number): number {
    return this.#counts[id]!;
  }

  #isAt(id: number, start: number, end: number): boolean {
    const bytes = this.#bytes;
    let known = this.#starts[id]!;
    if (this.#ends[id]! - known !== end - start) return false;
    for (let at = start; at < end; at++) if (bytes[at] !== bytes[known++]) return false;
    return true;
  }

  /** At most half of the slots are used, so that a search ends soon. */
  #grow(): void {
    this.#starts = doubled(this.#starts);
    this.#ends = doubled(this.#ends);
    this.#hashes = doubled(this.#hashes);
    this.#counts = doubled(this.#counts);
    this.#slots = new Int32Array(this.#slots.length * 2);
    const mask = this.#slots.length - 1;
    for (let id = 0; id < this.size; id++) {
      let slot = spread(this.#hashes[id]!) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = id + 1;
    }
  }
}

/** The lower bits of a product by an odd number depend on fewer bits than its upper ones. */
function spread(hash: number): number {
  return Math.imul(hash, 0x9e3779b1) >>> 8;
}

function doubled(numbers: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(numbers.length * 2);
  larger.set(numbers);
  return larger;
}
