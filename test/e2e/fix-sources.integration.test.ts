import { createHmac, randomBytes } from "node:crypto";
import { describe, expect } from "vitest";
import { privateKey } from "../support/local-app.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { finish, repliesOf, type Scenario } from "../support/scenario.ts";
import {
  failedPull,
  failureAnalysis,
  fixCheckRun,
  fixEnded,
  fixes,
  fixing,
  pushedOn,
  underscores,
  writes,
} from "./failed-checks.ts";
import { test as base, type StartOptions } from "./fixture.ts";

const test = base.extend<{ receiver: Receiver }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the names of the fixtures that are needed from this pattern
  receiver: async ({}, use) => {
    const receiver = await startReceiver();
    await use(receiver);
    await receiver.close();
  },
});

/** A model that quotes what it finds in its input, and leaves the rest to a person. */
function quoting(pattern: RegExp): NonNullable<StartOptions>["model"] {
  return ({ stage, request }) => {
    if (stage !== "analyse-failure") return finish("not asked");
    const [quote = "nothing was there to quote"] = pattern.exec(JSON.stringify(request.body.messages)) ?? [];
    return failureAnalysis({ category: "infrastructure", fixable: false, evidence: [quote] });
  };
}

async function pullOf(s: Scenario, files: Record<string, string> = { "NOTES.md": "mine\n" }) {
  const maintainer = s.github.as("maintainer");
  const headSha = await maintainer.push(s.name, { branch: "feature", message: "feat: mine", files });
  const { issue } = await maintainer.openPullRequest(s.name, { title: "Mine", head: "feature" });
  return { number: issue.number, headSha };
}

describe("Fix: where a failure comes from", { timeout: 240_000 }, () => {
  test("a commit status names no pull request: the one whose head it is gets the analysis of its description", async ({
    start,
  }) => {
    const s = await start({ config: fixes(), model: quoting(/Deployment \d+ was refused/) });
    const { number, headSha } = await pullOf(s);
    const maintainer = s.github.as("maintainer");
    // A colon, a mention and a code span in a stranger's words.
    const context = "deploy: `prod` @everyone";
    await maintainer.status(s.name, {
      sha: headSha,
      state: "failure",
      context,
      description: "Deployment 7 was refused",
    });
    const run = await fixEnded(s, number);
    expect(run.outcome).toMatchObject({ kind: "escalated" });
    const [comment = ""] = repliesOf(s, number);
    expect(comment).toContain("Deployment 7 was refused");
    expect(comment).toContain("From the log:");
    expect(comment.split("\n")[0]).toMatch(/`deploy: [^`]*prod[^`]*everyone`/);
    expect(fixCheckRun(s, headSha)).toMatchObject({ conclusion: "neutral" });
  });

  test("a check run of another App has no log: its annotations are analysed, and its failure is fixed", async ({
    start,
  }) => {
    const asked: string[] = [];
    const mend = fixing(underscores.mended, { category: "lint", evidence: ["Join words with a dash"] });
    const s = await start({
      config: fixes(),
      model: (call) => {
        asked.push(JSON.stringify(call.request.body.messages));
        return mend!(call);
      },
    });
    const scanner = s.github.createApp({
      id: 5,
      slug: "scanner",
      name: "Scanner",
      privateKey,
      webhookSecret: "s",
    });
    const { number, headSha } = await pullOf(s, underscores.files as Record<string, string>);
    const annotation = { path: "src/slugify.js", start_line: 4, end_line: 4, annotation_level: "failure" };
    s.github.asApp(scanner).checkRun(s.name, {
      ...{ name: "scan: style", headSha, conclusion: "failure" },
      output: {
        ...{ title: "1 finding", summary: "See the annotation." },
        annotations: [{ ...annotation, message: "Join words with a dash" }],
      },
    });
    const run = await fixEnded(s, number);
    expect(run.outcome).toMatchObject({ kind: "fixed" });
    expect(asked[0]).toContain("src/slugify.js:4: error: Join words with a dash");
    expect(await s.repository.git("log", "--format=%s", `${headSha}..feature`)).toBe("fix: join words with a dash");
  });

  test("a hand-over tells a channel once, signed, whichever run finds the same again", async ({ start, receiver }) => {
    const key = randomBytes(32);
    const secret = `whsec_${key.toString("base64")}`;
    const s = await start({
      config: fixes("channels: [hook, unknown]"),
      environment: {
        MILLWRIGHT_CHANNELS: JSON.stringify({ hook: { kind: "webhook", url: `${receiver.url}/hook`, secret } }),
      },
      model: quoting(/hello_world/),
    });
    const failed = await failedPull(s, { files: { "NOTES.md": "mine\n" }, log: underscores.log });
    expect((await fixEnded(s, failed.number)).outcome).toMatchObject({ kind: "escalated" });
    s.github.as("maintainer").comment(s.name, failed.number, "/fix");
    expect((await fixEnded(s, failed.number, 2)).outcome).toMatchObject({ kind: "escalated" });
    // What a channel is told comes in order: behind this nothing is left of before.
    const notice = {
      title: "The last one",
      text: "",
      url: s.github.url,
      repository: s.name,
      severity: "problem",
      facts: [],
    };
    await s.app.worker.store.notifications.file([
      { key: "last", repositoryId: s.repository.entity.id, runKey: "none", channel: "hook", content: notice },
    ]);
    // What is due is sent when the App starts, and every few seconds.
    await s.restartApp();
    await s.until("the last notice", () => receiver.received.some(({ body }) => body.includes("The last one")));
    expect(receiver.received).toHaveLength(2);
    const [{ path, headers, body } = receiver.received[1]!] = receiver.received;
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    const mac = createHmac("sha256", key).update(signed).digest("base64");
    expect([path, headers["webhook-signature"]]).toEqual(["/hook", `v1,${mac}`]);
    expect(body).toContain("needs a person");
    expect(await pushedOn(s, failed)).toBe("");
  });

  test("nothing is said of a pull request by somebody without write access where only members' are looked into", async ({
    start,
  }) => {
    const s = await start({ config: fixes("authors: members"), model: () => finish("not asked") });
    await s.github.createRepository({ owner: "stranger", name: "text-tools", forkOf: s.name });
    const stranger = s.github.as("stranger");
    const change = { branch: "feature", message: "feat: mine", files: underscores.files };
    const headSha = await stranger.push("stranger/text-tools", change);
    const { issue } = await stranger.openPullRequest(s.name, { title: "Mine", head: "stranger:feature" });
    s.github.as("maintainer").workflowRun(s.name, {
      ...{ headBranch: "feature", headSha, event: "pull_request" },
      jobs: [{ name: "test", conclusion: "failure", log: underscores.log }],
    });
    const run = await fixEnded(s, issue.number);
    expect(run.outcome).toMatchObject({ kind: "refused", reason: expect.stringContaining("no write access") });
    expect([writes(s), repliesOf(s, issue.number), s.modelRequests()]).toEqual([[], [], 0]);
  });
});
