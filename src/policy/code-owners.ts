import picomatch from "picomatch";

/** Where GitHub looks for the file, the first that is there counts. https://docs.github.com/en/repositories/managing-your-repositorys-settings-and-features/customizing-your-repository/about-code-owners */
export const codeOwnersPaths = [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"];

const maxBytes = 3 * 1024 * 1024;
const maxOwners = 15;

/**
 * The people (`@login`) and teams (`@org/team`) that own one of the paths, by GitHub's rules: for each path the last pattern
 * that matches, patterns as in `.gitignore` without `!` and `[ ]`; e-mail addresses are left out. In order, each once.
 */
export function codeOwners(file: string, paths: readonly string[]): string[] {
  const rules = file
    .slice(0, maxBytes)
    .split("\n")
    .map((line) => line.replace(/(^|\s)#.*$/, "").trim())
    .filter((line) => line !== "" && !/^[![]/.test(line))
    .map((line) => {
      const [pattern = "", ...owners] = line.split(/\s+/);
      return { matches: matcherOf(pattern), owners: owners.filter((owner) => /^@[\w.-]+(\/[\w.-]+)?$/.test(owner)) };
    });
  const owners = paths.flatMap((path) => rules.findLast(({ matches }) => matches(path))?.owners ?? []);
  return [...new Set(owners)].slice(0, maxOwners);
}

function matcherOf(pattern: string): (path: string) => boolean {
  const isRooted = pattern.replace(/\/$/, "").includes("/");
  // Only `*` and `?` mean something; in a folder that is named `(group)` the brackets do not.
  const bare = pattern
    .replace(/^\//, "")
    .replace(/\/$/, "")
    .replaceAll(/[()[\]|+@{}$^\\]/g, "\\$&");
  const prefix = isRooted ? "" : "**/";
  const isFolder = pattern.endsWith("/");
  // `docs/*` means what is in `docs` and not what is below; any other pattern means a folder with all below it too.
  const below = pattern.endsWith("/*") ? [] : [`${prefix}${bare}/**`];
  return picomatch([...(isFolder ? [] : [`${prefix}${bare}`]), ...below], {
    dot: true,
    nobrace: true,
    noextglob: true,
  });
}
