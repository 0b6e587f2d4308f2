/**
 * Cuts the stream of a client into messages of PostgreSQL's wire protocol: the first has no type, every other begins
 * with one; then comes the length, itself counted in.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export function createFramer(): (chunk: Buffer) => Buffer[] {
  let rest: Buffer = Buffer.alloc(0);
  let started = false;
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const messages: Buffer[] = [];
    for (;;) {
      const typeBytes = started ? 1 : 0;
      if (rest.length < typeBytes + 4) return messages;
      const length = typeBytes + rest.readInt32BE(typeBytes);
      if (rest.length < length) return messages;
      messages.push(rest.subarray(0, length));
      rest = rest.subarray(length);
      started = true;
    }
  };
}

/** Sync, Query and Flush; the start-up message begins with the first byte of its length, which is 0. */
const endings = new Set(["S", "Q", "H", "\0"]);

/** Whether the client waits for an answer after this message. */
export function ends(message: Buffer): boolean {
  return endings.has(String.fromCharCode(message[0] ?? 0));
}
