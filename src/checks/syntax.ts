import { XMLValidator } from "fast-xml-parser";
import { parse as parseToml, TomlError } from "smol-toml";
import { LineCounter, parseAllDocuments } from "yaml";
import { parseWithGrammar, type SyntaxProblem } from "./grammars.ts";

/** "unknown" for a language without a grammar, a file that is too large and a parser that took too long. */
export type SyntaxResult = { ok: true } | { ok: false; errors: SyntaxProblem[] } | { ok: "unknown" };

const maxTextLength = 1_000_000;
const maxErrors = 20;

/**
 * Parses a file by the language of its name and returns its syntax errors, at most 20. Nothing of the file is run.
 */
export async function checkSyntax(path: string, text: string): Promise<SyntaxResult> {
  if (text.length > maxTextLength) return { ok: "unknown" };
  const name = path.slice(path.lastIndexOf("/") + 1);
  const extension = /\.([^.]+)$/.exec(name)?.[1]?.toLowerCase() ?? "";
  const data = dataFormats[extension];
  if (data !== undefined) return resultOf(data(text.replace(/^\ufeff/, ""), path));
  const grammar = grammars[extension];
  const problems = grammar === undefined ? undefined : await parseWithGrammar({ grammar, text, maxErrors });
  return problems === undefined ? { ok: "unknown" } : resultOf(problems);
}

/**
 * Returns the errors that a change brought: those of `after`, unless the file already did not parse before. Then only
 * errors with a message that `before` does not have count, whatever their line.
 */
export function newSyntaxErrors(before: SyntaxResult | undefined, after: SyntaxResult): SyntaxProblem[] {
  if (after.ok !== false) return [];
  if (before === undefined || before.ok !== false) return after.errors;
  const known = before.errors.map((error) => error.message);
  // A list that was cut says nothing about what is not in it.
  if (known.length >= maxErrors) return [];
  return after.errors.filter((error) => {
    const index = known.indexOf(error.message);
    if (index !== -1) known.splice(index, 1);
    return index === -1;
  });
}

const grammars: Record<string, string> = {
  js: "javascript",
  mjs: "javascript",
  cjs: "javascript",
  jsx: "javascript",
  ts: "typescript",
  mts: "typescript",
  cts: "typescript",
  tsx: "tsx",
  py: "python",
  pyi: "python",
  go: "go",
  java: "java",
  rs: "rust",
  rb: "ruby",
  rake: "ruby",
  gemspec: "ruby",
  cs: "c-sharp",
  php: "php",
  c: "cpp",
  cc: "cpp",
  cpp: "cpp",
  cxx: "cpp",
  hpp: "cpp",
  hh: "cpp",
  sh: "bash",
  bash: "bash",
  css: "css",
};

const dataFormats: Record<string, (text: string, path: string) => SyntaxProblem[]> = {
  json: jsonErrors,
  jsonc: jsonErrors,
  yml: yamlErrors,
  yaml: yamlErrors,
  toml: tomlErrors,
  xml: xmlErrors,
  csproj: xmlErrors,
  svg: xmlErrors,
};

function jsonErrors(text: string, path: string): SyntaxProblem[] {
  if (isTolerantJson(path)) return yamlErrors(withoutComments(text).replaceAll("\t", " "));
  try {
    JSON.parse(text);
    return [];
  } catch (error) {
    const message = (error as Error).message;
    const position = Number(/at position (\d+)/.exec(message)?.[1] ?? text.length);
    const head = text.slice(0, position);
    const line = head.split("\n").length;
    return [
      { line, column: position - head.lastIndexOf("\n"), message: message.replace(/ in JSON at position.*$/, "") },
    ];
  }
}

// Their tools read comments and trailing commas.
function isTolerantJson(path: string): boolean {
  return /\.jsonc$|(?:^|\/)(?:[tj]sconfig[^/]*|\.eslintrc|\.swcrc|\.babelrc|api-extractor|deno|\.devcontainer|devcontainer)\.json$|(?:^|\/)\.vscode\//.test(
    path,
  );
}

// YAML 1.2 contains JSON with trailing commas; comments become spaces so that positions stay.
function withoutComments(text: string): string {
  return text.replace(/"(?:[^"\\\n]|\\.)*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (part) =>
    part.startsWith('"') ? part : part.replace(/[^\n]/g, " "),
  );
}

function yamlErrors(text: string): SyntaxProblem[] {
  const lineCounter = new LineCounter();
  const documents = parseAllDocuments(text, {
    lineCounter,
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: "silent",
  });
  const all = Array.isArray(documents) ? documents.flatMap((document) => document.errors) : [];
  return all.slice(0, maxErrors).map((error) => {
    const { line, col } = lineCounter.linePos(error.pos[0]);
    return { line: Math.max(1, line), column: Math.max(1, col), message: error.message };
  });
}

function tomlErrors(text: string): SyntaxProblem[] {
  try {
    parseToml(text);
    return [];
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    return [{ line: error.line, column: error.column, message: error.message.split("\n", 1)[0]! }];
  }
}

function xmlErrors(text: string): SyntaxProblem[] {
  const result = XMLValidator.validate(text, { allowBooleanAttributes: false });
  return result === true ? [] : [{ line: result.err.line, column: result.err.col || 1, message: result.err.msg }];
}

function resultOf(errors: SyntaxProblem[]): SyntaxResult {
  return errors.length === 0 ? { ok: true } : { ok: false, errors: errors.slice(0, maxErrors) };
}
