/** A mechanism of docs/security.md, a way to take it out of the source, and a test that then turns red. */
export interface Switch {
  /** The mechanism, and a letter where it has several parts. */
  id: `M${number}${string}`;
  /** What is missing when it is off, in a few words. */
  without: string;
  /** The file and the one place in it that is replaced. */
  file: string;
  find: string;
  replace: string;
  /** The test file, and the test or group of tests in it that must fail. */
  test: string;
  named: string;
  /** A program that the test cannot do without. */
  needs?: string;
}

/**
 * The off switches: none of them is in the product, each is a replacement in the source while tests are run
 * (vitest.config.ts). `npm run mechanisms` turns each one off and demands a red test.
 */
export const switches: readonly Switch[] = [
  {
    id: "M0a",
    without: "the signature of a delivery",
    file: "src/run/intake.ts",
    find: "return matches.length > 0 ? Buffer",
    replace: "return true ? Buffer",
    test: "test/run/intake.test.ts",
    named: "createIntake",
  },
  {
    id: "M0b",
    without: "the byte cap of a streamed body",
    file: "src/run/intake.ts",
    find: "if (bytes > maxBodyBytes) return tooLarge;",
    replace: "",
    test: "test/run/intake.test.ts",
    named: "createIntake answers 413",
  },
  {
    id: "M0c",
    without: "the answer 503 for what was not queued",
    file: "src/run/intake.ts",
    find: 'return { status: 503, text: "Not queued; please deliver again." };',
    replace: 'return { status: 200, text: "ok" };',
    test: "test/run/intake.test.ts",
    named: "createIntake answers 503",
  },
  {
    id: "M1a",
    without: "the sandbox's own network namespace",
    file: "src/sandbox/bubblewrap.ts",
    find: '"--unshare-net",',
    replace: "",
    test: "test/sandbox/sandbox.integration.test.ts",
    named: "run sends no packet anywhere",
    needs: "bwrap",
  },
  {
    id: "M1b",
    without: "the sandbox's own process namespace",
    file: "src/sandbox/bubblewrap.ts",
    find: '"--unshare-pid",',
    replace: "",
    test: "test/sandbox/sandbox.integration.test.ts",
    named: "run hides the worker's environment and processes",
    needs: "bwrap",
  },
  {
    id: "M1c",
    without: "a private range that no registry may lie in (M1a)",
    file: "src/checks/registry-hosts.ts",
    find: '["10.0.0.0", 8],',
    replace: "",
    test: "test/checks/registry-hosts.test.ts",
    named: "isPublicAddress refuses every address",
  },
  {
    id: "M1d",
    without: "the installation of a changed manifest without its scripts (M1a)",
    file: "src/pipeline/steps/support/environment.ts",
    find: "run: trusted ? command.run : command.withoutScripts",
    replace: "run: command.run",
    test: "test/e2e/setup.integration.test.ts",
    named: "runs the lifecycle scripts",
  },
  {
    id: "M2a",
    without: "the refusal of nested git directories",
    file: "src/workspace/nested-git.ts",
    find: "return found.length === 0 ? [] : withoutIgnored(gitDir, tree, found);",
    replace: "return [];",
    test: "test/workspace/trusted-git.integration.test.ts",
    named: "refuse or remove a nested repository",
  },
  {
    id: "M2b",
    without: "the configuration that keeps hooks from running",
    file: "src/workspace/git-environment.ts",
    find: '["core.hooksPath", "/dev/null"],',
    replace: "",
    test: "test/workspace/trusted-git.integration.test.ts",
    named: "no hook runs",
  },
  {
    id: "M3",
    without: "the marker by which our own comment is found again",
    file: "src/github/comments.ts",
    find: ".filter((comment) => comment.performed_via_github_app?.id === appId && comment.body?.includes(marker))",
    replace: ".filter(() => false)",
    test: "test/e2e/model.integration.test.ts",
    named: "double nothing",
  },
  {
    id: "M4a",
    without: "the permission of whoever triggers",
    file: "src/policy/who-may-trigger.ts",
    find: "if (!mayWrite.includes(actor.permission)) return",
    replace: "if (actor === null) return",
    test: "test/policy/who-may-trigger.test.ts",
    named: "",
  },
  {
    id: "M4b",
    without: "the refusal of comments that were edited after the trigger",
    file: "src/pipeline/steps/read-issue.ts",
    find: "Date.parse(comment.updated_at) <= Date.parse(at) &&",
    replace: "",
    test: "test/e2e/model.integration.test.ts",
    named: "is the frozen issue",
  },
  {
    id: "M5",
    without: "the removal of what a reader does not see",
    file: "src/policy/visible-text.ts",
    find: "const text = readable(source.text, source.truncated, hidden);",
    replace: "const text = source.text;",
    test: "test/policy/visible-text.test.ts",
    named: "leaves out what is in",
  },
  {
    id: "M6a",
    without: "the confinement of file tools to the tree",
    file: "src/agent/tools/confined-path.ts",
    find: "if (real !== realRoot && !real.startsWith(realRoot + sep)) {",
    replace: "if (real === null) {",
    test: "test/agent/tools/confined-path.test.ts",
    named: "",
  },
  {
    id: "M6b",
    without: "one tool call at a time",
    file: "src/agent/tools/serial-queue.ts",
    find: "const result = tail.then(task, task);",
    replace: "const result = task();",
    test: "test/agent/tools/prepare-tools.test.ts",
    named: "createSerialQueue",
  },
  {
    id: "M7",
    without: "the guard's verdict",
    file: "src/policy/guard.ts",
    find: 'const decision = safe.some(({ severity }) => severity === "block")',
    replace: "const decision = safe.some(() => false)",
    test: "test/policy/guard.test.ts",
    named: "blocks with",
  },
  {
    id: "M8",
    without: "the dollars of the day",
    file: "src/pipeline/steps/authorise-trigger.ts",
    find: "const first = used.find(([exceeded]) => exceeded);",
    replace: "const first = used.find(() => false);",
    test: "test/e2e/build.integration.test.ts",
    named: "is not started when the day's budget is used up",
  },
  {
    id: "M9",
    without: "the lease that is asked for right before a write",
    file: "src/run/execute-step.ts",
    find: "if (!(await call.heldLease()))",
    replace: "if (call === null)",
    test: "test/run/execute-step.test.ts",
    named: "",
  },
  {
    id: "M11",
    without: "the deafness to our own acts",
    file: "src/handlers/handler.ts",
    find: 'return "own act";',
    replace: "",
    test: "test/handlers/handlers.test.ts",
    named: "ignores what our own App wrote|own",
  },
  {
    id: "M12a",
    without: "the redaction of what is sent to GitHub",
    file: "src/github/client.ts",
    find: "if (written) Object.assign(parameters, redacted(parameters, options.redactor));",
    replace: "",
    test: "test/github/client.test.ts",
    named: "without the secrets that it knows",
  },
  {
    id: "M12b",
    without: "the token's way to git by the environment alone",
    file: "src/workspace/git.ts",
    find: 'const child = spawn("git", args, {',
    replace:
      'const child = spawn("git", [...(options.config ?? []).flatMap((pair) => ["-c", pair.join("=")]), ...args], {',
    test: "test/workspace/trusted-git.integration.test.ts",
    named: "the token is in no argument",
  },
  {
    id: "M13",
    without: "the mark that makes CI wait",
    file: "src/pipeline/steps/publish-change.ts",
    find: 'return [title, "", "[skip ci]", ...rest].join("\\n");',
    replace: 'return [title, "", ...rest].join("\\n");',
    test: "test/e2e/publishing.integration.test.ts",
    named: "marks the commits",
  },
  {
    id: "M14a",
    without: "the list of accounts that are served",
    file: "src/policy/who-may-trigger.ts",
    find: 'return owner !== "" && served.some(',
    replace: 'return owner !== "" || served.some(',
    test: "test/policy/who-may-trigger.test.ts",
    named: "",
  },
  {
    id: "M14b",
    without: "the trust level in the key of an environment",
    file: "src/workspace/environment-cache.ts",
    find: 'if (job.repository.trust === "fork") return;',
    replace: "",
    test: "test/workspace/environment-cache.integration.test.ts",
    named: "environments of a fork",
  },
];
