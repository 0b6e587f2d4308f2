import { type LogError, logError, type Reader } from "./log-error.ts";
import { actionsReaders } from "./readers/actions.ts";
import { javascriptReaders } from "./readers/javascript.ts";
import { nativeReaders } from "./readers/native.ts";
import { packageReaders } from "./readers/packages.ts";
import { platformReaders } from "./readers/platforms.ts";
import { pythonReaders } from "./readers/python.ts";

const maxErrors = 500;
const maxReadLength = 1_000;

/** `file:line:column: error: message` of a tool that has no reader. */
const anyTool: Reader = (lines, at) => {
  const match =
    /^(\S.{0,300}?\.\w{1,10}):(\d{1,7})(?::(\d{1,7}))?:? (?:- )?(?:\w{1,20} )?(?:error|Error|ERROR)\b:? ?(.*)$/.exec(
      lines[at]!,
    );
  if (match === null || match[1]!.includes("://")) return undefined;
  return { error: logError("unknown", match[4]!, { file: match[1], line: match[2], column: match[3] }), next: at + 1 };
};

// The runner's own lines come last: a problem matcher puts its mark before the line of a tool.
const readers: readonly Reader[] = [
  ...javascriptReaders,
  ...pythonReaders,
  ...platformReaders,
  ...nativeReaders,
  ...packageReaders,
  anyTool,
  ...actionsReaders,
];

/** What BuildKit puts before the lines of a tool in the image: while it runs, and once more when it failed. */
const buildkit = /^(?:#\d{1,5} )?\d{1,7}\.\d{3} (?=\S)/;
const matcher = /^##\[error\](?=\S)/;

/** Returns the errors that the lines name, in their order, each once; at most 500. Linear in the lines; never throws. */
export function readErrors(lines: readonly string[]): LogError[] {
  const inImage = lines.some((line) => /^#\d{1,5} \d{1,7}\.\d{3} /.test(line));
  const bare = lines.map((line) => {
    const cut = line.slice(0, maxReadLength).trimEnd();
    return inImage ? cut.replace(buildkit, "") : cut;
  });
  const unmarked = bare.map((line) => line.replace(matcher, ""));
  const found = new Map<string, LogError>();
  const places = new Set<string>();
  for (let at = 0; at < unmarked.length && found.size < maxErrors; ) {
    const line = unmarked[at]!;
    const reading = line === "" ? undefined : firstReading(unmarked, bare, at);
    if (reading?.error !== undefined && reading.error.message !== "") add(found, places, reading.error);
    at = Math.max(at + 1, reading?.next ?? 0);
  }
  const errors = [...found.values()];
  const isClang = lines.some((line) => /^\d{1,6} errors? generated\.$/.test(line));
  return isClang ? errors.map((error) => (error.tool === "gcc" ? { ...error, tool: "clang" } : error)) : errors;
}

function firstReading(unmarked: readonly string[], bare: readonly string[], at: number): ReturnType<Reader> {
  for (const reader of readers) {
    const reading = reader(unmarked, at);
    if (reading !== undefined) return reading;
  }
  // Without its mark no reader knew the line: it is the runner's own.
  return bare[at] === unmarked[at] ? undefined : actionsReaders[1]!(bare, at);
}

/** Annotations repeat what a tool printed, in other words. */
function add(found: Map<string, LogError>, places: Set<string>, error: LogError): void {
  const place = `${error.file}:${error.line}`;
  if (error.tool === "actions" && error.line !== undefined && places.has(place)) return;
  const key = JSON.stringify([error.file, error.line, error.column, error.message]);
  if (!found.has(key)) found.set(key, error);
  places.add(place);
}
