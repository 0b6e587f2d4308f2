import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createGitHubApp, type GitHubApp } from "../../src/github/client.ts";
import { createRedactor } from "../../src/policy/redact.ts";
import { appClient } from "../../src/run/app-client.ts";
import { appId, privateKey, startGitHub } from "../support/local-app.ts";
import type { LocalGitHub } from "../support/local-github/index.ts";

let github: LocalGitHub;
let app: GitHubApp;
let repositoryId: number;
let installationId: number;

beforeAll(async () => {
  github = await startGitHub();
  repositoryId = (await github.createRepository({ owner: "acme", name: "tools", private: true })).entity.id;
  github.createUser("elsewhere");
  installationId = github.install({ owner: "acme" }).id;
  const log = pino({ level: "silent" });
  const settings = {
    app: { id: appId, privateKey, webhookSecrets: [] },
    github: { apiUrl: github.url, gitUrl: github.gitUrl },
  };
  const client = appClient(settings, log);
  app = createGitHubApp({
    appId,
    apiUrl: github.url,
    authenticate: () => Promise.resolve(client),
    redactor: createRedactor([]),
    log,
  });
});
afterAll(() => github.close());

const mint = () => app.token({ installationId, repositoryId }, { contents: "read" });

// A refusal that passes used up the attempts of a step within seconds.
test("token asks to be tried again after the pause that GitHub wants", async () => {
  github.faults.add({ path: /\/access_tokens$/, status: 403, retryAfter: 7, times: 1 });
  await expect(mint()).rejects.toMatchObject({ retryAfterSeconds: 7 });
  expect(await mint()).toMatch(/^ghs_/);
});

// A repository out of reach was tried again and again, for minutes, and ended in a line that said nothing.
test("token fails for good, in words for people, where the App has no access any more", async () => {
  const refused = { permanent: true, forPeople: { reason: "The App has no access to this repository any more." } };
  const installation = github.world.installations.get(installationId)!;
  github.suspend(installation);
  await expect(mint()).rejects.toMatchObject(refused);
  github.suspend(installation, false);
  github.transferRepository("acme/tools", "elsewhere");
  await expect(mint()).rejects.toMatchObject(refused);
  github.uninstall(installation);
  await expect(mint()).rejects.toMatchObject(refused);
});
