import { describe, expect, test } from "vitest";
import type { OutcomeKind } from "../../src/pipeline/outcome.ts";
import { endings } from "../../src/pipeline/outcome.ts";
import { checklistOf, dollars, duration, renderStatus } from "../../src/status/render.ts";
import type { StatusView } from "../../src/status/view.ts";
import type { StepRow } from "../../src/store/store.ts";

const at = (seconds: number) => new Date(Date.UTC(2030, 0, 1) + seconds * 1000);

function step(name: string, from: number, to?: number, status: StepRow["status"] = "done"): StepRow {
  return {
    path: `${name}#1`,
    name,
    attempt: 1,
    status: to === undefined && status === "done" ? "running" : status,
    startedAt: at(from).toISOString(),
    ...(to !== undefined && { endedAt: at(to).toISOString() }),
  };
}

const left: StatusView["left"] = {
  runUsd: 4.93,
  runTokens: 1_940_000,
  runMinutes: 58.9,
  runAttempts: 1,
  repositoryDayUsd: 40,
  accountDayUsd: 90,
  dayUsd: 180,
  repositoryDayRuns: 98,
};

function view(change: Partial<StatusView> = {}, state: StatusView["run"]["state"] = "running"): StatusView {
  const work = {
    installationId: 1,
    repositoryId: 2,
    owner: "acme",
    repo: "tools",
    subject: { kind: "issue" as const, number: 7 },
  };
  return {
    run: {
      runKey: "0123456789abcdef0123",
      workKey: "w",
      pipeline: "issue-to-pr",
      state,
      work,
      intent: {
        work,
        id: "label:x",
        pipeline: "issue-to-pr",
        actor: { id: 1, login: "maintainer", type: "User" },
        at: at(0).toISOString(),
        trigger: { kind: "label", label: "agent:builder" },
        deliveryId: "d",
      },
      createdAt: at(0).toISOString(),
    },
    steps: [step("authorise-trigger", 0, 1), step("read-repository", 1, 3), step("read-issue", 3, 4)],
    usage: {
      calls: 3,
      inputTokens: 9_000,
      outputTokens: 500,
      cacheReadTokens: 3_000,
      cacheWriteTokens: 0,
      costUsd: 0.0712,
    },
    left,
    pullRequest: undefined,
    place: undefined,
    outcome: undefined,
    runUrl: undefined,
    ...change,
  };
}

describe("renderStatus", () => {
  test("links the run where the operator says where it is found", () => {
    const text = renderStatus(view({ runUrl: "https://logs.example/?q=0123" }), at(10));
    expect(text).toContain("<sub>Run [`0123456789abcdef0123`](https://logs.example/?q=0123) · ");
  });

  test("shows steps, time, tokens, cost, what is left and how to stop it", () => {
    const steps = [
      ...view().steps,
      step("select-context", 4, 5),
      step("analyse-issue", 5, 20),
      step("prepare-environment", 20, 21),
      step("write-change", 21),
    ];
    expect(renderStatus(view({ steps }), at(65))).toBe(
      [
        "### 🔧 Millwright is working on it",
        "",
        "✅ Read the request · 4 s<br>",
        "✅ Plan the change · 16 s<br>",
        "✅ Prepare the environment · 1 s<br>",
        "🔄 Write the change · 44 s<br>",
        "⬜ Run the checks<br>",
        "⬜ Guard the change<br>",
        "⬜ Push and open the pull request<br>",
        "",
        "⏱ 1 min 5 s · 12k tokens in, 500 out · $0.0712 spent",
        "<br>Left for this run: $4.93, 1.9M tokens, 58 min, 1 attempt · today: $40.00, 98 runs in this repository",
        "",
        "<sub>Run `0123456789abcdef0123` · to stop it: `/millwright stop`, close the issue or remove the label</sub>",
      ].join("\n"),
    );
  });

  test.each(Object.keys(endings) as OutcomeKind[])("says how a run ended, why and what to do next: %s", (kind) => {
    const text = renderStatus(
      view({ outcome: { kind, reason: "The reason.", detail: "- the detail" } }, "ended"),
      at(30),
    );
    expect(text).toContain(`### ${endings[kind].emoji} ${endings[kind].title}\n\nThe reason.\n\n- the detail\n`);
    expect(text).not.toContain("to stop it");
    expect(text).toMatch(
      { ready: /review or comment/, draft: /review or comment/, question: /answer in a comment/ }[kind as "ready"] ??
        /`\/millwright retry`/,
    );
    expect(text).not.toContain("⬜");
  });

  test("links the pull request of the ending, else the one that is known", () => {
    const url = (text: string) => /\*\*Pull request:\*\* (\S+)/.exec(text)?.[1];
    const known = { url: "https://github.com/acme/tools/pull/8" } as StatusView["pullRequest"];
    expect(url(renderStatus(view({ pullRequest: known }), at(1)))).toBe("https://github.com/acme/tools/pull/8");
    const outcome = {
      kind: "ready" as const,
      reason: "Done.",
      pullRequest: { number: 9, url: "https://github.com/acme/tools/pull/9" },
    };
    expect(url(renderStatus(view({ pullRequest: known, outcome }), at(1)))).toBe(
      "https://github.com/acme/tools/pull/9",
    );
    expect(url(renderStatus(view(), at(1)))).toBeUndefined();
  });

  test("says that it waits for its turn and at which place, or for approval", () => {
    expect(renderStatus(view({ place: 2 }, "waiting-turn"), at(1))).toContain(
      "### ⏳ Waiting for its turn (number 2 in the queue)",
    );
    expect(renderStatus(view({}, "waiting-turn"), at(1))).toContain("### ⏳ Waiting for its turn\n");
    expect(renderStatus(view({}, "waiting-decision"), at(1))).toContain("### ✋ The plan waits for approval");
  });

  test("names the least of what is left today", () => {
    const least = { ...left, accountDayUsd: 3.5, repositoryDayRuns: 1 };
    expect(renderStatus(view({ left: least }), at(1))).toContain("today: $3.50, 1 run in this repository");
  });

  test("does not speak of an issue or a label on a pull request", () => {
    const base = view();
    const run = {
      ...base.run,
      work: { ...base.run.work, subject: { kind: "pull-request" as const, number: 8 } },
      intent: { ...base.run.intent, trigger: { kind: "button" as const } },
    };
    expect(renderStatus({ ...base, run }, at(1))).toContain(
      "to stop it: `/millwright stop`, close the pull request</sub>",
    );
  });
});

