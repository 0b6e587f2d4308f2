import { findLine, logError, type Reader } from "../log-error.ts";

/** javac and scalac alone, and below Gradle. */
const javac: Reader = (lines, at) => {
  const match = /^(\S.{0,300}?\.(?:java|scala|groovy)):(\d{1,7}): error: (.*)$/.exec(lines[at]!);
  if (match === null) return undefined;
  const error = logError("javac", match[3]! + symbolBelow(lines, at), { file: match[1], line: match[2] });
  return { error, next: at + 1 };
};

/** Which symbol "cannot find symbol" means is said below it. */
function symbolBelow(lines: readonly string[], at: number): string {
  if (!/cannot find symbol$/.test(lines[at]!)) return "";
  const symbol = findLine(lines, at + 1, 4, (line) => /^(?:\[ERROR\] )?\s{2}symbol: /.test(line));
  return symbol === -1 ? "" : ` (${lines[symbol]!.replace("[ERROR]", "").trim()})`;
}

/** Kotlin's compiler below Gradle. */
const kotlin: Reader = (lines, at) => {
  const match = /^e: (?:file:\/\/)?(\S{1,300}\.kts?):(?: \()?(\d{1,7})[:,] ?(\d{1,7})\)?:? (.*)$/.exec(lines[at]!);
  return match === null
    ? undefined
    : { error: logError("kotlin", match[4]!, { file: match[1], line: match[2], column: match[3] }), next: at + 1 };
};

/** Maven's compiler plugin. */
const maven: Reader = (lines, at) => {
  const line = lines[at]!;
  const match = /^\[ERROR\] (\S.{0,300}?\.\w{1,10}):\[(\d{1,7}),(\d{1,7})\] (.*)$/.exec(line);
  if (match !== null)
    return {
      error: logError("maven", match[4]! + symbolBelow(lines, at), {
        file: match[1],
        line: match[2],
        column: match[3],
      }),
      next: at + 1,
    };
  const goal = /^\[ERROR\] (Failed to execute goal .*|.*Non-resolvable .*|The build could not read .*)$/.exec(line);
  if (goal === null) return undefined;
  // What the compiler and the tests said is told above.
  if (/: Compilation failure|: There (?:are|were) test failures/.test(goal[1]!)) return { next: at + 1 };
  return { error: logError("maven", goal[1]!.replace(/ -> \[Help \d{1,3}\].*$/, "")), next: at + 1 };
};

const javaLibraries =
  /^\s+at (?:[\w.@-]{1,60}\/)?(?:java|javax|jdk|sun|org\.junit|junit|org\.opentest4j|org\.gradle|org\.apache\.maven|org\.testng|org\.assertj|org\.hamcrest|org\.mockito)\./;

