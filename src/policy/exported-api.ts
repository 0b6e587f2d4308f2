import type { FileChange } from "./change.ts";

/** By the end of a file's name: what a declaration that others can use looks like; the name, then all of its signature. */
const declarations: [extension: RegExp, pattern: RegExp][] = [
  [
    /\.[cm]?[jt]sx?$/,
    /^[ \t]*export\s+(?:default\s+)?(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?(?:function\*?|class|const|let|var|interface|type|enum)\s+([\w$]{1,200})([^\n{=]{0,400})/gm,
  ],
  [/\.py$/, /^(?:async )?(?:def|class) ((?!_)\w{1,200})([^\n]{0,400})/gm],
  [/\.go$/, /^(?:func (?:\([^)\n]{1,200}\) )?|type )([A-Z]\w{0,200})([^\n{]{0,400})/gm],
  [
    /\.rs$/,
    /^[ \t]*pub (?:const )?(?:async )?(?:unsafe )?(?:fn|struct|enum|trait|type|mod|static|const) (\w{1,200})([^\n{;=]{0,400})/gm,
  ],
  [/\.(?:java|kt|cs)$/, /^[ \t]*public [^\n(){};=]{0,200}?\b(\w{1,200})(\([^\n{;]{0,400})/gm],
];

const largestText = 500_000;
const isTest = /(?:^|\/)(?:tests?|spec|__tests__)\/|[._-](?:test|spec)\.|_test\.|(?:^|\/)test_|Tests?\.(?:java|kt|cs)$/;

/**
 * What others can use of the changed files and would find different: declarations that are gone or have another signature, one
 * sentence each. Read by their words, not by a compiler: it may miss some, and names none that did not change. Linear; tests
 * and languages that it does not know are left out.
 */
export function changedExports(files: readonly FileChange[]): string[] {
  return files.flatMap((file) => {
    const path = file.previousPath ?? file.path;
    if (isTest.test(path)) return [];
    const before = exportsOf(path, file.oldText);
    const after = exportsOf(file.path, file.newText);
    return [...before].flatMap(([name, signature]) => {
      const now = after.get(name);
      if (now === signature) return [];
      const shown = `\`${name}\` in \`${path.replaceAll(/[`\r\n]/g, "'")}\``;
      return [now === undefined ? `${shown} is not exported any more.` : `${shown} has another signature.`];
    });
  });
}

function exportsOf(path: string, text: string | undefined): Map<string, string> {
  const pattern = declarations.find(([extension]) => extension.test(path))?.[1];
  if (pattern === undefined || text === undefined || text.length > largestText) return new Map();
  const found = new Map<string, string>();
  for (const [, name = "", signature = ""] of text.matchAll(pattern))
    found.set(name, `${found.get(name) ?? ""}${signature.replaceAll(/\s+/g, " ").trim()}`);
  return found;
}
