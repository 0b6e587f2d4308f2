import type { Language } from "./language.ts";

/**
 * The code with comments and the inside of strings, characters and regular expressions blanked, of the same length
 * and with the same lines, so that what stands in a comment or a string does not count. One linear pass.
 */
export function maskCode(code: string, language: Language): string {
  const out: string[] = [];
  let at = 0;
  let lastCode = "";
  while (at < code.length) {
    const end = endOfComment(code, at, language);
    if (end > at) {
      out.push(blank(code.slice(at, end)));
      at = end;
      continue;
    }
    const text = stringAt(code, at, language, lastCode);
    if (text !== undefined) {
      out.push(
        code.slice(at, at + text.open),
        blank(code.slice(at + text.open, text.end - text.close)),
        code.slice(text.end - text.close, text.end),
      );
      lastCode = '"';
      at = text.end;
      continue;
    }
    const word = /[A-Za-z_$][\w$]*/y;
    word.lastIndex = at;
    const match = word.exec(code)?.[0];
    const piece = match ?? code[at]!;
    out.push(piece);
    if (piece.trim() !== "") lastCode = piece;
    at += piece.length;
  }
  return out.join("");
}

function blank(text: string): string {
  return text.replace(/[^\n]/g, " ");
}

/** Where the comment that begins here ends; `at` itself when none begins. */
function endOfComment(code: string, at: number, language: Language): number {
  const two = code.slice(at, at + 2);
  if (language === "python" || language === "ruby") {
    if (code[at] === "#") return lineEnd(code, at);
    if (language === "ruby" && code.startsWith("=begin", at) && (at === 0 || code[at - 1] === "\n"))
      return after(code, "\n=end", at);
    return at;
  }
  if (two === "//") return lineEnd(code, at);
  if (two !== "/*") return at;
  if (language !== "rust" && language !== "kotlin") return after(code, "*/", at + 2);
  let depth = 1;
  let end = at + 2;
  for (; end < code.length && depth > 0; end++) {
    if (code.startsWith("/*", end)) depth++;
    else if (code.startsWith("*/", end)) depth--;
    else continue;
    end++;
  }
  return end;
}

function lineEnd(code: string, at: number): number {
  const end = code.indexOf("\n", at);
  return end === -1 ? code.length : end;
}

function after(code: string, mark: string, from: number): number {
  const end = code.indexOf(mark, from);
  return end === -1 ? code.length : end + mark.length;
}

interface TextLiteral {
  open: number;
  close: number;
  end: number;
}

function stringAt(code: string, at: number, language: Language, lastCode: string): TextLiteral | undefined {
  const character = code[at]!;
  const three = code.slice(at, at + 3);
  if (
    (three === '"""' || three === "'''") &&
    (language === "python" || (three === '"""' && (language === "java" || language === "kotlin")))
  ) {
    return until(code, at, 3, three, true);
  }
  if (language === "rust") return rustString(code, at, lastCode);
  if (character === "`") {
    if (language === "javascript") return until(code, at, 1, "`", true);
    return language === "go" ? until(code, at, 1, "`", true, false) : undefined;
  }
  if (character === '"') return until(code, at, 1, '"', false);
  if (character === "'") return until(code, at, 1, "'", false);
  if (
    character === "/" &&
    language === "javascript" &&
    /^(?:|[(,=:[!&|?{};+~<>*%^-]|return|typeof|case|in|of|do|else)$/.test(lastCode)
  ) {
    return until(code, at, 1, "/", false);
  }
  return undefined;
}

function rustString(code: string, at: number, lastCode: string): TextLiteral | undefined {
  if (code[at] === "'") {
    const character = /'(?:\\(?:u\{[^}]{1,8}\}|x..|.)|[^'\\\n])'/y;
    character.lastIndex = at;
    const match = character.exec(code);
    return match === null ? undefined : { open: 1, close: 1, end: at + match[0].length };
  }
  if (/^(?:r|br|cr)$/.test(lastCode) && /["#]/.test(code[at]!)) {
    const raw = /#{0,20}"/y;
    raw.lastIndex = at;
    const open = raw.exec(code)?.[0];
    if (open !== undefined) return until(code, at, open.length, `"${"#".repeat(open.length - 1)}`, true, false);
  }
  return code[at] === '"' ? until(code, at, 1, '"', true) : undefined;
}

/** A literal up to its closing mark, or to the end of the line or text when it is not closed. */
function until(code: string, at: number, open: number, mark: string, manyLines: boolean, escapes = true): TextLiteral {
  for (let end = at + open; end < code.length; end++) {
    if (escapes && code[end] === "\\") end++;
    else if (!manyLines && code[end] === "\n") return { open, close: 0, end };
    else if (code.startsWith(mark, end)) return { open, close: mark.length, end: end + mark.length };
  }
  return { open, close: 0, end: code.length };
}
