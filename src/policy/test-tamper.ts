import type { FileChange, Finding } from "./change.ts";
import { isTestPath, mayHoldTests } from "./tamper/language.ts";
import { outsideName, readTests, type TestCase } from "./tamper/read-tests.ts";
import { weakenedConfiguration } from "./tamper/test-configuration.ts";

/** At most this many findings are returned; a change that has more is a draft anyway. */
const maxFindings = 50;

/**
 * Ways in which a change makes the tests demand less (product.md B13): removed, skipped or emptied tests, fewer or
 * looser assertions, wider tolerances, swallowed failures, snapshots changed alone, weakened test commands, configuration and
 * coverage thresholds. Tests are compared one by one by their name and structure, so a test that moved or was renamed is not
 * removed, and comments and strings do not count. Every finding makes a draft, because each of these can also
 * be right; none is taken for proof. Reads JavaScript and TypeScript, Python, Go, Java, Kotlin, Rust and Ruby.
 */
export function findTestTampering(files: readonly FileChange[]): Finding[] {
  const compared = files.filter((file) => file.kind === "file").map(readBoth);
  const moved = new MovedTests(compared);
  const findings = [
    ...compared.flatMap((file) => [...fileFindings(file, moved), ...testFindings(file, moved)]),
    ...configurationFindings(files),
    ...snapshotFindings(files),
  ];
  return findings.slice(0, maxFindings);
}

interface Compared {
  file: FileChange;
  before: Map<string, TestCase>;
  after: Map<string, TestCase>;
}

function readBoth(file: FileChange): Compared {
  const oldPath = file.previousPath ?? file.path;
  return {
    file,
    before: byName(
      file.oldText !== undefined && file.status !== "added" && mayHoldTests(oldPath)
        ? readTests(oldPath, file.oldText)
        : [],
    ),
    after: byName(
      file.newText !== undefined && file.status !== "deleted" && mayHoldTests(file.path)
        ? readTests(file.path, file.newText)
        : [],
    ),
  };
}

/** Tests of the same name (parametrised by hand) are numbered. */
function byName(tests: readonly TestCase[]): Map<string, TestCase> {
  const named = new Map<string, TestCase>();
  const seen = new Map<string, number>();
  for (const test of tests) {
    const number = (seen.get(test.name) ?? 0) + 1;
    seen.set(test.name, number);
    named.set(number === 1 ? test.name : `${test.name} #${number}`, test);
  }
  return named;
}

/** Tests that are new where they stand: a test that is gone elsewhere may be one of them. Each is taken once. */
class MovedTests {
  readonly #added: { test: TestCase; path: string; body: string; taken: boolean }[] = [];

  constructor(compared: readonly Compared[]) {
    for (const { file, before, after } of compared) {
      for (const [name, test] of after)
        if (!before.has(name) && test.leaf !== outsideName)
          this.#added.push({ test, path: file.path, body: withoutName(test), taken: false });
    }
  }

  /** The test that took the place of this one: of the same name anywhere, or with the same body, or alike in the same file. */
  take(gone: TestCase, path: string): TestCase | undefined {
    const free = this.#added.filter((candidate) => !candidate.taken);
    const body = withoutName(gone);
    const match =
      free.find(({ test }) => test.name === gone.name) ??
      free.find(({ test }) => test.leaf === gone.leaf && gone.leaf !== "") ??
      free.find((candidate) => candidate.body === body) ??
      free.slice(0, 200).find((candidate) => candidate.path === path && alike(candidate.test, gone));
    if (match !== undefined) match.taken = true;
    return match?.test;
  }
}

/** Function names are part of the masked body, string names are blank in it. */
function withoutName(test: TestCase): string {
  return test.body.replaceAll(test.leaf.replace(/\s+/g, ""), "");
}

/** A renamed test whose body was also changed: most of its assertions are there, and it still demands as much. */
function alike(one: TestCase, other: TestCase): boolean {
  const rest = one.assertions.map((assertion) => assertion.matcher);
  const shared = other.assertions.filter(({ matcher }) => {
    const at = rest.indexOf(matcher);
    if (at !== -1) rest.splice(at, 1);
    return at !== -1;
  }).length;
  const size = Math.abs(one.body.length - other.body.length) <= 0.4 * Math.max(one.body.length, other.body.length);
  return size && other.assertions.length > 0 && shared >= 0.7 * other.assertions.length;
}

function fileFindings({ file, before, after }: Compared, moved: MovedTests): Finding[] {
  const oldPath = file.previousPath ?? file.path;
  if (!isTestPath(oldPath) && before.size === 0) return [];
  if (file.status === "deleted") {
    // Their tests are looked for one by one below; a test file that could not be read counts as a whole.
    const unread = before.size === 0 && isTestPath(oldPath) && isTestName(oldPath);
    return unread ? [draft("test-file-deleted", oldPath, undefined, "a test file was deleted")] : [];
  }
  const disabled = file.status === "renamed" && isTestPath(oldPath) && !isTestPath(file.path) && before.size > 0;
  if (!disabled) return [];
  const lost = [...before.values()].filter(
    (test) => test.leaf !== outsideName && moved.take(test, oldPath) === undefined,
  );
  return lost.length === 0 || after.size > 0
    ? []
    : [
        draft(
          "test-file-deleted",
          file.path,
          undefined,
          `a test file was renamed from \`${shortPath(oldPath)}\` so that no runner finds it`,
        ),
      ];
}

