/** One error that a log names. Paths are relative to the repository where the log tells its place on the runner. */
export interface LogError {
  /** The program that found it, such as "tsc" or "pytest"; "unknown" where the line alone does not say. */
  tool: string;
  message: string;
  file?: string;
  /** Counted from 1. */
  line?: number;
  /** Counted from 1, in the unit of the tool. */
  column?: number;
}

/**
 * Looks at the line `at` of a log, and at those around it. Returns the error that starts there and the index of the first
 * line that is not part of it, or undefined. Looks at a bounded number of lines; never throws.
 */
export type Reader = (lines: readonly string[], at: number) => { error?: LogError; next: number } | undefined;

const maxMessageLength = 500;
const workspaces =
  /^(?:\/home\/runner\/work\/[^/]+\/[^/]+\/|\/github\/workspace\/|\/__w\/[^/]+\/[^/]+\/|[A-Za-z]:[\\/]a[\\/][^\\/]+[\\/][^\\/]+[\\/])/;

/** Returns an error with its path and message made tidy; numbers are read from digits. */
export function logError(
  tool: string,
  message: string,
  place: { file?: string; line?: string | number; column?: string | number } = {},
): LogError {
  const error: LogError = { tool, message: message.replace(/\s+/g, " ").trim().slice(0, maxMessageLength) };
  const file = place.file === undefined ? "" : repositoryPath(place.file);
  if (file !== "") error.file = file;
  if (place.line !== undefined) error.line = Number(place.line);
  if (place.column !== undefined) error.column = Number(place.column);
  return error;
}

/** Returns a path as the repository knows it: without a runner's workspace, `file://`, a leading `./` or backslashes. */
function repositoryPath(path: string): string {
  const bare = path.trim().replace(/^file:\/\//, "");
  const inside = bare.replace(workspaces, "");
  const slashed = /^[A-Za-z]:\\|^[\w.-]+\\/.test(bare) ? inside.replaceAll("\\", "/") : inside;
  return slashed.replace(/^(?:\.\/)+/, "").slice(0, 300);
}

export interface Place {
  file: string;
  line: string;
  column?: string;
}

const stackPlace = /(?:^|[\s(])((?:file:\/\/)?(?:[A-Za-z]:)?[^\s():]{1,300}\.\w{1,10}):(\d{1,7})(?::(\d{1,7}))?\)?$/;
const foreign =
  /node_modules\/|^node:|\bnode:internal|site-packages\/|dist-packages\/|\/lib\/python\d|^<|\/rustc\/|\/go\/src\/|\/pkg\/mod\/|^internal\/|\/gems\//;

/** Returns the place at the end of a stack frame when it is in the repository's own code. */
export function ownPlace(frame: string): Place | undefined {
  const match = stackPlace.exec(frame.slice(0, 600));
  if (match === null || foreign.test(match[1]!)) return undefined;
  return { file: match[1]!, line: match[2]!, column: match[3] };
}

/** Returns the index of the first line from `from` on, within `count` lines, for which `test` holds, or -1. */
export function findLine(
  lines: readonly string[],
  from: number,
  count: number,
  test: (line: string) => boolean,
): number {
  const end = Math.min(lines.length, from + count);
  for (let at = from; at < end; at++) if (test(lines[at]!)) return at;
  return -1;
}
