import { findLine, logError, type Reader } from "../log-error.ts";

/** mypy, with or without columns and `--pretty`. */
const mypy: Reader = (lines, at) => {
  const match = /^(\S.{0,300}?\.pyi?):(\d{1,7})(?::(\d{1,7}))?(?::\d{1,7}:\d{1,7})?: error: (.*)$/.exec(lines[at]!);
  if (match === null) return undefined;
  // --pretty wraps a message, whose code then ends the next line.
  const rest = /\]\s*$/.test(match[4]!) ? undefined : /^\s?(?:\S.*)?\[[\w-]{2,60}\]$/.exec(lines[at + 1] ?? "");
  const isOwn = rest !== undefined && rest !== null && !/^\S{1,300}:\d/.test(rest[0]);
  const message = isOwn ? `${match[4]} ${rest[0]}` : match[4]!;
  return {
    error: logError("mypy", message, { file: match[1], line: match[2], column: match[3] }),
    next: at + (isOwn ? 2 : 1),
  };
};

/** Ruff, concise (flake8 and pylint print the same) and with its frame of source. */
const ruff: Reader = (lines, at) => {
  const line = lines[at]!;
  const concise =
    /^(\S.{0,300}?\.(?:pyi?|ipynb))(?::cell \d{1,5})?:(\d{1,7}):(\d{1,7}): ((?:[A-Z]{1,6}\d{2,5}|invalid-syntax|SyntaxError)\b.*)$/.exec(
      line,
    );
  if (concise !== null)
    return {
      error: logError("ruff", concise[4]!, { file: concise[1], line: concise[2], column: concise[3] }),
      next: at + 1,
    };
  const full = /^((?:[A-Z]{1,6}\d{2,5}|invalid-syntax|unformatted):? .*)$/.exec(line);
  const place = full === null ? null : /^\s{0,8}--> (\S.{0,300}?):(\d{1,7}):(\d{1,7})$/.exec(lines[at + 1] ?? "");
  if (full !== null && place !== null)
    return { error: logError("ruff", full[1]!, { file: place[1], line: place[2], column: place[3] }), next: at + 2 };
  const format = /^Would reformat: (\S.{0,300})$/.exec(line);
  return format === null ? undefined : { error: logError("ruff", "Would reformat", { file: format[1] }), next: at + 1 };
};

const pytestFrame = /^(\S.{0,300}?\.pyi?):(\d{1,7}): (?:in .*|[A-Za-z_][\w.]{0,100})?$/;
const pytestRule = /^(?:_{4,}|={4,}|!{4,}).*(?:_{4,}|={4,}|!{4,})$/;

/** pytest: lines with `E`, and the place below them (long), or above them (`--tb=short`, errors of collection). */
const pytest: Reader = (lines, at) => {
  const match = /^E {3}\s{0,4}(\S.*)$/.exec(lines[at]!);
  if (match === null || /^E( {3}|$)/.test(lines[at - 1] ?? "")) return undefined;
  let end = at + 1;
  while (end < lines.length && end - at < 200 && /^E(?: {3}|$)/.test(lines[end]!)) end++;
  const frameOf = (line: string) => {
    const frame = pytestFrame.exec(line);
    return frame === null || /site-packages\/|\/lib\/python\d/.test(line) ? null : frame;
  };
  let place: RegExpExecArray | null = null;
  let next = end;
  // Within the same failure, which ends with a rule.
  for (let after = end; after < lines.length && after - end < 4 && !pytestRule.test(lines[after]!); after++) {
    place = frameOf(lines[after]!);
    if (place !== null) {
      next = after + 1;
      break;
    }
  }
  for (let before = at - 1; place === null && before >= 0 && at - before < 40; before--) {
    if (pytestRule.test(lines[before]!)) break;
    place = frameOf(lines[before]!);
  }
  return {
    error: logError("pytest", match[1]!, { file: place?.[1], line: place?.[2] }),
    next,
  };
};

/** A traceback: the last frame that is no library's, and the exception below the frames. */
const traceback: Reader = (lines, at) => {
  const start = /^([|\s]{0,12})(?:\+ )?(?:Exception Group )?Traceback \(most recent call last\):$/.exec(lines[at]!);
  const syntax = start === null ? /^\s{2}File "([^"]{1,300})", line (\d{1,7})$/.exec(lines[at]!) : null;
  if (start === null && syntax === null) return undefined;
  let own: RegExpExecArray | null = null;
  let end = start === null ? at : at + 1;
  for (; end < lines.length && end - at < 200; end++) {
    const line = lines[end]!;
    const frame = /^\s{2,12}File "([^"]{1,300})", line (\d{1,7})/.exec(line);
    if (frame !== null && !/site-packages\/|dist-packages\/|\/lib\/python\d|^<frozen|"<frozen/.test(line)) own = frame;
    if (/^[A-Za-z_][\w.]{0,150}(?::|$)/.test(line)) break;
    if (line !== "" && !/^[\s|+]/.test(line)) return undefined;
  }
  const message = lines[end];
  if (message === undefined || end - at >= 200) return undefined;
  return { error: logError("python", message, { file: own?.[1], line: own?.[2] }), next: end + 1 };
};

/** pip: what could not be found or built. */
const pip: Reader = (lines, at) => {
  const match = /^(?:ERROR|error): (.*)$/.exec(lines[at]!);
  if (match === null) return undefined;
  const message = match[1]!;
  const isPip =
    /^(?:Could not (?:find a version|install|open requirements|build)|No matching distribution|Cannot install|ResolutionImpossible|Invalid requirement|Failed (?:building|to build)|Failed to build|Package '|Ignored the following|THESE PACKAGES DO NOT MATCH|Hash mismatch|Exception:|subprocess-exited-with-error|metadata-generation-failed|failed-wheel-build)/.test(
      message,
    );
  if (!isPip) return undefined;
  // The list of all versions says nothing.
  const short = message.replace(/ \(from versions: .*$/, "");
  const last = findLine(lines, at + 1, 1, (line) => /^ERROR: No matching distribution found for /.test(line));
  return {
    error: logError("pip", last === -1 ? short : lines[last]!.replace(/^ERROR: /, "")),
    next: Math.max(at, last) + 1,
  };
};

export const pythonReaders: readonly Reader[] = [mypy, ruff, pytest, traceback, pip];
