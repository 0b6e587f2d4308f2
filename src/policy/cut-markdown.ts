const fenceLine = /^ {0,3}(`{3,}|~{3,})(.*)$/;
const detailsTag = /<(\/?)details\b/gi;

/**
 * Returns Markdown of at most `maxCharacters` (code points), with a last line that says how much is missing. It ends after
 * a whole line where there is one, closes the code block and the folded parts that it was cut in, and splits no character.
 *
 * @throws RangeError when maxCharacters is below 200, which has no room for that line
 */
export function cutMarkdown(text: string, maxCharacters: number): string {
  if (!(maxCharacters >= 200))
    throw new RangeError(`Cannot cut Markdown: maxCharacters must be at least 200, but is ${maxCharacters}`);
  // Counted in UTF-16 units first: there are never fewer of them than code points.
  if (text.length <= maxCharacters) return text;
  const total = lengthOf(text);
  if (total <= maxCharacters) return text;
  let room = maxCharacters - 80;
  for (;;) {
    const head = headOf(text, Math.max(0, room));
    const cut = `${head}${closing(head)}\n\n*${total - lengthOf(head)} more characters were left out.*`;
    const over = lengthOf(cut) - maxCharacters;
    if (over <= 0) return cut;
    room -= over;
  }
}

function lengthOf(text: string): number {
  let length = 0;
  for (const _ of text) length++;
  return length;
}

function headOf(text: string, characters: number): string {
  let end = 0;
  for (let count = 0; count < characters && end < text.length; count++)
    end += (text.codePointAt(end) as number) > 0xffff ? 2 : 1;
  const newline = text.lastIndexOf("\n", end);
  // A line as long as the text is cut in its middle.
  return text.slice(0, newline > end / 2 ? newline : end);
}

/** What ends the code block and the `<details>` that are open at the end of the text. */
function closing(text: string): string {
  let fence: string | undefined;
  let folded = 0;
  for (const line of text.split("\n")) {
    const [, marks = "", info = ""] = fenceLine.exec(line) ?? [];
    if (fence === undefined) {
      if (marks !== "" && !(marks.startsWith("`") && info.includes("`"))) fence = marks;
      else for (const [, slash] of line.matchAll(detailsTag)) folded = Math.max(0, folded + (slash === "" ? 1 : -1));
    } else if (marks.startsWith(fence) && info.trim() === "") fence = undefined;
  }
  // More than a few levels nobody reads, and each costs room.
  return `${fence === undefined ? "" : `\n${fence}`}${"\n\n</details>".repeat(Math.min(folded, 5))}`;
}
