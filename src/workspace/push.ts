import { assertInsideEffect } from "../github/effect-scope.ts";
import { GitError, runGit, tryGit } from "./git.ts";
import { failureOf, type Remote } from "./remote.ts";
import type { PushResult } from "./workspace.ts";

const pushTimeoutSeconds = 600;

/**
 * Moves `branch` on the server from `expectedSha` (undefined: it must not exist) to `sha`, or not at all. A branch that is not
 * below `millwright/` is somebody's: it is only moved forward from where it is. Call only inside `ctx.effect`. Throws for what
 * says nothing about the branch: network, 401, 404.
 */
export async function pushBranch(
  gitDir: string,
  remote: Remote,
  branch: string,
  sha: string,
  expectedSha: string | undefined,
  signal?: AbortSignal,
): Promise<PushResult> {
  assertInsideEffect("git push");
  await assertMayPush(gitDir, branch, sha, expectedSha);
  const ref = `refs/heads/${branch}`;
  const args = [
    "push",
    "--porcelain",
    "--no-verify",
    `--force-with-lease=${ref}:${expectedSha ?? ""}`,
    remote.url,
    `${sha}:${ref}`,
  ];
  const options = await remote.options();
  const result = await tryGit(args, {
    gitDir,
    signal,
    timeoutSeconds: pushTimeoutSeconds,
    ...options,
    // The server says what it has: else a base branch that moved on makes git send the whole tree again.
    config: [...(options.config ?? []), ["push.negotiate", "true"], ["push.gpgSign", "false"]],
  });
  // https://git-scm.com/docs/git-push#_output: flag, tab, from:to, tab, summary with a reason in brackets
  const line = result.stdout
    .toString("utf8")
    .split("\n")
    .find((text) => text.includes(`\t${sha}:${ref}\t`));
  if (line?.startsWith("=")) return { kind: "already-there" };
  if (line !== undefined && !line.startsWith("!")) return { kind: "pushed" };
  const failure = new GitError("push", result);
  if (line === undefined) {
    if (failureOf(failure) === "forbidden")
      return { kind: "refused", message: "The git server answered 403: the App may not write here." };
    throw failure;
  }
  const actualSha = await branchAt(gitDir, remote, ref, signal);
  if (actualSha === sha) return { kind: "already-there" };
  if (actualSha !== expectedSha) return { kind: "moved", actualSha };
  return { kind: "refused", message: reasonOf(line, result.stderr) };
}

async function assertMayPush(
  gitDir: string,
  branch: string,
  sha: string,
  expectedSha: string | undefined,
): Promise<void> {
  const refuse = (why: string) => new Error(`Cannot push ${JSON.stringify(branch)}: ${why}`);
  // https://git-scm.com/docs/git-check-ref-format; a name that begins with a dash could be taken for an option.
  if (!/^[A-Za-z0-9_][A-Za-z0-9._/+@#-]*$/.test(branch) || /\.\.|@\{|\/\/|[/.]$|\.lock$/.test(branch))
    throw refuse("it is not a name that branches of ours or of pull requests have");
  if (branch.startsWith("millwright/")) return;
  if (expectedSha === undefined) throw refuse("only branches below millwright/ are made");
  const isForward = await tryGit(["merge-base", "--is-ancestor", expectedSha, sha], { gitDir });
  if (isForward.code !== 0) throw refuse("a branch that is not below millwright/ is only moved forward");
}

async function branchAt(
  gitDir: string,
  remote: Remote,
  ref: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const output = await runGit(["ls-remote", "--quiet", remote.url, ref], {
    gitDir,
    signal,
    timeoutSeconds: 120,
    ...(await remote.options()),
  });
  return output
    .toString("utf8")
    .split("\n")
    .find((line) => line.endsWith(`\t${ref}`))
    ?.split("\t")[0];
}

/** The server's own words ("remote: …"), else git's summary. */
function reasonOf(line: string, stderr: string): string {
  const said = stderr
    .split("\n")
    .filter((text) => text.startsWith("remote: "))
    .map((text) => text.slice("remote: ".length).trim());
  const words = said.filter((text) => text !== "").join("\n");
  return (words || line.split("\t")[2] || "without a reason").slice(0, 2_000);
}
