import { findLine, logError, ownPlace, type Reader } from "../log-error.ts";

/** `go build`, `go vet`, golangci-lint and the syntax errors of gofmt. */
const goCompiler: Reader = (lines, at) => {
  const match = /^(?:vet: )?(\S{1,300}\.go):(\d{1,7})(?::(\d{1,7}))?: (\S.*)$/.exec(lines[at]!);
  if (match !== null)
    return { error: logError("go", match[4]!, { file: match[1], line: match[2], column: match[3] }), next: at + 1 };
  const module =
    /^go: ((?:errors parsing|updates to go\.mod|.*(?:no matching versions|reading |cannot find|unknown revision|missing go\.sum|inconsistent|requires go)).*)$/.exec(
      lines[at]!,
    );
  return module === null ? undefined : { error: logError("go", module[1]!), next: at + 1 };
};

/** What a failed Go test said with t.Error. */
const goTest: Reader = (lines, at) => {
  const match = /^ {4,40}(\S{1,300}_test\.go):(\d{1,7}): (.*)$/.exec(lines[at]!);
  if (match === null) return undefined;
  // A message that begins on the next line (testify).
  const message = match[3]!.trim() === "" ? (lines[at + 1] ?? "") : match[3]!;
  return { error: logError("go test", message, { file: match[1], line: match[2] }), next: at + 1 };
};

/** A panic, and the first frame outside of Go's own tree. */
const goPanic: Reader = (lines, at) => {
  const match = /^(?:panic|fatal error): (.*)$/.exec(lines[at]!);
  if (match === null || findLine(lines, at + 1, 8, (line) => /^goroutine \d{1,9} \[/.test(line)) === -1)
    return undefined;
  const frame = findLine(lines, at + 1, 40, (line) => /^\t\S/.test(line) && goFrame(line) !== undefined);
  return {
    error: logError("go test", `panic: ${match[1]}`, frame === -1 ? undefined : goFrame(lines[frame]!)),
    next: (frame === -1 ? at : frame) + 1,
  };
};

function goFrame(line: string): ReturnType<typeof ownPlace> {
  return ownPlace(line.trim().replace(/ \+0x[0-9a-f]{1,16}$/, ""));
}

/** rustc and clippy: the message, and an arrow to its place. */
const rustc: Reader = (lines, at) => {
  const match = /^error(?:\[([\w:]{1,60})\])?: (.*)$/.exec(lines[at]!);
  if (match === null) return undefined;
  if (/^(?:could not compile|aborting due to|test failed, to rerun|\d{1,6} targets? failed)/.test(match[2]!))
    return { next: at + 1 };
  const arrow = findLine(lines, at + 1, 4, (line) => /^\s{0,10}--> \S/.test(line));
  const place = arrow === -1 ? undefined : /--> (\S.{0,300}?):(\d{1,7}):(\d{1,7})$/.exec(lines[arrow]!);
  const isCargo = /^(?:failed to |no matching package|the lock file|package |manifest |linking with )/.test(match[2]!);
  if ((place === undefined || place === null) && match[1] === undefined && !isCargo) return undefined;
  const message = match[1] === undefined ? match[2]! : `${match[2]} (${match[1]})`;
  return {
    error: logError("cargo", message, { file: place?.[1], line: place?.[2], column: place?.[3] }),
    next: Math.max(at, arrow) + 1,
  };
};

/** A panic of Rust, before and after its message moved to a line of its own (1.73). */
const rustPanic: Reader = (lines, at) => {
  const match =
    /^\s{0,8}thread '([^']{1,300})' (?:\(\d{1,12}\) )?panicked at (?:'(.*)', )?(\S{1,300}):(\d{1,7}):(\d{1,7}):?$/.exec(
      lines[at]!,
    );
  if (match === null) return undefined;
  const end = findLine(lines, at + 1, 6, (line) => line === "" || /^\s{0,8}(?:note:|stack backtrace:|$)/.test(line));
  const message =
    match[2] ??
    lines
      .slice(at + 1, end === -1 ? at + 2 : end)
      .map((line) => line.trim())
      .join("; ");
  return {
    error: logError("cargo", message, { file: match[3], line: match[4], column: match[5] }),
    next: end === -1 ? at + 2 : end,
  };
};

/** gcc and clang print the same line; the caller tells them apart. */
const compiler: Reader = (lines, at) => {
  const line = lines[at]!;
  const match =
    /^(\S.{0,300}?\.(?:c|cc|cpp|cxx|c\+\+|h|hh|hpp|hxx|m|mm|cu|S|inc|ipp)):(\d{1,7})(?::(\d{1,7}))?: (?:fatal )?error: (.*)$/.exec(
      line,
    );
  if (match !== null)
    return { error: logError("gcc", match[4]!, { file: match[1], line: match[2], column: match[3] }), next: at + 1 };
  const linker =
    /^(?:\S{0,100}ld: )?(\S.{0,300}?):(?:(\d{1,7})|\([^)]{1,100}\)): (undefined reference to .*|multiple definition of .*)$/.exec(
      line,
    );
  return linker === null
    ? undefined
    : { error: logError("ld", linker[3]!, { file: linker[1], line: linker[2] }), next: at + 1 };
};

/** A rule of make that failed for another reason than its compiler's. */
const make: Reader = (lines, at) => {
  const match = /^g?make(?:\[\d{1,4}\])?: \*\*\* (?:\[(?:(\S{1,300}):(\d{1,7}): )?)?(.*)$/.exec(lines[at]!);
  if (match === null) return undefined;
  const message = match[3]!.replace("]", ":");
  return { error: logError("make", message, { file: match[1], line: match[2] }), next: at + 1 };
};

export const nativeReaders: readonly Reader[] = [goCompiler, goTest, goPanic, rustc, rustPanic, compiler, make];
