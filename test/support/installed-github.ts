import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { ProbotOctokit } from "probot";
import { createGitHubApp } from "../../src/github/client.ts";
import type { Permissions } from "../../src/pipeline/step.ts";
import { createRedactor } from "../../src/policy/redact.ts";
import { type LocalGitHub, type RepositoryView, startLocalGitHub } from "./local-github/index.ts";

export const appId = 4242;
export const { privateKey } = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  privateKeyEncoding: { type: "pkcs1", format: "pem" },
  publicKeyEncoding: { type: "pkcs1", format: "pem" },
});

export interface InstalledGitHub {
  github: LocalGitHub;
  repository: RepositoryView;
  /** The client that a step gets for these permissions: it writes inside an effect alone. */
  client(permissions: Permissions): ProbotOctokit;
  /** The same with any token, of a server that the test makes itself. */
  clientAt(apiUrl: string, token: string): ProbotOctokit;
  /** A new commit on a branch of its own, with an open pull request if asked for. */
  commit(branch: string, options?: { pull?: boolean }): Promise<string>;
  /** How many requests of REST came since the last time that this was asked. */
  requests(): number;
  close(): Promise<void>;
}

/** `acme/shop` on a local GitHub with the App installed and nothing running: for what talks to GitHub alone. */
export async function startInstalledGitHub(): Promise<InstalledGitHub> {
  const directory = mkdtempSync(join(tmpdir(), "millwright-installed-"));
  const github = await startLocalGitHub({
    dataDir: directory,
    app: { id: appId, slug: "millwright", name: "Millwright", privateKey, webhookSecret: "a-webhook-secret-for-tests" },
  });
  github.createUser("maintainer");
  const repository = await github.createRepository({
    owner: "acme",
    name: "shop",
    files: { "README.md": "# Shop\n" },
    collaborators: { maintainer: "write" },
  });
  const installation = github.install({ owner: "acme" });
  const clientAt = (apiUrl: string, token: string) =>
    createGitHubApp({
      appId,
      apiUrl,
      authenticate: () => Promise.reject(new Error("not needed")),
      redactor: createRedactor([]),
      log: pino({ level: "silent" }),
    }).client(token, AbortSignal.timeout(60_000));
  let seen = 0;
  return {
    github,
    repository,
    client: (permissions) =>
      clientAt(github.url, github.installationToken(installation, { metadata: "read", ...permissions })),
    clientAt,
    async commit(branch, { pull = false } = {}) {
      const person = github.as("maintainer");
      const files = { [`${branch}.txt`]: `${branch}\n` };
      const sha = await person.push("acme/shop", { branch, message: branch, files });
      if (pull) await person.openPullRequest("acme/shop", { title: branch, head: branch });
      return sha;
    },
    requests() {
      const since = github.requests.slice(seen).filter(({ route }) => route !== undefined);
      seen = github.requests.length;
      return since.length;
    },
    async close() {
      await github.close();
      rmSync(directory, { recursive: true, force: true });
      if (github.violations.length > 0)
        throw new Error(`GitHub's description was violated: ${JSON.stringify(github.violations, null, 2)}`);
    },
  };
}
