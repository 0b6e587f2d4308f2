/** A notice's text, taken apart for channels that write it in their own way. */
export type TextPart = { kind: "lines"; lines: Word[][] } | { kind: "code"; lines: string[] };

/** A piece of a line; `style` says how it was marked. */
export interface Word {
  text: string;
  style: "plain" | "bold" | "code";
}

/** Takes a notice's text apart: fenced code, and lines of words. An empty line is a line without words. Linear time. */
export function textParts(text: string): TextPart[] {
  const parts: TextPart[] = [];
  let fence: string | undefined;
  for (const line of text.split("\n")) {
    const last = parts.at(-1);
    if (fence !== undefined) {
      if (line.trim().startsWith(fence) && /^ {0,3}(?:`+|~+)[ \t]*$/.test(line)) fence = undefined;
      else if (last?.kind === "code") last.lines.push(line);
      continue;
    }
    const opened = /^ {0,3}(?:(`{3,})[^`]*|(~{3,}).*)$/.exec(line);
    fence = opened?.[1] ?? opened?.[2];
    if (fence !== undefined) parts.push({ kind: "code", lines: [] });
    else if (last?.kind === "lines") last.lines.push(wordsOf(line));
    else parts.push({ kind: "lines", lines: [wordsOf(line)] });
  }
  return parts.filter(({ lines }) => lines.some((line) => line.length > 0));
}

function wordsOf(line: string): Word[] {
  const words: Word[] = [];
  let from = 0;
  const plain = (until: number) => {
    if (until > from) words.push({ text: line.slice(from, until), style: "plain" });
  };
  for (const match of line.matchAll(/\*\*([^*]+)\*\*|`([^`]+)`/g)) {
    plain(match.index);
    words.push(match[1] === undefined ? { text: match[2]!, style: "code" } : { text: match[1], style: "bold" });
    from = match.index + match[0].length;
  }
  plain(line.length);
  return words;
}
