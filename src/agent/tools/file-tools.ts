import { realpathSync } from "node:fs";
import { chmod, lstat, mkdir, rename, rm } from "node:fs/promises";
import { dirname, resolve, sep } from "node:path";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import type { BetaRunnableTool } from "@anthropic-ai/sdk/lib/tools/BetaRunnableTool";
import { betaAgentToolset20260401 } from "@anthropic-ai/sdk/tools/agent-toolset/node";
import { z } from "zod";
import { confinedPath, PathRefused, refuseGitDirectory } from "./confined-path.ts";
import { toolLimits } from "./tool-limits.ts";

/**
 * The tools with which the agent works on files: the SDK's own read, write, edit, glob and grep, and delete and move. All
 * are confined to `directory`, resolve symbolic links, refuse `.git` (M6), and tell the model nothing about paths above it.
 * They do not wait for each other: the caller queues them.
 */
export function createFileTools(directory: string): BetaRunnableTool[] {
  const root = realpathSync(directory);
  const toolset = betaAgentToolset20260401({ workdir: root, maxFileBytes: toolLimits.maxFileBytes });
  const fromSdk = toolset.filter((tool) => tool.name !== "bash").map((tool) => confined(tool, root));
  return [...fromSdk, deleteTool(root), moveTool(root)].map((tool) => withoutHostPaths(tool, root));
}

type Run = BetaRunnableTool["run"];

/**
 * Checks the arguments of one of the SDK's tools before it runs: the SDK resolves and confines paths once more, but writes an
 * empty file where `content` is missing, and the word "undefined" where `new_string` is.
 */
function confined(tool: BetaRunnableTool, root: string): BetaRunnableTool {
  const schema = z.fromJSONSchema(
    ("input_schema" in tool ? tool.input_schema : {}) as Parameters<typeof z.fromJSONSchema>[0],
  );
  const run: Run = async (input, context) => {
    const checked = schema.safeParse(input);
    if (!checked.success) throw new Error(`${tool.name}: ${z.prettifyError(checked.error)}`);
    const given = checked.data as Record<string, unknown>;
    const path = await checkedPath(root, given);
    if (tool.name === "glob" && typeof given.pattern === "string") refuseGitDirectory(given.pattern);
    if (tool.name !== "write" && tool.name !== "edit") return tool.run(given, context);
    refuseLargeText(given);
    const created = path === undefined ? undefined : await firstMissing(path, root);
    const result = await tool.run(given, context);
    if (path !== undefined && created !== undefined) await openToOthers(created, path);
    return result;
  };
  return { ...tool, run };
}

function withoutHostPaths(tool: BetaRunnableTool, root: string): BetaRunnableTool {
  const strip = (text: string) => text.replaceAll(root + sep, "").replaceAll(root, ".");
  const run: Run = async (input, context) => {
    try {
      const result = await tool.run(input, context);
      return typeof result === "string" ? strip(result) : result;
    } catch (error) {
      throw new Error(strip(error instanceof Error ? error.message : String(error)), { cause: error });
    }
  };
  return { ...tool, run };
}

async function checkedPath(root: string, input: Record<string, unknown>): Promise<string | undefined> {
  // Both: which of them a tool takes is the SDK's affair, and the other one may be given as well.
  let checked: string | undefined;
  for (const given of [input.path, input.file_path]) {
    if (typeof given === "string" && given !== "") checked = await confinedPath(root, given);
  }
  return checked;
}

function refuseLargeText(input: Record<string, unknown>): void {
  for (const name of ["content", "new_string"]) {
    const text = input[name];
    if (typeof text !== "string") continue;
    const bytes = Buffer.byteLength(text);
    if (bytes > toolLimits.maxWriteBytes)
      throw new Error(`${name} has ${bytes} bytes; a file may be written with at most ${toolLimits.maxWriteBytes}`);
  }
}

/** The topmost part of `path` that does not exist yet, or undefined when all of it does. */
async function firstMissing(path: string, root: string): Promise<string | undefined> {
  let missing: string | undefined;
  for (let at = path; at.startsWith(root + sep); at = dirname(at)) {
    if (await exists(at)) break;
    missing = at;
  }
  return missing;
}

/** The SDK makes files and directories for their owner only; the sandbox's user must be able to read them. */
async function openToOthers(first: string, file: string): Promise<void> {
  if (!(await exists(file))) return;
  await chmod(file, 0o644);
  for (let at = dirname(file); at.startsWith(first); at = dirname(at)) await chmod(at, 0o755);
}

function deleteTool(root: string): BetaRunnableTool {
  return betaZodTool({
    name: "delete",
    description:
      "Delete one file, or a symbolic link itself, relative to the workdir. Directories disappear with their last file.",
    inputSchema: z.object({ file_path: z.string().min(1) }),
    run: async ({ file_path }) => {
      const place = await linkOrFile(root, file_path);
      if ((await lstat(place)).isDirectory())
        throw new PathRefused(`${file_path} is a directory; delete its files one by one`);
      await rm(place);
      return `deleted ${file_path}`;
    },
  });
}

function moveTool(root: string): BetaRunnableTool {
  return betaZodTool({
    name: "move",
    description:
      "Move or rename one file, relative to the workdir. The target must not exist; its directories are made.",
    inputSchema: z.object({ from: z.string().min(1), to: z.string().min(1) }),
    run: async ({ from, to }) => {
      const source = await linkOrFile(root, from);
      if ((await lstat(source)).isDirectory())
        throw new PathRefused(`${from} is a directory; move its files one by one`);
      const target = await confinedPath(root, to);
      if (await exists(target)) throw new PathRefused(`${to} exists already`);
      await mkdir(dirname(target), { recursive: true, mode: 0o755 });
      await rename(source, target);
      return `moved ${from} to ${to}`;
    },
  });
}

/** The entry itself, without following a link in its last part; its directory is confined. */
async function linkOrFile(root: string, given: string): Promise<string> {
  const absolute = resolve(root, given);
  const directory = await confinedPath(root, dirname(absolute), given);
  const name = absolute.slice(dirname(absolute).length).replace(/^[\\/]/, "");
  refuseGitDirectory(name, given);
  const place = resolve(directory, name);
  if (!(await exists(place))) throw new PathRefused(`${given}: no such file`);
  return place;
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch {
    return false;
  }
}