/** A failed test of surefire: its headline, the exception, and the first frame that is no library's. */
const surefire: Reader = (lines, at) => {
  if (!/^(?:\[ERROR\] )?\S{1,300} .*<<< (?:FAILURE|ERROR)!$/.test(lines[at]!)) return undefined;
  const message = lines[at + 1];
  if (message === undefined || /^\[|^\s|^$/.test(message)) return undefined;
  const frame = findLine(
    lines,
    at + 2,
    40,
    (line) => line === "" || (/^\s+at .*\(\w{1,200}\.\w{1,10}:\d{1,7}\)$/.test(line) && !javaLibraries.test(line)),
  );
  const place = frame === -1 ? null : /\((\w{1,200}\.\w{1,10}):(\d{1,7})\)$/.exec(lines[frame]!);
  return {
    error: logError("maven", message, { file: place?.[1], line: place?.[2] }),
    next: Math.max(at + 1, frame) + 1,
  };
};

/** A failed test below Gradle, which names file and line beside the exception. */
const gradleTest: Reader = (lines, at) => {
  if (!/^\S.{0,300} > .{1,300} FAILED$/.test(lines[at]!)) return undefined;
  const match = /^ {4}(\S.{0,400}?)(?: at (\w{1,200}\.\w{1,10}):(\d{1,7}))?$/.exec(lines[at + 1] ?? "");
  if (match === null) return undefined;
  const frame =
    match[2] === undefined
      ? findLine(
          lines,
          at + 2,
          30,
          (line) => /^\s+at .*\(\w{1,200}\.\w{1,10}:\d{1,7}\)$/.test(line) && !javaLibraries.test(line),
        )
      : -1;
  const place = frame === -1 ? null : /\((\w{1,200}\.\w{1,10}):(\d{1,7})\)$/.exec(lines[frame]!);
  return {
    error: logError("gradle", match[1]!, { file: match[2] ?? place?.[1], line: match[3] ?? place?.[2] }),
    next: at + 2,
  };
};

/** `* What went wrong:` of Gradle, without the failures of the compiler and the tests, which are told above. */
const gradle: Reader = (lines, at) => {
  if (lines[at] !== "* What went wrong:") return undefined;
  const message = lines[at + 1] ?? "";
  const place = lines
    .slice(Math.max(0, at - 4), at)
    .map((line) => /^(?:Build|Settings|Script) file '([^']{1,300})' line: (\d{1,7})$/.exec(line))
    .find((match) => match !== null);
  const cause = /^> (.*)$/.exec(lines[at + 2] ?? "")?.[1] ?? "";
  if (/^(?:Compilation failed|Compilation error|There were failing tests)/.test(cause)) return { next: at + 3 };
  return {
    error: logError("gradle", `${message} ${cause}`, { file: place?.[1], line: place?.[2] }),
    next: at + 3,
  };
};

/** MSBuild and the compilers below it; `dotnet` repeats them in its summary. */
const dotnet: Reader = (lines, at) => {
  const match =
    /^\s{0,10}(?:\d{1,3}(?::\d{1,3})?>)?(\S.{0,300}?)(?:\((\d{1,7})(?:,(\d{1,7}))?(?:,\d{1,7},\d{1,7})?\))? ?: (?:fatal )?error ([A-Za-z]{1,10}\d{2,6}) ?: (.*)$/.exec(
      lines[at]!,
    );
  if (match === null) return undefined;
  const message = `${match[4]}: ${match[5]!.replace(/ \[[^[\]]{1,300}\.(?:\w{0,10}proj|slnx?)(?:::[^\]]{1,100})?\]$/, "")}`;
  const isProgram = /^(?:CSC|MSBUILD|LINK|VBC|FSC|NuGet\S*)$/i.test(match[1]!);
  return {
    error: logError("dotnet", message, { file: isProgram ? undefined : match[1], line: match[2], column: match[3] }),
    next: at + 1,
  };
};

/** A failed test of VSTest: the lines below `Error Message:`, and the first frame with a file. */
const dotnetTest: Reader = (lines, at) => {
  if (!/^\s{2}Error Message:$/.test(lines[at]!)) return undefined;
  const end = findLine(lines, at + 1, 30, (line) => /^\s{2}Stack Trace:$/.test(line));
  const message = lines
    .slice(at + 1, end === -1 ? at + 2 : Math.min(end, at + 6))
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .join("; ");
  const frame = end === -1 ? -1 : findLine(lines, end + 1, 15, (line) => / in \S.*:line \d{1,7}$/.test(line));
  const place = frame === -1 ? null : / in (\S.{0,300}):line (\d{1,7})$/.exec(lines[frame]!);
  return { error: logError("dotnet", message, { file: place?.[1], line: place?.[2] }), next: Math.max(at, frame) + 1 };
};

