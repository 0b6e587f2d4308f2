import { execFileSync } from "node:child_process";
import { describe, expect } from "vitest";
import {
  analysis,
  finish,
  labelsOf,
  press,
  pullOf,
  repliesOf,
  type Scenario,
  simpleWork,
  statusesOf,
  useTools,
} from "../support/scenario.ts";
import { type StartOptions, test } from "./fixture.ts";

const titleOfHead = async (s: Scenario, ref: string) =>
  (await s.repository.git("log", "-1", "--format=%B", ref)).trim();

describe("pullRequest.openAt: start", () => {
  test("opens a draft on an empty commit at once and marks it ready at the end", async ({ start }) => {
    let seen: { draft: boolean; changed: string; body: string } | undefined;
    const s = await start({
      config: "pullRequest:\n  openAt: start\n",
      model: async (request) => {
        if (request.stage === "write-change" && request.turn === 0) {
          const [pull] = s.repository.pulls;
          const changed =
            pull === undefined ? "" : await s.repository.git("diff", "--name-only", `main...${pull.headRef}`);
          if (pull !== undefined) seen = { draft: pull.draft, changed, body: pull.issue.body ?? "" };
        }
        return simpleWork(request);
      },
    });
    const issue = s.labelIssue();
    const run = await s.ended(issue);
    expect(seen).toEqual({ draft: true, changed: "", body: expect.stringContaining(`Work on #${issue} is under way`) });
    expect(run.outcome).toMatchObject({ kind: "ready" });
    expect(s.repository.pulls).toHaveLength(1);
    const pull = pullOf(s, run);
    expect(pull.draft).toBe(false);
    expect(pull.issue.body).toContain("## How it was verified");
    expect(await s.repository.file("src/slugify.js", pull.headRef)).toContain('replaceAll("ß", "ss")');
  });

  test("takes the draft back when the run is stopped before there is a change, and a retry opens another", async ({
    start,
  }) => {
    let silent = true;
    let asked = false;
    const s = await start({
      config: "pullRequest:\n  openAt: start\n",
      model: (request) => {
        if (request.stage !== "write-change" || !silent) return simpleWork(request);
        asked = true;
        return "silence";
      },
    });
    const issue = s.labelIssue();
    await s.until("the model to be asked", () => asked);
    s.github.as("maintainer").comment(s.name, issue, "/stop");
    const run = await s.ended(issue);
    expect(run.outcome).toMatchObject({ kind: "cancelled" });
    expect(s.repository.pulls.map((pull) => pull.issue.state)).toEqual(["closed"]);
    expect(Object.keys(await s.repository.branches())).toEqual(["main"]);
    expect(statusesOf(s, issue)[0]?.body).toContain("which closed it");
    silent = false;
    s.github.as("maintainer").comment(s.name, issue, "/retry");
    const again = await s.ended(issue, { runs: 2 });
    expect(again.outcome).toMatchObject({ kind: "ready" });
    expect(s.repository.pulls.map((pull) => pull.issue.state)).toEqual(["closed", "open"]);
  });
});

