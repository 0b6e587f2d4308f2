import type { CommandWord } from "../pipeline/intent.ts";

/** `code`, `fix` and `review` ask for work; the other words control it. */
export type Command =
  | { word: "code" | "fix" | "review"; args: string; short: boolean }
  | { word: CommandWord; args: string; short: boolean };

const controls: readonly CommandWord[] = ["stop", "retry", "status", "help", "approve", "reject"];

/**
 * The command on the first line of a comment: `/millwright <word> …`, or `/<word> …` for the short forms that are heard.
 * Undefined for everything else: other bots' words are theirs. What follows on later lines belongs to the arguments.
 */
export function parseCommand(body: string, shortCommands: readonly string[]): Command | undefined {
  const match = /^\s*\/([a-z-]+)(?:[ \t]+|\r?\n|$)([\s\S]*)$/i.exec(body.slice(0, 70_000));
  if (match === null) return undefined;
  const name = match[1]!.toLowerCase();
  const rest = match[2]!;
  if (name !== "millwright") {
    if (!shortCommands.includes(name)) return undefined;
    return named(name, rest.trim(), true);
  }
  const [, word = "help", args = ""] = /^\s*([^\s]+)?\s*([\s\S]*)$/.exec(rest)!;
  return named(word.toLowerCase(), args.trim(), false) ?? { word: "unknown", args: word.slice(0, 40), short: false };
}

function named(word: string, args: string, short: boolean): Command | undefined {
  if (word === "code" || word === "fix" || word === "review") return { word, args, short };
  const control = controls.find((known) => known === word);
  return control === undefined ? undefined : { word: control, args, short };
}
