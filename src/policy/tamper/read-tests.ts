import { type Assertion, readAssertions, readTolerances } from "./assertions.ts";
import { type Language, languageOf } from "./language.ts";
import { maskCode } from "./mask-code.ts";

/** A test as its structure: what decides whether it still tests as much as before. */
export interface TestCase {
  /** Names of the groups around it and its own, outermost first. */
  name: string;
  leaf: string;
  /** Line counted from 1. */
  line: number;
  /** Why it does not run, when it does not. */
  skipped: string | undefined;
  /** Whether it makes all others be left out (`.only`, `fit`). */
  focused: boolean;
  assertions: Assertion[];
  /** Largest tolerance of its numeric comparisons; 0 without one. */
  tolerance: number;
  /** How many handlers swallow what is thrown. */
  swallows: number;
  /** The code without comments, strings and white space. */
  body: string;
}

/** A test or a group of tests as a part of the text. */
export interface Block {
  kind: "test" | "group";
  name: string;
  start: number;
  end: number;
  skipped: string | undefined;
  focused: boolean;
}

/** Texts above this are not read by structure. */
const maxCharacters = 1_000_000;

/**
 * All tests of a file by structure, with the assertions outside of any test as one more called `(outside of tests)`. Empty for languages that
 * are not known. Deterministic, linear for ordinary code and bounded otherwise; never throws.
 */
export function readTests(path: string, text: string): TestCase[] {
  const language = languageOf(path);
  if (language === undefined || text.length > maxCharacters) return [];
  const code = maskCode(text, language);
  const lines = lineStarts(text);
  const blocks = findBlocks(text, code, language)
    .sort((a, b) => a.start - b.start || b.end - a.end)
    .slice(0, 5_000);
  const tests: TestCase[] = [];
  const around: Block[] = [];
  for (const [index, block] of blocks.entries()) {
    while (around.length > 0 && around.at(-1)!.end <= block.start) around.pop();
    if (block.kind === "test") {
      // Tests inside of a test count for themselves.
      const own = without(
        code,
        block.start,
        block.end,
        blocks.slice(index + 1, index + 500).filter((inner) => inner.kind === "test"),
      );
      tests.push({
        ...measure(own, language),
        name: [...around.slice(-10).map((outer) => outer.name), block.name].join(" > "),
        leaf: block.name,
        line: lineOf(lines, block.start),
        skipped:
          block.skipped ?? around.find((outer) => outer.skipped !== undefined)?.skipped ?? skippedInside(own, language),
        focused: block.focused || around.some((outer) => outer.focused),
      });
    }
    if (around.length < 50) around.push(block);
  }
  const outside = without(
    code,
    0,
    code.length,
    blocks.filter((block) => block.kind === "test"),
  );
  const rest = measure(outside, language);
  if (rest.assertions.length > 0)
    tests.push({ ...rest, name: outsideName, leaf: outsideName, line: 1, skipped: undefined, focused: false });
  return tests;
}

export const outsideName = "(outside of tests)";

function measure(code: string, language: Language): Pick<TestCase, "assertions" | "tolerance" | "swallows" | "body"> {
  return {
    assertions: readAssertions(code, language),
    tolerance: readTolerances(code),
    swallows: [...code.matchAll(swallowing[language])].length,
    body: code.replace(/\s+/g, "").slice(0, 20_000),
  };
}

const swallowing: Record<Language, RegExp> = {
  javascript:
    /\bcatch\s*(?:\(\s*[\w$]*\s*\))?\s*\{\s*\}|\.catch\s*\(\s*(?:\(\s*[\w$]*\s*\)|[\w$]+)\s*=>\s*(?:\{\s*\}|undefined|null)/g,
  python: /\bexcept\b[^\n:]*:\s*(?:pass\b|\.\.\.|return\b)|\bsuppress\s*\(/g,
  go: /\brecover\s*\(\s*\)/g,
  java: /\bcatch\s*\([^)]{0,300}\)\s*\{\s*\}/g,
  kotlin: /\bcatch\s*\([^)]{0,300}\)\s*\{\s*\}|\brunCatching\b/g,
  rust: /\bcatch_unwind\b/g,
  ruby: /\brescue\b[^\n]*\n\s*(?:nil\s*\n\s*)?end\b|\brescue\s+nil\b/g,
};

