import { execFile } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { seededRandom } from "../test/support/local-github/random.ts";
import { type Figure, median, say, scale, smallerIsBetter } from "./figure.ts";
import type { Distilled } from "./support/distil-file.ts";

const run = promisify(execFile);
const megabyte = 1_000_000;
const rounds = 5;
/** What a prompt gives to the log; the rest of a model's input has a size of its own. */
const maxTokens = 10_000;
const outputs = join(import.meta.dirname, "../test/checks/distil/outputs");

/**
 * Distils a job's log of 100 MB from a file, in a process of its own for each round, against `grep -c .` on the same
 * file. The log is composed of real outputs of failed tools between what tools that
 * work print, each line with its time, as GitHub's runner keeps it.
 */
export async function distilFigures(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "millwright-bench-"));
  try {
    const large = join(directory, "large.log");
    await writeLog(large, 100 * megabyte * scale());
    const times: number[] = [];
    const greps: number[] = [];
    const peaks: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const started = performance.now();
      await run("grep", ["-c", ".", large]);
      greps.push((performance.now() - started) / 1000);
      const distilled = await distilFile(large);
      times.push(distilled.seconds);
      peaks.push(distilled.peakMegabytes);
      if (round === 0) say(`distil: ${JSON.stringify(distilled)}`);
    }
    say(
      `distil: ${times.map((time) => time.toFixed(2)).join(", ")} s; grep ${greps.map((time) => time.toFixed(2)).join(", ")} s`,
    );
    return [
      smallerIsBetter("distill.time", median(times), "s", { baseline: median(greps), limit: 3 }),
      smallerIsBetter("distill.memory", Math.max(...peaks), "MB", { limit: 150 }),
    ];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function distilFile(path: string): Promise<Distilled> {
  const profile = process.env["BENCH_PROFILE"];
  const { stdout } = await run(process.execPath, [
    // As `npm start` has it.
    "--max-semi-space-size=8",
    ...(profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`]),
    join(import.meta.dirname, "support/distil-file.ts"),
    path,
    String(maxTokens),
  ]);
  return JSON.parse(stdout) as Distilled;
}

/** Writes a job's log of about `bytes`, the same each time: some steps that pass, then the one that fails. */
export async function writeLog(path: string, bytes: number): Promise<void> {
  const random = seededRandom(7);
  const file = createWriteStream(path);
  const failures = await failedOutputs();
  let written = 0;
  let line = 0;
  let pending: string[] = [];
  const add = async (lines: readonly string[]) => {
    for (const text of lines) pending.push(`${time(line++)} ${text}`);
    if (pending.length < 2_000) return;
    await flush();
  };
  const flush = async () => {
    const chunk = `${pending.join("\n")}\n`;
    pending = [];
    written += Buffer.byteLength(chunk);
    if (!file.write(chunk)) await once(file, "drain");
  };
  const step = (command: string) => [
    `##[group]Run ${command}`,
    `\u001b[36;1m${command}\u001b[0m`,
    "shell: /usr/bin/bash -e {0}",
    "##[endgroup]",
  ];
  const between = async (until: number, share: number) => {
    while (written < until) {
      await add(Array.from({ length: 300 }, () => noise(random)));
      if (random() < share) await add(failures[Math.floor(random() * failures.length)] ?? []);
    }
  };
  for (const [command, until] of [
    ["npm ci", 0.2],
    ["npm run build", 0.4],
  ] as const) {
    await add(step(command));
    await between(bytes * until, 0.02);
  }
  await add(step("npm run check"));
  await between(bytes * 0.98, 0.2);
  await add(["##[error]Process completed with exit code 1.", "Post job cleanup."]);
  await between(bytes, 0);
  await flush();
  file.end();
  await once(file, "close");
}

/** The outputs of failed tools that the tests of the distillation expect errors of, without those of whole jobs. */
async function failedOutputs(): Promise<string[][]> {
  const names = (await readdir(outputs)).filter((name) => !name.startsWith("actions-")).sort();
  return Promise.all(names.map(async (name) => (await readFile(join(outputs, name), "utf8")).split("\n")));
}

function time(line: number): string {
  return new Date(Date.UTC(2026, 0, 31) + line * 7)
    .toISOString()
    .replace("Z", `${String(line % 10_000).padStart(4, "0")}Z`);
}

const words = ["cart", "order", "user", "session", "invoice", "parser", "stream", "widget", "index", "error-boundary"];

function noise(random: () => number): string {
  const number = Math.floor(random() * 1_000_000);
  const word = words[number % words.length];
  const other = words[Math.floor(number / 10) % words.length];
  switch (number % 16) {
    case 0:
      return `npm http fetch GET 200 https://registry.example/${word}/-/${word}-${number % 9}.${number % 7}.1.tgz ${number % 900}ms (cache miss)`;
    case 1:
      return ` \u001b[32m✓\u001b[39m test/${word}/${other}.test.ts \u001b[2m(\u001b[22m\u001b[2m${number % 40} tests\u001b[22m\u001b[2m)\u001b[22m ${number % 300}ms`;
    case 2:
      return `Downloading ${word}: ${number % 100}% [${"=".repeat(number % 50)}>${" ".repeat(50 - (number % 50))}] ${number % 90}.${number % 10} MB/s`;
    case 3:
      return `asset ${word}.${number.toString(16)}.js ${number % 500} KiB [emitted] [immutable] [minimized] (name: ${other})`;
    case 4:
      return "";
    case 5:
      return `ok      example.com/${word}/${other}    0.${number % 1000}s  coverage: ${number % 100}.${number % 10}% of statements`;
    case 6:
      return `test ${word}::${other}::case_${number} ... ok`;
    case 7:
      return `[INFO] Downloaded from central: https://repository.example/${word}/${other}/${number}/${other}-${number}.pom (${number % 30} kB at ${number % 900} kB/s)`;
    case 8:
      return `    at async Promise.all (index ${number % 20})`;
    case 9:
      return `warning src/${word}/${other}.ts is ${number} bytes long, which is more than its neighbours have`;
    case 10:
      return `tests/test_${word}.py::test_${other}[${number}] PASSED${" ".repeat(20)}[ ${number % 100}%]`;
    case 11:
      return `DEBUG ${word} request ${number} answered in ${number % 500} ms: {"status":200,"items":[${number},${number + 1}],"next":"${number.toString(36)}"}`;
    case 12:
      return `#${number % 30} ${number % 60}.${String(number % 1000).padStart(3, "0")} Get:${number % 200} http://deb.example/debian bookworm/main amd64 lib${word}${number % 9} amd64 ${number % 9}.2-1 [${number % 900} kB]`;
    case 13:
      return `Compiling ${word} v0.${number % 30}.${number % 10} (/home/runner/work/app/app/crates/${word})`;
    case 14:
      return `retrying ${word}: connection ${number.toString(16)} was closed, 0 errors so far`;
    default:
      return `transforming (${number}) src/${word}/${other}/${number % 3_000}.tsx`;
  }
}
