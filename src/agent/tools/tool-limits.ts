/** Sizes beyond which a file tool refuses or shortens. */
export const toolLimits = {
  /** Largest file that is read whole or edited. */
  maxFileBytes: 256 * 1024,
  /** Largest file that is written. */
  maxWriteBytes: 512 * 1024,
  /** Longest result that goes back to the model: about 16,000 tokens. */
  maxOutputCharacters: 48_000,
};

/** The beginning and the end of a text that is longer than `limit` characters, with a note of what is missing in between. */
export function shorten(text: string, limit = toolLimits.maxOutputCharacters): string {
  if (text.length <= limit) return text;
  const head = text.slice(0, Math.floor(limit * 0.6)).toWellFormed();
  const tail = text.slice(text.length - Math.floor(limit * 0.4)).toWellFormed();
  return `${head}\n[… ${text.length - head.length - tail.length} characters left out; ask for a smaller part …]\n${tail}`;
}
