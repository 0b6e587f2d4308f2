import { afterEach, expect, test } from "vitest";
import { bubblewrapMissing } from "../sandbox/available.ts";
import { claudeCodeAvailable, claudeCodeMissing, claudeCodeProgram } from "../support/claude-code.ts";
import { analysis, finish, pullOf, type Scenario, startScenario, statusesOf, useTools } from "../support/scenario.ts";

/** As Claude Code's own tool takes it. */
const edit = (path: string, from: string, to: string): [string, Record<string, unknown>] => [
  "Edit",
  { file_path: path, old_string: from, new_string: to },
];
const spelledOut = [
  edit("src/slugify.js", ".toLowerCase()", '.toLowerCase()\n    .replaceAll("ß", "ss")'),
  edit(
    "test/slugify.test.js",
    'test("slugify drops',
    'test("slugify spells out ß", () => {\n  assert.equal(slugify("Straße"), "strasse");\n});\n\ntest("slugify drops',
  ),
];
/** The model reads both files, edits them, and says what it did. */
function spellOut(messages: unknown[]) {
  const last = JSON.stringify(messages.at(-1));
  if (last.includes("has been updated")) return finish("`ß` becomes `ss`.");
  if (last.includes("tool_result")) return useTools(...spelledOut);
  return useTools(["Read", { file_path: "src/slugify.js" }], ["Read", { file_path: "test/slugify.test.js" }]);
}

const missing = claudeCodeAvailable ? bubblewrapMissing() : claudeCodeMissing;
let s: Scenario;
afterEach(() => s.close());

test.skipIf(missing !== undefined && process.env.CI !== "true")(
  `Claude Code makes a pull request out of an issue, and /code goes on in the same conversation${missing ? ` (${missing})` : ""}`,
  { timeout: 240_000 },
  async () => {
    s = await startScenario({
      environment: { MILLWRIGHT_CODER: "claude-code", MILLWRIGHT_CLAUDE_CODE: claudeCodeProgram },
      repository: { files: { "CLAUDE.md": "The rules of the default branch.\n" } },
      model: ({ stage, request }) => {
        if (stage === "analyse-issue") return analysis();
        const last = JSON.stringify(request.body.messages.at(-1));
        if (stage === "write-change") return spellOut(request.body.messages);
        if (last.includes("tool_result")) return finish("The README says so.");
        return useTools(["Write", { file_path: "docs/slugs.md", content: "# Slugs\n\n`ß` becomes `ss`.\n" }]);
      },
    });
    const issue = s.labelIssue();
    const run = await s.ended(issue);
    expect(run.outcome).toMatchObject({ kind: "ready" });
    const pull = pullOf(s, run);
    expect(await s.repository.file("src/slugify.js", pull.headRef)).toContain('.replaceAll("ß", "ss")');
    // Every call is in the run's usage, as it is with the agent.
    const usage = await s.app.worker.store.usage.ofRun(run.runKey);
    expect(usage.calls).toBe(s.modelRequests());
    const [status] = statusesOf(s, issue);
    expect(status?.body).toMatch(/\$0\.\d/);
    const written = s.sentToModel().filter(({ body }) => JSON.stringify(body.system).includes("stage: write-change"));
    expect(JSON.stringify(written[0]!.body.system)).toContain("The rules of the default branch.");

    s.github.as("maintainer").comment(s.name, pull.issue.number, "/code document it");
    const second = await s.until("the second run to end", async () => {
      const runs = await s.app.worker.store.runs.ofSubject(s.repository.entity.id, "pull-request", pull.issue.number);
      return runs.find((one) => one.pipeline === "iterate-pr" && one.state === "ended");
    });
    expect(second.outcome).toMatchObject({ kind: "ready" });
    expect(await s.repository.file("docs/slugs.md", pull.headRef)).toContain("becomes");
    const asked = s.sentToModel().find(({ body }) => JSON.stringify(body.system).includes("stage: address-review"));
    const told = JSON.stringify(asked!.body.messages);
    for (const part of ["`ß` becomes `ss`.", "document it"]) expect(told.includes(part), part).toBe(true);
  },
);

test.skipIf(missing !== undefined && process.env.CI !== "true")(
  `Claude Code is asked for the simplest change when the model refuses the task${missing ? ` (${missing})` : ""}`,
  { timeout: 240_000 },
  async () => {
    const stages: string[] = [];
    s = await startScenario({
      environment: { MILLWRIGHT_CODER: "claude-code", MILLWRIGHT_CLAUDE_CODE: claudeCodeProgram },
      model: ({ stage, request }) => {
        if (stage === "analyse-issue") return analysis();
        if (stages.at(-1) !== stage) stages.push(stage);
        if (stage === "simplest-change") return spellOut(request.body.messages);
        return { message: { content: "That I will not do.", stop_reason: "refusal" } };
      },
    });
    const run = await s.ended(s.labelIssue());
    expect(run.outcome).toMatchObject({ kind: "ready" });
    expect(stages).toEqual(["write-change", "simplest-change"]);
  },
);
