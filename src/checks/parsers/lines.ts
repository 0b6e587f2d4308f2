const maxLineLength = 2000;

/**
 * Yields the lines of a text without their ends, each cut at 2000 characters: the parsers' regular expressions then
 * work on bounded input, which keeps the whole linear in the text's length whatever it holds.
 */
export function* linesOf(text: string): Generator<string> {
  let start = 0;
  while (start < text.length) {
    const newline = text.indexOf("\n", start);
    const end = newline === -1 ? text.length : newline;
    const line = text.slice(start, Math.min(end, start + maxLineLength));
    yield line.endsWith("\r") ? line.slice(0, -1) : line;
    start = end + 1;
  }
}

/** Returns the number of leading white-space characters. */
export function indentOf(line: string): number {
  let indent = 0;
  while (indent < line.length && (line[indent] === " " || line[indent] === "\t")) indent++;
  return indent;
}

/** Returns seconds for "12.5 ms", "3s", "2 m 3 s" parts such as number "12.5" and unit "ms". */
export function secondsOf(amount: string, unit: string): number {
  const factor =
    unit === "ms" ? 0.001 : unit === "m" || unit === "min" ? 60 : unit === "μs" || unit === "µs" ? 1e-6 : 1;
  return Number(amount) * factor;
}
