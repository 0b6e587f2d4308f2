/** A way in which a configuration file makes fewer tests run, or lets failing ones pass. */
export interface Weakening {
  rule: "test-command" | "test-configuration" | "coverage-threshold";
  message: string;
}

/**
 * What a change of a configuration file does to the tests: a test command that cannot fail or runs less, tests that
 * are left out, a coverage threshold that was lowered or removed. Comments do not count.
 */
export function weakenedConfiguration(path: string, oldText: string, newText: string): Weakening[] {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (!configurationFile.test(name)) return [];
  const before = withoutComments(oldText, name);
  const after = withoutComments(newText, name);
  const found: Weakening[] =
    name === "package.json" ? weakenedScripts(oldText, newText) : weakenedLines(name, before, after);
  for (const { what, pattern } of exclusions) {
    if (count(after, pattern) > count(before, pattern)) found.push({ rule: "test-configuration", message: what });
  }
  const lowered = loweredThreshold(before, after);
  if (lowered !== undefined) found.push({ rule: "coverage-threshold", message: lowered });
  return found;
}

const configurationFile =
  /^(?:package\.json|(?:vitest|vite|jest|playwright|cypress|karma|ava|wdio|web-test-runner)(?:\.[\w-]+)?\.(?:config|conf|workspace)\.[cm]?[jt]sx?|vitest\.workspace\.\w+|jest\.config\.json|\.mocharc(?:\.\w+)?|\.nycrc(?:\.\w+)?|\.c8rc(?:\.\w+)?|\.taprc|pytest\.ini|\.pytest\.ini|pyproject\.toml|setup\.cfg|tox\.ini|noxfile\.py|conftest\.py|\.coveragerc|pom\.xml|build\.gradle(?:\.kts)?|Cargo\.toml|nextest\.toml|\.rspec|Rakefile|\.simplecov|spec_helper\.rb|test_helper\.rb|rails_helper\.rb|[Mm]akefile|GNUmakefile|[Jj]ustfile|Taskfile\.ya?ml|codecov\.ya?ml|\.codecov\.ya?ml|turbo\.json|nx\.json|project\.json)$/;