describe("publish.ci: wait", () => {
  /** A public repository, where it is the default. */
  const waiting = async (start: (options?: StartOptions) => Promise<Scenario>) => {
    const s = await start({ repository: { private: false } });
    const run = await s.ended(s.labelIssue());
    expect(run.outcome).toMatchObject({ kind: "ready" });
    const pull = pullOf(s, run);
    const [check] = s.repository.entity.checkRuns;
    return { s, pull, check: check!, before: pull.headSha };
  };

  test("marks the commits, says who approves where, and runs on the same tree after the button was pressed", async ({
    start,
  }) => {
    const { s, pull, check, before } = await waiting(start);
    expect(await titleOfHead(s, pull.headRef)).toContain("\n[skip ci]\n");
    expect(pull.issue.body).toMatch(
      /CI waits for you[\s\S]*write access[\s\S]*button \*Run CI\*[\s\S]*`\/millwright approve`/,
    );
    expect(check).toMatchObject({ name: "Millwright", headSha: before, conclusion: "neutral" });
    press(s, "stranger", check, "approve-ci");
    await s.until("the stranger's press to be refused", async () => {
      const runs = await s.app.worker.store.runs.ofSubject(s.repository.entity.id, "pull-request", pull.issue.number);
      return runs.some((run) => run.intent.actor.login === "stranger" && run.state === "ended");
    });
    expect(pull.headSha).toBe(before);
    press(s, "maintainer", check, "approve-ci");
    await s.until("CI to be approved", () => pull.headSha !== before);
    expect(
      await s.repository
        .git("rev-parse", `${pull.headSha}^{tree}`, `${before}^{tree}`)
        .then((text) => new Set(text.trim().split("\n")).size),
    ).toBe(1);
    expect(await s.repository.git("rev-parse", `${pull.headSha}~1`)).toContain(before);
    expect(await titleOfHead(s, pull.headRef)).not.toContain("[skip ci]");
    expect(await titleOfHead(s, pull.headRef)).toContain("Approved by maintainer");
    const approved = await s.until("the check", () =>
      s.repository.entity.checkRuns.find((run) => run.headSha === pull.headSha),
    );
    expect(approved.conclusion).toBe("success");
  });

  test("is approved by a command of people with write access alone, once", async ({ start }) => {
    const { s, pull, before } = await waiting(start);
    const refused = s.github.as("stranger").comment(s.name, pull.issue.number, "/millwright approve");
    await s.until("👎", () => refused.reactions.some((reaction) => reaction.content === "-1"));
    expect(pull.headSha).toBe(before);
    const approved = s.github.as("maintainer").comment(s.name, pull.issue.number, "/millwright approve");
    await s.until("👍", () => approved.reactions.some((reaction) => reaction.content === "+1"));
    const after = pull.headSha;
    expect(after).not.toBe(before);
    s.github.as("maintainer").comment(s.name, pull.issue.number, "/millwright approve");
    await s.until("the answer", () =>
      repliesOf(s, pull.issue.number).some((body) => body.includes("Nothing waits for approval")),
    );
    expect(pull.headSha).toBe(after);
  });

  test("is not approved over what a person pushed since", async ({ start }) => {
    const { s, pull } = await waiting(start);
    const pushed = await s.github
      .as("maintainer")
      .push(s.name, { branch: pull.headRef, message: "docs: mine", files: { "MINE.md": "mine\n" } });
    s.github.as("maintainer").comment(s.name, pull.issue.number, "/millwright approve");
    await s.until("the answer", () =>
      repliesOf(s, pull.issue.number).some((body) => body.includes("Somebody else pushed to this branch")),
    );
    expect(pull.headSha).toBe(pushed);
  });

  test("is approved once when the answer to the approval was lost", async ({ start }) => {
    const { s, pull, before } = await waiting(start);
    s.github.faults.add({ method: "PATCH", path: /\/git\/refs\//, when: "after", status: 502, times: 1 });
    const approved = s.github.as("maintainer").comment(s.name, pull.issue.number, "/millwright approve");
    await s.until("👍", () => approved.reactions.some((reaction) => reaction.content === "+1"));
    expect(await s.repository.git("rev-list", "--count", `${before}..${pull.headRef}`)).toContain("1");
  });
});

/** Commits through the API where that is possible, of a change that runs this besides the simple work. */
function changing(command: string): StartOptions {
  return {
    repository: {
      files: {
        ".github/millwright.yml": "commit:\n  viaApi: true\n",
        "assets/old.txt": "to be renamed\n",
        "assets/gone.txt": "to be deleted\n",
        "scripts/release.sh": "#!/bin/sh\necho released\n",
      },
    },
    model: (request) =>
      request.stage === "analyse-issue" || request.turn !== 1
        ? simpleWork({ ...request, turn: Math.min(request.turn, 1) })
        : useTools(["run", { command }]),
  };
}

/** The bytes of every file below `assets`. */
async function assetsAt(s: Scenario, ref: string): Promise<Record<string, Buffer>> {
  const paths = (await s.repository.git("ls-tree", "-r", "--name-only", ref, "assets")).trim().split("\n");
  const read = (path: string) =>
    execFileSync("git", ["--git-dir", s.repository.gitDir, "cat-file", "blob", `${ref}:${path}`]);
  return Object.fromEntries(paths.map((path) => [path, read(path)]));
}

describe("commits", () => {
  test("are made through GitHub's API and verified where that is asked for", async ({ start }) => {
    const s = await start({ config: "commit:\n  viaApi: true\n  signOff: always\n" });
    const run = await s.ended(s.labelIssue());
    expect(run.outcome).toMatchObject({ kind: "ready" });
    const pull = pullOf(s, run);
    expect(s.repository.entity.signedCommits.has(pull.headSha)).toBe(true);
    const message = await titleOfHead(s, pull.headRef);
    expect(message).toMatch(
      /^fix: change it\n[\s\S]*Refs #1[\s\S]*Co-authored-by: maintainer <[\s\S]*Signed-off-by: millwright\[bot\] </,
    );
    expect(s.github.requests.filter(({ path }) => path.includes("git-receive-pack"))).toEqual([]);
  });

  test("are made through the API with files that were renamed, added and deleted", async ({ start }) => {
    const s = await start(
      changing("mv assets/old.txt assets/new.txt && rm assets/gone.txt && printf 'ü\\r\\n' > assets/added.txt"),
    );
    const pull = pullOf(s, await s.ended(s.labelIssue()));
    expect(s.repository.entity.signedCommits.has(pull.headSha)).toBe(true);
    expect(s.github.requests.filter(({ path }) => path.includes("git-receive-pack"))).toEqual([]);
    expect(await assetsAt(s, pull.headRef)).toEqual({
      "assets/added.txt": Buffer.from("ü\r\n"),
      "assets/new.txt": Buffer.from("to be renamed\n"),
    });
  });

  test("with a binary file are pushed by git, byte for byte", async ({ start }) => {
    const bytes = Buffer.from([0, 255, 128, 10, 13, 10, 0, 1, 254]);
    const octal = [...bytes].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
    const s = await start(changing(`printf '${octal}' > assets/gone.txt`));
    const pull = pullOf(s, await s.ended(s.labelIssue()));
    expect(s.repository.entity.signedCommits.has(pull.headSha)).toBe(false);
    expect(await assetsAt(s, pull.headRef)).toEqual({
      "assets/gone.txt": bytes,
      "assets/old.txt": Buffer.from("to be renamed\n"),
    });
  });

  test("of a mode change that was asked for are pushed by git, because the API cannot make it", async ({ start }) => {
    const s = await start(changing("chmod 755 scripts/release.sh"));
    const run = await s.ended(
      s.labelIssue({ title: "Spell out ß", body: "slugify makes ß ss; scripts/release.sh should be executable." }),
    );
    const pull = pullOf(s, run);
    expect(await s.repository.git("ls-tree", "main", "scripts/release.sh")).toMatch(/^100644 /);
    expect(await s.repository.git("ls-tree", pull.headRef, "scripts/release.sh")).toMatch(/^100755 /);
    expect(s.repository.entity.signedCommits.has(pull.headSha)).toBe(false);
    expect(await titleOfHead(s, pull.headRef)).toMatch(/^fix: change it\n/);
  });

  test("are made once through the API when its answer was lost", async ({ start }) => {
    const s = await start({ config: "commit:\n  viaApi: true\n" });
    s.github.faults.add({ method: "POST", path: /\/git\/refs$/, when: "after", status: 502, times: 1 });
    let lost = 0;
    s.github.onRequest((request) => {
      if (lost === 0 && JSON.stringify(request).includes("createCommitOnBranch")) lost += 1;
    });
    s.github.faults.add({ method: "POST", path: /graphql$/, when: "after", status: 502, times: 1 });
    const run = await s.ended(s.labelIssue());
    expect(run.outcome).toMatchObject({ kind: "ready" });
    expect(await s.repository.git("rev-list", "--count", `main..${pullOf(s, run).headRef}`)).toContain("1");
    expect(s.repository.pulls).toHaveLength(1);
  });

  test("are pushed by git where the API cannot make them", async ({ start }) => {
    const s = await start({
      config: "commit:\n  viaApi: true\n",
      model: (request) => {
        if (request.stage === "analyse-issue" || request.turn > 0) return simpleWork(request);
        return useTools(
          [
            "edit",
            {
              file_path: "src/slugify.js",
              old_string: ".toLowerCase()",
              new_string: '.toLowerCase()\n    .replaceAll("ß", "ss")',
            },
          ],
          ["run", { command: "mkdir -p bin && printf '#!/bin/sh\\necho hi\\n' > bin/hi && chmod 755 bin/hi" }],
        );
      },
    });
    const run = await s.ended(
      s.labelIssue({
        title: "Spell out ß and add bin/hi",
        body: "slugify makes ß ss; bin/hi is an executable script that says hi.",
      }),
    );
    const pull = pullOf(s, run);
    expect(await s.repository.git("ls-tree", pull.headRef, "bin/hi")).toMatch(/^100755 /);
    expect(s.repository.entity.signedCommits.has(pull.headSha)).toBe(false);
  });

  test("are signed off where CONTRIBUTING.md asks for it", async ({ start }) => {
    const s = await start({
      repository: {
        files: { "CONTRIBUTING.md": "Use `git commit -s`: we ask for a Developer Certificate of Origin.\n" },
      },
    });
    const run = await s.ended(s.labelIssue());
    expect(await titleOfHead(s, pullOf(s, run).headRef)).toContain("Signed-off-by: millwright[bot] <");
  });
});

describe("the pull request", () => {
  test("goes to the configured base, with the repository's formatter applied to the edited files", async ({
    start,
  }) => {
    const s = await start({
      repository: {
        files: {
          ".github/millwright.yml": "base: develop\nchecks:\n  format: [sh format.sh]\n",
          "format.sh":
            'sed -i \'s/"ss")$/"ss") \\/\\/ formatted/\' src/slugify.js\necho formatted >> README.md\necho new > src/new.js\n',
        },
      },
    });
    const develop = await s.github
      .as("maintainer")
      .push(s.name, { branch: "develop", message: "docs: develop", files: { "DEVELOP.md": "develop\n" } });
    const pull = pullOf(s, await s.ended(s.labelIssue()));
    expect(pull.baseRef).toBe("develop");
    expect((await s.repository.git("rev-parse", `${pull.headRef}~1`)).trim()).toBe(develop);
    expect(await s.repository.file("src/slugify.js", pull.headRef)).toContain('.replaceAll("ß", "ss") // formatted');
    expect((await s.repository.git("diff", "--name-only", `develop...${pull.headRef}`)).trim().split("\n")).toEqual([
      "src/slugify.js",
      "test/slugify.test.js",
    ]);
    expect(pull.issue.body).toMatch(/^\| format \| `sh format\.sh` \| ✅ passed \| /m);
  });

  test("is not ready while an edited file cannot be parsed, whatever the tests say; the model is told where", async ({
    start,
  }) => {
    let told = "";
    const broken = { file_path: "src/broken.js", content: "export function broken( {\n" };
    const s = await start({
      model: (request) => {
        if (request.stage === "fix-checks" && request.turn === 0) {
          told = JSON.stringify(request.request.body.messages);
          return useTools(["write", { ...broken, content: "export function broken() {}\n" }]);
        }
        if (request.stage === "write-change" && request.turn === 0) return useTools(["write", broken]);
        return request.stage === "analyse-issue" ? analysis() : finish("Done.");
      },
    });
    const run = await s.ended(s.labelIssue());
    expect(told).toMatch(/src\/broken\.js:\d+:\d+: error/);
    expect(run.outcome).toMatchObject({ kind: "ready" });
    expect(await s.repository.file("src/broken.js", pullOf(s, run).headRef)).toBe("export function broken() {}");
  });

  test("says how much is covered where the test command reports it", async ({ start }) => {
    const s = await start({ config: "checks:\n  test: [node --test --experimental-test-coverage]\n" });
    const body = pullOf(s, await s.ended(s.labelIssue())).issue.body ?? "";
    expect(body).toMatch(/^\| test \| `node --test [^|]*` \| ✅ 7 passed · \d+(\.\d)?% of lines covered \| /m);
  });

  test("claims no more than was seen: what failed before fails still, and is not blamed on the change", async ({
    start,
  }) => {
    const s = await start({
      repository: { files: { ".github/millwright.yml": "checks:\n  lint: [cat no-such-file]\n" } },
    });
    const issue = s.labelIssue();
    const run = await s.ended(issue);
    expect(run.outcome).toMatchObject({
      kind: "ready",
      reason: "7 tests ran; `cat no-such-file` failed before this change in the same way, all else passed.",
    });
    expect(pullOf(s, run).issue.body).toContain("❌ failed · fails without this change too");
  });

  test("has the repository's template filled in", async ({ start }) => {
    const template = "<!-- Thank you! -->\n## Description\n\n## Checklist\n\n- [ ] I ran the tests\n";
    const s = await start({ repository: { files: { ".github/pull_request_template.md": template } } });
    const body = pullOf(s, await s.ended(s.labelIssue())).issue.body ?? "";
    expect(body).toMatch(
      /^## Description\n\n### What and why[\s\S]*Closes #1[\s\S]*## Checklist\n\n- \[ \] I ran the tests/,
    );
    expect(body).not.toContain("Thank you!");
  });

  test("is opened ready, with the failures in its text, where drafts are not available", async ({ start }) => {
    const s = await start({
      repository: { drafts: false },
      model: ({ stage, turn }) => {
        if (stage === "analyse-issue") return analysis();
        if (turn > 0) return finish("I tried.");
        return useTools([
          "write",
          {
            file_path: "test/wrong.test.js",
            content: 'import { test } from "node:test";\ntest("wrong", () => { throw new Error("wrong"); });\n',
          },
        ]);
      },
    });
    const issue = s.labelIssue();
    const run = await s.ended(issue);
    expect(run.outcome).toMatchObject({ kind: "draft" });
    const pull = pullOf(s, run);
    expect(pull.draft).toBe(false);
    expect(pull.issue.body).toContain("The checks fail after 2 attempts: `npm test`");
    expect(labelsOf(s, issue)).toEqual(["agent:needs-review"]);
  });

  test("is updated by a retry of a failed run: the same branch, no second pull request, the old status folded", async ({
    start,
  }) => {
    let wrong = true;
    const s = await start({
      model: (request) => {
        if (!wrong || request.stage === "analyse-issue") return simpleWork(request);
        if (request.turn > 0) return finish("I tried.");
        return useTools([
          "write",
          {
            file_path: "test/wrong.test.js",
            content: 'import { test } from "node:test";\ntest("wrong", () => { throw new Error("wrong"); });\n',
          },
        ]);
      },
    });
    const issue = s.labelIssue();
    const first = await s.ended(issue);
    const pull = pullOf(s, first);
    expect(pull.draft).toBe(true);
    wrong = false;
    s.github.as("maintainer").comment(s.name, issue, "/retry");
    const second = await s.ended(issue, { runs: 2 });
    expect(second.outcome).toMatchObject({ kind: "ready", pullRequest: { number: pull.issue.number } });
    expect(s.repository.pulls).toHaveLength(1);
    expect(pull.draft).toBe(false);
    expect(await s.repository.file("test/wrong.test.js", pull.headRef)).toBeUndefined();
    expect(labelsOf(s, issue)).toEqual(["agent:done"]);
    expect(statusesOf(s, issue).map((comment) => comment.minimizedReason?.toLowerCase() ?? null)).toEqual([
      "outdated",
      null,
    ]);
  });
});
