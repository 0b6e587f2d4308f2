// CSI (ended or not), OSC when its end is on the same line (else its introducer alone), charsets and other short ones.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const escapes = /\u001b(?:\[[ -?]*[@-~]?|\](?:[^\n\u0007\u001b]*(?:\u0007|\u001b\\))?|[ -/]+[0-~]?|[^\n\u001b]?)/g;
/** To the first column, or the whole line erased: what comes next is written over it, as after a carriage return. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const overwriting = /\u001b\[(?:2K|[01]?G)/g;

/**
 * Returns a terminal's text without escape sequences and without the parts of lines that a carriage return overwrites.
 * Lines are independent of one another, so a text may be cut at any line end. Linear in the text's length, which
 * `stripVTControlCharacters` of node:util is not: 1 MB of "\x1b]" takes it minutes.
 */
export function plainText(text: string): string {
  return withoutEscapes(text.includes("\u009b") ? text.replaceAll("\u009b", "\u001b[") : text);
}

/** The same for text whose characters are the bytes of UTF-8. */
export function plainBytes(text: string): string {
  return withoutEscapes(text.includes("\u00c2\u009b") ? text.replaceAll("\u00c2\u009b", "\u001b[") : text);
}

function withoutEscapes(text: string): string {
  const unescaped = text.includes("\u001b") ? text.replace(overwriting, "\r").replace(escapes, "") : text;
  return unescaped.includes("\r") ? lastWritten(unescaped) : unescaped;
}

function lastWritten(text: string): string {
  const parts: string[] = [];
  let end = 0;
  for (let at = text.indexOf("\r"); at !== -1; at = text.indexOf("\r", end)) {
    const newline = text.indexOf("\n", at);
    const lineEnd = newline === -1 ? text.length : newline;
    let written = lineEnd;
    while (written > end && text.charCodeAt(written - 1) === 13) written--;
    // The line starts after the last newline, or where the last part ended.
    const lineStart = Math.max(end, at === 0 ? 0 : text.lastIndexOf("\n", at - 1) + 1);
    const from = written <= at ? lineStart : text.lastIndexOf("\r", written - 1) + 1;
    parts.push(text.slice(end, lineStart), text.slice(from, written));
    end = lineEnd;
  }
  parts.push(text.slice(end));
  return parts.join("");
}