const exclusions: { what: string; pattern: RegExp }[] = [
  {
    what: "tests are left out (`testPathIgnorePatterns`, `exclude` or the like)",
    pattern:
      /\b(?:testPathIgnorePatterns|modulePathIgnorePatterns|testIgnore|excludeSpecPattern|exclude_pattern|specExclude)\b[^\n]*|\bexclude\s*[:(=]?[^\n]*(?:test|spec|__tests__)[^\n]*|\bexcludes?(?:TestsMatching|Tags|Categories|Groups)\b|<exclude>[^<]*(?:Test|IT|Spec)[^<]*<\/exclude>|--exclude[= ]|--ignore(?:-glob)?[= ]|--deselect|\bnorecursedirs\b|\bcollect_ignore(?:_glob)?\b|pytest_ignore_collect|pytest_collection_modifyitems/g,
  },
  {
    what: "only some tests are chosen (`-k`, `-m`, `--grep`, `testNamePattern`)",
    pattern:
      /(?:^|[\s"'=])-[km][ =]+["']?\w|--(?:grep|testNamePattern|test-name-pattern|only-?tags?|tag)\b|\btestNamePattern\b|\bgrep(?:Invert)?\s*:|\bfilter_run(?:_excluding|_including|_when_matching)?\b|\binclude(?:TestsMatching|Tags)\b|<groups>|\bonlyChanged\b|\ballowOnly\s*:\s*true/gm,
  },
  {
    what: "failures are ignored",
    pattern:
      /\bpassWithNoTests\b|\bignoreFailures\s*=\s*true|\bsetIgnoreFailures\s*\(\s*true|<(?:testFailureIgnore|maven\.test\.failure\.ignore)>\s*true|\bdangerouslyIgnoreUnhandledErrors\b\s*:\s*true|--continue-on-(?:error|collection-errors)|\bfail_on_error\s*=\s*false|\bxfail_strict\s*=\s*false|\bignore_outcome\s*=\s*true|--no-fail\b/gi,
  },
  {
    what: "tests are switched off",
    pattern:
      /<(?:skipTests?|maven\.test\.skip|skipITs)>\s*true|\btest\s*=\s*false|\bharness\s*=\s*false|\benabled\s*=\s*false|\bonlyIf\s*\{\s*false|--skip-tests?\b|-DskipTests|-Dmaven\.test\.skip|--co(?:llect-only)?\b/gi,
  },
  {
    what: "failing tests are tried again until they pass",
    pattern:
      /\bretr(?:y|ies)["']?\s*[:=]\s*[1-9]|--reruns?[ =][1-9]|--retry[ =]?[1-9]|\bretryTimes\s*\(\s*[1-9]|rerunFailingTestsCount/gi,
  },
  {
    what: "snapshots are written instead of compared",
    pattern:
      /(?:^|[\s"'])(?:-u|--updateSnapshot|--update-snapshots?|--snapshot-update)(?=[\s"']|$)|\bupdateSnapshots?\s*:\s*["']?(?:all|true)/gm,
  },
];

/** What makes a shell command succeed whatever happens before, or do nothing at all. */
const cannotFail =
  /(?:\|\||;|&)\s*(?:true|:|exit\s+0|echo\b[^&|;]*|node\s+-e\s+["']{0,2})\s*["']?\s*$|^\s*(?:true|:|exit(?:\s+0)?|echo\b.*|printf\b.*|node\s+-e\s+["']{2}|)\s*$/;

function weakenedScripts(oldText: string, newText: string): Weakening[] {
  const before = scriptsOf(oldText);
  const after = scriptsOf(newText);
  if (before === undefined || after === undefined) return [];
  const found: Weakening[] = [];
  for (const [name, command] of Object.entries(before)) {
    if (!/^(?:pre|post)?(?:test|tests|check|verify|ci|coverage|e2e)(?:[:.-]|$)/.test(name)) continue;
    const now = after[name];
    if (now === command || cannotFail.test(command)) continue;
    if (now === undefined)
      found.push({ rule: "test-command", message: `the script \`${name.slice(0, 60)}\` was removed` });
    else if (cannotFail.test(now))
      found.push({ rule: "test-command", message: `the script \`${name.slice(0, 60)}\` can no longer fail` });
  }
  return found;
}

function scriptsOf(text: string): Record<string, string> | undefined {
  try {
    const scripts: unknown = (JSON.parse(text) as { scripts?: unknown } | null)?.scripts;
    if (typeof scripts !== "object" || scripts === null) return {};
    return Object.fromEntries(
      Object.entries(scripts).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
    );
  } catch {
    return undefined;
  }
}

function weakenedLines(name: string, before: string, after: string): Weakening[] {
  const testCommand =
    /^[^\n]*(?:test|pytest|rspec|jest|vitest|tox|mvn|gradle|cargo)[^\n]*(?:\|\||;)\s*(?:true|:|exit\s+0)\s*["']?,?\s*$|^\t-[^\n]*(?:test|pytest|rspec|jest|vitest|cargo|mvn|gradle)/gim;
  if (count(after, testCommand) > count(before, testCommand))
    return [{ rule: "test-command", message: "a test command can no longer fail" }];
  if (!/^(?:gnu)?makefile$|^justfile$/i.test(name)) return [];
  const target = /^(?:test|check)[\w-]*\s*:[^=\n]*\n?((?:\t[^\n]*\n?|[ ]{2,}[^\n]*\n?)*)/gm;
  const bodies = (text: string) =>
    [...text.matchAll(target)].filter(([, body]) =>
      body!
        .trim()
        .split("\n")
        .some((line) => line.trim() !== "" && !cannotFail.test(line.trim().replace(/^[@-]+/, ""))),
    );
  return bodies(after).length < bodies(before).length
    ? [{ rule: "test-command", message: "a test target no longer runs anything that can fail" }]
    : [];
}

const threshold =
  /["'<]?\b(lines|branches|functions|statements|fail_under|cov-fail-under|minimum_coverage|minimum_coverage_by_file|minimum|target|check-coverage|refuse_coverage_drop|global|perFile|autoUpdate)\b["'>]?\s*(?:[:=>(]|\s)\s*["']?(-?\d+(?:\.\d+)?)/g;

function loweredThreshold(before: string, after: string): string | undefined {
  if (!/threshold|coverage|fail_under|cov-fail|c8|nyc|minimum|jacoco|simplecov/i.test(before)) return undefined;
  const read = (text: string) => {
    const values = new Map<string, number[]>();
    for (const [, key, value] of text.matchAll(threshold))
      values.set(key!, [...(values.get(key!) ?? []), Number(value)]);
    return values;
  };
  const now = read(after);
  for (const [key, values] of read(before)) {
    const later = now.get(key);
    if (later === undefined) return `the coverage threshold \`${key}\` was removed`;
    if (later.length === values.length && later.some((value, index) => value < values[index]! && values[index]! >= 0))
      return `the coverage threshold \`${key}\` was lowered`;
    if (later.length < values.length) return `a coverage threshold \`${key}\` was removed`;
  }
  return undefined;
}

function withoutComments(text: string, name: string): string {
  const source = text.slice(0, 500_000);
  if (/\.(?:json|xml)$/.test(name)) return source.replace(/<!--[\s\S]*?(?:-->|$)/g, "");
  if (/\.(?:[cm]?[jt]sx?|gradle|kts)$/.test(name))
    return source.replace(/\/\*[\s\S]*?(?:\*\/|$)/g, "").replace(/(^|[\s;,{(])\/\/[^\n]*/g, "$1");
  return source.replace(/(^|\s)#[^\n]*/g, "$1");
}

function count(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].length;
}
