import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { sql } from "drizzle-orm";
import { describe, expect, onTestFinished } from "vitest";
import type { RepositoryInput } from "../support/local-github/index.ts";
import { labelsOf, pullOf, repliesOf, type Scenario, simpleWork, statusesOf } from "../support/scenario.ts";
import { test } from "./fixture.ts";

describe("a repository", () => {
  test.for<[string, Partial<RepositoryInput>, string]>([
    ["without commits", { fromDirectory: undefined, files: {} }, "no commits yet"],
    ["that is too large", { sizeKilobytes: 3_000_000 }, "works on at most 2000 MB"],
  ])("%s ends with a clear reason", async ([_what, repository, reason], { start }) => {
    const s = await start({ repository });
    const issue = s.labelIssue();
    expect((await s.ended(issue)).outcome).toMatchObject({ kind: "failed", reason: expect.stringContaining(reason) });
    expect(labelsOf(s, issue)).toEqual(["agent:failed"]);
    expect(s.modelRequests()).toBe(0);
  });

  test("with LFS files is worked on, and the pull request names what was not looked at", async ({ start }) => {
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

  test.for(["draft", "ready"] as const)(
    "without tests becomes a pull request that says so: %s",
    async (kind, { start }) => {
      const s = await start({ config: `checks:\n  test: none\n  withoutTests: ${kind}\n` });
      const run = await s.ended(s.labelIssue());
      expect(run.outcome).toMatchObject({ kind });
      expect(pullOf(s, run).draft).toBe(kind === "draft");
      expect(pullOf(s, run).issue.body).toContain("**No tests were run.**");
    },
  );

  test("with a submodule is worked on without it, and the pull request names it", async ({ start }) => {
    const s = await start({ repository: { fromDirectory: undefined, fromGit: withSubmodule() } });
    const run = await s.ended(s.labelIssue());
    expect(run.outcome).toMatchObject({ kind: "ready" });
    const pull = pullOf(s, run);
    expect(pull.issue.body).toContain("not looked at: `lib/parser (submodule)`");
    expect(await s.repository.git("ls-tree", pull.headRef, "lib/parser")).toBe(
      await s.repository.git("ls-tree", "main", "lib/parser"),
    );
    expect((await s.repository.git("diff", "--name-only", `main...${pull.headRef}`)).trim().split("\n")).toEqual([
      "src/slugify.js",
      "test/slugify.test.js",
    ]);
  });

  test("that was archived right after the trigger ends at once with that reason, and nothing is tried there", async ({
    start,
  }) => {
    const s = await start();
    const issue = s.labelIssue();
    s.github.setArchived(s.name, true);
    const run = await s.ended(issue);
    expect(run.outcome).toEqual({
      kind: "refused",
      reason: "This repository is archived, so nothing can be written to it.",
    });
    expect(s.modelRequests()).toBe(0);
    const steps = await s.app.worker.store.runs.steps(run.runKey);
    expect(steps.map((step) => [step.name, step.attempt])).toEqual([
      ["authorise-trigger", 1],
      ["report-outcome", 1],
    ]);
    s.github.setArchived(s.name, false);
    s.github.as("maintainer").comment(s.name, issue, "/code");
    expect((await s.ended(issue, { runs: 2 })).outcome).toMatchObject({ kind: "ready" });
  });

  test("that was renamed before the run is found under its new name", async ({ start }) => {
    const s = await start();
    const issue = s.openIssue();
    // The delivery is on its way with the old name when the repository gets another.
    s.github.as("maintainer").label(s.name, issue, "agent:builder");
    s.github.renameRepository(s.name, "text-kit");
    const run = await s.ended(issue);
    expect(run.outcome).toMatchObject({ kind: "ready" });
    expect(run.work.repo).toBe("text-tools");
    expect(run.outcome?.pullRequest?.url).toContain("/acme/text-kit/pull/");
    expect(labelsOf(s, issue)).toEqual(["agent:done"]);
    expect(statusesOf(s, issue)).toHaveLength(1);
    expect(await s.repository.file("src/slugify.js", pullOf(s, run).headRef)).toContain('replaceAll("ß", "ss")');
  });

  test("that is taken out of the installation in mid-run leaves nothing behind: no rows, mirrors, trees or caches", async ({
    start,
  }) => {
    let wait = false;
    let asked = false;
    const s = await start({
      model: (request) => {
        if (request.stage !== "write-change" || !wait) return simpleWork(request);
        asked = true;
        return "silence";
      },
    });
    expect((await s.ended(s.labelIssue())).outcome).toMatchObject({ kind: "ready" });
    wait = true;
    const issue = s.labelIssue();
    await s.until("the model to be asked", () => asked);
    const kept = await keptOf(s);
    expect(kept.files).toEqual(
      expect.arrayContaining([expect.stringMatching(/^mirrors/), expect.stringMatching(/^jobs/)]),
    );
    expect(Object.keys(kept.rows)).toEqual(expect.arrayContaining(["runs", "blobs", "audit_log", "pull_requests"]));
    const pulls = s.repository.pulls.length;
    s.github.uninstall(s.installation);
    const { runs } = s.app.worker.store;
    await s.until(
      "the rows to go",
      async () => (await runs.ofSubject(s.repository.entity.id, "issue", issue)).length === 0,
    );
    await s.until("all runs to end", async () => (await runs.active()).length === 0);
    expect(await runs.ofSubject(s.repository.entity.id, "issue", issue)).toEqual([]);
    expect(await keptOf(s)).toEqual({ rows: {}, files: [] });
    expect(s.repository.pulls).toHaveLength(pulls);
  });
});

/** The sample as a bare repository of git in which `lib/parser` is a submodule. */
function withSubmodule(): string {
  const directory = mkdtempSync(join(tmpdir(), "millwright-submodule-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  cpSync("test/fixtures/repos/text-tools", directory, { recursive: true });
  const git = (...args: string[]) =>
    execFileSync("git", ["-C", directory, "-c", "user.name=a", "-c", "user.email=a@example.org", ...args]);
  git("init", "--quiet", "--initial-branch", "main");
  writeFileSync(
    join(directory, ".gitmodules"),
    '[submodule "lib/parser"]\n\tpath = lib/parser\n\turl = https://git.invalid/parser.git\n',
  );
  git("add", ".");
  git("update-index", "--add", "--cacheinfo", `160000,${"1234".repeat(10)},lib/parser`);
  git("commit", "--quiet", "--message", "Initial commit");
  return directory;
}

/** What the App keeps of the scenario's repository: rows by table, and files below its data directory. */
async function keptOf(s: Scenario): Promise<{ rows: Record<string, number>; files: string[] }> {
  const { db } = s.app.worker.store.database;
  const { id } = s.repository.entity;
  const tables = (await db.execute(
    sql`SELECT table_schema AS schema, table_name AS name FROM information_schema.columns WHERE column_name = 'repository_id'`,
  )) as unknown as { rows: { schema: string; name: string }[] };
  const rows: Record<string, number> = {};
  for (const { schema, name } of tables.rows) {
    const table = sql`${sql.identifier(schema)}.${sql.identifier(name)}`;
    const found = (await db.execute(
      sql`SELECT count(*)::int AS count FROM ${table} WHERE repository_id = ${id}`,
    )) as unknown as { rows: { count: number }[] };
    if (found.rows[0]!.count > 0) rows[name] = found.rows[0]!.count;
  }
  const folders = ["mirrors", "jobs", "environments", "index"];
  const files = folders
    .filter((folder) => existsSync(join(s.app.dataDirectory, folder)))
    .flatMap((folder) =>
      readdirSync(join(s.app.dataDirectory, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(relative(s.app.dataDirectory, entry.parentPath), entry.name)),
    );
  return { rows, files };
}

describe("an issue", () => {
  test("that is too large is refused with one comment, however often it is delivered", async ({ start }) => {
    const s = await start();
    const issue = s.openIssue();
    // GitHub itself takes 65,536 characters; another server may take more.
    s.repository.issue(issue).body = "x".repeat(950_000);
    s.github.as("maintainer").label(s.name, issue, "agent:builder");
    const answers = () => repliesOf(s, issue).filter((body) => body.startsWith("This text is too large to work on"));
    await s.until("the answer", () => answers().length === 1);
    const labelled = s.github.deliveries.find(({ action }) => action === "labeled")!;
    await s.github.redeliver(labelled.id);
    await s.until("all to end", async () => (await s.app.worker.store.runs.active()).length === 0);
    expect(s.repository.issue(issue).comments).toHaveLength(1);
    expect(answers()).toHaveLength(1);
    expect(s.modelRequests()).toBe(0);
    expect(s.repository.pulls).toEqual([]);
  });

  test("whose comment is too large is refused with one comment too", async ({ start }) => {
    const s = await start();
    const issue = s.openIssue();
    s.repository.issue(issue).body = "x".repeat(895_000);
    s.github.as("maintainer").comment(s.name, issue, `/code ${"y".repeat(60_000)}`);
    await s.until("the answer", () => repliesOf(s, issue).length === 1);
    expect(repliesOf(s, issue)).toEqual([expect.stringMatching(/^This text is too large to work on: at most 900 KB/)]);
    expect(s.modelRequests()).toBe(0);
  });

  test("is read with its parent, its sub-issues and the issues that it names, and with the instructions nearest to its files", async ({
    start,
  }) => {
    const s = await start({
      repository: {
        files: {
          "CLAUDE.md": "root-claude\n",
          "src/AGENTS.md": "near-agents\n",
          "src/CLAUDE.md": "near-claude\n",
          "src/CONTRIBUTING.md": "near-contributing\n",
          "docs/AGENTS.md": "far-agents\n",
        },
      },
    });
    const say = (body: string) => s.openIssue({ title: `About ${body}`, body: `${body} <!-- hidden-${body} -->` });
    const [parent, child, named] = [say("the-parent"), say("the-child"), say("the-named")];
    say("the-other");
    const issue = s.openIssue({ title: "Spell out ß", body: `Make ß ss in src/slugify.js, see #${named}.` });
    const { [issue]: mine, [parent]: above, [child]: below } = Object.fromEntries(s.repository.entity.issues);
    mine!.parent = above;
    below!.parent = mine;
    mine!.children.push(below!);
    above!.children.push(mine!);
    s.github.as("maintainer").label(s.name, issue, "agent:builder");
    expect((await s.ended(issue)).outcome).toMatchObject({ kind: "ready" });
    const [asked] = s.sentToModel().map(({ body }) => body as { system: { text: string }[]; messages: unknown });
    const said = JSON.stringify(asked?.messages);
    expect([...new Set(said.match(/\b(?:hidden-)?the-(?:parent|child|named|other)\b/g))]).toEqual([
      "the-parent",
      "the-child",
      "the-named",
    ]);
    expect([...(asked?.system[1]?.text ?? "").matchAll(/<data name="([^"]+)">/g)].map(([, name]) => name)).toEqual([
      "AGENTS.md",
      "CLAUDE.md",
      "src/AGENTS.md",
      "src/CLAUDE.md",
      "src/CONTRIBUTING.md",
    ]);
  });

  test("has no more runs a day than the operator allows", async ({ start }) => {
    const s = await start({ environment: { MILLWRIGHT_SUBJECT_DAY_RUNS: "1" } });
    const issue = s.labelIssue();
    expect((await s.ended(issue)).outcome).toMatchObject({ kind: "ready" });
    const asked = s.modelRequests();
    s.github.as("maintainer").comment(s.name, issue, "/code once more");
    expect((await s.ended(issue, { runs: 2 })).outcome).toMatchObject({
      kind: "refused",
      reason: "The limit of 1 runs a day for this issue is used up. It is renewed at 00:00 UTC.",
    });
    expect(s.modelRequests()).toBe(asked);
  });

  test("that was transferred before its run began ends with that reason, and the other repository is left alone", async ({
    start,
  }) => {
    const s = await start();
    const other = await s.github.createRepository({ owner: "acme", name: "elsewhere", private: false });
    const issue = s.openIssue();
    s.github.as("maintainer").label(s.name, issue, "agent:builder");
    const moved = s.github.as("maintainer").transferIssue(s.name, issue, "acme/elsewhere");
    const run = await s.ended(issue);
    expect(["cancelled", "refused"]).toContain(run.outcome?.kind);
    expect(run.outcome?.reason).toMatch(/deleted or moved|closed by maintainer/);
    expect(moved.comments).toEqual([]);
    expect(moved.reactions).toEqual([]);
    expect(other.pulls).toEqual([]);
    expect(s.repository.pulls).toEqual([]);
    expect(s.modelRequests()).toBe(0);
  });

  test("that is transferred in mid-run cancels it, also when GitHub leads on to the issue's new place", async ({
    start,
  }) => {
    let transfer: (() => void) | undefined;
    const s = await start({
      model: (request) => {
        if (request.stage === "write-change" && request.turn === 0) transfer?.();
        return simpleWork(request);
      },
      // What was said of the transfer is lost: only reading the truth again can tell.
      repository: { private: false },
      config: "publish:\n  ci: run\n",
    });
    await s.github.createRepository({ owner: "acme", name: "elsewhere", private: false });
    const issue = s.openIssue();
    transfer = () => {
      s.github.disturb({ drop: 1 });
      s.github.as("maintainer").transferIssue(s.name, issue, "acme/elsewhere");
    };
    s.github.as("maintainer").label(s.name, issue, "agent:builder");
    const run = await s.ended(issue);
    expect(run.outcome).toMatchObject({ kind: "cancelled", reason: "The issue was deleted or moved." });
    expect(s.repository.pulls).toEqual([]);
    expect(Object.keys(await s.repository.branches())).toEqual(["main"]);
  });
});
