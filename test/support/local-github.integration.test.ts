import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { verify } from "@octokit/webhooks-methods";
import { createProbot, ProbotOctokit } from "probot";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { gitEnvironment } from "./local-github/git.ts";
import { type LocalGitHub, type LocalGitHubOptions, startLocalGitHub } from "./local-github/index.ts";
import { OpenApi } from "./local-github/openapi.ts";
import { ROUTES } from "./local-github/routes/index.ts";
import type { Installation } from "./local-github/types.ts";

const run = promisify(execFile);
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const PEM = privateKey.export({ type: "pkcs1", format: "pem" }).toString();
const SECRET = "a secret of this test";
const REPO = { owner: "acme", repo: "shop" };

let directory: string;
let gh: LocalGitHub;
let now: Date | undefined;
let installation: Installation;

async function start(options: Partial<LocalGitHubOptions> = {}): Promise<void> {
  gh = await startLocalGitHub({
    dataDir: directory,
    app: { id: 77, slug: "builder", name: "Builder", privateKey: PEM, webhookSecret: SECRET },
    clock: () => now ?? new Date(),
    ...options,
  });
  gh.createUser("acme", { type: "Organization" });
  await gh.createRepository({
    owner: "acme",
    name: "shop",
    files: { "README.md": "# Shop\n", "src/price.js": "export const price = 1;\n" },
    collaborators: { alice: "write", bob: "triage", carol: "read" },
  });
  installation = gh.install({ owner: "acme" });
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "local-github-"));
  now = undefined;
  await start();
});

afterEach(async () => {
  await gh.close();
  await rm(directory, { recursive: true, force: true });
  expect(gh.violations).toEqual([]);
});

type Octokit = InstanceType<typeof ProbotOctokit>;

/** Probot's own client without its waiting, with a token of the installation. */
function client(token = gh.installationToken(installation), baseUrl = gh.url): Octokit {
  const Plain = ProbotOctokit.defaults({ retry: { enabled: false }, throttle: { enabled: false } });
  return new Plain({ auth: { token }, baseUrl, log: SILENT }) as Octokit;
}

const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** The status and message of a refusal; fails when there is none. */
async function refusal(request: Promise<unknown>): Promise<string> {
  try {
    await request;
  } catch (error) {
    const { status, response } = error as {
      status: number;
      response?: { data?: { message?: string; errors?: unknown } };
    };
    const errors = response?.data?.errors ? ` ${JSON.stringify(response.data.errors)}` : "";
    return `${status} ${response?.data?.message ?? ""}${errors}`;
  }
  throw new Error("the request was not refused");
}

describe("issues", () => {
  test("an App labels, comments, reacts and edits, and everything shows who did it", async () => {
    const issue = gh.as("carol").openIssue("acme/shop", { title: "Wrong price", body: "It is 1." });
    const { rest } = client();
    const target = { ...REPO, issue_number: issue.number };
    await rest.issues.createLabel({ ...REPO, name: "build", color: "00ff00" });
    await rest.issues.addLabels({ ...target, labels: ["build", "new-one"] });
    const comment = await rest.issues.createComment({ ...target, body: "on it" });
    expect(comment.data.user?.login).toBe("builder[bot]");
    expect(comment.data.performed_via_github_app?.slug).toBe("builder");
    await rest.issues.updateComment({ ...REPO, comment_id: comment.data.id, body: "done" });
    const first = await rest.reactions.createForIssueComment({ ...REPO, comment_id: comment.data.id, content: "eyes" });
    const second = await rest.reactions.createForIssueComment({
      ...REPO,
      comment_id: comment.data.id,
      content: "eyes",
    });
    expect([first.status, second.status]).toEqual([201, 200]);
    expect(second.data.id).toBe(first.data.id);
    const { data } = await rest.issues.get(target);
    expect(data.labels.map((label) => (typeof label === "string" ? label : label.name))).toEqual(["build", "new-one"]);
    expect(data.author_association).toBe("NONE");
    const events = await rest.issues.listEventsForRepo(REPO);
    expect(events.data.map((event) => `${event.event} by ${event.actor?.login}`)).toEqual([
      "labeled by builder[bot]",
      "labeled by builder[bot]",
    ]);
    expect((await rest.issues.listEventsForTimeline(target)).data).toHaveLength(3);
  });
});
