import { findLine, logError, ownPlace, type Reader } from "../log-error.ts";

/** `src/a.ts(1,2): error TS2304: …`, `src/a.ts:1:2 - error TS2304: …` and `error TS5083: …`. */
const tsc: Reader = (lines, at) => {
  const line = lines[at]!;
  const match =
    /^(\S.{0,300}?)\((\d{1,7}),(\d{1,7})\): error (TS\d{1,6}: .*)$/.exec(line) ??
    /^(\S.{0,300}?):(\d{1,7}):(\d{1,7}) - error (TS\d{1,6}: .*)$/.exec(line);
  if (match !== null)
    return { error: logError("tsc", match[4]!, { file: match[1], line: match[2], column: match[3] }), next: at + 1 };
  const global = /^error (TS\d{1,6}: .*)$/.exec(line);
  return global === null ? undefined : { error: logError("tsc", global[1]!), next: at + 1 };
};

const stylishLine = /^\s{1,12}(\d{1,7}):(\d{1,7})\s{1,12}(error|warning)\s{1,12}(\S.*)$/;

/** ESLint's default format: a file's path, and its problems indented below it. */
const eslintStylish: Reader = (lines, at) => {
  const match = stylishLine.exec(lines[at]!);
  if (match === null) return undefined;
  if (match[3] === "warning") return { next: at + 1 };
  let header = at - 1;
  while (header >= 0 && at - header < 300 && stylishLine.test(lines[header]!)) header--;
  const file = header >= 0 ? lines[header]! : "";
  // Two blanks part the message from the name of the rule.
  const rule = match[4]!.trimEnd().lastIndexOf("  ");
  const message = rule === -1 ? match[4]! : `${match[4]!.slice(0, rule).trimEnd()} (${match[4]!.slice(rule).trim()})`;
  const place = { file: /^\S/.test(file) ? file : undefined, line: match[1], column: match[2] };
  return { error: logError("eslint", message, place), next: at + 1 };
};

/** ESLint's formats `unix` and `compact`. */
const eslintLine: Reader = (lines, at) => {
  const line = lines[at]!;
  const compact =
    /^(\S.{0,300}?): line (\d{1,7}), col (\d{1,7}), (Error|Warning) - (.*)$/.exec(line) ??
    /^(\S.{0,300}?):(\d{1,7}):(\d{1,7}): (?=.*\[(Error|Warning)(?:\/[^\]]{1,100})?\]$)(.*)$/.exec(line);
  if (compact === null) return undefined;
  if (compact[4] === "Warning") return { next: at + 1 };
  const message = compact[5]!.replace(/ \[Error(?:\/([^\]]{1,100}))?\]$/, (_, rule) => (rule ? ` (${rule})` : ""));
  return {
    error: logError("eslint", message, { file: compact[1], line: compact[2], column: compact[3] }),
    next: at + 1,
  };
};

/** Biome: a heading with place and category, then the message after a cross; warnings have another sign. */
const biome: Reader = (lines, at) => {
  const line = lines[at]!;
  if (!line.includes("━━━")) return undefined;
  const match =
    /^(\S.{0,300}?)(?::(\d{1,7}):(\d{1,7}))? ((?:lint|assist|parse|format|suppressions|organizeImports|syntax|check|ci|internalError)(?:\/\S{1,100})?) /.exec(
      line,
    );
  if (match === null) return undefined;
  const sign = findLine(lines, at + 1, 6, (text) => /^\s{1,4}(?:✖|×|⚠|!|ℹ|i) /.test(text));
  const message = sign === -1 ? undefined : /^\s{1,4}(?:✖|×) (.*)$/.exec(lines[sign]!);
  if (message === undefined || message === null) return { next: at + 1 };
  const rule = match[4]!.includes("/") ? ` (${match[4]})` : "";
  return {
    error: logError("biome", `${message[1]!.trim()}${rule}`, { file: match[1], line: match[2], column: match[3] }),
    next: sign + 1,
  };
};

const vitestHeader = /^\s{0,2}FAIL {2}(\S.*)$/;

/** Vitest: ` FAIL  file > suite > name`, the message, and ` ❯ file:line:column` of each frame. */
const vitest: Reader = (lines, at) => {
  const header = vitestHeader.exec(lines[at]!);
  if (header === null) return undefined;
  const first = findLine(lines, at + 1, 20, (line) => line.trim() !== "" && !vitestHeader.test(line));
  if (first === -1) return undefined;
  const end = findLine(lines, first, 80, (line) => /^⎯/.test(line.trim()) || vitestHeader.test(line));
  const frame = findLine(
    lines,
    first,
    (end === -1 ? first + 80 : end) - first,
    (line) => /^\s{1,4}❯ .*:\d{1,7}:\d{1,7}$/.test(line) && ownPlace(line) !== undefined,
  );
  const file = header[1]!
    .split(" > ")[0]!
    .replace(/ \[ .* \]$/, "")
    .replace(/^\|.{0,60}?\| /, "");
  const place = frame === -1 ? { file } : ownPlace(lines[frame]!)!;
  return { error: logError("vitest", lines[first]!, place), next: (frame === -1 ? first : frame) + 1 };
};