describe("checklistOf", () => {
  const until = (kind: OutcomeKind | undefined, steps: StepRow[]) =>
    checklistOf(steps, at(100), kind).map((line) => `${line.state} ${line.title}`);
  const reading = [step("authorise-trigger", 0, 1), step("read-repository", 1, 2)];

  test("marks where a run failed although the step gave an answer", () => {
    expect(until("failed", reading)).toEqual(["failed Read the request"]);
    expect(until("refused", reading)).toEqual(["failed Read the request"]);
  });

  test("marks where a run was stopped", () => {
    expect(until("cancelled", [...reading, step("analyse-issue", 3)])).toEqual([
      "done Read the request",
      "stopped Plan the change",
    ]);
  });

  test("marks checks that fail, also while the next attempt is written", () => {
    const failing = { change: { checks: { failure: { summary: "`npm test`" } } } };
    const checked = { ...step("run-checks", 4, 5), output: failing };
    expect(until(undefined, [...reading, step("write-change", 3, 4), checked, step("write-change", 5)])).toEqual(
      expect.arrayContaining(["active Write the change", "failed Run the checks"]),
    );
    expect(until("draft", [...reading, checked])).toContain("failed Run the checks");
  });

  test("does not call a question a failure", () => {
    expect(until("question", [...reading, step("analyse-issue", 3, 4)])).toEqual([
      "done Read the request",
      "done Plan the change",
    ]);
  });

  test("shows a step that used up its attempts as failed", () => {
    expect(until("failed", [...reading, step("analyse-issue", 3, 4, "failed")])).toContain("failed Plan the change");
  });

  test("shows approval only where it was asked for, and counts repeated steps", () => {
    const steps = [
      ...reading,
      step("analyse-issue", 3, 4),
      step("ask-plan", 4, 5),
      step("write-change", 5, 6),
      step("run-checks", 6, 7),
      step("write-change", 7, 8),
      step("run-checks", 8, 9),
    ];
    const lines = checklistOf(steps, at(9), "ready");
    expect(lines.map((line) => line.title)).toContain("Get the plan approved");
    expect(lines.find((line) => line.title === "Run the checks")).toMatchObject({
      times: 2,
      seconds: 2,
      state: "done",
    });
  });
});

describe("duration and dollars", () => {
  test.each([
    [0.4, "0 s"],
    [59.6, "1 min 0 s"],
    [185, "3 min 5 s"],
    [3_725, "1 h 2 min"],
  ])("duration shows %d seconds as %s", (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });

  test.each([
    [0, "$0.00"],
    [0.0049, "$0.0049"],
    [0.1, "$0.10"],
    [12.345, "$12.35"],
  ])("dollars shows %d as %s", (usd, text) => {
    expect(dollars(usd)).toBe(text);
  });
});
