/** The issues that the sample repositories of test/fixtures/repos get; their transcripts have the same names. */
export const sampleIssues = {
  "text-tools": {
    title: "slugify loses accented letters",
    body: '`slugify("Crème Brûlée")` gives `cr-me-br-l-e`. It should keep the base letters: `creme-brulee`.\n\nThe German `ß` should become `ss`, so `slugify("Straße")` is `strasse`. Slugs of titles without accents must not change.',
  },
  "shapes-py": {
    title: "circle() returns the wrong area",
    body: "`circle(3)` returns 9.42 but should be about 28.274. A negative radius should be refused with `ValueError`.",
  },
  "ledger-go": {
    title: "Transfer accepts negative amounts",
    body: '`Transfer("a", "b", -5)` moves money from b to a. Amounts that are not positive should be refused and change nothing.',
  },
} as const;
