import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { workKeyOf } from "../../src/pipeline/intent.ts";
import { createReconciler } from "../../src/run/reconcile/reconciler.ts";
import { type Postgres, postgresAvailable, startPostgres } from "../support/postgres.ts";
import { analysis, type Scenario, startScenario } from "../support/scenario.ts";

const files = { "README.md": "# Things\n" };
const model = () => analysis({ doable: "already-done" });
const trigger = "agent:builder";

async function sweep(s: Scenario) {
  const swept = await s.app.worker.housekeeping.sweep();
  await s.app.worker.engine.idle();
  return swept!;
}

function runsOf(s: Scenario, issue: number, repositoryId = s.repository.entity.id) {
  return s.app.worker.store.runs.ofSubject(repositoryId, "issue", issue);
}

/** A labelled issue whose webhook never comes. */
function lostLabel(s: Scenario, name = s.name): number {
  s.github.disturb({ drop: 1 });
  const { number } = s.github.as("maintainer").openIssue(name, { title: "Nothing is to be done", body: "Really." });
  s.github.as("maintainer").label(name, number, trigger);
  s.github.disturb({});
  return number;
}

/** The webhook of the newest labelling arrives, and says that the issue changed two seconds later. */
async function tellLate(s: Scenario): Promise<void> {
  const told = s.github.deliveries.findLast(
    ({ event, action, payload }) =>
      event === "issues" && action === "labeled" && (payload["label"] as { name: string }).name === trigger,
  )!;
  const shown = told.payload["issue"] as { updated_at: string };
  shown.updated_at = new Date(Date.parse(shown.updated_at) + 2_000).toISOString().replace(".000", "");
  await s.github.redeliver(told.id);
}

describe("createReconciler", { timeout: 120_000 }, () => {
  let s: Scenario;

  beforeAll(async () => {
    s = await startScenario({ model, repository: { fromDirectory: undefined, files } });
  }, 120_000);
  afterAll(() => s?.close());

  test("sweep starts a lost labelling once, also when its webhook comes late and says another second", async () => {
    const issue = lostLabel(s);
    expect(await sweep(s)).toMatchObject({ found: 1, started: 1, complete: true, failed: 0 });
    await tellLate(s);
    await s.app.worker.engine.idle();
    expect(await runsOf(s, issue)).toMatchObject([{ outcome: { kind: "no-change-needed" } }]);
  });

  test("sweep does not start what a webhook with another second has started already", async () => {
    const issue = lostLabel(s);
    await tellLate(s);
    // The label would be gone at the end of the run: the sweep must not depend on that.
    await sweep(s);
    // In the same second it would be the same labelling: GitHub's times have no more.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    s.github.disturb({ drop: 1 });
    s.github.as("maintainer").label(s.name, issue, trigger);
    s.github.disturb({});
    await sweep(s);
    // However soon the second follows the first: two labellings, two runs.
    expect((await runsOf(s, issue)).length).toBe(2);
    expect(await sweep(s)).toMatchObject({ started: 0 });
  });

  test("sweep leaves out archived repositories, and one that fails does not stop the others", async () => {
    for (const name of ["archived", "failing", "fine"]) {
      await s.github.createRepository({ owner: "acme", name, files, collaborators: { maintainer: "write" } });
    }
    await sweep(s);
    const issues = ["archived", "failing", "fine"].map((name) => lostLabel(s, `acme/${name}`));
    s.github.setArchived("acme/archived", true);
    const fault = s.github.faults.add({ path: /^\/repos\/acme\/failing\/issues\/events/, status: 502 });
    const runs = (index: number) =>
      runsOf(s, issues[index]!, s.github.repository(`acme/${["archived", "failing", "fine"][index]}`).entity.id);
    expect(await sweep(s)).toMatchObject({ started: 1, failed: 1, repositories: 2 });
    expect((await Promise.all([0, 1, 2].map(runs))).map(({ length }) => length)).toEqual([0, 0, 1]);
    fault.remove();
    expect(await sweep(s)).toMatchObject({ started: 1, failed: 0, repositories: 3 });
    expect((await runs(1)).length).toBe(1);
  });

  test("sweep does not act on what happened before a repository was added", async () => {
    await s.github.createRepository({ owner: "acme", name: "old", files, collaborators: { maintainer: "write" } });
    const { entity } = s.github.repository("acme/old");
    const issue = lostLabel(s, "acme/old");
    for (const event of entity.events) event.createdAt = new Date(Date.now() - 3_600_000);
    expect(await sweep(s)).toMatchObject({ found: 0 });
    expect(await runsOf(s, issue, entity.id)).toEqual([]);
  });

  test("sweep stops while little of the rate limit is left, and goes on where it stopped", async () => {
    const issue = lostLabel(s, "acme/fine");
    const { entity } = s.github.repository("acme/fine");
    const before = (await runsOf(s, issue, entity.id)).length;
    const tokens = [...s.github.world.tokens.values()].filter(({ repositoryIds }) => repositoryIds === undefined);
    for (const token of tokens) token.used = 4_500;
    const low = await sweep(s);
    expect(low).toMatchObject({ complete: false });
    expect(low.repositories).toBeLessThan(4);
    for (const token of tokens) token.used = 0;
    const rest = await sweep(s);
    expect(rest.complete).toBe(true);
    expect((await runsOf(s, issue, entity.id)).length).toBe(before + 1);
  });

  test("sweep pauses when GitHub asks for it", async () => {
    const fault = s.github.faults.add({ path: /issues\/events$/, status: 403, retryAfter: 60, times: 1 });
    const swept = await sweep(s);
    expect(swept).toMatchObject({ complete: false, failed: 0, repositories: 0 });
    expect(fault.hits).toBe(1);
    expect(await sweep(s)).toMatchObject({ complete: true });
  });

  test("sweep removes a branch that a run left, and none that moved on or that a pull request shows", async () => {
    const left = await Promise.all([1, 2, 3].map(async () => lostLabel(s)));
    await sweep(s);
    const { store } = s.app.worker;
    const branches: string[] = [];
    for (const [index, issue] of left.entries()) {
      const [run] = await runsOf(s, issue);
      const branch = `millwright/issue-${issue}-${workKeyOf(run!.work).slice(0, 8)}`;
      branches.push(branch);
      const push = (what: string) =>
        s.github.asApp(s.github.app).push(s.name, { branch, message: what, files: { "left.txt": what } });
      const sha = await push("left");
      await store.notes.set(run!.runKey, "pushed-sha", sha);
      if (index === 1)
        await s.github.as("maintainer").push(s.name, { branch, message: "mine", files: { "a.txt": "a" } });
      if (index === 2) await s.github.as("maintainer").openPullRequest(s.name, { title: "Mine now", head: branch });
    }
    await sweep(s);
    const there = Object.keys(await s.repository.branches());
    expect(branches.map((branch) => there.includes(branch))).toEqual([false, true, true]);
    expect(await sweep(s)).toMatchObject({ started: 0 });
  });

  test("sweep forgets a repository that was taken out and an installation that was removed", async () => {
    const { store } = s.app.worker;
    const { entity } = s.github.repository("acme/fine");
    const known = async () => (await store.data.known()).map(({ repositoryId }) => repositoryId);
    expect(await known()).toContain(entity.id);
    s.github.disturb({ drop: 1 });
    s.installation.selection = "selected";
    s.installation.repositories = [...s.github.world.repositories.values()].filter((one) => one !== entity);
    s.github.disturb({});
    expect(await sweep(s)).toMatchObject({ started: 1 });
    expect(await known()).not.toContain(entity.id);
    expect((await known()).length).toBeGreaterThan(0);
    s.github.disturb({ drop: 1 });
    s.github.uninstall(s.installation);
    s.github.disturb({});
    expect(await sweep(s)).toMatchObject({ started: 1, installations: 0 });
    expect(await known()).toEqual([]);
    expect(await store.sweeps.lists(s.installation.id)).toEqual([]);
    expect(await sweep(s)).toMatchObject({ started: 0 });
  });
});

