import { afterEach, expect, test } from "vitest";
import { pullOf, repliesOf, type Scenario, simpleWork, startScenario } from "../support/scenario.ts";

let scenario: Scenario | undefined;

afterEach(async () => {
  await scenario?.close();
  scenario = undefined;
});

const lost = { method: "POST", when: "after", status: 502, times: 1 } as const;

// A command that had done its work found, when it was tried again, that nothing was to be done any more, and said so.
test("carryOutCommand answers once, and as at first, when the answer to one of its writes was lost", async () => {
  const s = await startScenario({ model: simpleWork, config: "plan: ask\n", repository: { private: false } });
  scenario = s;
  const { worker } = s.app;
  const waits = (issue: number) =>
    s.until("the plan to wait", async () =>
      (await worker.store.runs.waitingForDecision()).some(({ work }) => work.subject.number === issue),
    );
  const say = async (number: number, word: string) => {
    const comment = s.github.as("maintainer").comment(s.name, number, word);
    await s.until(`👍 on ${word}`, () => comment.reactions.some(({ content }) => content === "+1"));
    await s.github.settled();
    await s.until("the command to end", async () =>
      (await worker.store.runs.active()).every(({ pipeline }) => pipeline !== "answer-command"),
    );
  };

  const first = s.labelIssue();
  await waits(first);
  const reactions = /\/issues\/comments\/\d+\/reactions$/;
  s.github.faults.add({ ...lost, path: reactions });
  await say(first, "/millwright approve");
  const pull = pullOf(s, await s.ended(first));
  expect(repliesOf(s, first).filter((body) => !body.includes("millwright:plan"))).toEqual([]);

  s.github.faults.add({ ...lost, path: /\/check-runs$/ });
  s.github.faults.add({ ...lost, path: reactions });
  await say(pull.issue.number, "/millwright approve");
  expect(repliesOf(s, pull.issue.number)).toEqual([]);
  const checks = s.repository.entity.checkRuns.filter(({ headSha }) => headSha === pull.headSha);
  expect(checks.map(({ conclusion }) => conclusion)).toEqual(["success"]);

  const second = s.labelIssue();
  await waits(second);
  s.github.faults.add({ ...lost, path: reactions });
  await say(second, "/stop");
  expect((await s.ended(second)).outcome).toMatchObject({ kind: "cancelled" });
  expect(repliesOf(s, second).filter((body) => !body.includes("millwright:plan"))).toEqual([]);
});
