import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { claudeCodeAvailable, claudeCodeMissing } from "../support/claude-code.ts";

const demo = async (...args: string[]) => {
  const { stdout } = await promisify(execFile)(process.execPath, ["demo/demo.ts", ...args], { encoding: "utf8" });
  return stdout;
};

test("the demo ends with a ready pull request whose tests passed, as one JSON summary", async () => {
  const text = await demo("--json");
  expect(text.trim().split("\n")).toHaveLength(1);
  expect(JSON.parse(text)).toMatchObject({
    outcome: "ready",
    pullRequest: { number: 2, draft: false },
    tests: { passed: 8, failed: 0 },
    model: "scripted",
    violations: 0,
  });
});

test("the demo shows each stage, the pull request with its diff, tests, tokens and cost, and what a missing sandbox means", async () => {
  const text = await demo("--sandbox=none");
  for (const what of [
    /Sandbox: none\. .*your rights, network and files/,
    /\[✔\] Read the request +\d/,
    /Attempt 1: `npm test` \(1 failed test\).*back to the model/,
    /\[✔\] Run the checks \(2 times\)/,
    /Pull request is ready for review: 8 tests ran/,
    /## How it was verified/,
    /^\+ {4}\.replaceAll\("ß", "ss"\)$/m,
    /Tests: 8 passed, 0 failed · 6 requests to the scripted model · \d+ tokens in, \d+ out · \$0\.\d\d/,
  ])
    expect(text).toMatch(what);
});

test.skipIf(!claudeCodeAvailable && process.env["CI"] !== "true")(
  `the demo with Claude Code as the coder ends with the same pull request${claudeCodeAvailable ? "" : ` (${claudeCodeMissing})`}`,
  async () => {
    const text = await demo("--json", "--coder", "claude-code");
    expect(JSON.parse(text)).toMatchObject({
      ...{ outcome: "ready", pullRequest: { number: 2, draft: false }, tests: { passed: 8, failed: 0 } },
      ...{ coder: "claude-code", model: "scripted", violations: 0 },
    });
  },
);

test("the demo says what Claude Code as the coder needs where it is not installed", async () => {
  const env = { PATH: "/usr/bin:/bin", HOME: "/nonexistent" };
  const failed = await promisify(execFile)(process.execPath, ["demo/demo.ts", "--coder", "claude-code"], { env }).catch(
    (error: { code: number; stderr: string }) => error,
  );
  expect(failed).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/needs Claude Code[\s\S]*npm install[\s\S]*MILLWRIGHT_CLAUDE_CODE/),
  });
});

test("the demo with a real model asks for a key, and says where to make one", async () => {
  const { ANTHROPIC_API_KEY: _, ...env } = process.env;
  const failed = await promisify(execFile)(process.execPath, ["demo/demo.ts", "--live"], { env }).catch(
    (error: { code: number; stderr: string }) => error,
  );
  expect(failed).toMatchObject({ code: 1, stderr: expect.stringMatching(/ANTHROPIC_API_KEY.*https:\/\//) });
});
