import type { Anchored } from "./anchor.ts";

/** Why a replacement is not offered; the finding is posted without it. */
export type SuggestionProblem =
  | "range-outside-diff"
  | "quote-not-found"
  | "changes-nothing"
  | "hidden-characters"
  | "does-not-parse";

export type CheckedSuggestion =
  | {
      kind: "applies" /** The whole file afterwards. */;
      text: string /** The lines that replace the range. */;
      lines: string[];
      eol: "\n" | "\r\n";
    }
  | { kind: "rejected"; reason: SuggestionProblem };

export interface SuggestionInput {
  anchor: Anchored;
  /** The file at the head, as a string. */
  text: string;
  replacement: string;
  /** Syntax errors of `after` that `before` did not have: `newSyntaxErrors` of `checks/syntax.ts`. */
  newErrors(path: string, before: string, after: string): Promise<readonly unknown[]>;
}

/**
 * Applies a replacement to the lines of an anchor, as GitHub does when somebody commits the suggestion: whole lines, with the
 * file's line ends; a file without a newline at its end stays one. One newline at the end of `replacement` ends its last line; an
 * empty replacement deletes the lines. It must change something, hide nothing and bring no syntax error.
 */
export async function checkSuggestion({
  anchor,
  text,
  replacement,
  newErrors,
}: SuggestionInput): Promise<CheckedSuggestion> {
  if (anchor.cut) return { kind: "rejected", reason: "range-outside-diff" };
  const file = text.split("\n");
  const [from, to] = [anchor.startLine - 1, anchor.line];
  const old = file.slice(from, to);
  if (old.length !== anchor.text.length || old.some((line, index) => line.replace(/\r$/, "") !== anchor.text[index]))
    return { kind: "rejected", reason: "quote-not-found" };
  // The last line of a file may have no end; then the line before says which kind the file has.
  const ended = to === file.length ? file.slice(Math.max(0, from - 1), to) : old;
  const eol = ended.some((line) => line.endsWith("\r")) ? "\r\n" : "\n";
  const lines = linesOf(replacement);
  if (lines.length === anchor.text.length && lines.every((line, index) => line === anchor.text[index]))
    return { kind: "rejected", reason: "changes-nothing" };
  const known = new Set(anchor.text.join("\n").match(hidden));
  if ((lines.join("\n").match(hidden) ?? []).some((character) => !known.has(character)))
    return { kind: "rejected", reason: "hidden-characters" };
  const applied = applyLines(file, { from, to, lines, eol });
  const errors = await newErrors(anchor.path, text, applied);
  return errors.length > 0
    ? { kind: "rejected", reason: "does-not-parse" }
    : { kind: "applies", text: applied, lines, eol };
}

/** Characters that a reader does not see, which could make code look like what it is not. */
const hidden = /[\p{Default_Ignorable_Code_Point}\p{Co}]|(?![\t\n])\p{Cc}/gu;

function linesOf(replacement: string): string[] {
  if (replacement === "") return [];
  const lines = replacement.toWellFormed().replace(/\r\n?/g, "\n").split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

function applyLines(
  file: readonly string[],
  { from, to, lines, eol }: { from: number; to: number; lines: readonly string[]; eol: "\n" | "\r\n" },
): string {
  const head = file.slice(0, from);
  const tail = file.slice(to);
  const ends = lines.map((line) => (eol === "\r\n" ? `${line}\r` : line));
  // The file's last line has no line end of its own, neither before nor after.
  if (tail.length === 0 && lines.length > 0) ends[ends.length - 1] = lines.at(-1)!;
  const rest = [...head, ...ends, ...tail];
  const text = rest.join("\n");
  return tail.length === 0 && lines.length === 0 && head.length > 0 ? text.replace(/\r$/, "") : text;
}

/**
 * The block that GitHub offers a button for. The fence is longer than any in the text; what stands in it is code and is not
 * neutralised, so only what `checkSuggestion` let through may be rendered. No line at all deletes the range.
 * https://docs.github.com/en/pull-requests/collaborating-with-pull-requests/reviewing-changes-in-pull-requests/commenting-on-a-pull-request
 */
export function suggestionBlock({ lines, eol }: { lines: readonly string[]; eol: "\n" | "\r\n" }): string {
  const runs = lines.join("\n").match(/`+/g) ?? [];
  const fence = "`".repeat(Math.max(3, ...runs.map((run) => run.length + 1)));
  return [`${fence}suggestion`, ...lines, fence].join(eol);
}
