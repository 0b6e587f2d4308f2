import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { createSandbox } from "../../src/sandbox/create-sandbox.ts";
import { claudeCodeAt, codeRequest, realKey } from "../coder/support.ts";
import { containerEngine } from "../sandbox/available.ts";
import { makeTree } from "../sandbox/trees.ts";
import { buildImages, containersAvailable, containersMissing } from "../support/containers.ts";
import { finish, useTools } from "../support/model-replies.ts";
import { startRawModel } from "../support/scripted-model.ts";

describe.skipIf(!containersAvailable && process.env.CI !== "true")(
  `the image coder (${containersMissing ?? "podman"})`,
  () => {
    beforeAll(() => buildImages(), 900_000);

    test("has Claude Code, which writes in the container sandbox without a key or another way out", async () => {
      const root = await mkdtemp(join(tmpdir(), "millwright-coder-image-"));
      await chmod(root, 0o755);
      const { command, controlGroups } = containerEngine();
      const sandbox = await createSandbox({
        ...{
          backend: "container",
          image: "localhost/millwright-coder:test",
          slots: 1,
          dataDirectory: join(root, "data"),
        },
        ...{ containerEngine: command, containerControlGroups: controlGroups },
        log: { info: () => {}, warn: () => {} },
      });
      const look =
        "env; cat /proc/[0-9]*/environ | tr '\\0' '\\n'; (exec 3<>/dev/tcp/1.1.1.1/80) 2>&1; echo LOOK\"\"ED";
      const model = await startRawModel(({ index }) =>
        index === 0
          ? useTools(
              ["Write", { file_path: "/workspace/made.txt", content: "made\n" }],
              ["Bash", { command: look, description: "look" }],
            )
          : finish("It is made."),
      );
      try {
        const at = await makeTree(root);
        const result = await claudeCodeAt(sandbox, model.url, { program: "claude" }).code(codeRequest(at));
        expect(result).toMatchObject({ kind: "done", text: "It is made.", usage: { calls: 2 } });
        expect(await readFile(join(at.directory, "made.txt"), "utf8")).toBe("made\n");
        const saw = JSON.stringify(model.requests[1]!.body.messages.at(-1));
        expect(saw.includes("LOOKED") && saw.includes("Network is unreachable")).toBe(true);
        expect(saw.includes(realKey)).toBe(false);
      } finally {
        await model.close();
        await sandbox.close();
        await rm(root, { recursive: true, force: true });
      }
    }, 120_000);
  },
);
