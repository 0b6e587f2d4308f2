/**
 * The quotes that do not occur in the text, as a model gave them: white space and case apart, as a terminal may have wrapped
 * the line, every letter counts. A quote without letters or digits proves nothing and counts as missing.
 */
export function missingQuotes(quotes: readonly string[], text: string): string[] {
  const said = flat(text);
  return quotes.filter((quote) => {
    const wanted = flat(quote);
    return !/[\p{L}\p{N}]{2}/u.test(wanted) || !said.includes(wanted);
  });
}

function flat(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim().toLowerCase();
}
