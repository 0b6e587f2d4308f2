import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** Prometheus metrics of one worker. Names and units follow https://prometheus.io/docs/practices/naming/ */
export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    deliveries: new Counter({
      name: "millwright_webhook_deliveries_total",
      help: "Webhook deliveries by answer.",
      labelNames: ["event", "answer"],
      registers,
    }),
    acknowledgeSeconds: new Histogram({
      name: "millwright_webhook_acknowledge_seconds",
      help: "Seconds from the first byte of a delivery to its answer.",
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 9],
      registers,
    }),
    runsEnded: new Counter({
      name: "millwright_runs_ended_total",
      help: "Ended runs by pipeline and outcome.",
      labelNames: ["pipeline", "outcome"],
      registers,
    }),
    runsQueued: new Gauge({
      name: "millwright_runs_queued",
      help: "Runs that no worker has begun yet, counted over all workers: what to scale by.",
      registers,
    }),
    runs: new Gauge({ name: "millwright_runs_active", help: "Runs that this worker works on now.", registers }),
    stepSeconds: new Histogram({
      name: "millwright_step_seconds",
      help: "Seconds of each execution of a step.",
      labelNames: ["step", "result"],
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900],
      registers,
    }),
    effects: new Counter({
      name: "millwright_effects_total",
      help: "Writes to GitHub and pushes by name and result.",
      labelNames: ["effect", "result"],
      registers,
    }),
    sweeps: new Counter({
      name: "millwright_sweeps_total",
      help: "Looks at GitHub for what no webhook told, by how they ended.",
      labelNames: ["result"],
      registers,
    }),
    sweepRequests: new Counter({
      name: "millwright_sweep_requests_total",
      help: "Requests of these looks; those answered by not-modified do not count against GitHub's rate limit.",
      labelNames: ["answer"],
      registers,
    }),
    sweepStarted: new Counter({
      name: "millwright_sweep_started_total",
      help: "Intents that no webhook had told, by pipeline.",
      labelNames: ["pipeline"],
      registers,
    }),
    notifications: new Counter({
      name: "millwright_notifications_total",
      help: "Tries to tell people something outside of GitHub, by kind of channel and result.",
      labelNames: ["kind", "result"],
      registers,
    }),
    modelTokens: new Counter({
      name: "millwright_model_tokens_total",
      help: "Tokens by model and kind.",
      labelNames: ["model", "kind"],
      registers,
    }),
    modelCostUsd: new Counter({
      name: "millwright_model_cost_usd_total",
      help: "Dollars spent by model.",
      labelNames: ["model"],
      registers,
    }),
  };
}
export type Metrics = ReturnType<typeof createMetrics>;
