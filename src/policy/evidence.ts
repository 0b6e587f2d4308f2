/**
 * The quotes that do not occur in the text, as a model gave them: white space and case apart, as a terminal may have wrapped
 * the line, every letter counts. A quote may be escaped as in the JSON that the model was shown. One without letters or
 * digits proves nothing and counts as missing.
 */
export function missingQuotes(quotes: readonly string[], text: string): string[] {
  const said = flat(text);
  return quotes.filter((quote) => {
    const wanted = [flat(quote), flat(unescaped(quote))];
    return !wanted.some((one) => /[\p{L}\p{N}]{2}/u.test(one) && said.includes(one));
  });
}

function unescaped(quote: string): string {
  try {
    return JSON.parse(`"${quote}"`) as string;
  } catch {
    return quote;
  }
}

function flat(text: string): string {
  // Not in lower case, where a sigma depends on what follows it.
  return text.replaceAll(/\s+/g, " ").trim().toUpperCase();
}

/**
 * The quotes as this text has them, numbers apart: the same failure at another time names another port or duration. Those
 * that it does not have are left out.
 */
export function quotesAsIn(quotes: readonly string[], text: string): string[] {
  return quotes.flatMap((quote) => {
    if (missingQuotes([quote], text).length === 0) return [quote];
    const pattern = quote
      .trim()
      .split(/(\d+|\s+)/)
      .map((part) =>
        /^\d/.test(part) ? "\\d+" : /^\s/.test(part) ? "\\s+" : part.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"),
      )
      .join("");
    const [found] = new RegExp(pattern, "i").exec(text) ?? [];
    return found === undefined || missingQuotes([found], text).length > 0 ? [] : [found];
  });
}
