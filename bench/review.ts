import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { anchorFinding, indexDiff, type Place } from "../src/review/anchor.ts";
import { type DiffFile, parseDiff } from "../src/review/parse-diff.ts";
import { gitDiff, type Tree } from "../test/review/git-diff.ts";
import { seededRandom } from "../test/support/local-github/random.ts";
import { type Figure, say, scale, smallerIsBetter } from "./figure.ts";

const run = promisify(execFile);
const rounds = 5;
const diffLines = 50_000;
const findings = 1_000;

/**
 * Parses a diff of 50,000 lines that git printed and looks for the place of 1,000 findings in it; the slowest of five
 * rounds. Beside it the process that reads the same diff and knows nothing of findings: `git apply --numstat`.
 */
export async function anchorFigures(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "millwright-bench-"));
  try {
    const text = largeDiff(diffLines * scale());
    const path = join(directory, "large.diff");
    await writeFile(path, text);
    const places = placesIn(parseDiff(text).files);
    const times: number[] = [];
    const baselines: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const started = performance.now();
      const index = indexDiff(parseDiff(text).files);
      const anchors = places.map(({ place }) => anchorFinding(index, place));
      times.push(performance.now() - started);
      const wrong = anchors.findIndex(
        (anchor, at) => places[at]!.line !== (anchor.kind === "anchored" ? anchor.startLine : undefined),
      );
      if (wrong >= 0)
        throw new Error(`Finding ${wrong} was anchored wrongly: ${JSON.stringify([places[wrong], anchors[wrong]])}`);
      const numstatStarted = performance.now();
      await run("git", ["apply", "--numstat", path], { cwd: directory, maxBuffer: 2 ** 26 });
      baselines.push(performance.now() - numstatStarted);
    }
    const shown = (values: readonly number[]) => values.map((value) => value.toFixed(1)).join(", ");
    say(`review: ${text.split("\n").length} lines; ${shown(times)} ms; git apply --numstat ${shown(baselines)} ms`);
    return [
      smallerIsBetter("review.anchor", Math.max(...times), "ms", { baseline: Math.max(...baselines), limit: 1_000 }),
    ];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A new file of a fifth of the lines, and edits all over 200 others. */
function largeDiff(lines: number): string {
  const random = seededRandom(8);
  const code = (word: string) => `  const ${word} = compute(${Math.floor(random() * 1e6)}, "${word}");`;
  const [before, after]: [Record<string, string>, Record<string, string>] = [{}, {}];
  for (let file = 0; file < 200; file += 1) {
    const old = Array.from({ length: Math.ceil(lines / 200) }, (_, at) => code(`value${file}of${at}`));
    // Every seventh line is another one, so that each file is one hunk of all its lines.
    const now = old.map((line, at) => (at % 7 === 3 ? code(`changed${file}of${at}`) : line));
    before[`src/file${file}.ts`] = `${old.slice(0, lines / 280).join("\n")}\n`;
    after[`src/file${file}.ts`] = `${now.slice(0, lines / 280).join("\n")}\n`;
  }
  after["src/new.ts"] = `${Array.from({ length: lines / 5 }, (_, at) => code(`new${at}`)).join("\n")}\n`;
  return gitDiff(before as Tree, after as Tree);
}

/** Half of the findings name their line, a quarter another one nearby, and a quarter quotes what stands nowhere. */
function placesIn(files: readonly DiffFile[]): { place: Place; line: number | undefined }[] {
  const random = seededRandom(9);
  const lines = files.flatMap(({ path, hunks }) =>
    hunks.flatMap((hunk) =>
      hunk.lines.flatMap(({ newLine, text }) => (newLine === undefined ? [] : [{ path, line: newLine, text }])),
    ),
  );
  return Array.from({ length: findings }, (_, at) => {
    const { path, line, text } = lines[Math.floor(random() * lines.length)]!;
    if (at % 4 === 3) return { place: { path, line, quote: `not ${text}` }, line: undefined };
    return { place: { path, line: at % 4 === 2 ? line + 7 : line, quote: text }, line };
  });
}
