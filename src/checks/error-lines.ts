import { linesOf } from "./parsers/lines.ts";

const place = /(?:^|[\s("'[])[\w.@/\\+-]{1,300}\.[A-Za-z]{1,8}(?::\d{1,7}(?::\d{1,7})?|\(\d{1,7}(?:,\d{1,7})?\))/;
const word =
  /\b(?:error|fatal|panic(?:ked)?|exception|failed|failure|cannot|undefined|unresolved|not found|no such|denied|Traceback)\b|^E {3}|Error\b|✖|✗|×|●/i;
const noise =
  /^\s*at |node_modules\/|site-packages\/|\b0 (?:errors?|failed|failures)\b|\(0 errors?|^npm (?:ERR!|error) (?:A complete log|\s*$)/;
const maxErrorLines = 200;

/** Returns the lines, trimmed and once each, that look like an error or name a place in a file; at most 200. */
export function errorLines(text: string): string[] {
  const found = new Set<string>();
  for (const line of linesOf(text)) {
    const cut = line.slice(0, 500);
    if (isErrorLine(cut)) found.add(cut.trim());
    if (found.size >= maxErrorLines) break;
  }
  return [...found];
}

/** Returns whether a line looks like an error, or like a place in one of the repository's files. */
function isErrorLine(line: string): boolean {
  return line.trim() !== "" && !noise.test(line) && (word.test(line) || place.test(line));
}
