import { endings, type Outcome, type OutcomeKind } from "../pipeline/outcome.ts";
import type { StepRow } from "../store/store.ts";
import type { StatusView } from "./view.ts";

/** The checklist that people read: which steps make up each line, in the order of the story. */
const checklist: { title: string; steps: string[]; optional?: boolean }[] = [
  { title: "Read the request", steps: ["authorise-trigger", "read-repository", "read-issue", "read-review"] },
  { title: "Plan the change", steps: ["select-context", "analyse-issue"] },
  { title: "Get the plan approved", steps: ["ask-plan", "settle-plan"], optional: true },
  { title: "Prepare the environment", steps: ["prepare-environment", "open-draft", "merge-base"] },
  { title: "Write the change", steps: ["write-change", "keep-written"] },
  { title: "Run the checks", steps: ["run-checks"] },
  { title: "Guard the change", steps: ["guard-change"] },
  { title: "Push and open the pull request", steps: ["publish-change", "reply-threads", "open-pull-request"] },
];

export type LineState = "waiting" | "active" | "done" | "failed" | "stopped";

export interface ChecklistLine {
  title: string;
  state: LineState;
  seconds: number;
  times: number;
}

/**
 * One line per part of the story with its state, seconds spent and how often its main step ran. Once the run ended,
 * the parts that were not reached are left out, and the last one shows how it ended.
 */
export function checklistOf(steps: StepRow[], now: Date, ended: OutcomeKind | undefined): ChecklistLine[] {
  const reached = (names: string[]) => steps.some((step) => names.includes(step.name));
  const lines = checklist.filter((line) => line.optional !== true || reached(line.steps));
  const last = lines.findLastIndex((line) => reached(line.steps));
  return lines.slice(0, ended === undefined ? undefined : last + 1).map((line, index) => {
    const own = steps.filter((step) => line.steps.includes(step.name));
    const until = (step: StepRow) => step.endedAt ?? (ended === undefined ? now.toISOString() : step.startedAt);
    return {
      title: line.title,
      state: stateOf(own.at(-1), index < last, ended),
      seconds: own.reduce((sum, step) => sum + secondsBetween(step.startedAt, until(step)), 0),
      times: own.filter((step) => step.name === line.steps.at(0) || line.steps.length === 1).length,
    };
  });
}

function stateOf(last: StepRow | undefined, isPast: boolean, ended: OutcomeKind | undefined): LineState {
  if (last?.status === "failed" || foundFailure(last)) return "failed";
  if (ended === undefined)
    return last === undefined ? (isPast ? "done" : "waiting") : isPast && last.status === "done" ? "done" : "active";
  if (isPast) return "done";
  if (ended === "failed" || ended === "refused") return "failed";
  return ended === "cancelled" || ended === "superseded" ? "stopped" : "done";
}

/** The checks themselves fail although the step that ran them did its work. */
function foundFailure(step: StepRow | undefined): boolean {
  const output = step?.output as { change?: { checks?: { failure?: unknown } } } | undefined;
  return step?.name === "run-checks" && step.status === "done" && output?.change?.checks?.failure !== undefined;
}

const icons: Record<LineState, string> = { waiting: "⬜", active: "🔄", done: "✅", failed: "❌", stopped: "⏹️" };

/** The status comment's Markdown, without its marker. */
export function renderStatus(view: StatusView, now: Date): string {
  const { run, usage, left } = view;
  const outcome = view.outcome;
  const ended = outcome !== undefined;
  const until = ended && run.endedAt !== undefined ? new Date(run.endedAt) : now;
  const lines = checklistOf(view.steps, now, outcome?.kind).map((line) => {
    const times = line.times > 1 ? ` (${line.times}×)` : "";
    return `${icons[line.state]} ${line.title}${times}${line.seconds >= 1 ? ` · ${duration(line.seconds)}` : ""}`;
  });
  const pullRequest = outcome?.pullRequest?.url ?? view.pullRequest?.url;
  return [
    `### ${headline(view, outcome)}`,
    "",
    ...(outcome === undefined
      ? []
      : [outcome.reason, "", ...(outcome.detail === undefined ? [] : [outcome.detail, ""])]),
    ...(pullRequest === undefined ? [] : [`**Pull request:** ${pullRequest}`, ""]),
    ...lines.map((line) => `${line}<br>`),
    "",
    `⏱ ${duration(secondsBetween(run.createdAt, until.toISOString()))} · ${count(usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens)} tokens in, ${count(usage.outputTokens)} out · ${dollars(usage.costUsd)} spent`,
    `<br>Left for this run: ${dollars(left.runUsd)}, ${count(left.runTokens)} tokens, ${Math.floor(left.runMinutes)} min, ${counted(left.runAttempts, "attempt")} · today: ${dollars(Math.min(left.repositoryDayUsd, left.accountDayUsd, left.dayUsd))}, ${counted(left.repositoryDayRuns, "run")} in this repository`,
    "",
    `<sub>Run ${view.runUrl === undefined ? `\`${run.runKey}\`` : `[\`${run.runKey}\`](${view.runUrl})`} · ${ended ? whatNext(outcome) : howToStop(view)}</sub>`,
  ].join("\n");
}

function howToStop({ run }: StatusView): string {
  const subject = run.work.subject.kind === "pull-request" ? "pull request" : "issue";
  const label = run.intent.trigger.kind === "label" ? " or remove the label" : "";
  return `to stop it: \`/millwright stop\`, close the ${subject}${label}`;
}

function whatNext({ kind }: Outcome): string {
  if (kind === "ready" || kind === "draft")
    return "to have it changed: submit a review or comment `/millwright code …` on the pull request";
  return kind === "question" ? "to go on: answer in a comment" : "to try it again: `/millwright retry`";
}

function headline(view: StatusView, outcome: Outcome | undefined): string {
  if (outcome !== undefined) return `${endings[outcome.kind].emoji} ${endings[outcome.kind].title}`;
  if (view.run.state === "waiting-turn")
    return `⏳ Waiting for its turn${view.place === undefined ? "" : ` (number ${view.place} in the queue)`}`;
  if (view.run.state === "waiting-decision") return "✋ The plan waits for approval";
  return "🔧 Millwright is working on it";
}

function secondsBetween(from: string, to: string): number {
  return Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000);
}

/** `42 s`, `3 min 5 s`, `1 h 2 min`. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export function dollars(usd: number): string {
  return `$${usd.toFixed(usd < 0.1 && usd > 0 ? 4 : 2)}`;
}

/** `9500`, `12k`, `1.9M`. */
function count(tokens: number): string {
  if (tokens < 10_000) return String(tokens);
  return tokens < 1_000_000 ? `${Math.round(tokens / 1000)}k` : `${(tokens / 1_000_000).toFixed(1)}M`;
}

function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
