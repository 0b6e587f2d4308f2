import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Figure, median, say, scale, smallerIsBetter } from "./figure.ts";
import { writeLargeRepository } from "./large-repository.ts";
import { account, type Credentials, type GitHubProcess, startGitHubProcess } from "./support/local-github.ts";
import { startModelProcess } from "./support/model.ts";
import { sampleProject } from "./support/sample-project.ts";
import { type LogLine, logged, type ServerProcess, startServer } from "./support/server.ts";

const rounds = 9;
/** Runs that are not counted: the first makes the mirror, the others let the engine compile what it uses. */
const warmUps = 2;
const repository = `${account}/large`;

/**
 * The whole pipeline from the labelling to the reported outcome, on the generated 200 MB repository with a warm mirror.
 * The model answers at once and the test is one `grep`, so nothing has to be taken off. The baseline is a shell script that
 * does the same by hand against the same GitHub; runs and scripts take turns.
 */
export async function pipelineFigures(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), "millwright-bench-"));
  const stops: (() => Promise<void>)[] = [];
  try {
    const bare = join(directory, "large.git");
    await writeLargeRepository(bare, sampleProject);
    const github = await startGitHubProcess(directory);
    stops.push(github.stop);
    await github.ask({ do: "repository", repository: { owner: account, name: "large", fromGit: bare } });
    const model = await startModelProcess({ story: "change" });
    stops.push(model.stop);
    await mkdir(join(directory, "server"));
    const environment = { MILLWRIGHT_SANDBOX: process.env["BENCH_SANDBOX"] ?? "none" };
    const server = await startServer({
      directory: join(directory, "server"),
      github: github.ready,
      modelUrl: model.ready.url,
      environment,
    });
    stops.push(server.stop);
    return [await measure(directory, github, server)];
  } finally {
    for (const stop of stops.reverse()) await stop();
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function measure(directory: string, github: GitHubProcess, server: ServerProcess): Promise<Figure> {
  const runs: Timeline[] = [];
  const scripts: number[] = [];
  const count = Math.max(1, Math.round(rounds * scale()));
  for (let round = 0; round < warmUps + count; round++) {
    const run = await timeRun(github, server);
    const script = await timeScript(join(directory, `clone-${round}`), `by-hand-${round}`, github.ready);
    if (round < warmUps) continue;
    runs.push(run);
    scripts.push(script);
  }
  show(runs);
  say(`the script by hand: ${scripts.map((one) => Math.round(one)).join(", ")} ms`);
  const totals = runs.map(({ totalMs }) => totalMs / 1000);
  return smallerIsBetter("pipeline.overhead", median(totals), "s", {
    baseline: median(scripts) / 1000,
    limit: 2.5,
    ratioLimit: 1,
  });
}

interface Timeline {
  totalMs: number;
  /** Milliseconds of each step, and of what lies before it: the queue, the history, the turn. */
  steps: { step: string; beforeMs: number; durationMs: number }[];
}

async function timeRun(github: GitHubProcess, server: ServerProcess): Promise<Timeline> {
  const known = new Set((await server.log()).map(({ runKey }) => runKey));
  const { at } = await github.ask({ do: "label-issue", repository, webhookUrl: server.webhookUrl });
  if (at === undefined) throw new Error("The local GitHub did not say when the label was set");
  const isNew = ({ runKey }: LogLine) => runKey !== undefined && !known.has(runKey);
  // The pull request that it opens starts a run too, which nobody wants here.
  const build = await logged(server, (line) => isNew(line) && line.step === "read-repository#1", 120);
  const last = await logged(
    server,
    (line) => line.runKey === build.runKey && line.msg === "step done" && line.step === "report-outcome#1",
    120,
  );
  const steps = (await server.log()).filter(({ runKey, msg }) => runKey === last.runKey && msg === "step done");
  if (!steps.some(({ step }) => step === "open-pull-request#1")) {
    throw new Error(
      `A measured run opened no pull request; its steps were ${steps.map(({ step }) => step).join(", ")}`,
    );
  }
  let before = at;
  const timeline = steps.map(({ step = "", time, durationMs = 0 }) => {
    const end = Date.parse(time);
    const beforeMs = end - durationMs - before;
    before = end;
    return { step, beforeMs, durationMs };
  });
  // What follows in the background, such as a last edit of the status, is not part of the next run.
  await new Promise((resolve) => setTimeout(resolve, 500));
  return { totalMs: Date.parse(last.time) - at, steps: timeline };
}

/** What a person would type. Git asks for no password, and reads no configuration of this machine. */
const script = `set -eu
git clone --quiet "$REMOTE" "$DIRECTORY"
cd "$DIRECTORY"
git checkout --quiet -b "$BRANCH"
sed 's/pageLimit = 10/pageLimit = 20/' src/limits.js > edited && mv edited src/limits.js
sed 's/= 10/= 20/' test/limits.sh > edited && mv edited test/limits.sh
git commit --quiet --all --message "fix: show twenty entries on one page"
git push --quiet origin "$BRANCH"
curl --fail --silent --show-error --output /dev/null --header "Authorization: Bearer $TOKEN" \\
  --header "Content-Type: application/json" --header "Accept: application/vnd.github+json" \\
  --data "{\\"title\\":\\"fix: show twenty entries on one page\\",\\"head\\":\\"$BRANCH\\",\\"base\\":\\"main\\",\\"body\\":\\"By hand.\\"}" \\
  "$API/repos/$REPOSITORY/pulls"
`;

async function timeScript(directory: string, branch: string, github: Credentials): Promise<number> {
  const authorization = Buffer.from(`x-access-token:${github.personToken}`).toString("base64");
  const settings = [
    ["http.extraHeader", `Authorization: Basic ${authorization}`],
    ["user.name", "Maintainer"],
    ["user.email", "maintainer@example.com"],
  ];
  const begun = performance.now();
  await promisify(execFile)("sh", ["-c", script], {
    env: {
      PATH: process.env["PATH"] ?? "",
      REMOTE: `${github.url}/${repository}.git`,
      API: github.url,
      REPOSITORY: repository,
      TOKEN: github.personToken,
      DIRECTORY: directory,
      BRANCH: branch,
      GIT_TERMINAL_PROMPT: "0",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_CONFIG_COUNT: String(settings.length),
      ...Object.fromEntries(
        settings.flatMap(([key, value], n) => [
          [`GIT_CONFIG_KEY_${n}`, key],
          [`GIT_CONFIG_VALUE_${n}`, value],
        ]),
      ),
    },
  });
  const durationMs = performance.now() - begun;
  await rm(directory, { recursive: true, force: true });
  return durationMs;
}

function show(runs: readonly Timeline[]): void {
  for (const { step } of runs[0]?.steps ?? []) {
    const same = runs.flatMap(({ steps }) => steps.filter((one) => one.step === step));
    const of = (pick: (one: Timeline["steps"][number]) => number) =>
      String(Math.round(median(same.map(pick)))).padStart(6);
    say(`${step.padEnd(24)} ${of(({ durationMs }) => durationMs)} ms, before it ${of(({ beforeMs }) => beforeMs)} ms`);
  }
  say(`whole runs: ${runs.map(({ totalMs }) => totalMs).join(", ")} ms`);
}
