import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startApp, startGitHub } from "../support/local-app.ts";

// The demo starts the App once more where there is no sandbox; the first start's database process had kept the directory.
test("compose frees the embedded database when the sandbox cannot be made, so that the next start can open it", async () => {
  const directory = mkdtempSync(join(tmpdir(), "millwright-failed-start-"));
  const github = await startGitHub(join(directory, "github"));
  const dataDirectory = join(directory, "data");
  const start = (environment: Record<string, string>) =>
    startApp({ github, modelUrl: "http://127.0.0.1:9", dataDirectory, environment });
  try {
    await expect(start({ MILLWRIGHT_SANDBOX_READ_PATHS: join(directory, "nowhere") })).rejects.toThrow(
      /Cannot show path/,
    );
    const app = await start({ MILLWRIGHT_SANDBOX: "none" });
    expect(await app.worker.store.runs.active()).toEqual([]);
    await app.close();
  } finally {
    await github.close();
    rmSync(directory, { recursive: true, force: true });
  }
});
