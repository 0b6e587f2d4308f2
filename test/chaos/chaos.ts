/** How much is tried: `short` is part of `npm test`, `long` reaches the figures of docs/security.md. */
export type Scale = "short" | "long";

export interface ChaosOptions {
  scale: Scale;
  /** The database of the engine; scenarios that need none are run once, on "pglite". */
  database: "pglite" | "postgres";
  /** Of the random choices, so that a run can be repeated. */
  seed: number;
  /** A line of progress or of detail, such as what was measured. */
  say(line: string): void;
}

/** What a scenario found out. All is well when nothing was lost, duplicated or violated, and something was tried. */
export interface Findings {
  /** How many faults or attacks were tried. */
  tries: number;
  /** Work that was asked for and came to no end, or to the wrong one. */
  lost: number;
  /** Effects that happened more often than they were meant: pull requests, comments, commits, reactions, model calls. */
  duplicated: number;
  /** One sentence for each rule that did not hold, with the value. */
  violations: string[];
}

/** One kind of hostility against the real App: only GitHub and the model are stand-ins. */
export interface ChaosScenario {
  name: string;
  /** What is done, in one sentence, with the figure of docs/security.md that it measures. */
  about: string;
  /** Databases that it is run on; each is a line of output of its own. */
  databases: readonly ChaosOptions["database"][];
  /** A program that it cannot do without, and why. */
  needs?: { program: string; reason: string };
  run(options: ChaosOptions): Promise<Findings>;
}

/** Adds up the findings of parts. */
export function sum(parts: readonly Findings[]): Findings {
  return {
    tries: parts.reduce((total, { tries }) => total + tries, 0),
    lost: parts.reduce((total, { lost }) => total + lost, 0),
    duplicated: parts.reduce((total, { duplicated }) => total + duplicated, 0),
    violations: parts.flatMap(({ violations }) => violations),
  };
}

/** Whether a mechanism held. */
export function isSound({ tries, lost, duplicated, violations }: Findings): boolean {
  return tries > 0 && lost === 0 && duplicated === 0 && violations.length === 0;
}
