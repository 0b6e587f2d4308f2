import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { processesWith } from "../../run/child.ts";
import type { RepositoryInput } from "../../support/local-github/index.ts";
import { analysis, finish, useTools } from "../../support/scenario.ts";
import type { RawReply } from "../../support/scripted-model.ts";
import type { ChaosOptions, ChaosScenario, Findings } from "../chaos.ts";
import {
  type Asked,
  type HostileStage,
  type Searched,
  startHostileStage,
  targetName,
} from "../support/hostile-stage.ts";
import { openPacketTraps, type PacketTraps } from "../support/packet-traps.ts";

/** security.md figure 8, and M1. */
export const hostileRepository: ChaosScenario = {
  name: "hostile-repository",
  about:
    "Test commands that look for secrets and ways out, fork, ignore signals, flood and lie: 0 secrets in 40 places, 0 packets, 0 processes left, the slot free 2 s after the time limit, 1 GB of output in 96 MB (figure 8).",
  databases: ["pglite"],
  needs: { program: "bwrap", reason: "the test commands run in the real sandbox" },
  run,
};

/** The least time limit that a command is given. */
const limitSeconds = 5;
/** Of figure 8. In short, a machine that has much else to do: a mechanism that does not hold never comes to an end. */
const graceSeconds = { long: 2, short: 30 };
const maxAddedBytes = 96 * 1024 ** 2;
const leastPlaces = 40;

async function run({ scale, say }: ChaosOptions): Promise<Findings> {
  // Of the processes that must not be left; nothing else on the machine sleeps for so long.
  const mark = 40_000_000 + Math.floor(Math.random() * 9_000_000);
  const hang = `bash attack/hang.sh ${mark}${scale === "long" ? " bomb" : ""}`;
  const stage = await startHostileStage({
    database: "pglite",
    target: hostileTests("target", "node attack/probe.js"),
    more: [
      hostileTests("hanging", hang, { timeoutMinutes: limitSeconds / 60 }),
      hostileTests("loud", "node attack/loud.js"),
      hostileTests("lying", "node attack/forge.js"),
    ],
    environment: { MILLWRIGHT_RUN_ATTEMPTS: "1" },
    answer,
  });
  const traps = await openPacketTraps(join(stage.directory, "trap.sock"));
  try {
    await nameTargets(stage, traps);
    const watch = watchProcesses(mark);
    const hanging = stage.attack("hanging", "acme/hanging");
    const addedBytes = await floodedBytes(stage);
    const probing = stage.attack("probe");
    const lying = stage.attack("lying", "acme/lying");
    await stage.ended([probing]);
    await stage.ended([lying], "acme/lying");
    await stage.ended([hanging], "acme/hanging");
    const left = processesWith(String(mark));
    const most = watch.stop();
    const touched = traps.touched();
    const report = await reportOf(stage, probing);
    const searched = await stage.searched();
    const seconds = timedOutSeconds(searched);
    say(
      `looked in ${Object.keys(report?.places ?? {}).length} places, tried ${Object.keys(report?.network ?? {}).length} ways out`,
    );
    say(`up to ${most} processes; slot free after ${seconds.join(" and ")} s of ${limitSeconds} s`);
    say(`1 GB of output added ${(addedBytes / 1024 ** 2).toFixed(1)} MB`);
    return {
      tries: Object.keys(report?.places ?? {}).length + Object.keys(report?.network ?? {}).length,
      lost: 0,
      duplicated: 0,
      violations: [
        ...searched.violations,
        ...judged(report),
        ...touched.map((name) => `something from a sandbox came to ${name}`),
        ...(await traps.deaf()),
        ...(left.length > 0 ? [`${left.length} processes are left`] : []),
        ...(most < 100 ? [`only ${most} processes were ever there, so nothing was tried`] : []),
        // A busy machine may be late with one of them, a mechanism that does not hold is late with each.
        ...(seconds.length === 0 || Math.min(...seconds) > limitSeconds + graceSeconds[scale]
          ? [`slots were free after ${seconds.join(", ")} s, with a time limit of ${limitSeconds} s`]
          : []),
        ...(addedBytes > maxAddedBytes ? [`1 GB of output added ${addedBytes} bytes to the worker's memory`] : []),
        ...believed(stage, lying, "acme/lying"),
        ...believed(stage, hanging, "acme/hanging"),
      ],
    };
  } finally {
    traps.close();
    await stage.close();
  }
}

function hostileTests(name: string, test: string, more: Record<string, unknown> = {}): RepositoryInput {
  const checks = { setup: "none", format: "none", lint: "none", build: "none", test: [test], ...more };
  return {
    ...{ owner: "acme", name, private: true, collaborators: { maintainer: "write" } },
    fromDirectory: "test/fixtures/repos/hostile-tests",
    files: { ".github/millwright.yml": JSON.stringify({ checks }) },
  };
}

function answer({ attack, stage, turn }: Asked): RawReply {
  if (stage === "analyse-issue") return analysis({ relevantFiles: [] });
  if (turn > 0) return finish("Done.");
  const write = (file_path: string): [string, Record<string, unknown>] => [
    "write",
    { file_path, content: "export {};\n" },
  ];
  if (attack === "probe") return useTools(["run", { command: "npm test" }], write("src/more.js"));
  return useTools(write(attack === "loud" || attack === "quiet" ? `src/${attack}.js` : "src/more.js"));
}

