import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { fileKind } from "../../src/agent/context/file-kind.ts";
import { gitEnvironment } from "../../src/workspace/git-environment.ts";

const execFileAsync = promisify(execFile);

/** One question with a known answer: the issue that a commit fixed, in the commit's words, asked of the tree before it. */
export interface RetrievalCase {
  commit: string;
  parent: string;
  title: string;
  body: string;
  /** Source files of the parent that the commit changed. */
  relevant: readonly string[];
}

const maxSourceFiles = 5;
const maxAddedSourceFiles = 1;
const maxTouchedLines = 200;

/**
 * The newest `limit` cases in the history of `HEAD`: commits with one parent which say that they fix an issue,
 * without those that change more than 5 source files, add more than one or touch more than 200 lines, and those
 * that change no source file of their parent.
 */
export async function findCases(gitDir: string, limit: number): Promise<RetrievalCase[]> {
  const log = await git(gitDir, [
    "log",
    "-z",
    "--no-merges",
    "--min-parents=1",
    "--format=%x01%H%x00%P%x00%B",
    "HEAD",
    "--",
  ]);
  const commits = log
    .split("\u0001")
    .slice(1)
    .map((record) => record.split("\0"))
    .filter(([, , message]) => saysFix(message!));
  const cases: RetrievalCase[] = [];
  for (const [commit, parent, message] of commits) {
    if (cases.length >= limit) break;
    const change = await readChange(gitDir, commit!, parent!);
    if (!change || change.lines > maxTouchedLines || change.relevant.length === 0) continue;
    if (change.addedSourceFiles > maxAddedSourceFiles || change.sourceFiles > maxSourceFiles) continue;
    const [title = "", ...body] = questionOf(message!).split("\n");
    cases.push({ commit: commit!, parent: parent!, title, body: body.join("\n").trim(), relevant: change.relevant });
  }
  return cases;
}

const reference = String.raw`(?:[\w.-]+/[\w.-]+)?(?:#|\bgh-)\d+|https?://\S+/(?:issues|pull)/\d+\S*`;

/** GitHub's closing keywords: https://docs.github.com/issues/tracking-your-work-with-issues/using-issues/linking-a-pull-request-to-an-issue */
const closingWord = "(?:fix(?:e[sd])?|close[sd]?|resolve[sd]?)";
const fixes = new RegExp(String.raw`\b${closingWord}:?\s+(?:issues?\s+)?(?:${reference})`, "i");

export function saysFix(message: string): boolean {
  return fixes.test(message);
}

/** The message without references to issues and pull requests, and without trailers. */
export function questionOf(message: string): string {
  const trailer =
    /^(?:[A-Z][\w]*(?:-[\w]+)+|Refs?|Cc|PR|PR-URL|Link|See also|Fixes|Closes|Resolves|Change-Id)\s*:.*$/gim;
  return message
    .replace(trailer, "")
    .replace(new RegExp(String.raw`\((?:${closingWord}:?\s+)?(?:${reference})\)|(?:${reference})`, "gi"), "")
    .replace(/[^\S\n]+$/gm, "")
    .trim();
}

/** Undefined where the clone lacks one of the blobs, so that lines cannot be counted. */
async function readChange(gitDir: string, commit: string, parent: string) {
  const diff = ["diff-tree", "-r", "-z", "--raw", "--numstat", "--no-renames", "--no-ext-diff", parent, commit];
  const output = await git(gitDir, diff).catch(() => undefined);
  if (output === undefined) return undefined;
  const relevant: string[] = [];
  let [addedSourceFiles, sourceFiles, lines] = [0, 0, 0];
  const fields = output.split("\0");
  for (let index = 0; index < fields.length; index++) {
    const field = fields[index]!;
    if (field.startsWith(":")) {
      const path = fields[++index]!;
      if (fileKind(path) !== "source") continue;
      sourceFiles++;
      if (field.endsWith("A")) addedSourceFiles++;
      else relevant.push(path);
    } else {
      const counts = /^(\d+)\t(\d+)\t/.exec(field);
      if (counts) lines += Number(counts[1]) + Number(counts[2]);
    }
  }
  return { relevant: relevant.sort(), addedSourceFiles, sourceFiles, lines };
}

async function git(gitDir: string, args: readonly string[]): Promise<string> {
  const { stdout } = await execFileAsync("git", ["--git-dir", gitDir, ...args], {
    env: { ...gitEnvironment([["protocol.allow", "never"]]), GIT_NO_LAZY_FETCH: "1" },
    maxBuffer: 1 << 30,
    encoding: "utf8",
  });
  return stdout;
}
