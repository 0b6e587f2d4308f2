import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The product's files without their comments: what is said about a push is no push. */
const sources = globSync("src/**/*.ts", { cwd: root }).map((path) => ({
  path,
  code: readFileSync(join(root, path), "utf8").replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, ""),
}));

/** A door to GitHub, and the only files that may have it, each with what keeps it shut. */
interface Door {
  what: string;
  pattern: RegExp;
  allowed: Record<string, string>;
  /** Code that the pattern has to see, so that it is not blind. */
  example: string;
}

const doors: Door[] = [
  {
    what: "opens the scope in which writing is allowed",
    pattern: /\binsideEffect\s*(?:<[^>]*>)?\(/,
    allowed: {
      "src/github/effect-scope.ts": "the scope itself",
      "src/run/execute-step.ts": "ctx.effect",
      "src/status/projector.ts": "edits of the one status comment, which no step waits for",
    },
    example: 'await insideEffect("push", () => write())',
  },
  {
    what: "makes a client of GitHub",
    pattern:
      /\bnew\s+\w*Octokit\w*\b|\bOctokit\.(?:defaults|plugin)\b|\bnew\s+Probot\b|\bProbot\.defaults\b|\bcreateProbot\b/,
    allowed: {
      "src/github/client.ts": "ctx.github's, which throws outside of an effect",
      "src/run/app-client.ts": "the App's own, which throws likewise, tokens apart",
      "src/run/server.ts": "Probot's server: no client is asked of it",
      "src/run/lambda/webhook.ts": "the same in the webhook function, where there is no key of the App",
    },
    example: "const octokit = new ProbotOctokit({ auth })",
  },
  {
    what: "asks Probot for its clients, which know no effects",
    pattern: /\bcontext\.octokit\b|\bapp\.auth\s*\(|\bgetInstallationOctokit\b|\bprobot\.auth\s*\(/,
    allowed: {},
    example: "const octokit = await app.auth(installationId)",
  },
  {
    what: "imports a package that speaks to GitHub",
    pattern: /from\s+"(?:@octokit\/(?!webhooks")[^"]*|octokit|universal-github-app-jwt)"/,
    allowed: {},
    example: 'import { request } from "@octokit/request"',
  },
  {
    what: "speaks HTTP by itself",
    pattern:
      /(?:[=>(,:?&|]|\b(?:await|return|void|yield))\s*fetch\s*\(|(?<!typeof )\bglobalThis\.fetch\b|import\s+(?!type)[^;]*\brequest\b[^;]*from\s+"(?:node:)?https?"|import\s+(?:\w+|\*\s+as\s+\w+)\s+from\s+"(?:node:)?https?"|\bhttps?\.request\b|"(?:node:)?http2"|"undici"|\bXMLHttpRequest\b|\bWebSocket\s*\(/,
    allowed: {
      "src/agent/loop/watched-fetch.ts": "to the model's server, with the model's key",
      "src/coder/gateway.ts": "to the model's server, with the model's key",
      "src/github/check-logs.ts": "GET of a job's log at the address that GitHub gave, without any credential",
      "src/notify/post-json.ts": "to the operator's channels",
      "src/run/health.ts": "GET of the model's list",
      "src/run/lambda/call-aws.ts": "AWS, signed with the function's own credentials",
      "src/run/lambda/runtime-client.ts": "Lambda's runtime API on the function's own machine",
      "src/sandbox/lambda/sandbox-function.ts": "the bucket by presigned addresses, without any credential",
      "src/sandbox/session-socket.ts": "to a sandbox's proxy on a local socket",
    },
    example: 'await fetch(new URL("/repos/o/r/issues", apiUrl), { method: "POST" })',
  },
  {
    what: "pushes",
    pattern: /(?<!effect\()"(?:push|send-pack|http-push|receive-pack)"|\bgit\s+push\b(?!")|\bgit\.push\(/,
    allowed: { "src/workspace/push.ts": "throws outside of an effect" },
    example: 'await runGit(["push", url, ref], { gitDir })',
  },
  {
    what: "has git pushed",
    pattern: /\bpushBranch\s*\(/,
    allowed: { "src/workspace/push.ts": "the push itself", "src/workspace/job.ts": "what a step pushes by" },
    example: "await pushBranch(gitDir, remote, branch, sha, undefined)",
  },
];

describe("ctx.effect is the only way to write", () => {
  test.each(doors)("no other file of src/ $what", ({ pattern, allowed }) => {
    const found = sources.filter(({ code }) => pattern.test(code)).map(({ path }) => path);
    expect(found.sort()).toEqual(Object.keys(allowed).sort());
  });

  test.each(doors)("the search for what $what is not blind", ({ pattern, example }) => {
    expect(example).toMatch(pattern);
  });
});
