/**
 * Returns a terminal's text without escape sequences (CSI, OSC, other two-character escapes) and without the parts of
 * lines that a carriage return overwrites. Linear in the text's length, which `stripVTControlCharacters` of node:util
 * is not: 1 MB of "\x1b]" takes it minutes.
 */
export function plainText(text: string): string {
  if (!text.includes("\u001b") && !text.includes("\r") && !text.includes("\u009b")) return text;
  const parts: string[] = [];
  let end = 0;
  // The next end of an OSC sequence is looked up once and reused until it is passed.
  let nextEnd = -1;
  for (let at = nextEscape(text, 0); at !== -1; at = nextEscape(text, end)) {
    parts.push(text.slice(end, at));
    const isC1 = text[at] === "\u009b";
    const kind = isC1 ? "[" : text[at + 1];
    const body = isC1 ? at + 1 : at + 2;
    if (kind === "[") end = endOfControlSequence(text, body);
    else if (kind === "]") {
      if (nextEnd < body) nextEnd = endOfString(text, body);
      end = nextEnd === text.length + 1 ? body : nextEnd;
    } else end = Math.min(body, text.length);
  }
  parts.push(text.slice(end));
  return parts.join("").split("\n").map(lastWritten).join("\n");
}

function nextEscape(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x1b || code === 0x9b) return at;
  }
  return -1;
}

function endOfControlSequence(text: string, from: number): number {
  let at = from;
  while (at < text.length && text.charCodeAt(at) >= 0x20 && text.charCodeAt(at) <= 0x3f) at++;
  const final = text.charCodeAt(at);
  return final >= 0x40 && final <= 0x7e ? at + 1 : at;
}

/** Returns the index after BEL or ESC \, or a value beyond the text when there is none. */
function endOfString(text: string, from: number): number {
  const bell = text.indexOf("\u0007", from);
  const terminator = text.indexOf("\u001b\\", from);
  if (bell === -1 && terminator === -1) return text.length + 1;
  return bell !== -1 && (terminator === -1 || bell < terminator) ? bell + 1 : terminator + 2;
}

function lastWritten(line: string): string {
  const kept = line.endsWith("\r") ? line.slice(0, -1) : line;
  return kept.slice(kept.lastIndexOf("\r") + 1);
}