/** RSpec: the lines below `Failure/Error:`, and the first frame of the repository. */
const rspec: Reader = (lines, at) => {
  const match = /^\s{0,12}Failure\/Error: ?(.*)$/.exec(lines[at]!);
  if (match === null) return undefined;
  const isFrame = (line: string) => /^\s{0,12}# \S+:\d{1,7}:in /.test(line);
  const frame = findLine(lines, at + 1, 60, isFrame);
  const last = frame === -1 ? at + 8 : frame;
  const said = lines
    .slice(at + 1, last)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/^\(compared using/.test(line))
    .slice(0, 2);
  const place = frame === -1 ? null : /# (?:\.\/)?(\S{1,300}?):(\d{1,7}):in /.exec(lines[frame]!);
  return {
    error: logError("rspec", said.join(" ") || match[1]!, { file: place?.[1], line: place?.[2] }),
    next: Math.max(at, frame) + 1,
  };
};

/** minitest's list: `1) Failure:`, the test with its place, and the message. */
const minitest: Reader = (lines, at) => {
  if (!/^ {1,5}\d{1,6}\) (?:Failure|Error):$/.test(lines[at]!)) return undefined;
  const test = /^\S+?#\S+?(?: \[(.{1,300}):(\d{1,7})\])?:$/.exec(lines[at + 1]?.slice(0, 700) ?? "");
  if (test === null) return undefined;
  const end = findLine(lines, at + 2, 12, (line) => line.trim() === "" || /^\s{4}\S+:\d{1,7}:in /.test(line));
  const said = lines.slice(at + 2, end === -1 ? at + 4 : end).map((line) => line.trim());
  const frame = /^\s{4}(\S{1,300}?):(\d{1,7}):in /.exec(lines[end] ?? "");
  return {
    error: logError("minitest", said.join("; "), { file: test[1] ?? frame?.[1], line: test[2] ?? frame?.[2] }),
    next: Math.max(at + 1, end) + 1,
  };
};

/** PHPUnit's list: `1) Class::method`, the message, and the file's path on a line of its own. */
const phpunit: Reader = (lines, at) => {
  if (!/^\d{1,6}\) \S{1,300}::\S/.test(lines[at]!)) return undefined;
  const message = lines[at + 1] ?? "";
  const place = findLine(
    lines,
    at + 2,
    60,
    (line) => /^\S{1,300}\.php:\d{1,7}$/.test(line) && !line.includes("/vendor/"),
  );
  const match = place === -1 ? null : /^(\S{1,300}):(\d{1,7})$/.exec(lines[place]!);
  return {
    error: logError("phpunit", message, { file: match?.[1], line: match?.[2] }),
    next: Math.max(at + 1, place) + 1,
  };
};

/** PHP itself, PHPStan's raw format apart. */
const php: Reader = (lines, at) => {
  const match =
    /^(?:PHP )?((?:Parse|Fatal|Compile|Recoverable fatal) error: .*) in (\S{1,300}?)(?: on line |:)(\d{1,7})$/.exec(
      lines[at]!,
    );
  return match === null
    ? undefined
    : { error: logError("php", match[1]!, { file: match[2], line: match[3] }), next: at + 1 };
};

/** Terraform, whose errors stand in a box, or without it where `-no-color` was said to an older one. */
const terraform: Reader = (lines, at) => {
  const unboxed = (line: string) => line.replace(/^│ ?/, "");
  const match = /^(?:│ )?Error: (\S.*)$/.exec(lines[at]!);
  if (match === null) return undefined;
  const isBox = lines[at]!.startsWith("│");
  const at2 = findLine(lines, at + 1, 6, (line) => /^\s{2}(?:on|with) \S/.test(unboxed(line)));
  if (!isBox && at2 === -1) return undefined;
  const where = findLine(lines, at + 1, 8, (line) => /^\s{2}on \S.* line \d/.test(unboxed(line)));
  const place = where === -1 ? null : /on (\S.{0,300}?) line (\d{1,7})/.exec(lines[where]!);
  return {
    error: logError("terraform", match[1]!, { file: place?.[1], line: place?.[2] }),
    next: Math.max(at, where) + 1,
  };
};

export const platformReaders: readonly Reader[] = [
  javac,
  kotlin,
  maven,
  surefire,
  gradleTest,
  gradle,
  dotnet,
  dotnetTest,
  rspec,
  minitest,
  phpunit,
  php,
  terraform,
];
