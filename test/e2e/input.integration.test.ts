import { afterEach, describe, expect, test } from "vitest";
import {
  labelsOf,
  pullOf,
  repliesOf,
  type Scenario,
  simpleWork,
  startScenario,
  statusesOf,
} from "../support/scenario.ts";

let scenario: Scenario | undefined;

afterEach(async () => {
  await scenario?.close();
  scenario = undefined;
});

async function start(options: Parameters<typeof startScenario>[0] = {}): Promise<Scenario> {
  scenario = await startScenario({ model: simpleWork, ...options });
  return scenario;
}

describe("configuration", () => {
  test.each([
    ["a wrong value", "plan: maybe\n", /`plan`.*`"maybe"`/],
    ["an unknown key", "guard:\n  protectedPath: [src]\n", /`guard\.protectedPath` \| is not a known key/],
    ["no YAML", "plan: [ask\n", /must be YAML/],
    ["a base that is not there", "base: nowhere\n", /`base` \| must name an existing branch \| `"nowhere"`/],
  ])("that has %s is refused with path, rule and value, and nothing is started", async (_what, config, row) => {
    const s = await start({ config });
    const issue = s.labelIssue();
    const run = await s.ended(issue);
    expect(run.outcome).toMatchObject({
      kind: "refused",
      reason: expect.stringContaining("`.github/millwright.yml` is not valid"),
    });
    expect(statusesOf(s, issue).map((comment) => comment.body)).toEqual([expect.stringMatching(row)]);
    expect(repliesOf(s, issue)).toEqual([]);
    expect(s.modelRequests()).toBe(0);
    expect(labelsOf(s, issue)).toEqual([]);
  });

  test("of the organisation holds where the repository has none", async () => {
    const s = await start();
    await s.github.createRepository({
      owner: "acme",
      name: ".github",
      files: { ".github/millwright.yml": "enabled: false\n" },
      private: false,
    });
    const run = await s.ended(s.labelIssue());
    expect(run.outcome).toMatchObject({
      kind: "refused",
      reason: "Millwright is paused here: `enabled: false` in `acme/.github:.github/millwright.yml`.",
    });
    expect(s.modelRequests()).toBe(0);
  });
});

describe("a repository", () => {
  test.each([
    ["without commits", { fromDirectory: undefined, files: {} }, "no commits yet"],
    ["that is too large", { sizeKilobytes: 3_000_000 }, "works on at most 2000 MB"],
  ])("%s ends with a clear reason", async (_what, repository, reason) => {
    const s = await start({ repository });
    const issue = s.labelIssue();
    expect((await s.ended(issue)).outcome).toMatchObject({ kind: "failed", reason: expect.stringContaining(reason) });
    expect(labelsOf(s, issue)).toEqual(["agent:failed"]);
    expect(s.modelRequests()).toBe(0);
  });

  test("with LFS files is worked on, and the pull request names what was not looked at", async () => {
    const s = await start({
      repository: {
        files: {
          ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
          "data.bin": `version https://git-lfs.github.com/spec/v1\noid sha256:${"a".repeat(64)}\nsize 12345\n`,
        },
      },
    });
    const run = await s.ended(s.labelIssue());
    expect(run.outcome).toMatchObject({ kind: "ready" });
    expect(pullOf(s, run).issue.body).toContain("not looked at: `data.bin (LFS)`");
    expect(await s.repository.file("data.bin", pullOf(s, run).headRef)).toContain("size 12345");
  });

  test.each(["draft", "ready"] as const)("without tests becomes a pull request that says so: %s", async (kind) => {
    const s = await start({ config: `checks:\n  test: none\n  withoutTests: ${kind}\n` });
    const run = await s.ended(s.labelIssue());
    expect(run.outcome).toMatchObject({ kind });
    expect(pullOf(s, run).draft).toBe(kind === "draft");
    expect(pullOf(s, run).issue.body).toContain("**No tests were run.**");
  });

  test("that is taken out of the installation in mid-run leaves nothing behind", async () => {
    let asked = false;
    const s = await start({
      model: (request) => {
        if (request.stage !== "write-change") return simpleWork(request);
        asked = true;
        return "silence";
      },
    });
    const issue = s.labelIssue();
    await s.until("the model to be asked", () => asked);
    s.github.uninstall(s.installation);
    const { runs } = s.app.worker.store;
    await s.until(
      "the rows to go",
      async () => (await runs.ofSubject(s.repository.entity.id, "issue", issue)).length === 0,
    );
    await s.until("all runs to end", async () => (await runs.active()).length === 0);
    expect(await runs.ofSubject(s.repository.entity.id, "issue", issue)).toEqual([]);
    expect(s.repository.pulls).toEqual([]);
  });
});

describe("commands", () => {
  test("that nobody of ours is concerned with are left to others", async () => {
    const s = await start();
    const issue = s.openIssue();
    const words = ["/stop", "/retry", "/status", "/approve", "/deploy now", "stop", "/codeowners"].map((body) =>
      s.github.as("maintainer").comment(s.name, issue, body),
    );
    await s.github.settled();
    await s.until("all to end", async () => (await s.app.worker.store.runs.active()).length === 0);
    expect(s.repository.issue(issue).comments).toHaveLength(words.length);
    expect(words.flatMap((comment) => comment.reactions)).toEqual([]);
  });

  test("in their long form are always answered, and help only a few times", async () => {
    const s = await start();
    const issue = s.openIssue();
    const say = (body: string) => s.github.as("maintainer").comment(s.name, issue, body);
    const answers = (pattern: RegExp) => repliesOf(s, issue).filter((body) => pattern.test(body)).length;
    say("/millwright stop");
    say("/millwright status");
    say("/millwright retry");
    await s.until(
      "three answers",
      () => answers(/Nothing of mine is running|No run of mine here yet|nothing to try again/) === 3,
    );
    for (let time = 0; time < 5; time += 1) say("/millwright nonsense");
    await s.github.settled();
    await s.until(
      "all to end",
      async () =>
        (await s.app.worker.store.runs.active()).length === 0 && answers(/I do not know `\/millwright nonsense`/) > 0,
    );
    expect(answers(/I do not know `\/millwright nonsense`/)).toBe(3);
  });

  test("tell what the last run did", async () => {
    const s = await start();
    const issue = s.labelIssue({ title: "Bug", body: "" });
    await s.ended(issue);
    s.github.as("maintainer").comment(s.name, issue, "/status");
    await s.until("the answer", () => repliesOf(s, issue).some((body) => /ended: question.*\$0\.00/.test(body)));
  });
});
