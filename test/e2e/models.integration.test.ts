import { readFileSync } from "node:fs";
import { describe, expect, onTestFinished } from "vitest";
import { responsesProtocol, wordsProtocol } from "../support/openai-protocols.ts";
import { finish, labelsOf, pullOf, simpleWork, statusesOf, useTools } from "../support/scenario.ts";
import { startRawModel } from "../support/scripted-model.ts";
import { test } from "./fixture.ts";

describe("Several models", () => {
  test("finish one change: one of OpenAI is overloaded in mid-writing, and another goes on, without tools and in another protocol", async ({
    start,
  }) => {
    const tests = readFileSync("test/fixtures/repos/text-tools/test/slugify.test.js", "utf8");
    const more = `${tests}\ntest("slugify spells out ß", () => {\n  assert.equal(slugify("Straße"), "strasse");\n});\n`;
    const other = await startRawModel(({ body }) => {
      const turns = (body.messages as { role: string }[]).filter(({ role }) => role === "assistant").length;
      return turns > 1
        ? finish("`ß` becomes `ss`.")
        : useTools(["write", { file_path: "test/slugify.test.js", content: more }]);
    }, wordsProtocol);
    onTestFinished(() => other.close());
    const first = await startRawModel((request) => {
      const stage = /stage: ([a-z-]+)/.exec(request.body.instructions)?.[1] ?? "unknown";
      if (stage !== "write-change") return simpleWork({ stage, turn: 0, request });
      const hasWorked = (request.body.input as { type?: string }[]).some(({ type }) => type === "function_call");
      if (hasWorked) return { status: 529, headers: { "retry-after": "600" }, body: {} };
      return useTools([
        "edit",
        {
          file_path: "src/slugify.js",
          old_string: ".toLowerCase()",
          new_string: '.toLowerCase()\n    .replaceAll("ß", "ss")',
        },
      ]);
    }, responsesProtocol);
    onTestFinished(() => first.close());
    const small = {
      provider: "openai-compatible",
      baseUrl: `${other.url}/v1`,
      tools: false,
      contextWindowTokens: 128_000,
    };
    const s = await start({
      environment: {
        MILLWRIGHT_PROVIDER: "openai",
        MILLWRIGHT_MODEL: "gpt-6.2-sol",
        OPENAI_API_KEY: "a-model-key-for-tests",
        OPENAI_BASE_URL: `${first.url}/v1`,
        MILLWRIGHT_MODELS: JSON.stringify({
          models: { small },
          use: { "issue-to-pr/write-change": { fallback: ["small"] } },
        }),
      },
    });
    const issue = s.labelIssue();
    const run = await s.ended(issue);
    expect(run.outcome).toMatchObject({ kind: "ready" });
    const { headRef } = pullOf(s, run);
    expect(await s.repository.file("src/slugify.js", headRef)).toContain("ß");
    expect(await s.repository.file("test/slugify.test.js", headRef)).toBe(more.trimEnd());
    // What the first model did is known to the second.
    expect(other.requests[0]!.body.messages[2].content).toContain('@@@ edit {"file_path":"src/slugify.js"');
    expect(other.requests[0]!.body.messages[3].content).toContain("edited src/slugify.js");
    const { calls } = await s.app.worker.store.usage.ofRun(run.runKey);
    // The one that was overloaded cost nothing.
    expect(calls).toBe(first.requests.length - 1 + other.requests.length);
    expect(s.modelRequests()).toBe(0);
  });

  test("are none that the repository allows: the run is refused before anything is sent", async ({ start }) => {
    const s = await start({ config: "models:\n  allowed: [openai, my-model]\n", model: simpleWork });
    const issue = s.labelIssue();
    const run = await s.ended(issue);
    expect(run.outcome).toMatchObject({
      kind: "refused",
      reason:
        "This repository allows openai, my-model alone (models.allowed in .github/millwright.yml), and this would be asked of anthropic/claude-opus-5-5.",
    });
    expect(s.modelRequests()).toBe(0);
    expect(statusesOf(s, issue)[0]?.body).toContain("models.allowed");
    expect(labelsOf(s, issue)).not.toContain("agent:failed");
  });
});