/** Jest: `  ● suite › name`, an indented message, and the frames of the stack. */
const jest: Reader = (lines, at) => {
  const header = /^ {2}● (\S.*)$/.exec(lines[at]!);
  if (header === null || /^(?:Console$|Deprecation|Validation)/.test(header[1]!)) return undefined;
  const first = findLine(lines, at + 1, 4, (line) => /^ {4}\S/.test(line));
  if (first === -1) return undefined;
  const end = findLine(lines, first, 80, (line) => /^ {2}● |^(?:FAIL|PASS|Tests:|Test Suites:) /.test(line));
  const last = end === -1 ? Math.min(lines.length, first + 80) : end;
  const frame = findLine(lines, first, last - first, (line) => /^\s+at /.test(line) && ownPlace(line) !== undefined);
  // Jest's matchers say in the first line what was compared, and below it which values.
  const values = lines
    .slice(first + 1, frame === -1 ? first + 6 : frame)
    .filter((line) => /^ {4}(?:Expected|Received)\b.*: /.test(line))
    .slice(0, 2);
  const message = [lines[first]!.trim(), ...values.map((line) => line.trim())].join("; ");
  const place = frame === -1 ? undefined : ownPlace(lines[frame]!);
  return { error: logError("jest", message, place ?? fileOfJest(lines, at)), next: (frame === -1 ? first : frame) + 1 };
};

function fileOfJest(lines: readonly string[], at: number): { file?: string } {
  for (let before = at; before >= 0 && at - before < 200; before--) {
    const header = /^FAIL (\S+)/.exec(lines[before]!);
    if (header !== null) return { file: header[1] };
  }
  return {};
}

/** Mocha's list of failures: `  1) suite`, the indented title with a colon, the message and the stack. */
const mocha: Reader = (lines, at) => {
  if (!/^ {2}\d{1,5}\) (?!(?:Failure|Error):$)\S/.test(lines[at]!)) return undefined;
  const title = findLine(lines, at, 12, (line) => /^\s.*:$/.test(line));
  if (title === -1 || findLine(lines, at + 1, title - at, (line) => line.trim() === "") !== -1) return undefined;
  const first = findLine(lines, title + 1, 4, (line) => line.trim() !== "");
  if (first === -1 || /Failure\/Error/.test(lines[first]!)) return undefined;
  const end = findLine(lines, first, 80, (line) => /^ {2}\d{1,5}\) \S/.test(line));
  const last = end === -1 ? Math.min(lines.length, first + 80) : end;
  const frame = findLine(lines, first, last - first, (line) => /^\s+at /.test(line) && ownPlace(line) !== undefined);
  // The first line of an assertion of node:assert only announces the next one.
  const more = lines[first]!.trimEnd().endsWith(":") ? findLine(lines, first + 1, 4, (line) => line.trim() !== "") : -1;
  const message = more === -1 ? lines[first]! : `${lines[first]} ${lines[more]}`;
  const place = frame === -1 ? undefined : ownPlace(lines[frame]!);
  return { error: logError("mocha", message, place), next: (frame === -1 ? first : frame) + 1 };
};

/** node:test's list of failing tests: `test at file:line:column`, the title, the error and its stack. */
const nodeTest: Reader = (lines, at) => {
  const match = /^test at (\S{1,300}):(\d{1,7}):(\d{1,7})$/.exec(lines[at]!);
  if (match === null) return undefined;
  const first = findLine(lines, at + 1, 4, (line) => /^ {2}\S/.test(line));
  const title = /^✖ (.*?)(?: \([\d.]{1,20}ms\))?$/.exec(lines[at + 1] ?? "")?.[1] ?? "failed";
  const frame = first === -1 ? -1 : findLine(lines, first, 20, (line) => /^\s+at /.test(line));
  const place = frame === -1 ? undefined : ownPlace(lines[frame]!);
  return {
    error: logError("node:test", first === -1 ? title : lines[first]!, place ?? pick(match)),
    next: Math.max(at, frame) + 1,
  };
};

function pick(match: RegExpExecArray): { file?: string; line?: string; column?: string } {
  return { file: match[1], line: match[2], column: match[3] };
}

/** An exception that ended Node, with at least one frame below it. */
const node: Reader = (lines, at) => {
  const match = /^(?:Uncaught )?((?:[A-Z]\w{0,60})?(?:Error|Exception)(?: \[\w{1,60}\])?: .*)$/.exec(lines[at]!);
  if (match === null) return undefined;
  const firstFrame = findLine(lines, at + 1, 8, (line) => /^\s{4}at /.test(line));
  if (firstFrame === -1) return undefined;
  const frame = findLine(lines, firstFrame, 20, (line) => /^\s{4}at /.test(line) && ownPlace(line) !== undefined);
  return {
    error: logError("node", match[1]!, frame === -1 ? undefined : ownPlace(lines[frame]!)),
    next: (frame === -1 ? firstFrame : frame) + 1,
  };
};

export const javascriptReaders: readonly Reader[] = [
  tsc,
  eslintStylish,
  eslintLine,
  biome,
  vitest,
  jest,
  mocha,
  nodeTest,
  node,
];
