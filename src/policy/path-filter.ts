import picomatch from "picomatch";

/**
 * Whether a path is wanted by a list of globs, as people who write `.gitignore` expect: a glob without a slash matches the
 * file's name in any folder, one that ends in a slash everything below, one that begins with `!` leaves out what an earlier one
 * let in. Where no glob lets anything in, everything is wanted that none leaves out. The last glob that matches decides.
 */
export function pathFilter(globs: readonly string[]): (path: string) => boolean {
  const rules = globs.map((glob) => {
    const wanted = !glob.startsWith("!");
    const plain = (wanted ? glob : glob.slice(1)).replace(/^\.?\//, "");
    const below = plain.endsWith("/") ? `${plain}**` : plain;
    return { wanted, matches: picomatch(below.includes("/") ? below : `**/${below}`, { dot: true }) };
  });
  const byDefault = !rules.some(({ wanted }) => wanted);
  return (path) => rules.findLast(({ matches }) => matches(path))?.wanted ?? byDefault;
}
