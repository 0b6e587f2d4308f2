import { linesOf } from "./lines.ts";

/**
 * Returns the share of covered lines in percent where the output says it: pytest-cov, istanbul (jest, vitest, nyc),
 * node:test, go test -cover of one package, SimpleCov, PHPUnit, tarpaulin. Of several, the last.
 */
export function coverageIn(text: string): { linesPercent: number } | undefined {
  let found: number | undefined;
  let goPackages = 0;
  let linesColumn: number | undefined;
  for (const line of linesOf(text)) {
    if (!line.includes("%") && !line.includes("|")) continue;
    const row = line.includes("|") ? line.replace(/^(?:ℹ|#) /, "").split("|", 8) : undefined;
    if (row !== undefined && /^\s*file\s*$/i.test(row[0]!)) {
      linesColumn = row.findIndex((cell) => /^\s*(?:%\s*)?lines?(?:\s*%)?\s*$/i.test(cell));
      continue;
    }
    if (row !== undefined && /^\s*all files\s*$/i.test(row[0]!)) {
      found = percent(row[linesColumn !== undefined && linesColumn > 0 ? linesColumn : 1]) ?? found;
      continue;
    }
    const go = /\bcoverage: (\d{1,3}(?:\.\d{1,4})?)% of statements/.exec(line);
    if (go !== null) goPackages++;
    const match =
      go ??
      /^TOTAL\s.{0,80}?\s(\d{1,3}(?:\.\d{1,4})?)%/.exec(line) ??
      /^\s{0,8}Lines\s{0,12}:\s{1,12}(\d{1,3}(?:\.\d{1,4})?)%/.exec(line) ??
      /^Line Coverage: (\d{1,3}(?:\.\d{1,4})?)%/.exec(line) ??
      /LOC \((\d{1,3}(?:\.\d{1,4})?)%\) covered/.exec(line) ??
      /^(\d{1,3}(?:\.\d{1,4})?)% coverage, /.exec(line);
    if (match !== null) found = Number(match[1]);
  }
  // The packages of a Go module have different sizes, so their shares cannot be averaged.
  return found === undefined || goPackages > 1 || found > 100 ? undefined : { linesPercent: found };
}

function percent(cell: string | undefined): number | undefined {
  const match = /^\s*(\d{1,3}(?:\.\d{1,4})?)\s*$/.exec(cell ?? "");
  return match === null ? undefined : Number(match[1]);
}
