import { afterEach, describe, expect, test } from "vitest";
import { analysis, finish, useTools } from "../support/scenario.ts";
import { type RawModel, type RawReply, startRawModel } from "../support/scripted-model.ts";
import { type Child, type Main, processesWith, type Stage, startStage } from "./child.ts";

let model: RawModel | undefined;
let stage: Stage | undefined;

afterEach(async () => {
  await stage?.close();
  await model?.close();
  stage = undefined;
  model = undefined;
});

/** A model that works on the sample's issue, but does `meanwhile` at the second turn of `write-change` until told to go on. */
async function startHeldModel(meanwhile: () => RawReply) {
  const held = { reached: 0, goOn: false };
  model = await startRawModel(({ path, body }) => {
    if (path.includes("count_tokens")) return { status: 200, body: { input_tokens: 1_000 } };
    const stageName = /stage: ([a-z-]+)/.exec(JSON.stringify(body.system ?? ""))?.[1];
    if (stageName === "analyse-issue") return analysis();
    const turn = (body.messages as { role: string }[]).filter(({ role }) => role === "assistant").length;
    if (turn === 0) {
      return useTools(
        [
          "edit",
          {
            file_path: "src/slugify.js",
            old_string: ".toLowerCase()",
            new_string: '.toLowerCase()\n    .replaceAll("ß", "ss")',
          },
        ],
        [
          "edit",
          {
            file_path: "test/slugify.test.js",
            old_string: 'test("slugify drops',
            new_string:
              'test("slugify spells out ß", () => {\n  assert.equal(slugify("Straße"), "strasse");\n});\n\ntest("slugify drops',
          },
        ],
      );
    }
    if (held.goOn) return finish("`ß` becomes `ss`.");
    held.reached += 1;
    return meanwhile();
  });
  return { url: model.url, held };
}

async function stopped(child: Child, ...signals: NodeJS.Signals[]): Promise<{ code: number | null; seconds: number }> {
  const startedAt = performance.now();
  for (const signal of signals) {
    child.kill(signal);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  const { code } = await child.exited;
  return { code, seconds: (performance.now() - startedAt) / 1000 };
}

/** Starts again and waits for the end: one pull request, one status comment, whatever happened before. */
async function finishesAfter(main: Main, at: Stage, issue: number): Promise<Child> {
  const child = await at.start(main);
  await at.pullRequest(child, issue);
  expect(at.repository.pulls).toHaveLength(1);
  expect(at.repository.pulls[0]?.draft).toBe(false);
  expect(at.repository.issue(issue).comments.filter(({ body }) => body.includes("millwright:status"))).toHaveLength(1);
  expect(Object.keys(await at.repository.branches())).toHaveLength(2);
  return child;
}

// Two runs of a whole pipeline and three starts, also on a busy machine.
describe("stopping in the middle of a run", { timeout: 300_000 }, () => {
  test("SIGTERM while the model is silent: code 0 within 10 s, the next start finishes the run", async () => {
    const { url, held } = await startHeldModel(() => "silence");
    stage = await startStage(url);
    const child = await stage.start("npm start");
    const issue = stage.labelIssue();
    await child.until("the model was asked", () => held.reached > 0);
    expect(await (await fetch(`${child.healthUrl}/metrics`)).text()).toContain("millwright_runs_active 1");
    const { code, seconds } = await stopped(child, "SIGTERM");
    expect({ code, inTime: seconds <= 10 }).toEqual({ code: 0, inTime: true });
    expect(child.lines().at(-1)).toMatchObject({ msg: "stopped", signal: "SIGTERM" });
    expect(stage.repository.pulls).toHaveLength(0);
    held.goOn = true;
    await finishesAfter("npm start", stage, issue);
  });

  test("SIGINT, doubled as npm doubles a Ctrl-C, while a command runs: code 0 within 10 s, no process is left, the next start finishes the run", async () => {
    const mark = `sleep 600.${Math.floor(Math.random() * 1e9)}`;
    const { url, held } = await startHeldModel(() => useTools(["run", { command: `${mark} & ${mark}` }]));
    stage = await startStage(url);
    const child = await stage.start("probot run");
    const issue = stage.labelIssue();
    await child.until("the command ran", () => processesWith(mark).length >= 2);
    const { code, seconds } = await stopped(child, "SIGINT", "SIGINT");
    expect({ code, inTime: seconds <= 10 }).toEqual({ code: 0, inTime: true });
    expect(processesWith(mark)).toEqual([]);
    held.goOn = true;
    await finishesAfter("probot run", stage, issue);
  });

  test("kill -9 while the model is silent: the next start finishes the run and doubles nothing", async () => {
    const { url, held } = await startHeldModel(() => "silence");
    stage = await startStage(url);
    const child = await stage.start("npm start");
    const issue = stage.labelIssue();
    await child.until("the model was asked", () => held.reached > 0);
    child.kill("SIGKILL");
    await child.exited;
    held.goOn = true;
    const next = await finishesAfter("npm start", stage, issue);
    // GitHub may deliver again what it did not hear an answer to.
    const labeled = stage.github.deliveries.find(({ action }) => action === "labeled")!;
    await stage.github.redeliver(labeled.id);
    await next.until("the delivery was seen", () =>
      next.lines().some(({ msg, ...line }) => msg === "delivery repeated" && line["deliveryId"] === labeled.id),
    );
    expect(stage.repository.pulls).toHaveLength(1);
  });
});
