import { describe, expect } from "vitest";
import { labelsOf, repliesOf, statusesOf } from "../support/scenario.ts";
import { test } from "./fixture.ts";

describe("configuration", () => {
  test.for<[string, string, RegExp]>([
    ["a wrong value", "plan: maybe\n", /`plan`.*`"maybe"`/],
    ["an unknown key", "guard:\n  protectedPath: [src]\n", /`guard\.protectedPath` \| is not a known key/],
    ["no YAML", "plan: [ask\n", /must be YAML/],
    ["a base that is not there", "base: nowhere\n", /`base` \| must name an existing branch \| `"nowhere"`/],
  ])(
    "that has %s is refused with path, rule and value, and nothing is started",
    async ([_what, config, row], { start }) => {
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
    },
  );

  test("of the organisation holds where the repository has none", async ({ start }) => {
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

describe("commands", () => {
  test("that nobody of ours is concerned with are left to others", async ({ start }) => {
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

  test("in their long form are always answered, and help only a few times", async ({ start }) => {
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

  test("tell what the last run did", async ({ start }) => {
    const s = await start();
    const issue = s.labelIssue({ title: "Bug", body: "" });
    await s.ended(issue);
    s.github.as("maintainer").comment(s.name, issue, "/status");
    await s.until("the answer", () => repliesOf(s, issue).some((body) => /ended: question.*\$0\.00/.test(body)));
  });
});
