import { dollars } from "../../../status/render.ts";
import type { Spent } from "../../../store/store.ts";
import type { Deps } from "../../deps.ts";
import type { StepContext } from "../../step.ts";

/** Counts this run among those of its day, or says in one sentence which limit of the day is used up (P6). */
export function whyNotAdmitted(deps: Deps, ctx: StepContext): Promise<string | undefined> {
  return deps.store.usage.admit(ctx.runKey, (spent) => whyNotToday(spent, deps, ctx));
}

function whyNotToday(spent: Spent, deps: Deps, ctx: StepContext): string | undefined {
  const { limits } = deps.operator;
  const used: [exceeded: boolean, sentence: string][] = [
    [
      spent.subjectDayRuns > limits.subjectDayRuns,
      `The limit of ${limits.subjectDayRuns} runs a day for this issue is used up.`,
    ],
    [
      spent.repositoryDay.runs > limits.repositoryDay.runs,
      `The limit of ${limits.repositoryDay.runs} runs a day for this repository is used up.`,
    ],
    [
      spent.accountDay.runs > limits.accountDay.runs,
      `The limit of ${limits.accountDay.runs} runs a day for ${ctx.intent.work.owner} is used up.`,
    ],
    [
      spent.repositoryDay.costUsd >= limits.repositoryDay.usd,
      `Today's budget of ${dollars(limits.repositoryDay.usd)} for this repository is used up.`,
    ],
    [
      spent.accountDay.costUsd >= limits.accountDay.usd,
      `Today's budget of ${dollars(limits.accountDay.usd)} for ${ctx.intent.work.owner} is used up.`,
    ],
    [spent.day.costUsd >= limits.day.usd, `Today's budget of ${dollars(limits.day.usd)} is used up.`],
  ];
  const first = used.find(([exceeded]) => exceeded);
  return first === undefined ? undefined : `${first[1]} It is renewed at 00:00 UTC.`;
}
