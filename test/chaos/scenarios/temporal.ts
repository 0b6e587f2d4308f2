import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { startPostgres } from "../../support/postgres.ts";
import { type Network, openNetwork } from "../../support/relay.ts";
import { startTemporal, type TemporalServer, temporalProgram } from "../../support/temporal.ts";
import type { ChaosOptions, ChaosScenario, Findings, Scale } from "../chaos.ts";
import { type Lane, startLane, type Triggered } from "../support/kill-lane.ts";
import { judge } from "../support/whole-run.ts";
import type { Boundary } from "../worker.ts";
import { ended, ordinary, undisturbed } from "./kill.ts";

/** What is done to one run while it is under way. */
interface Fault {
  name: string;
  /** Armed before the run begins: the worker kills itself there. */
  boundary?: Boundary;
  /** Done when the run is this far, by the time that an undisturbed one takes. */
  fraction?: number;
  strike?(stage: Stage): Promise<void>;
}

interface Stage {
  lane: Lane;
  server: TemporalServer;
  network: Network;
}

const awaySeconds: Record<Scale, { network: number; server: number; frozen: number }> = {
  short: { network: 6, server: 1, frozen: 7 },
  long: { network: 30, server: 10, frozen: 20 },
};

export const temporal: ChaosScenario = {
  name: "temporal",
  about:
    "on Temporal: kill -9 of the worker at every effect boundary and at random, the server killed and started again on its file, the network to it cut for 30 s, the worker frozen past its heartbeat: each run ends ready, every effect once",
  databases: ["postgres"],
  needs: { program: temporalProgram, reason: "the server, which .ci/temporal brings" },
  async run(options) {
    const directory = await mkdtemp(join(tmpdir(), "millwright-temporal-chaos-"));
    const [postgres, server] = await Promise.all([startPostgres({ durable: true }), startTemporal()]);
    const network = await openNetwork(server.address);
    let lane: Lane | undefined;
    try {
      await mkdir(join(directory, "lane"));
      lane = await startLane({
        directory: join(directory, "lane"),
        stories: [ordinary],
        databaseUrl: await postgres.createDatabase(),
        environment: { MILLWRIGHT_ENGINE: "temporal", MILLWRIGHT_TEMPORAL_ADDRESS: network.address },
      });
      return await strikeRuns({ lane, server, network }, options);
    } finally {
      await lane?.close();
      await network.close();
      await Promise.all([server.stop(), postgres.stop()]);
      await rm(directory, { recursive: true, force: true });
    }
  },
};

async function strikeRuns(stage: Stage, options: ChaosOptions): Promise<Findings> {
  const { lane } = stage;
  const baseline = await undisturbed(lane, ordinary);
  options.say(`undisturbed: ${baseline.boundaries.length} boundaries, ${Math.round(baseline.durationMs)} ms`);
  const findings: Findings = { tries: 0, lost: 0, duplicated: 0, violations: [] };
  for (const fault of faultsOf(baseline.boundaries, options)) {
    findings.tries += 1;
    await lane.start();
    await lane.arm(fault.boundary === undefined ? undefined : { at: fault.boundary, victim: "app" });
    const triggered = await lane.trigger(ordinary);
    const problem = await struck(stage, fault, triggered, baseline.durationMs);
    const { lost, duplicated } = await judge(triggered.repository, triggered.issue, ordinary);
    const repeated = triggered.modelRequests().length - baseline.modelRequests;
    const wrong = problem === undefined ? lost : [`${problem}; the log ends with\n${lane.log()}`];
    findings.lost += wrong.length;
    findings.duplicated += duplicated.length + Math.max(0, repeated - 1);
    findings.violations.push(...[...wrong, ...duplicated].map((sentence) => `${fault.name}: ${sentence}`));
    options.say(`${fault.name}: ${problem ?? "ended ready"}, ${repeated} calls of the model repeated`);
  }
  findings.violations.push(...lane.violations());
  return findings;
}

/** Undefined when the run ended ready in spite of the fault. */
async function struck(
  stage: Stage,
  fault: Fault,
  triggered: Triggered,
  durationMs: number,
): Promise<string | undefined> {
  const { lane } = stage;
  if (fault.boundary !== undefined) {
    await lane.died();
    await fault.strike?.(stage);
  } else {
    await setTimeout((fault.fraction ?? 0.5) * durationMs);
    await fault.strike?.(stage);
  }
  await lane.start();
  await triggered.redeliverUnanswered();
  return ended(lane, triggered);
}

function faultsOf(boundaries: readonly Boundary[], { scale }: ChaosOptions): Fault[] {
  const away = awaySeconds[scale];
  const killed = async ({ lane }: Stage) => {
    if (lane.kill("app") > 0) await lane.died();
  };
  const restarted = ({ server }: Stage) => server.restart(away.server * 1000);
  const cut = async ({ network }: Stage) => {
    await network.cut();
    await setTimeout(away.network * 1000);
    await network.mend();
  };
  const frozen = async ({ lane }: Stage) => {
    lane.signal("SIGSTOP");
    await setTimeout(away.frozen * 1000);
    lane.signal("SIGCONT");
  };
  const risky = boundaries.find(({ name, when }) => name === "status" && when === "after");
  // The short version does in one run what the long one does apart: the worker dies, and while it is away the server does.
  if (scale === "short" && risky !== undefined)
    return [{ name: "worker and server killed after the first comment", boundary: risky, strike: restarted }];
  const fractions = [0.1, 0.3, 0.5, 0.7, 0.9];
  return [
    ...fractions.flatMap((fraction): Fault[] => [
      { name: `worker killed at ${fraction}`, fraction, strike: killed },
      { name: `server restarted at ${fraction}`, fraction, strike: restarted },
      { name: `network cut at ${fraction}`, fraction, strike: cut },
      { name: `worker frozen at ${fraction}`, fraction, strike: frozen },
    ]),
    ...boundaries.map((boundary) => ({ name: `worker killed ${boundary.when} ${boundary.name}`, boundary })),
  ];
}
