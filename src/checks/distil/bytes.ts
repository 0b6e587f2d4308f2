// Blocks of a log are strings whose characters are its bytes: half the memory, and no decoding of what is not kept.

const maxLineLength = 2_000;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
const controls = /[\0-\b\v-\u001f\u007f]/g;

const scratch = Buffer.allocUnsafeSlow(64 * 1024);

/** Returns a copy: a slice of a string keeps the whole of it in memory. */
export function copyOf(block: string, from: number, to: number): string {
  return recoded(block.slice(from, to), "latin1");
}

/** Returns the text of bytes; what is not UTF-8 becomes U+FFFD. */
export function utf8(bytes: string): string {
  return recoded(bytes, "utf8");
}

function recoded(bytes: string, encoding: "latin1" | "utf8"): string {
  if (bytes.length > scratch.length) return Buffer.from(bytes, "latin1").toString(encoding);
  return scratch.toString(encoding, 0, scratch.write(bytes, 0, "latin1"));
}

/** Returns a block whose lines have at most `maxLength` bytes: of a longer one its beginning and its end remain. */
export function withoutLongLines(block: string, maxLength: number): string {
  let parts: string[] | undefined;
  let copied = 0;
  for (let at = 0; at < block.length; ) {
    const newline = block.lastIndexOf("\n", at + maxLength);
    if (newline >= at) {
      at = newline + 1;
      continue;
    }
    const next = block.indexOf("\n", at + maxLength);
    const end = next === -1 ? block.length : next;
    parts ??= [];
    parts.push(block.slice(copied, at), cutLine(block, at, end, maxLength));
    copied = end;
    at = end;
  }
  if (parts === undefined) return block;
  parts.push(block.slice(copied));
  return parts.join("");
}

function cutLine(block: string, start: number, end: number, maxLength: number): string {
  const tail = maxLength >> 2;
  return `${block.slice(start, start + maxLength - tail - 5)} ... ${block.slice(end - tail, end)}`;
}

/** Returns the index of the first of `count` lines before the one that starts at `start`, but none before `limit`. */
export function startOfLines(block: string, start: number, count: number, limit: number): number {
  let at = start;
  for (let n = 0; n < count && at > limit; n++) at = at < 2 ? 0 : block.lastIndexOf("\n", at - 2) + 1;
  return Math.max(at, limit);
}

/** Returns the index after `count` lines from `start` on, and how many of them the block does not have. */
export function endOfLines(block: string, start: number, count: number): { end: number; missing: number } {
  let end = start;
  for (let n = 0; n < count; n++) {
    const newline = block.indexOf("\n", end);
    if (newline === -1) return { end: block.length, missing: count - n };
    end = newline + 1;
  }
  return { end, missing: 0 };
}

/**
 * Returns the index where the line's own text starts: after the time that GitHub's runner puts before it
 * (`2026-01-31T10:00:00.1234567Z `) and after job and step, which `gh run view --log` puts before that.
 */
export function contentStart(block: string, start: number, end: number): number {
  let at = start;
  if (block.charCodeAt(at) === 0xef && block.startsWith("\u00ef\u00bb\u00bf", at)) at += 3;
  if (isTime(block, at)) return afterTime(block, at, end);
  const tab = tabIn(block, at, end);
  const second = tab === -1 ? -1 : tabIn(block, tab + 1, end);
  if (second === -1) return at;
  const time = block.startsWith("\u00ef\u00bb\u00bf", second + 1) ? second + 4 : second + 1;
  return isTime(block, time) ? afterTime(block, time, end) : at;
}

/** A tab within 200 characters: a search to the block's end for each line would be quadratic. */
function tabIn(block: string, from: number, end: number): number {
  const last = Math.min(end, from + 200);
  for (let at = from; at < last; at++) if (block.charCodeAt(at) === 9) return at;
  return -1;
}

function isTime(block: string, at: number): boolean {
  return block.charCodeAt(at + 4) === 0x2d && block.charCodeAt(at + 10) === 0x54 && block.charCodeAt(at + 19) === 0x2e;
}

function afterTime(block: string, at: number, end: number): number {
  let z = at + 20;
  while (z < at + 30 && block.charCodeAt(z) >= 0x30 && block.charCodeAt(z) <= 0x39) z++;
  if (block.charCodeAt(z) !== 0x5a) return at;
  return Math.min(end, block.charCodeAt(z + 1) === 0x20 ? z + 2 : z + 1);
}

/** Returns the lines as text, without times, control characters and the middle of overlong ones. */
export function textLines(bytes: string): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const newline = bytes.indexOf("\n", at);
    const end = newline === -1 ? bytes.length : newline;
    const start = contentStart(bytes, at, end);
    lines.push(end - start <= maxLineLength ? bytes.slice(start, end) : cutLine(bytes, start, end, maxLineLength));
    at = end + 1;
  }
  if (lines.length === 0) return [];
  return utf8(lines.join("\n"))
    .replace(controls, "")
    .split("\n")
    .map((line) => line.trimEnd());
}
