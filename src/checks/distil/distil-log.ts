import { createHash } from "node:crypto";
import { setImmediate as immediate } from "node:timers/promises";
import type { CheckReport, TestResult } from "../check-report.ts";
import { type CommandOutput, parseResults } from "../parse-results.ts";
import { Blocks } from "./blocks.ts";
import { composeExcerpt } from "./excerpt.ts";
import type { LogError } from "./log-error.ts";
import { readErrors } from "./read-errors.ts";
import { Sieve, type SiftedStep } from "./sift.ts";
import { stableText } from "./stable-text.ts";

export interface DistilOptions {
  /** The excerpt's size by `estimateTokens`, at least 100. */
  maxTokens: number;
  /** What was run and how it ended, where that is known from elsewhere than the log. */
  command?: { name: string; ending: string };
  /** The report files that the command left; they say more about tests than what was printed. */
  reports?: CommandOutput["reports"];
  /** What was already read from output and report files. */
  report?: CheckReport;
}

export interface DistilledLog {
  /** The script of the failed step, or the command that the log names as failed. */
  failingCommand?: string;
  /** The errors that the log names, in its order, each once; at most 500. */
  errors: LogError[];
  /** At most 500. */
  failedTests: TestResult[];
  excerpt: string;
  /** SHA-256 in hex of what failed; numbers, times, addresses, temporary paths and the order do not change it. */
  hash: string;
}

const sliceLength = 64 * 1024;
const breathBytes = 4 * 1024 * 1024;
const maxFailures = 200;

/**
 * Reads a log of any size, in the format of GitHub Actions or as a command printed it, and returns why it failed
 * (product.md F3): at once for a text, in the end for a stream. Linear in its length, with memory of a fixed size, and the
 * same however the bytes are cut into chunks. Never throws on any bytes: what the log says was written by code that nobody
 * trusts.
 *
 * @throws RangeError when maxTokens is below 100, and whatever a stream throws
 */
export function distilLog(text: string, options: DistilOptions): DistilledLog;
export function distilLog(stream: AsyncIterable<Uint8Array>, options: DistilOptions): Promise<DistilledLog>;
export function distilLog(
  source: string | AsyncIterable<Uint8Array>,
  options: DistilOptions,
): DistilledLog | Promise<DistilledLog> {
  if (!(options.maxTokens >= 100))
    throw new RangeError(`Cannot distil a log: maxTokens must be at least 100, but is ${options.maxTokens}`);
  const sieve = new Sieve();
  const blocks = new Blocks((block) => sieve.push(block));
  const end = () => {
    blocks.end();
    return conclude(sieve.end(), options);
  };
  if (typeof source !== "string") return readStream(source, blocks).then(end);
  for (const bytes of slicesOf(source)) blocks.push(bytes);
  return end();
}

async function readStream(stream: AsyncIterable<Uint8Array>, blocks: Blocks): Promise<void> {
  let sinceBreath = 0;
  for await (const bytes of stream) {
    blocks.push(bytes);
    sinceBreath += bytes.length;
    // Chunks that are in memory already would keep the event loop from everything else.
    if (sinceBreath >= breathBytes) {
      sinceBreath = 0;
      await immediate();
    }
  }
}

function* slicesOf(text: string): Generator<Uint8Array> {
  for (let at = 0; at < text.length; ) {
    let end = Math.min(text.length, at + sliceLength);
    // Both halves of a surrogate pair belong together.
    if (end < text.length && (text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end++;
    yield Buffer.from(text.slice(at, end), "utf8");
    at = end;
  }
}

function conclude(steps: SiftedStep[], options: DistilOptions): DistilledLog {
  // A step that may fail is followed by others; the last one that failed ended the job.
  const main = steps.findLast(({ exitCode }) => exitCode !== undefined) ?? steps.at(-1);
  const ordered = main === undefined ? [] : [main, ...steps.filter((step) => step !== main)];
  const lines = ordered.flatMap((step) => step.lines.map((line, at) => (at === 0 ? { ...line, gap: true } : line)));
  const texts = lines.flatMap(({ text, gap }) => (gap ? ["", text] : [text]));
  const errors = readErrors(texts);
  const report =
    options.report ??
    parseResults({
      stdout: texts.join("\n"),
      stderr: "",
      exitCode: main?.exitCode ?? 1,
      reports: options.reports ?? [],
    });
  const failedTests = report.tests.filter((test) => test.status === "failed");
  const failingCommand = options.command?.name ?? main?.command ?? commandIn(texts);
  const ending = options.command?.ending ?? (main?.exitCode === undefined ? undefined : `exit code ${main.exitCode}`);
  const excerpt = composeExcerpt(
    {
      command: failingCommand,
      ending,
      report: { ...report, doubts: options.report?.doubts ?? [] },
      failedTests,
      errors,
      lines,
    },
    options.maxTokens,
  );
  return {
    ...(failingCommand !== undefined && { failingCommand }),
    errors,
    failedTests,
    excerpt,
    hash: hashOf(failingCommand, errors, failedTests, texts),
  };
}

/** The command that the log itself names as failed: an instruction of an image, or the script that npm or Yarn ran last. */
function commandIn(lines: readonly string[]): string | undefined {
  let script: string | undefined;
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    const image =
      /process "(?:\/bin\/sh -c |\/bin\/bash -o pipefail -c )(.{1,1000})" did not complete successfully/.exec(line) ??
      /^(?:ERROR: )?The command '(?:\/bin\/sh -c )?(.{1,1000})' returned a non-zero code/.exec(line);
    if (image !== null) return image[1];
    if (/^> \S{1,214}@\S{1,60} \S/.test(line)) script = /^> (\S.*)$/.exec(lines[at + 1] ?? "")?.[1] ?? script;
    else script = /^\$ (\S.*)$/.exec(line)?.[1] ?? script;
  }
  return script;
}

function hashOf(
  command: string | undefined,
  errors: readonly LogError[],
  failedTests: readonly TestResult[],
  lines: readonly string[],
): string {
  const failures = [
    ...failedTests.map((test) => [
      "test",
      stableText(test.suite ?? ""),
      test.name,
      stableText(firstLine(test.message)),
    ]),
    ...errors.map(({ tool, file, message }) => [tool, stableText(file ?? ""), stableText(message)]),
  ];
  const said = failures.length > 0 ? failures : lines.filter(looksLikeError).map((line) => [stableText(line)]);
  const unique = [...new Set(said.map((parts) => JSON.stringify(parts)))].sort().slice(0, maxFailures);
  return createHash("sha256")
    .update(JSON.stringify([stableText(command ?? ""), unique]))
    .digest("hex");
}

const errorWord =
  /\b(?:error|fatal|panic(?:ked)?|exception|failed|failure|cannot|undefined|unresolved|not found|no such|denied|Traceback)\b|^E {3}|Error\b|✖|✗|×|●/i;

function looksLikeError(line: string): boolean {
  return errorWord.test(line) && !/\b0 (?:errors?|failed|failures)\b/.test(line);
}

function firstLine(message: string | undefined): string {
  return message?.split("\n").find((line) => line.trim() !== "") ?? "";
}
