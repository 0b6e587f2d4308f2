import type { ReportKind } from "./check-report.ts";
import type { Ecosystem } from "./registry-hosts.ts";

/** A shell command of a repository, to be run in the sandbox. */
export interface Command {
  /** Short and unique within its directory, such as "npm test". */
  name: string;
  /** For `sh -c`. */
  run: string;
  /** Relative to the repository's root; "." is the root. */
  directory: string;
  ecosystem?: Ecosystem;
  /** A report that the command leaves, see {@link reportsVariable}. */
  reports?: ReportFile;
  /** Added to the sandbox's environment: no watch mode, no network. */
  environment?: Record<string, string>;
  timeoutSeconds: number;
}

export interface ReportFile {
  kind: ReportKind;
  /** A path or glob: below the reports directory, or for `tree` below the command's directory. */
  path: string;
  from: "reports" | "tree";
}

/** Setup is the one kind of command with network (security.md M1a). */
export interface SetupCommand extends Command {
  /**
   * The same without running code of the repository or of its dependencies. Undefined where the package manager cannot
   * do that: what needs a changed manifest is then offered unverified.
   */
  withoutScripts?: string;
}

/** A command that has a checking form, a writing form or both. */
export interface FormatCommand {
  name: string;
  check?: Command;
  write?: Command;
  /** The writing form for single files, see {@link writeCommandFor}. */
  writeFiles?: { run: string; extensions: readonly string[] };
}

/**
 * The environment variable that names an existing, writable directory outside of the tree for report files. Commands
 * fall back to TMPDIR: they then still work, but nobody finds the report and the printed text is read.
 */
export const reportsVariable = "MILLWRIGHT_REPORTS";

/** Returns the shell text of a path in the reports directory. */
export function reportPath(name: string): string {
  return `"\${${reportsVariable}:-\${TMPDIR:-/tmp}}/${name}"`;
}

/**
 * Returns the command that formats these files (paths relative to the repository's root), or undefined when the
 * formatter cannot take single files or none of them is of its kind.
 */
export function writeCommandFor(format: FormatCommand, files: readonly string[]): Command | undefined {
  const base = format.write ?? format.check;
  if (base === undefined || format.writeFiles === undefined) return undefined;
  const prefix = base.directory === "." ? "" : `${base.directory}/`;
  const { run, extensions } = format.writeFiles;
  const own = files.filter(
    (file) => file.startsWith(prefix) && extensions.some((extension) => file.endsWith(extension)),
  );
  if (own.length === 0) return undefined;
  // "./" keeps a file named like an option from being one.
  return { ...base, run: [run, ...own.map((file) => shellQuoted(`./${file.slice(prefix.length)}`))].join(" ") };
}

/** Returns text as one word for a POSIX shell. */
function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
