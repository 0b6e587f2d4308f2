import { Writable } from "node:stream";
import { type Logger, pino } from "pino";
import type { Redactor } from "../policy/redact.ts";

interface LoggerOptions {
  level: string;
  redactor: Redactor;
  /** Standard output unless given. */
  destination?: Pick<NodeJS.WritableStream, "write">;
}

/**
 * Loggers of Probot whose lines say again what the intake says in one line of its own: `http` has a line with all headers
 * (signatures included) for every request, `event` one for every delivery that could not be queued.
 */
const doubled = ["http", "event"];

/** JSON lines on standard output (or `destination`); every line passes the redactor, whatever a caller logs. */
export function createLogger(options: LoggerOptions): Logger {
  return pino(
    {
      level: options.level,
      base: undefined,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: ["req.headers", "res.headers", "headers.authorization", "*.headers.authorization"],
        remove: true,
      },
      onChild(child) {
        if (child.level !== "silent" && doubled.includes(String(child.bindings()["name"]))) child.level = "silent";
      },
    },
    redacted(options),
  );
}

/**
 * Sends all lines of a pino logger that somebody else made, its parents' and its children's included, where ours go:
 * redacted, as JSON in the same shape, without request headers. Under `probot run` the logger is made before our code is
 * loaded, so that its stream is the only place left to do it.
 */
export function adoptLogger(foreign: object, options: Pick<LoggerOptions, "redactor" | "destination">): void {
  const { streamSym } = pino.symbols;
  let owner: object | null = foreign;
  while (owner !== null && !Object.hasOwn(owner, streamSym)) owner = Object.getPrototypeOf(owner) as object | null;
  if (owner === null) throw new Error("Cannot adopt a logger: it is not one of pino's, it has no stream");
  const ours = redacted(options);
  (owner as Record<symbol, unknown>)[streamSym] = {
    write(line: string) {
      const shown = sameShape(line);
      if (shown !== undefined) ours.write(shown);
    },
  };
}

function redacted({
  redactor,
  destination = process.stdout,
}: Pick<LoggerOptions, "redactor" | "destination">): Writable {
  return new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      destination.write(redactor.redact(String(chunk)));
      done();
    },
  });
}

/** The line as our own logger writes it; undefined for one that is not wanted. */
function sameShape(line: string): string | undefined {
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line;
  }
  const { level, time, pid: _, hostname: __, ...rest } = entry;
  if (doubled.includes(String(rest["name"]))) return undefined;
  for (const key of ["req", "res"]) delete (rest[key] as { headers?: unknown } | undefined)?.headers;
  const label = typeof level === "number" ? (pino.levels.labels[level] ?? String(level)) : level;
  const at = typeof time === "number" ? new Date(time).toISOString() : time;
  return `${JSON.stringify({ level: label, time: at, ...rest })}\n`;
}