/** Helpers in test folders are no tests by themselves. */
function isTestName(path: string): boolean {
  return /[._-](?:test|spec)\.|_test\.|(?:^|\/)test_|Tests?\.|_spec\./.test(path);
}

function testFindings({ file, before, after }: Compared, moved: MovedTests): Finding[] {
  const findings: Finding[] = [];
  const path = file.path;
  const oldPath = file.previousPath ?? path;
  if (file.status === "renamed" && isTestPath(oldPath) && !isTestPath(path)) return [];
  for (const [name, old] of before) {
    const now = after.get(name) ?? (old.leaf === outsideName ? undefined : moved.take(old, path));
    if (now !== undefined) findings.push(...comparison(path, old, now));
    else if (old.leaf !== outsideName) {
      const rule = file.status === "deleted" ? "test-file-deleted" : "test-removed";
      findings.push(draft(rule, oldPath, old.line, `the test "${shortName(old.name)}" was removed`));
    }
  }
  for (const [name, now] of after) {
    if (before.has(name)) continue;
    if (now.focused)
      findings.push(
        draft("test-focused", path, now.line, `"${shortName(now.name)}" makes all other tests be left out`),
      );
    if (now.skipped !== undefined)
      findings.push({
        rule: "test-skipped",
        severity: "note",
        path,
        line: now.line,
        message: `the new test "${shortName(now.name)}" is skipped (${now.skipped})`,
      });
    else if (now.assertions.length > 0 && now.assertions.every(({ strength }) => strength === 0)) {
      findings.push(draft("assertion-trivial", path, now.line, `the new test "${shortName(now.name)}" cannot fail`));
    }
  }
  return findings;
}

function comparison(path: string, old: TestCase, now: TestCase): Finding[] {
  const findings: Finding[] = [];
  const about = now.leaf === outsideName ? "shared test code" : `the test "${shortName(now.name)}"`;
  const add = (rule: string, message: string) => findings.push(draft(rule, path, now.line, `${about} ${message}`));
  if (old.skipped === undefined && now.skipped !== undefined) add("test-skipped", `is skipped now (${now.skipped})`);
  if (!old.focused && now.focused) add("test-focused", "makes all other tests be left out");
  const [had, has] = [old, now].map((test) => test.assertions.filter(({ strength }) => strength > 0).length) as [
    number,
    number,
  ];
  if (has < had) {
    const trivial = now.assertions.length >= old.assertions.length;
    add(
      trivial ? "assertion-trivial" : "assertion-removed",
      trivial ? "has assertions that cannot fail" : `has ${has} assertions instead of ${had}`,
    );
  } else if (([3, 2] as const).some((level) => atLeast(now, level) < atLeast(old, level))) {
    add("assertion-loosened", `demands less: ${difference(old, now)}`);
  }
  if (now.tolerance > old.tolerance * 1.000001 && old.tolerance > 0)
    add("tolerance-widened", "tolerates a larger difference");
  if (now.swallows > old.swallows) add("failure-swallowed", "swallows what is thrown in it");
  return findings;
}

function atLeast(test: TestCase, strength: number): number {
  return test.assertions.filter((assertion) => assertion.strength >= strength).length;
}

/** "toBe → toBeTruthy": the matchers that went and came. */
function difference(old: TestCase, now: TestCase): string {
  const came = now.assertions.map(({ matcher }) => matcher);
  const went = old.assertions
    .map(({ matcher }) => matcher)
    .filter((matcher) => {
      const at = came.indexOf(matcher);
      if (at !== -1) came.splice(at, 1);
      return at === -1;
    });
  return went.length === 0
    ? "a condition became weaker"
    : `${went.slice(0, 3).join(", ")} → ${came.slice(0, 3).join(", ") || "nothing"}`.slice(0, 160);
}

function configurationFindings(files: readonly FileChange[]): Finding[] {
  return files.flatMap((file) => {
    if (file.kind !== "file" || file.oldText === undefined || (file.newText === undefined && file.status !== "deleted"))
      return [];
    if (file.status === "deleted") return [];
    const weakenings = weakenedConfiguration(file.path, file.oldText, file.newText ?? "");
    return weakenings.map(({ rule, message }) => draft(rule, file.path, undefined, message));
  });
}

const snapshot =
  /\.snap$|\.ambr$|(?:^|\/)__(?:image_)?snapshots__\/|\.approved\.\w+$|\.golden$|(?:^|\/)testdata\/.*\.golden|(?:^|\/)(?:golden|snapshots)\//;

/** New expectations that no test asked for. A snapshot beside a changed test belongs to it. */
function snapshotFindings(files: readonly FileChange[]): Finding[] {
  const snapshots = files.filter((file) => snapshot.test(file.path) && file.status !== "added");
  const testsChanged = files.some((file) => !snapshot.test(file.path) && isTestPath(file.path));
  if (testsChanged) return [];
  return snapshots.map((file) =>
    draft(
      "snapshot-only",
      file.path,
      undefined,
      file.status === "deleted"
        ? "a snapshot was deleted, and no test was changed"
        : "a snapshot was changed, and no test was",
    ),
  );
}

function draft(rule: string, path: string, line: number | undefined, message: string): Finding {
  return { rule, severity: "draft", path, ...(line === undefined ? {} : { line }), message };
}

function shortName(name: string): string {
  return name.replace(/\s+/g, " ").slice(0, 120);
}

function shortPath(path: string): string {
  return path.slice(-120).replaceAll("`", "'");
}
