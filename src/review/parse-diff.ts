/** One line of a hunk, without its sign; a carriage return at its end belongs to it. */
export interface DiffLine {
  kind: "added" | "removed" | "context";
  /** Number in the old file, from 1; absent for an added line. */
  oldLine?: number;
  /** Number in the new file, from 1; absent for a removed line. */
  newLine?: number;
  text: string;
  /** The line is its file's last, and no newline ends it. */
  withoutNewline?: true;
}

export interface DiffHunk {
  /** As the header says. Counts are those of the lines that are really there. */
  oldStart: number;
  oldLines: number;
  newStart: number;
  newLines: number;
  /** What git prints behind the second `@@`: a line of the enclosing function, or nothing. */
  section: string;
  lines: DiffLine[];
}

export interface DiffFile {
  /** In the new tree; in the old one where the file was deleted. */
  path: string;
  /** In the old tree, where it was renamed or copied. */
  previousPath?: string;
  status: "added" | "modified" | "deleted" | "renamed" | "copied";
  /** Git's octal modes as text, where the diff says them. */
  oldMode?: string;
  newMode?: string;
  /** Git shows no lines of it. */
  binary: boolean;
  hunks: DiffHunk[];
}

export interface ParsedDiff {
  files: DiffFile[];
  /** Files of a merge's combined diff (`diff --cc`), whose lines have no one side to comment on: not read. */
  refused: string[];
}

/**
 * Reads what `git diff` prints with its usual prefixes (https://git-scm.com/docs/diff-format#generate_patch_text_with_p).
 * A hunk ends where its header's counts are used up, so that no line of a file is taken for a header. A diff that was cut, or
 * whose counts are wrong, gives the lines that are there. Linear; throws for no text.
 */
export function parseDiff(text: string): ParsedDiff {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  const files: DiffFile[] = [];
  const refused: string[] = [];
  let file: DiffFile | undefined;
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at]!;
    if (line.startsWith("diff ")) {
      const combined = /^diff --(?:cc|combined) (.*)$/s.exec(line)?.[1];
      if (combined !== undefined) refused.push(unquoted(combined) ?? combined);
      file = line.startsWith("diff --git ") ? emptyFile(line.slice(11)) : undefined;
      if (file !== undefined) files.push(file);
    } else if (file === undefined) {
      // What stands around files, and all of a combined diff.
    } else if (line.startsWith("@@ ")) {
      const hunk = readHeader(line);
      if (hunk === undefined) continue;
      at = readLines(lines, at + 1, hunk) - 1;
      if (hunk.lines.length > 0) file.hunks.push(hunk);
    } else if (file.hunks.length === 0) {
      readFileHeader(file, line);
    }
  }
  // Without a name there is nothing to say about a file.
  return { files: files.filter(({ path }) => path !== ""), refused };
}

function emptyFile(names: string): DiffFile {
  return { path: sharedName(names) ?? "", status: "modified", binary: false, hunks: [] };
}

/** The name in `a/NAME b/NAME`, the same twice where no other line names the file: an empty one, a new mode, a binary. */
function sharedName(names: string): string | undefined {
  if (names.startsWith('"')) {
    const end = /^"(?:[^"\\]|\\.)*"/s.exec(names)?.[0];
    return end === undefined ? undefined : withoutPrefix(unquoted(end));
  }
  // `a/` and `b/` have the same length, and so have the names.
  const half = (names.length - 1) / 2;
  const [old, now] = [names.slice(2, half), names.slice(half + 3)];
  return names[half] === " " && old === now ? now : withoutPrefix(names.slice(names.lastIndexOf(" b/") + 1));
}

