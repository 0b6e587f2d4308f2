/** Languages whose tests are read by structure. */
export type Language = "javascript" | "python" | "go" | "java" | "kotlin" | "rust" | "ruby";

const extensions: Record<string, Language> = {
  js: "javascript",
  jsx: "javascript",
  ts: "javascript",
  tsx: "javascript",
  mjs: "javascript",
  cjs: "javascript",
  mts: "javascript",
  cts: "javascript",
  py: "python",
  go: "go",
  java: "java",
  kt: "kotlin",
  kts: "kotlin",
  rs: "rust",
  rb: "ruby",
};

export function languageOf(path: string): Language | undefined {
  return extensions[/\.([a-z]+)$/i.exec(path)?.[1]?.toLowerCase() ?? ""];
}

const testFile: Record<Language, RegExp> = {
  javascript:
    /[._-](?:test|spec|e2e|cy)\.[cm]?[jt]sx?$|(?:^|\/)(?:__tests__|tests?|spec|e2e|cypress)\/.*\.[cm]?[jt]sx?$/i,
  python: /(?:^|\/)(?:test_[^/]*|[^/]*_tests?|tests|conftest)\.py$|(?:^|\/)tests?\/.*\.py$/i,
  go: /_test\.go$/,
  java: /(?:Tests?|IT|TestCase|Spec)\.java$|(?:^|\/)src\/(?:test|it|integrationTest)\/.*\.java$/,
  kotlin: /(?:Tests?|IT|Spec)\.kts?$|(?:^|\/)src\/(?:\w*[tT]est)\/.*\.kts?$/,
  // Rust keeps unit tests in the source files: a file is a test file when it has tests.
  rust: /\.rs$/,
  ruby: /_(?:spec|test)\.rb$|(?:^|\/)test_[^/]*\.rb$|(?:^|\/)(?:spec|test)\/.*\.rb$/,
};

/** Whether a file may hold tests, by its path. */
export function mayHoldTests(path: string): boolean {
  const language = languageOf(path);
  return language !== undefined && testFile[language].test(path);
}

/** Whether a runner finds tests in this file only because of its name or folder (not so in Rust). */
export function isTestPath(path: string): boolean {
  return mayHoldTests(path) && (languageOf(path) !== "rust" || /(?:^|\/)tests\//.test(path));
}
