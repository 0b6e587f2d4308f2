/** An item of a list whose first line is its mark alone. */
const emptyItem = /^[ \t>]*(?:[-+*]|\d{1,9}[.)])[ \t]*$/;
/** What may be indented code: four columns before the text, whatever containers it stands in. */
const indentedCode = /^[ \t>]*(?:(?:[-+*]|\d{1,9}[.)])[ \t]+)*(?: {4}|\t)[ \t]*\S/;
const blank = /^[ \t>]*$/;
const fence = /^ {0,3}(`{3,}|~{3,})/;

/**
 * The text up to a place that micromark 4 and GitHub read differently: an item of a list that begins with an empty line, right
 * after indented code and blank lines, is a paragraph to the one, and what is indented below it code instead of markup. What
 * GitHub hides there would be shown, so the rest is withheld. A fence that is surely one, because no HTML stands before it, is
 * code to both.
 */
export function beforeUncertain(text: string): string {
  if (!/^[ \t>]*(?:[-+*]|\d{1,9}[.)])[ \t]*$/m.test(text)) return text;
  const lines = text.split("\n");
  const html = text.search(/<[a-z!?/]/i);
  let open: string | undefined;
  let offset = 0;
  let mayBeCode = false;
  let afterBlank = false;
  for (const [index, line] of lines.entries()) {
    const mark = html < 0 || offset < html || open !== undefined ? fence.exec(line)?.[1] : undefined;
    if (open === undefined) open = mark;
    else if (mark?.startsWith(open) && line.trim() === mark) open = undefined;
    if (open === undefined && afterBlank && mayBeCode && emptyItem.test(line) && !blank.test(lines[index + 1] ?? ""))
      return text.slice(0, offset);
    if (blank.test(line)) afterBlank = true;
    else {
      afterBlank = false;
      mayBeCode = indentedCode.test(line);
    }
    offset += line.length + 1;
  }
  return text;
}