function readFileHeader(file: DiffFile, line: string): void {
  const value = (prefix: string) => (line.startsWith(prefix) ? line.slice(prefix.length) : undefined);
  const name = (prefix: string) => {
    const text = value(prefix);
    // Git ends a name that has a space with a tab, so that other programs find its end.
    return text === undefined ? undefined : (unquoted(text.replace(/\t$/, "")) ?? text.replace(/\t$/, ""));
  };
  const previous = name("rename from ") ?? name("copy from ");
  const moved = name("rename to ") ?? name("copy to ");
  const [old, now] = [name("--- "), name("+++ ")];
  if (previous !== undefined) {
    file.previousPath = previous;
    file.status = line.startsWith("rename") ? "renamed" : "copied";
  } else if (moved !== undefined) file.path = moved;
  else if (old !== undefined) {
    if (old !== "/dev/null" && file.previousPath === undefined) file.path = withoutPrefix(old) ?? file.path;
  } else if (now !== undefined) {
    if (now !== "/dev/null") file.path = withoutPrefix(now) ?? file.path;
  } else if (value("new file mode ") !== undefined) {
    file.status = "added";
    file.newMode = value("new file mode ");
  } else if (value("deleted file mode ") !== undefined) {
    file.status = "deleted";
    file.oldMode = value("deleted file mode ");
  } else if (value("old mode ") !== undefined) file.oldMode = value("old mode ");
  else if (value("new mode ") !== undefined) file.newMode = value("new mode ");
  else if (/^Binary files .* differ\r?$/s.test(line) || line === "GIT binary patch") file.binary = true;
  else {
    const mode = /^index [0-9a-f]+\.\.[0-9a-f]+ (\d{6})$/.exec(line)?.[1];
    if (mode !== undefined) [file.oldMode, file.newMode] = [mode, mode];
  }
}

function readHeader(line: string): DiffHunk | undefined {
  const match = /^@@ -(\d{1,10})(?:,(\d{1,10}))? \+(\d{1,10})(?:,(\d{1,10}))? @@(?: (.*))?$/s.exec(line);
  if (match === null) return undefined;
  return {
    oldStart: Number(match[1]),
    oldLines: Number(match[2] ?? 1),
    newStart: Number(match[3]),
    newLines: Number(match[4] ?? 1),
    section: match[5] ?? "",
    lines: [],
  };
}

/** Fills the hunk from `at` on and sets its counts; returns where it ends. */
function readLines(lines: readonly string[], at: number, hunk: DiffHunk): number {
  let [old, now] = [0, 0];
  let next = at;
  for (; next < lines.length; next += 1) {
    const line = lines[next]!;
    const sign = line[0];
    if (sign === "\\") {
      const last = hunk.lines.at(-1);
      if (last !== undefined) last.withoutNewline = true;
      continue;
    }
    const [oldLeft, nowLeft] = [old < hunk.oldLines, now < hunk.newLines];
    const text = line.slice(1);
    if (sign === "+" && nowLeft) {
      hunk.lines.push({ kind: "added", newLine: hunk.newStart + now, text });
      now += 1;
    } else if (sign === "-" && oldLeft) {
      hunk.lines.push({ kind: "removed", oldLine: hunk.oldStart + old, text });
      old += 1;
    } else if ((sign === " " || sign === undefined) && oldLeft && nowLeft) {
      // An empty line is a context line whose only space somebody took away.
      hunk.lines.push({ kind: "context", oldLine: hunk.oldStart + old, newLine: hunk.newStart + now, text });
      old += 1;
      now += 1;
    } else break;
  }
  [hunk.oldLines, hunk.newLines] = [old, now];
  return next;
}

function withoutPrefix(name: string | undefined): string | undefined {
  return name === undefined ? undefined : /^[ab]\//.test(name) ? name.slice(2) : undefined;
}

const escapes: Record<string, number> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13, '"': 34, "\\": 92 };

/** A name that git wrote in quotes (`core.quotePath`), each `\ooo` one byte of UTF-8; undefined where it is not in quotes. */
function unquoted(name: string): string | undefined {
  const inner = /^"((?:[^"\\]|\\.)*)"$/s.exec(name)?.[1];
  if (inner === undefined) return undefined;
  const parts = inner.match(/\\[0-7]{1,3}|\\.|[^\\]+/gs) ?? [];
  return Buffer.concat(
    parts.map((part) => {
      if (!part.startsWith("\\")) return Buffer.from(part);
      const octal = /^\\([0-7]+)$/.exec(part)?.[1];
      if (octal !== undefined) return Buffer.from([Number.parseInt(octal, 8) & 0xff]);
      const known = escapes[part[1]!];
      return known === undefined ? Buffer.from(part) : Buffer.from([known]);
    }),
  ).toString("utf8");
}
