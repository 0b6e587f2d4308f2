import { execFileSync } from "node:child_process";
import { describe, expect } from "vitest";
import { analysis, finish, labelsOf, simpleWork, statusesOf, useTools } from "../support/scenario.ts";
import type { RawMessage } from "../support/scripted-model.ts";
import { test } from "./fixture.ts";

const has = (command: string) => {
  try {
    execFileSync("sh", ["-c", `command -v ${command}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};
const skipped = (command: string) => process.env["CI"] !== "true" && !has(command);

describe("Build: a labelled issue", () => {
  test("becomes a ready pull request whose tests passed, also after a failed attempt", async ({ startScripted }) => {
    const s = await startScripted();
    const issue = s.labelIssue();
    const run = await s.ended(issue);
    expect(run.outcome).toMatchObject({ kind: "ready" });
    const pull = s.repository.pull(run.outcome!.pullRequest!.number);
    expect(pull.draft).toBe(false);
    expect(pull.issue.title).toBe("fix(slugify): keep the base letters of accented characters");
    expect(pull.issue.body).toContain(`Closes #${issue}`);
    expect(pull.issue.body).toContain("8 passed");
    expect(pull.issue.body).toContain("## What was not done\n\nNothing is known to be missing.");
    expect(pull.headRef).toMatch(new RegExp(`^millwright/issue-${issue}-[0-9a-f]{8}$`));
    expect(await s.repository.file("src/slugify.js", pull.headRef)).toContain('replaceAll("ß", "ss")');
    expect(pull.requestedReviewers.map((user) => user.login)).toEqual(["maintainer"]);
    const message = await s.repository.git("log", "-1", "--format=%an%n%B", pull.headRef);
    expect(message).toMatch(
      /^millwright\[bot\]\nfix\(slugify\): .*\n[\s\S]*Refs #1[\s\S]*Co-authored-by: maintainer </,
    );
    expect(await s.repository.git("rev-list", "--count", `main..${pull.headRef}`)).toContain("1");
    expect(labelsOf(s, issue)).toEqual(["agent:done"]);
    expect(statusesOf(s, issue)).toHaveLength(1);
    expect(statusesOf(s, issue)[0]?.body).toMatch(
      /Pull request is ready for review[\s\S]*Run the checks \(2×\)[\s\S]*Left for this run: \$/,
    );
  });

  test.skipIf(skipped("python3"))(
    "becomes one in a Python repository after two failed attempts (needs python3)",
    async ({ startScripted }) => {
      const s = await startScripted({ sample: "shapes-py" });
      const run = await s.ended(s.labelIssue(), { seconds: 110 });
      expect(run.outcome).toMatchObject({ kind: "ready" });
      const steps = await s.app.worker.store.runs.steps(run.runKey);
      expect(steps.filter((step) => step.name === "run-checks")).toHaveLength(3);
    },
  );

  test.skipIf(skipped("go"))("becomes one in a Go repository at once (needs go)", async ({ startScripted }) => {
    const s = await startScripted({ sample: "ledger-go" });
    const run = await s.ended(s.labelIssue(), { seconds: 110 });
    expect(run.outcome).toMatchObject({ kind: "ready" });
  });

  test("becomes a draft that shows the failures when the attempts are used up", async ({ start }) => {
    let edit = 0;
    const s = await start({
      model: ({ stage, turn }) => {
        if (stage === "analyse-issue") return analysis();
        if (turn > 0) return finish("I tried.");
        edit += 1;
        return useTools([
          "write",
          {
            file_path: "test/wrong.test.js",
            content: `import assert from "node:assert/strict";\nimport { test } from "node:test";\ntest("wrong ${"abc"[edit - 1]}", () => assert.equal("${"abc"[edit - 1]}", "z"));\n`,
          },
        ]);
      },
    });
    const issue = s.labelIssue();
    const run = await s.ended(issue);
    expect(run.outcome).toMatchObject({ kind: "draft" });
    const pull = s.repository.pull(run.outcome!.pullRequest!.number);
    expect(pull.draft).toBe(true);
    expect(pull.issue.body).toMatch(
      /This is a draft[\s\S]*fail after 3 attempts: `npm test` \(1 failed test\)[\s\S]*<summary>What failed[\s\S]*wrong c/,
    );
    expect(edit).toBe(3);
    expect(labelsOf(s, issue)).toEqual(["agent:needs-review"]);
  });

  test("ends as a question when it cannot be done as written, and the author's answer starts the next run", async ({
    start,
  }) => {
    let asked = 0;
    const s = await start({
      model: (request) => {
        if (request.stage !== "analyse-issue") return simpleWork(request);
        asked += 1;
        return asked === 1 ? analysis({ doable: "needs-answers", openQuestions: ["Which letters?"] }) : analysis();
      },
    });
    const number = s.github
      .as("stranger")
      .openIssue(s.name, { title: "slugify and letters", body: "Please handle letters." }).number;
    s.github.as("maintainer").label(s.name, number, "agent:builder");
    expect((await s.ended(number)).outcome).toMatchObject({
      kind: "question",
      detail: expect.stringContaining("Which letters?"),
    });
    expect(labelsOf(s, number)).toEqual(["agent:needs-info"]);
    s.github.as("stranger").comment(s.name, number, "Only ß.");
    expect((await s.ended(number, { runs: 2 })).outcome).toMatchObject({ kind: "ready" });
    expect(statusesOf(s, number)[0]?.minimizedReason).toMatch(/outdated/i);
  });

  test("asks what should change when the issue is empty, without asking the model", async ({ start }) => {
    const s = await start();
    const run = await s.ended(s.labelIssue({ title: "Bug", body: "" }));
    expect(run.outcome).toMatchObject({ kind: "question" });
    expect(s.modelRequests()).toBe(0);
  });

  test("starts one run for duplicate deliveries and repeated intents", async ({ start }) => {
    const s = await start();
    const issue = s.labelIssue();
    await s.github.settled();
    const labelled = s.github.deliveries.find(
      (delivery) => delivery.event === "issues" && delivery.action === "labeled",
    )!;
    await Promise.all(Array.from({ length: 5 }, () => s.github.redeliver(labelled.id)));
    await s.ended(issue);
    await s.github.redeliver(labelled.id);
    const runs = await s.app.worker.store.runs.ofSubject(s.repository.entity.id, "issue", issue);
    expect(runs.filter((run) => run.pipeline === "issue-to-pr")).toHaveLength(1);
    expect(s.repository.pulls).toHaveLength(1);
    expect(statusesOf(s, issue)).toHaveLength(1);
  });

  test.for(["/stop", "unlabel", "close"])(
    "is cancelled within 5 s by %s in mid-run, and nothing but the final status is written after that",
    async (how, { start }) => {
      let asked = false;
      const s = await start({
        model: async (request) => {
          if (request.stage === "analyse-issue") return analysis();
          asked = true;
          return "silence";
        },
      });
      const issue = s.labelIssue();
      await s.until("the model to be asked", () => asked);
      const cancelledAt = Date.now();
      const written = s.github.requests.length;
      if (how === "/stop") s.github.as("maintainer").comment(s.name, issue, "/stop");
      else if (how === "close") s.github.as("maintainer").closeIssue(s.name, issue);
      else s.github.as("maintainer").unlabel(s.name, issue, "agent:builder");
      const run = await s.ended(issue);
      expect(run.outcome).toMatchObject({ kind: "cancelled" });
      expect(Date.now() - cancelledAt).toBeLessThan(5_000);
      expect(s.repository.pulls).toEqual([]);
      expect(Object.keys(await s.repository.branches())).toEqual(["main"]);
      expect(statusesOf(s, issue)[0]?.body).toContain("Stopped");
      const writes = s.github.requests
        .slice(written)
        .filter(({ method, path }) => method !== "GET" && !path.includes("access_tokens"));
      expect(writes.filter(({ path }) => /\/pulls|\/git\//.test(path))).toEqual([]);
    },
  );

  test("goes on where it was after the App was stopped and started again", async ({ start }) => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let turns = 0;
    const s = await start({
      model: async (request) => {
        if (request.stage === "write-change") turns += 1;
        if (request.stage === "write-change" && request.turn === 1 && turns === 2) await held;
        return simpleWork(request);
      },
    });
    const issue = s.labelIssue();
    await s.until("the second turn", () => turns === 2);
    await s.restartApp();
    release();
    const run = await s.ended(issue);
    expect(run.outcome).toMatchObject({ kind: "ready" });
    // The first turn was saved with its tree and is not asked for again; the one under way is.
    expect(turns).toBe(3);
    const steps = await s.app.worker.store.runs.steps(run.runKey);
    expect(steps.filter((step) => step.name === "analyse-issue")).toHaveLength(1);
    expect(statusesOf(s, issue)).toHaveLength(1);
  });

  test("is refused for a stranger with 👎 and one line, and nothing is started", async ({ start }) => {
    const s = await start();
    const issue = s.openIssue();
    const comment = s.github.as("stranger").comment(s.name, issue, "/code");
    const run = await s.ended(issue);
    expect(run.outcome).toMatchObject({ kind: "refused" });
    expect(comment.reactions.map((reaction) => reaction.content)).toEqual(["-1"]);
    const replies = s.repository.issue(issue).comments.filter((one) => one.author?.login !== "stranger");
    expect(replies).toHaveLength(1);
    expect(replies[0]?.body).toMatch(/write access to this repository is needed/);
    expect(s.modelRequests()).toBe(0);
  });

  test("is refused with one neutral sentence for an account that is not served", async ({ start }) => {
    const s = await start({ environment: { MILLWRIGHT_ACCOUNTS: "somebody-else" } });
    const issue = s.labelIssue();
    expect((await s.ended(issue)).outcome).toMatchObject({ kind: "refused" });
    expect(s.repository.issue(issue).comments.map((one) => one.body.split("\n")[0])).toEqual([
      "This installation of millwright does not serve acme.",
    ]);
    expect(s.modelRequests()).toBe(0);
  });

  test("waits for the plan's approval without a slot, plans anew after an edit, and goes on after a ticked box", async ({
    start,
  }) => {
    const stages: string[] = [];
    const s = await start({
      config: "plan: ask\n",
      model: (request) => {
        if (request.turn === 0) stages.push(request.stage);
        return simpleWork(request);
      },
    });
    const issue = s.labelIssue();
    const planComments = () =>
      s.repository.issue(issue).comments.filter((comment) => comment.body.includes("millwright:plan"));
    const waits = async (count: number) => {
      const run = (await s.app.worker.store.runs.ofSubject(s.repository.entity.id, "issue", issue)).find(
        (one) => one.pipeline === "issue-to-pr",
      );
      return run?.state === "waiting-decision" && planComments().length === count && planComments()[count - 1];
    };
    const first = await s.until("the plan", () => waits(1));
    s.github.as("stranger").comment(s.name, issue, "/millwright approve");
    s.github.as("maintainer").editComment(first, first.body.replace("1. Change it.", "1. Change it carefully."));
    const second = await s.until("the second plan", () => waits(2));
    s.github.as("maintainer").tick(second, "Approve this plan");
    expect((await s.ended(issue)).outcome).toMatchObject({ kind: "ready" });
    expect(stages).toEqual(["analyse-issue", "revise-plan", "write-change"]);
  });

  test("is approved by 👍 on the plan, which the housekeeping looks for", async ({ start }) => {
    const s = await start({ config: "plan: ask\n" });
    const issue = s.labelIssue();
    const plan = await s.until("the plan", async () => {
      const run = (await s.app.worker.store.runs.ofSubject(s.repository.entity.id, "issue", issue)).find(
        (one) => one.pipeline === "issue-to-pr",
      );
      return (
        run?.state === "waiting-decision" &&
        s.repository.issue(issue).comments.find((comment) => comment.body.includes("millwright:plan"))
      );
    });
    s.github.as("stranger").react(plan, "+1");
    await s.app.worker.housekeeping.lookForReactions();
    expect((await s.app.worker.store.runs.waitingForDecision()).length).toBe(1);
    s.github.as("maintainer").react(plan, "+1");
    await s.app.worker.housekeeping.lookForReactions();
    expect((await s.ended(issue)).outcome).toMatchObject({ kind: "ready" });
  });

  test("is changed by a review: new commits on the same branch and a reply on the thread", async ({ start }) => {
    const s = await start({
      model: (request) => {
        if (request.stage !== "address-review") return simpleWork(request);
        if (request.turn > 0) return finish("Renamed as asked.");
        return useTools([
          "edit",
          { file_path: "src/slugify.js", old_string: "/** Turns a title", new_string: "/** Makes a title" },
        ]);
      },
    });
    const issue = s.labelIssue();
    const first = await s.ended(issue);
    const number = first.outcome!.pullRequest!.number;
    const pull = s.repository.pull(number);
    const before = pull.headSha;
    await s.github.as("maintainer").review(s.name, number, {
      event: "REQUEST_CHANGES",
      body: "Nearly.",
      comments: [{ path: "src/slugify.js", line: 4, body: "Say makes, not turns." }],
    });
    const run = await s.ended(number, { kind: "pull-request" });
    expect(run.outcome).toMatchObject({ kind: "ready" });
    expect(pull.headSha).not.toBe(before);
    expect(await s.repository.git("rev-parse", `${pull.headRef}~1`)).toContain(before);
    expect(await s.repository.file("src/slugify.js", pull.headRef)).toContain("Makes a title");
    expect(s.repository.pulls).toHaveLength(1);
    expect(labelsOf(s, issue)).toEqual(["agent:done"]);
    expect(s.repository.reviewComments.map((comment) => comment.body)).toContainEqual(
      expect.stringMatching(/^Addressed in [0-9a-f]{12}/),
    );
  });

  test("is blocked when the change has a secret in it, before anything was pushed", async ({ start }) => {
    const s = await start({
      model: (request) => {
        if (request.stage === "analyse-issue") return analysis();
        if (request.turn > 0) return finish("Done.");
        return useTools([
          "write",
          { file_path: "src/key.js", content: `export const key = "ghp_${"a1B2c3D4e5F6".repeat(3)}";\n` },
        ]);
      },
    });
    const issue = s.labelIssue();
    const run = await s.ended(issue);
    expect(run.outcome).toMatchObject({ kind: "failed", reason: expect.stringContaining("guard") });
    expect(run.outcome?.detail).toContain("src/key.js");
    expect(run.outcome?.detail).not.toContain("a1B2c3D4e5F6");
    expect(Object.keys(await s.repository.branches())).toEqual(["main"]);
    expect(s.github.requests.filter(({ path }) => path.includes("git-receive-pack"))).toEqual([]);
    expect(labelsOf(s, issue)).toEqual(["agent:failed"]);
  });

  test("is not started when the day's budget is used up", async ({ start }) => {
    const dear = {
      message: { ...(analysis() as { message: RawMessage }).message, usage: { input_tokens: 1_000_000 } },
    };
    const s = await start({
      model: (request) => (request.stage === "analyse-issue" ? dear : simpleWork(request)),
      environment: { MILLWRIGHT_REPOSITORY_DAY_USD: "1" },
    });
    const first = s.labelIssue();
    expect((await s.ended(first)).outcome).toMatchObject({
      kind: "failed",
      reason: expect.stringContaining("for this repository today is used up"),
    });
    const asked = s.modelRequests();
    const second = s.labelIssue({ title: "Another thing to do", body: "More." });
    const run = await s.ended(second);
    expect(run.outcome).toMatchObject({ kind: "refused", reason: expect.stringContaining("Today's budget") });
    expect(s.modelRequests()).toBe(asked);
  });

  test("is tried once more with a smaller prompt when the model refuses to write", async ({ start }) => {
    const stages: string[] = [];
    const s = await start({
      model: (request) => {
        if (request.turn === 0) stages.push(request.stage);
        if (request.stage === "write-change") return { message: { content: "", stop_reason: "refusal" } };
        return simpleWork(request);
      },
    });
    const run = await s.ended(s.labelIssue());
    expect(run.outcome).toMatchObject({ kind: "ready" });
    expect(stages.at(-1)).toBe("simplest-change");
  });
});
