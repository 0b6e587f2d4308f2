import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type ConfiguredCommands,
  type DetectedCommands,
  detectCommands,
  withConfiguredCommands,
} from "../../../checks/detect-commands.ts";
import { environmentKey, lockfilesOf } from "../../../checks/environment-key.ts";
import { registryHosts } from "../../../checks/registry-hosts.ts";
import type { RepositoryConfig } from "../../../config/repository.ts";
import type { Job } from "../../../workspace/workspace.ts";
import type { Deps } from "../../deps.ts";
import type { StepContext } from "../../step.ts";
import type { Base, Environment } from "../shapes.ts";
import { runCommand } from "./commands.ts";
import { configOf } from "./repository.ts";

/** The commands of the repository at a commit, with those of its configuration in their place. */
export async function commandsOf(deps: Deps, base: Base, job: Job, sha: string): Promise<DetectedCommands> {
  const files = await (await job.source(sha)).files();
  const view = { files: files.map((file) => file.path), read: (path: string) => job.readFile(sha, path) };
  return withConfiguredCommands(await detectCommands(view), configured(await configOf(deps, base)));
}

function configured({ checks }: RepositoryConfig): ConfiguredCommands {
  const kinds = ["setup", "format", "lint", "build", "test"] as const;
  const given = kinds
    .filter((kind) => checks[kind] !== "auto")
    .map((kind) => [kind, checks[kind] === "none" ? [] : checks[kind]]);
  return Object.fromEntries(given) as ConfiguredCommands;
}

/**
 * Makes what setup installs be there for the tree at `sha`; does nothing when it is (architecture.md rule 14). The
 * manifests of the pinned base are installed with lifecycle scripts; changed ones without (security.md M1a).
 */
export async function ensureEnvironment(
  deps: Deps,
  ctx: StepContext,
  base: Base,
  job: Job,
  commands: DetectedCommands,
  sha: string,
): Promise<Environment> {
  if (commands.setup.length === 0) return { kind: "none" };
  const own = await manifestsOf(job, sha);
  const isFork = base.trust === "fork";
  const asOnBase = sha === base.baseSha || JSON.stringify(own) === JSON.stringify(await manifestsOf(job, base.baseSha));
  if (isFork && !asOnBase)
    return {
      kind: "failed",
      message: "The fork changes what is installed, and a fork's manifests are never installed.",
    };
  // Beside unchanged manifests a fork may have changed the scripts that they name.
  const trusted = asOnBase && !isFork;
  const setup = commands.setup.map((command) => ({ ...command, run: trusted ? command.run : command.withoutScripts }));
  const impossible = setup.find((command) => command.run === undefined);
  if (impossible !== undefined) {
    return {
      kind: "failed",
      message: `The change alters a manifest, and \`${impossible.name}\` cannot install it without running its scripts.`,
    };
  }
  const runnable = setup.map((command) => ({ ...command, run: command.run ?? "" }));
  const { installationId, repositoryId } = ctx.intent.work;
  const key = environmentKey({
    installationId,
    repositoryId,
    // What is kept was installed by the repository's own jobs: a fork's saves nothing.
    trust: "own",
    setup: isFork ? commands.setup.map((command) => ({ ...command, run: command.run ?? "" })) : runnable,
    lockfiles: own,
    toolchain: deps.sandbox.describe(),
  });
  const marker = join(job.home, ".millwright-environment");
  if ((await readFile(marker, "utf8").catch(() => "")) === key) return { kind: "ready", key };

  const paths = { tree: commands.environmentPaths, home: commands.homeCaches };
  if (!(await deps.workspaces.environments.restore(key, job, paths))) {
    const hosts = registryHosts(commands.ecosystems, { add: deps.operator.sandbox.registryHosts });
    for (const command of runnable) {
      ctx.progress({ message: `setup: ${command.name}` });
      const { result } = await runCommand(deps, ctx, job, command, { hosts });
      if (result.kind !== "ok") {
        const output = `${result.stdout}\n${result.stderr}`.trim().slice(-1_500);
        return {
          kind: "failed",
          message: `\`${command.run}\` ${result.kind === "refused" ? `was refused: ${result.reason ?? ""}` : `ended ${result.kind}`}\n${output}`,
        };
      }
    }
    await deps.workspaces.environments.save(key, job, paths, repositoryId);
  }
  await writeFile(marker, key);
  return { kind: "ready", key };
}

async function manifestsOf(job: Job, sha: string): Promise<{ path: string; blobSha: string }[]> {
  const files = await (await job.source(sha)).files();
  const wanted = new Set(lockfilesOf({ files: files.map((file) => file.path) }));
  return files.filter((file) => wanted.has(file.path)).map(({ path, blobSha }) => ({ path, blobSha }));
}
