/** Rule 4: what travels between steps is ids, SHAs, counts and references. */
const maxStepBytes = 32 * 1024;

/**
 * The value as it will be replayed, so that the first telling and every later one see the same.
 * Throws when it is larger than 32 KB or not JSON (rule 4).
 */
export function travelling(value: unknown, what: string): unknown {
  const text = JSON.stringify(value);
  if (text === undefined) return undefined;
  // Not Buffer: this is also told inside a workflow, which has the language alone.
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > maxStepBytes) {
    throw new RangeError(
      `The ${what} has ${bytes} bytes of JSON; at most ${maxStepBytes} travel between steps. ` +
        "Put text and trees into the store and pass their reference.",
    );
  }
  return JSON.parse(text);
}
