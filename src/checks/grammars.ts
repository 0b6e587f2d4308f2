import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";

export interface SyntaxProblem {
  /** Counted from 1. */
  line: number;
  /** Counted from 1, in UTF-16 code units. */
  column: number;
  message: string;
}

export interface GrammarRequest {
  /** A name of @vscode/tree-sitter-wasm, such as `python`. */
  grammar: string;
  text: string;
  maxErrors: number;
}

/** `problems` is undefined where the parser took too long or failed. */
export interface GrammarAnswer {
  id: number;
  problems?: SyntaxProblem[] | undefined;
}

/** A parse has two seconds, a grammar is loaded in a moment: what takes longer hangs. */
const maxAnswerMs = 20_000;
const idleMs = 60_000;
/** Compiled for speed, a grammar takes 400 MB for a moment, and is not faster on one file. */
const processFlags = ["--liftoff-only"];

let running: ReturnType<typeof start> | undefined;

/**
 * Parses a text by a grammar and returns its syntax errors; undefined where that could not be found out in time. In a
 * process of its own, which has an empty environment, gets nothing but the text, and ends when it was idle for a minute.
 */
export function parseWithGrammar(request: GrammarRequest): Promise<SyntaxProblem[] | undefined> {
  running ??= start();
  return running.ask(request);
}

function start() {
  const child: ChildProcess = fork(fileURLToPath(new URL("grammar-process.ts", import.meta.url)), [], {
    env: {},
    execArgv: processFlags,
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  const waiting = new Map<number, (problems: SyntaxProblem[] | undefined) => void>();
  let lastId = 0;
  let idle: NodeJS.Timeout | undefined;
  const end = () => {
    if (running === self) running = undefined;
    clearTimeout(idle);
    child.kill("SIGKILL");
    for (const [id, resolve] of waiting) {
      waiting.delete(id);
      resolve(undefined);
    }
  };
  child.on("exit", end).on("error", end);
  child.on("message", ({ id, problems }: GrammarAnswer) => waiting.get(id)?.(problems));

  const self = {
    async ask(request: GrammarRequest): Promise<SyntaxProblem[] | undefined> {
      const id = ++lastId;
      clearTimeout(idle);
      child.ref();
      child.channel?.ref();
      const answered = new Promise<SyntaxProblem[] | undefined>((resolve) => waiting.set(id, resolve));
      const late = setTimeout(end, maxAnswerMs);
      child.send({ id, request }, (error) => {
        if (error !== null) end();
      });
      try {
        return await answered;
      } finally {
        clearTimeout(late);
        waiting.delete(id);
        if (waiting.size === 0) {
          child.unref();
          child.channel?.unref();
          idle = setTimeout(end, idleMs).unref();
        }
      }
    },
  };
  return self;
}
