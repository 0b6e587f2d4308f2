import { createHash } from "node:crypto";
import type { RecordedError } from "./recorded-error.ts";

/** One finished or begun step of a run. */
export interface RecordedStep {
  /** Branch path / name # count of that name in the branch. */
  path: string;
  name: string;
  attempt: number;
  status: "running" | "done" | "failed";
  inputHash: string;
  output: unknown;
  error: RecordedError | null;
  retryAt: Date | null;
  transientSince: Date | null;
}

/** What the history says about a call: replay it, or do it (again). */
export type Lookup =
  | { kind: "done"; path: string; output: unknown }
  | { kind: "failed"; path: string; error: RecordedError }
  | { kind: "open"; path: string; begun?: RecordedStep; dropped: string[] };

/**
 * The recorded steps of one run, followed while its pipeline is told again. Pure: no clock, no I/O.
 *
 * Each branch is a sequence. A call that is not the next one of its branch, or whose input differs, means that the story
 * changed: the rest of the branch and everything after it is dropped and done again. Branches that run beside it are kept.
 */
export class History {
  readonly #branches = new Map<string, RecordedStep[]>();
  readonly #counts = new Map<string, number>();
  readonly #openBranches = new Set<string>();
  readonly #fits: (name: string, output: unknown) => boolean;

  /** `recorded` in the order in which the steps were begun; `fits` says whether an output is one of today's schema. */
  constructor(recorded: readonly RecordedStep[], fits: (name: string, output: unknown) => boolean = () => true) {
    this.#fits = fits;
    for (const step of recorded) {
      const branch = branchOf(step.path);
      const steps = this.#branches.get(branch) ?? [];
      steps.push(step);
      this.#branches.set(branch, steps);
    }
  }

  /** Looks up the next call of a branch. `branch` is "" or ends in a slash. */
  next(branch: string, name: string, inputHash: string): Lookup {
    const counter = `${branch}${name}`;
    const count = (this.#counts.get(counter) ?? 0) + 1;
    this.#counts.set(counter, count);
    const path = `${counter}#${count}`;
    const steps = this.#branches.get(branch) ?? [];
    const recorded = steps[0];
    if (!recorded) return { kind: "open", path, dropped: this.#dropAfter(branch) };
    const same = recorded.path === path && recorded.inputHash === inputHash;
    if (!same || (recorded.status === "done" && !this.#fits(name, recorded.output))) {
      return { kind: "open", path, dropped: this.#dropAfter(branch) };
    }
    steps.shift();
    switch (recorded.status) {
      case "done":
        return { kind: "done", path, output: recorded.output ?? undefined };
      case "failed":
        return { kind: "failed", path, error: recorded.error ?? unknownError(name) };
      case "running":
        return { kind: "open", path, begun: recorded, dropped: [] };
    }
  }

  /** Branches run side by side from now on. Throws when a name cannot be part of a path. */
  openBranches(parent: string, names: readonly string[]): string[] {
    return names.map((name) => {
      if (!/^[\w-]+$/.test(name)) {
        throw new Error(`A branch's name is made of letters, digits, "-" and "_": ${JSON.stringify(name)}`);
      }
      const branch = `${parent}${name}/`;
      this.#openBranches.add(branch);
      return branch;
    });
  }

  closeBranches(branches: readonly string[]): void {
    for (const branch of branches) this.#openBranches.delete(branch);
  }

  /** Drops what was recorded after this point of a branch, but not what belongs to branches beside it. */
  #dropAfter(branch: string): string[] {
    const beside = [...this.#openBranches].filter((open) => !branch.startsWith(open));
    const dropped: string[] = [];
    for (const [other, steps] of this.#branches) {
      if (beside.some((open) => other.startsWith(open))) continue;
      dropped.push(...steps.map((step) => step.path));
      this.#branches.delete(other);
    }
    return dropped;
  }
}

/** SHA-256 over the value as JSON with sorted keys: the same for equal inputs however they were built. */
export function inputHashOf(input: unknown): string {
  return createHash("sha256")
    .update(JSON.stringify(sortKeys(input)) ?? "")
    .digest("hex")
    .slice(0, 32);
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (value === null || typeof value !== "object") return value;
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => [key, sortKeys(member)]),
  );
}

function branchOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

function unknownError(name: string): RecordedError {
  return { name: "Error", message: `${name} failed`, userFacing: false, transient: false };
}
