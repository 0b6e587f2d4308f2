// Runs in a process of its own, see grammars.ts. Ends when its channel to the worker does.
import { createRequire } from "node:module";
import { Language, type Node, Parser } from "web-tree-sitter";
import type { GrammarAnswer, GrammarRequest, SyntaxProblem } from "./grammars.ts";

const maxParseMilliseconds = 2000;
const maxVisitedNodes = 200_000;

let turn: Promise<void> = Promise.resolve();
process.on("disconnect", () => process.exit(0));
process.on("message", ({ id, request }: { id: number; request: GrammarRequest }) => {
  turn = turn.then(async () => {
    const problems = await parse(request).catch(() => undefined);
    process.send?.({ id, problems } satisfies GrammarAnswer);
  });
});

const require = createRequire(import.meta.url);
const languages = new Map<string, Promise<Language>>();
let started: Promise<void> | undefined;

async function parse({ grammar, text, maxErrors }: GrammarRequest): Promise<SyntaxProblem[] | undefined> {
  const language = await languageOf(grammar);
  const parser = new Parser();
  try {
    parser.setLanguage(language);
    const deadline = performance.now() + maxParseMilliseconds;
    // The callback's result ends the parse when it is true, although its type does not say so.
    const tree = parser.parse(text, null, { progressCallback: () => performance.now() > deadline });
    if (tree === null) return undefined;
    try {
      return tree.rootNode.hasError ? errorsIn(tree.rootNode, text, maxErrors) : [];
    } finally {
      tree.delete();
    }
  } finally {
    parser.delete();
  }
}

function languageOf(grammar: string): Promise<Language> {
  started ??= Parser.init();
  let language = languages.get(grammar);
  if (language === undefined) {
    const file = require.resolve(`@vscode/tree-sitter-wasm/wasm/tree-sitter-${grammar}.wasm`);
    language = started.then(() => Language.load(file));
    languages.set(grammar, language);
  }
  return language;
}

/** Visits only branches that hold an error; what is inside of an error is part of it. */
function errorsIn(root: Node, text: string, maxErrors: number): SyntaxProblem[] {
  const errors: SyntaxProblem[] = [];
  const lines = text.split("\n");
  const cursor = root.walk();
  try {
    for (let visited = 0; visited < maxVisitedNodes && errors.length < maxErrors; visited++) {
      const node = cursor.currentNode;
      const found = node.isError || node.isMissing;
      if (found) errors.push(problemOf(node, lines));
      if (!found && node.hasError && cursor.gotoFirstChild()) continue;
      let moved = cursor.gotoNextSibling();
      while (!moved && cursor.gotoParent()) moved = cursor.gotoNextSibling();
      if (!moved) break;
    }
  } finally {
    cursor.delete();
  }
  // An error of the tree that no node shows is still an error.
  return errors.length > 0 ? errors : [problemOf(root, lines)];
}

function problemOf(node: Node, lines: string[]): SyntaxProblem {
  const { row, column } = node.startPosition;
  const near = (lines[row] ?? "").slice(column, column + 40).trim();
  const message = node.isMissing ? `missing ${node.type}` : `unexpected ${JSON.stringify(near)}`;
  return { line: row + 1, column: column + 1, message };
}
