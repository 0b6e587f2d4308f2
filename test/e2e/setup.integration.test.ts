import { describe, expect } from "vitest";
import { analysis, finish, pullOf, useTools } from "../support/scenario.ts";
import { test } from "./fixture.ts";

const manifest = (postinstall: string | undefined) =>
  `${JSON.stringify({ name: "probe", version: "1.0.0", type: "module", scripts: { test: "node --test", ...(postinstall === undefined ? {} : { postinstall }) } }, null, 2)}\n`;
const lockfile = `${JSON.stringify({ name: "probe", version: "1.0.0", lockfileVersion: 3, requires: true, packages: { "": { name: "probe", version: "1.0.0", hasInstallScript: true } } }, null, 2)}\n`;
/** Notes in a file that git ignores that it ran, and for which manifest. */
const note = (name: string) => `node -e "require('fs').appendFileSync('ran.log', '${name} ')"`;
const seen = (expression: string) =>
  `import assert from "node:assert/strict";\nimport { existsSync, readFileSync } from "node:fs";\nimport { test } from "node:test";\nconst ran = existsSync("ran.log") ? readFileSync("ran.log", "utf8") : "";\ntest("setup", () => assert.match(ran, ${expression}));\n`;

describe("setup (security.md M1a)", () => {
  test("runs the lifecycle scripts of the pinned base, and none of a manifest that the agent changed", async ({
    start,
  }) => {
    const s = await start({
      repository: {
        name: "probe",
        fromDirectory: undefined,
        files: {
          "package.json": manifest(note("base")),
          "package-lock.json": lockfile,
          ".gitignore": "node_modules\nran.log\n",
          "test/setup.test.js": seen("/^base /"),
        },
      },
      model: ({ stage, turn }) => {
        if (stage === "analyse-issue") return analysis();
        if (turn > 0) return finish();
        return useTools(
          ["write", { file_path: "package.json", content: manifest(note("agent")) }],
          ["write", { file_path: "test/changed.test.js", content: seen("/^(?!.*agent)/") }],
        );
      },
    });
    const run = await s.ended(s.labelIssue());
    // A person has to look at a lifecycle script, whatever the tests say.
    expect(run.outcome).toMatchObject({ kind: "draft" });
    const { body } = pullOf(s, run).issue;
    expect(body).toContain("postinstall");
    expect(body).toContain("2 passed");
  });
});
