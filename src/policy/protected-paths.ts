import picomatch from "picomatch";

/** Why a path may not be changed: the rule's name and a reason for people. */
export interface Protection {
  rule: "ci" | "codeowners" | "configuration" | "environment-file" | "git" | "own-repository" | "configured";
  reason: string;
}

export interface ProtectedPathsOptions {
  /** The repository's own globs (`guard.protectedPaths`), as `.gitignore` people expect: `docs/**`, `*.pem`. */
  globs: readonly string[];
  /** Whether the repository is Millwright's own (product.md B21). */
  ownRepository: boolean;
}

/**
 * Which protection a path falls under, or undefined. Letter case and Unicode forms do not count, nor do characters that
 * some file systems ignore: what a checkout on macOS or Windows would take for `.github/workflows` is protected too.
 * A glob without a slash matches the file's name in any folder; one that ends in `/` everything below.
 */
export function protectionOf(path: string, { globs, ownRepository }: ProtectedPathsOptions): Protection | undefined {
  const folded = foldPath(path);
  const rule = builtIn.find(({ matches }) => matches.test(folded));
  if (rule !== undefined && !(rule.rule === "environment-file" && exampleEnvironment.test(folded)))
    return { rule: rule.rule, reason: rule.reason };
  if (ownRepository && ownParts.test(folded))
    return { rule: "own-repository", reason: "is part of what keeps Millwright itself safe" };
  const glob = globs.find((candidate) => matcherOf(candidate)(folded));
  return glob === undefined
    ? undefined
    : { rule: "configured", reason: `matches \`${glob.slice(0, 100)}\` of guard.protectedPaths` };
}

/**
 * The path as the most forgiving file system sees it: compatibility forms composed, case folded (dotless i and long s
 * included), default-ignorable characters gone, trailing dots and spaces and NTFS stream names of each part gone,
 * backslashes as slashes. Two paths with the same result collide somewhere.
 */
export function foldPath(path: string): string {
  const folded = path
    .toWellFormed()
    .normalize("NFKD")
    .replace(/[\p{Default_Ignorable_Code_Point}\p{Cc}]/gu, "")
    .toUpperCase()
    .toLowerCase()
    .replace(/\u0131|i\u0307/g, "i")
    .normalize("NFKC")
    .replaceAll("\\", "/");
  return folded
    .split("/")
    .map((part) => (part === "." || part === ".." ? part : part.replace(/:.*$/, "").replace(/[. ]+$/, "")))
    .map((part) => shortNames.get(part) ?? part)
    .filter((part) => part !== "" && part !== ".")
    .join("/");
}

// The short names that Windows gives to the first such file of a folder.
const shortNames = new Map([
  ["git~1", ".git"],
  ["github~1", ".github"],
  ["gitmod~1", ".gitmodules"],
]);

const ci = [
  String.raw`\.github/(?:workflows|actions)/.*`,
  String.raw`\.github/(?:dependabot|renovate)\.(?:ya?ml|json5?)`,
  String.raw`(?:.*/)?action\.ya?ml`,
  String.raw`\.gitlab-ci(?:[.-].*)?\.ya?ml`,
  String.raw`\.gitlab/ci/.*`,
  String.raw`\.circleci/.*`,
  String.raw`\.buildkite/.*`,
  String.raw`\.travis\.ya?ml`,
  String.raw`\.?appveyor\.ya?ml`,
  String.raw`\.azure-pipelines/.*|azure-pipelines(?:[.-].*)?\.ya?ml`,
  String.raw`bitbucket-pipelines\.ya?ml`,
  "(?:.*/)?jenkinsfile(?:[.-].*)?",
  String.raw`\.drone\.(?:ya?ml|jsonnet|star)`,
  String.raw`\.woodpecker(?:/.*|\.ya?ml)`,
  String.raw`\.cirrus\.(?:ya?ml|star)`,
  String.raw`\.(?:gitea|forgejo)/workflows/.*`,
  String.raw`\.semaphore/.*`,
  String.raw`\.teamcity/.*`,
  String.raw`\.tekton/.*`,
  String.raw`\.builds/.*|\.build\.ya?ml`,
  String.raw`\.harness/.*`,
  String.raw`\.ci/.*`,
  String.raw`(?:.*/)?cloudbuild(?:[.-].*)?\.(?:ya?ml|json)`,
  String.raw`(?:.*/)?buildspec(?:[.-].*)?\.ya?ml`,
  String.raw`codemagic\.ya?ml|bitrise\.ya?ml|wercker\.ya?ml|netlify\.toml|vercel\.json|render\.ya?ml|\.?codefresh(?:\.ya?ml|/.*)`,
  String.raw`\.pre-commit-config\.ya?ml|\.?lefthook(?:-local)?\.(?:ya?ml|toml|json)`,
];

const builtIn: (Protection & { matches: RegExp })[] = [
  { rule: "ci", reason: "is run by the repository's CI with its secrets", matches: whole(ci.join("|")) },
  { rule: "codeowners", reason: "decides who has to approve changes", matches: whole("(?:.*/)?codeowners") },
  {
    rule: "configuration",
    reason: "is Millwright's own configuration",
    matches: whole(String.raw`(?:.*/)?\.github/millwright\.ya?ml|\.github/millwright/.*|(?:.*/)?\.?millwright\.ya?ml`),
  },
  {
    rule: "environment-file",
    reason: "holds secrets of an environment",
    matches: whole(String.raw`(?:.*/)?\.env(?:[.-].*|rc)?`),
  },
  {
    rule: "git",
    reason: "changes what git itself does",
    matches: whole(
      String.raw`(?:.*/)?(?:\.gitmodules|\.gitconfig|\.lfsconfig)|(?:.*/)?\.git(?:/.*)?|\.(?:git-?hooks|husky)(?:/.*)?`,
    ),
  },
];

const exampleEnvironment = /\.env(?:[.-][^/]*)?[.-](?:example|sample|template|dist)$/;

const ownParts = whole(
  String.raw`src/policy/.*|src/agent/prompts/.*|(?:.*/)?prompts/.*\.md|src/config/.*|src/sandbox/.*|app\.ya?ml|serverless\.ya?ml|schema/.*|agents\.md|claude\.md|biome\.json|tsconfig\.json|vitest\.config\.ts|package\.json|security\.md|docs/security\.md`,
);

function whole(pattern: string): RegExp {
  return new RegExp(`^(?:${pattern})$`);
}

const matchers = new Map<string, (path: string) => boolean>();

function matcherOf(glob: string): (path: string) => boolean {
  const known = matchers.get(glob);
  if (known !== undefined) return known;
  if (matchers.size > 2_000) matchers.clear();
  const folded = glob
    .normalize("NFKC")
    .toLowerCase()
    .replace(/^\.?\//, "");
  const below = folded.endsWith("/") ? `${folded}**` : folded;
  const pattern = below.includes("/") || glob.startsWith("/") ? below : `**/${below}`;
  const matches = picomatch(pattern, { dot: true, nocase: true });
  matchers.set(glob, matches);
  return matches;
}