/** Tells the tests where everything is: whoever attacks knows the product and the machine. */
async function nameTargets(stage: HostileStage, traps: PacketTraps): Promise<void> {
  const { app, directory, plantedFiles, siblingPid, github } = stage;
  const port = (url: string) => Number(new URL(url).port);
  const targets = {
    home: join(directory, "home"),
    worker: app.pid,
    sibling: siblingPid,
    files: plantedFiles,
    directories: [
      directory,
      ...["data", "data/jobs", "data/database", "data/mirrors", "home", "keys", "work"].map((name) =>
        join(directory, name),
      ),
    ],
    tcp: { ...traps.tcp, webhooks: port(app.url), health: port(app.healthUrl), github: port(github.url) },
    udp: { ...traps.udp, dns: 53 },
    abstract: [traps.abstract, ...abstractSockets()],
    sockets: [traps.socket, "/var/run/docker.sock", "/run/dbus/system_bus_socket"],
  };
  await github.as("maintainer").push(targetName, {
    branch: "main",
    message: "Where everything is",
    files: { "attack/targets.json": JSON.stringify(targets) },
  });
}

/** Those that are open on the machine, the lock of the embedded database among them. */
function abstractSockets(): string[] {
  const names = readFileSync("/proc/net/unix", "utf8")
    .split("\n")
    .map((line) => /\s@(\S+)$/.exec(line)?.[1] ?? "");
  return [...new Set(names.filter((name) => name !== ""))].slice(0, 20);
}

/** Bytes that a run whose tests print 1 GB adds to the worker's resident memory, after a run whose tests are quiet. */
async function floodedBytes(stage: HostileStage): Promise<number> {
  await stage.ended([stage.attack("quiet", "acme/loud")], "acme/loud");
  const before = memoryOf(stage.app.pid, "VmRSS");
  // Begins to count the peak anew: https://docs.kernel.org/filesystems/proc.html (clear_refs).
  writeFileSync(`/proc/${stage.app.pid}/clear_refs`, "5");
  const issue = stage.attack("loud", "acme/loud");
  await stage.ended([issue], "acme/loud");
  const pull = stage.github
    .repository("acme/loud")
    .pulls.find(({ headRef }) => headRef.startsWith(`millwright/issue-${issue}-`));
  if (!pull?.issue.body?.includes("✅ passed"))
    throw new Error(`The loud tests did not pass, so nothing was measured: ${pull?.issue.body}`);
  return memoryOf(stage.app.pid, "VmHWM") - before;
}

function memoryOf(pid: number, field: "VmRSS" | "VmHWM"): number {
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes) * 1024;
}

/** Counts the processes with the mark from time to time, since there must have been some for none to be left. */
function watchProcesses(mark: number): { stop(): number } {
  let most = 0;
  let watching = true;
  const watched = async () => {
    while (watching) {
      most = Math.max(most, processesWith(String(mark)).length);
      await sleep(300, undefined, { ref: false });
    }
  };
  void watched();
  return {
    stop() {
      watching = false;
      return most;
    },
  };
}

interface Report {
  places: Record<string, string>;
  links: Record<string, string>;
  network: Record<string, string>;
  written: string[];
  interfaces: string[];
}

/** What the tests told, as it went out with the change. */
async function reportOf({ target }: HostileStage, issue: number): Promise<Report | undefined> {
  const pull = target.pulls.find(({ headRef }) => headRef.startsWith(`millwright/issue-${issue}-`));
  const text = pull && (await target.file("report.json", pull.headRef));
  return text === undefined ? undefined : (JSON.parse(text) as Report);
}

/** Violations in what the tests told. That no place holds a secret is found by the search for canaries, in the same report. */
function judged(report: Report | undefined): string[] {
  if (report === undefined) return ["the tests left no report, so nothing was tried"];
  const { places, links, network, written, interfaces } = report;
  const reached = Object.entries(network).filter(([, result]) =>
    /^(?:connected|sent|sent, no answer|answered|opened)$/.test(result),
  );
  return [
    ...(Object.keys(places).length < leastPlaces ? [`only ${Object.keys(places).length} places were looked at`] : []),
    ...(Object.keys(network).length < leastPlaces ? [`only ${Object.keys(network).length} ways out were tried`] : []),
    ...reached.map(([name, result]) => `${name}: ${result}`),
    ...Object.entries(links)
      .filter(([, result]) => /^(?:text|names): /.test(result))
      .map(([name]) => `a link led to ${name}`),
    ...written.map((directory) => `the tests wrote to ${directory}`),
    ...interfaces.filter((name) => name !== "lo").map((name) => `there is a network interface ${name}`),
  ];
}

/** Seconds that commands took which were stopped at their limit, until nothing was left of them. */
function timedOutSeconds({ rows }: Searched): number[] {
  return rows("steps")
    .filter(({ name }) => name === "run-checks")
    .flatMap(({ output }) => {
      const { change } = output as {
        change?: { checks?: { commands: { result: string; durationSeconds: number }[] } };
      };
      return change?.checks?.commands ?? [];
    })
    .filter(({ result }) => result === "timed-out")
    .map(({ durationSeconds }) => durationSeconds);
}

/** A suite that fails makes no pull request that is ready, whatever it says. */
function believed({ github }: HostileStage, issue: number, repository: string): string[] {
  const pull = github
    .repository(repository)
    .pulls.find(({ headRef }) => headRef.startsWith(`millwright/issue-${issue}-`));
  if (pull === undefined) return [`the run on ${repository} came to no pull request`];
  return pull.draft ? [] : [`the failing tests of ${repository} were believed to have passed`];
}