const skipCalls: Record<Language, RegExp> = {
  javascript: /\b(?:this|t|ctx|context|test)\.skip\s*\(|\bpending\s*\(\s*["')]/,
  python: /\bpytest\.(?:skip|xfail|importorskip)\s*\(|\bself\.skipTest\s*\(|\braise\s+(?:unittest\.)?SkipTest\b/,
  go: /\b[a-z]\w*\.Skip(?:f|Now)?\s*\(/,
  java: /\bassum(?:e(?:True|False|That|NotNull|NoException|ingThat)|ptions?\.\w+)\s*\(|\bthrow\s+new\s+\w*(?:Skip|Abort|Assumption)\w*/,
  kotlin: /\bassum(?:e(?:True|False|That|NotNull)|ptions?\.\w+)\s*\(/,
  rust: /(?!)/,
  ruby: /^\s*(?:skip|pending)\b/m,
};

function skippedInside(code: string, language: Language): string | undefined {
  return skipCalls[language]
    .exec(code)?.[0]
    .trim()
    .replace(/\s*\(.*$/, "");
}

function findBlocks(text: string, code: string, language: Language): Block[] {
  switch (language) {
    case "javascript":
      return javascriptBlocks(text, code);
    case "python":
      return pythonBlocks(code);
    case "go":
      return goBlocks(text, code);
    case "java":
    case "kotlin":
      return annotatedBlocks(text, code);
    case "rust":
      return rustBlocks(code);
    case "ruby":
      return rubyBlocks(text, code);
  }
}

function block(
  kind: Block["kind"],
  name: string,
  start: number,
  end: number,
  skipped?: string,
  focused = false,
): Block {
  return { kind, name, start, end, skipped, focused };
}

function javascriptBlocks(text: string, code: string): Block[] {
  const partner = partners(code);
  const blocks: Block[] = [];
  for (const match of code.matchAll(
    /(?<![\w.$])(x|f)?(it|test|specify|describe|context|suite|bench|Deno\.test)((?:\s*\.\s*\w+)*)\s*(?=[(`])/g,
  )) {
    const [whole, prefix = "", word, members] = match;
    let open = match.index + whole.length;
    const chain = members!.replace(/\s/g, "");
    // `it.each(table)(name, …)` and it.each`table`(name, …): the test is the second call.
    if (/\.(?:each|for|skipIf|runIf|if)$/.test(chain) || code[open] === "`") {
      const end = code[open] === "`" ? code.indexOf("`", open + 1) : partner[open]!;
      if (end <= 0) continue;
      open = end + 1;
      while (/\s/.test(code[open] ?? "")) open++;
    }
    const close = partner[open] ?? 0;
    if (code[open] !== "(" || close === 0) continue;
    const head = code.slice(open, Math.min(close, open + 2_000));
    const modifier =
      /\.(?:skip|todo|skipIf|runIf|if|failing|fails|fail|fixme)\b/.exec(chain)?.[0] ??
      /[{,]\s*(?:skip|todo)\s*:\s*(?!false\b)\w*/.exec(head.slice(0, 300))?.[0];
    const kind = /describe|context|suite/.test(word!) ? "group" : "test";
    const off = prefix === "x" ? `x${word}` : modifier?.replace(/^[{,]\s*/, "");
    const focused = prefix === "f" || /\.only\b/.test(chain);
    blocks.push(block(kind, firstArgument(text, code, open, close), match.index, close + 1, off, focused));
  }
  return blocks;
}

function pythonBlocks(code: string): Block[] {
  const blocks: Block[] = [];
  const moduleSkip =
    /^pytestmark\s*=.*\b(?:skip|skipif|xfail)\b/m.exec(code) !== null || /^pytest\.skip\s*\(/m.exec(code) !== null;
  if (moduleSkip) blocks.push(block("group", "", 0, code.length, "pytestmark"));
  for (const match of code.matchAll(/^([ \t]*)(?:(class)|(?:async[ \t]+)?def)[ \t]+(\w+)[^\n]*/gm)) {
    const [, indent, isClass, name] = match;
    if (!isClass && !/^test/i.test(name!)) continue;
    const decorators = headBefore(code, match.index + indent!.length);
    const end = endOfIndented(code, match.index + match[0].length, indent!.length);
    const off = /@\s*(?:[\w.]*\.)?(?:skip|skipIf|skipif|skipUnless|xfail|expectedFailure)\b/i.exec(decorators)?.[0];
    blocks.push(block(isClass ? "group" : "test", name!, match.index, end, off));
  }
  return blocks;
}

/**
 * What stands before a declaration: the rest of its own line and the lines above that belong to it, which are
 * annotations, decorators, attributes, modifiers and the lines of their brackets. A blank line ends it.
 */
function headBefore(code: string, at: number): string {
  const lines = code.slice(Math.max(0, at - 3_000), at).split("\n");
  const own = lines.pop()!;
  let head = own.slice(Math.max(own.lastIndexOf(";"), own.lastIndexOf("}")) + 1);
  for (const line of lines.reverse().slice(0, 40)) {
    // A comment's line is white space here, but not empty.
    if (line === "" || (/[;}{:]\s*$/.test(line) && !/^\s*[@#]/.test(line))) break;
    head = `${line}\n${head}`;
  }
  return head;
}

/** End of a block whose lines are indented more than its head. Lines of an open bracket may stand anywhere. */
function endOfIndented(code: string, from: number, indent: number): number {
  const line = /\n([ \t]*)(?=([^\s]))/g;
  line.lastIndex = from;
  for (let match = line.exec(code); match !== null; match = line.exec(code)) {
    if (match[1]!.length <= indent && !/[)\]}"']/.test(match[2]!)) return match.index;
  }
  return code.length;
}

function goBlocks(text: string, code: string): Block[] {
  const partner = partners(code);
  const blocks: Block[] = [];
  const constraint = /^\/\/(?:go:build|\s*\+build)\s+(?!unix|linux|darwin|windows|go1)(.*)$/m.exec(
    text.slice(0, 5_000),
  );
  if (constraint !== null) blocks.push(block("group", "", 0, text.length, "build constraint"));
  for (const match of code.matchAll(/^func\s+((?:Test|Fuzz|Example)\w*)\s*\([^)]{0,300}\)\s*\{/gm)) {
    const end = partner[match.index + match[0].length - 1] ?? 0;
    if (end > 0) blocks.push(block("test", match[1]!, match.index, end + 1));
  }
  for (const match of code.matchAll(/\b[a-z]\w*\.Run\s*(?=\()/g)) {
    const open = match.index + match[0].length;
    const close = partner[open] ?? 0;
    if (close > 0) blocks.push(block("test", firstArgument(text, code, open, close), match.index, close + 1));
  }
  return blocks;
}

function annotatedBlocks(text: string, code: string): Block[] {
  const partner = partners(code);
  const blocks: Block[] = [];
  const off = /@(?:[\w.]*\.)?(?:Disabled\w*|Ignore|EnabledIf\w*|EnabledOn\w*|Ignored)\b/;
  for (const match of code.matchAll(/\b(?:class|object)\s+(\w+)[^{};]{0,500}\{/g)) {
    const end = partner[match.index + match[0].length - 1] ?? 0;
    const head = headBefore(code, match.index);
    if (end > 0) blocks.push(block("group", match[1]!, match.index, end + 1, off.exec(head)?.[0]));
  }
  for (const match of code.matchAll(
    /(?:\bvoid|\bfun|\b(?:Stream|Collection|Iterable|List)<[^>(]{0,200}>)\s+(?:`[^`\n]*`|\w+)\s*\(/g,
  )) {
    const head = headBefore(code, match.index);
    const name = /(`[^`\n]*`|\w+)\s*\($/.exec(text.slice(match.index, match.index + match[0].length))?.[1] ?? "";
    if (
      !/@(?:[\w.]*\.)?(?:\w*Test|TestFactory|TestTemplate|Property|Example)\b/.test(head) &&
      !/^test[A-Z_]/.test(name)
    )
      continue;
    const close = partner[match.index + match[0].length - 1] ?? 0;
    const open = close === 0 ? -1 : code.slice(close, close + 400).search(/[{=;]/) + close;
    const end = open > 0 && code[open] === "{" ? (partner[open] ?? 0) : code.indexOf("\n", Math.max(open, 0));
    if (close > 0) blocks.push(block("test", name, match.index, Math.max(end, close) + 1, off.exec(head)?.[0]));
  }
  return blocks;
}

function rustBlocks(code: string): Block[] {
  const partner = partners(code);
  const blocks: Block[] = [];
  for (const match of code.matchAll(/\bfn\s+(\w+)\s*(?:<[^>{]{0,300}>)?\s*\(/g)) {
    const head = headBefore(code, match.index);
    if (!/#\[\s*(?:[\w:]*::)?(?:test|rstest|test_case|quickcheck|wasm_bindgen_test|proptest)\b/.test(head)) continue;
    const close = partner[match.index + match[0].length - 1] ?? 0;
    const open = close === 0 ? -1 : code.indexOf("{", close);
    const end = open > 0 ? (partner[open] ?? 0) : 0;
    const ignored = /#\[\s*(?:ignore\b|cfg_attr\([^\]]*\bignore\b|cfg\((?!test\b))/.exec(head);
    if (end > 0)
      blocks.push(block("test", match[1]!, match.index, end + 1, ignored === null ? undefined : "#[ignore]"));
  }
  for (const match of code.matchAll(/\bmod\s+(\w+)\s*\{/g)) {
    const end = partner[match.index + match[0].length - 1] ?? 0;
    if (end > 0) blocks.push(block("group", match[1]!, match.index, end + 1));
  }
  return blocks;
}

function rubyBlocks(text: string, code: string): Block[] {
  const blocks: Block[] = [];
  const head =
    /^([ \t]*)(?:RSpec\.)?((x|f)?(?:it|specify|example|scenario|test|describe|context|feature)|class|def|skip|pending)(?:[ \t]+|[ \t]*\()([^\n]*)/gm;
  for (const match of code.matchAll(head)) {
    const [whole, indent, word, prefix, rest] = match;
    if (word === "def" && !/^test_/.test(rest!)) continue;
    const hasBody = word === "class" || word === "def" || /\bdo\b|\{/.test(rest!);
    if ((word === "skip" || word === "pending") && !hasBody) continue;
    const raw = text.slice(match.index + whole.length - rest!.length, match.index + whole.length);
    const name = /^\(?\s*(["'])(.*?)\1/.exec(raw)?.[2] ?? /^[\w:.]+/.exec(raw)?.[0] ?? "";
    const oneLine = /\{.*\}\s*$|\bend\s*$/.test(rest!) || (!hasBody && /it|specify|test/.test(word!));
    const off =
      prefix === "x" || word === "skip" || word === "pending"
        ? word
        : (/[:,]\s*:?(?:skip|pending)\b(?!:\s*false)/.exec(rest!)?.[0] ??
          (!hasBody && /^(?:it|specify|test|scenario)$/.test(word!) ? "pending" : undefined));
    const kind = /class|describe|context|feature/.test(word!) ? "group" : "test";
    const after = match.index + whole.length;
    const end = oneLine ? after : endOfIndented(code, after, indent!.length);
    const focused = prefix === "f" || /[,]\s*:focus\b|\bfocus:\s*true/.test(rest!);
    blocks.push(block(kind, name, match.index, end, off?.replace(/^[:,\s]+/, ""), focused));
  }
  return blocks;
}

/** For each opening bracket the place of the closing one, 0 where there is none. Wrongly nested brackets end nothing. */
function partners(code: string): Uint32Array {
  const partner = new Uint32Array(code.length);
  const open: number[] = [];
  for (let at = 0; at < code.length; at++) {
    const character = code[at]!;
    if (character === "(" || character === "[" || character === "{") open.push(at);
    else if (character === ")" || character === "]" || character === "}") {
      const start = open.at(-1);
      if (start === undefined || closing[code[start]!] !== character) continue;
      partner[start] = at;
      open.pop();
    }
  }
  return partner;
}

const closing: Record<string, string> = { "(": ")", "[": "]", "{": "}" };

/** The first argument: a string's content, or the code up to the comma. */
function firstArgument(text: string, code: string, open: number, close: number): string {
  const start = open + 1 + /^\s*/.exec(code.slice(open + 1, Math.min(close, open + 200)))![0].length;
  const quote = code[start]!;
  if (quote === '"' || quote === "'" || quote === "`") {
    const end = code.indexOf(quote, start + 1);
    return text.slice(start + 1, end === -1 || end > close ? close : end).slice(0, 300);
  }
  return (/^[^,)]*/.exec(text.slice(start, Math.min(close, start + 200)))?.[0] ?? "").trim();
}

/** The code between two places with the given blocks, sorted by their start, blanked. */
function without(code: string, from: number, to: number, blocks: Iterable<Block>): string {
  const out: string[] = [];
  let at = from;
  for (const { start, end } of blocks) {
    if (start >= to) break;
    if (end <= at) continue;
    out.push(code.slice(at, Math.max(at, start)), code.slice(Math.max(at, start), end).replace(/[^\n]/g, " "));
    at = end;
  }
  out.push(code.slice(at, Math.max(at, to)));
  return out.join("");
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

function lineOf(starts: readonly number[], at: number): number {
  let [low, high] = [0, starts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle]! <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}