test("createReconciler looks at start and by the clock, unless it is switched off", { timeout: 120_000 }, async () => {
  const s = await startScenario({ model, repository: { fromDirectory: undefined, files } });
  try {
    const issue = lostLabel(s);
    await s.restartApp({ MILLWRIGHT_RECONCILE_MINUTES: "0.02" });
    await s.until("the labelling", async () => (await runsOf(s, issue)).length === 1);
    const later = lostLabel(s);
    await s.until("the next labelling", async () => (await runsOf(s, later)).length === 1);
    await s.restartApp({ MILLWRIGHT_RECONCILE_MINUTES: "0" });
    const asked = s.github.requests.length;
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const listed = s.github.requests.slice(asked).filter(({ path }) => path.startsWith("/app/installations?"));
    expect(listed).toEqual([]);
  } finally {
    await s.close();
  }
});

describe("several workers", { timeout: 120_000 }, () => {
  let postgres: Postgres;
  let s: Scenario;

  beforeAll(async () => {
    if (!postgresAvailable) return;
    postgres = await startPostgres();
    const environment = { DATABASE_URL: await postgres.createDatabase() };
    s = await startScenario({ model, environment, repository: { fromDirectory: undefined, files } });
  }, 120_000);
  afterAll(async () => {
    await s?.close();
    await postgres?.stop();
  });

  test.runIf(postgresAvailable)("sweep one at a time, and whoever swept last goes first", async () => {
    const { worker } = s.app;
    const reconcilers = [1, 2, 3].map(() => createReconciler(worker));
    const issue = lostLabel(s);
    const swept = await Promise.all(reconcilers.map((one) => one.sweep()));
    const did = swept.findIndex((one) => one !== undefined);
    expect(swept.filter((one) => one !== undefined).length).toBe(1);
    await worker.engine.idle();
    expect((await runsOf(s, issue)).length).toBe(1);
    const others = reconcilers.filter((_, index) => index !== did);
    expect(await others[0]!.sweep(60)).toBeUndefined();
    expect(await reconcilers[did]!.sweep(60)).toBeDefined();
  });
});
