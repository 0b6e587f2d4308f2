import { isAbsolute } from "node:path";
import { Refusal } from "./backend.ts";

/** Throws a Refusal unless a command's directory is relative and has no `..`: links are resolved inside the sandbox. */
export function requireInsideTree(directory: string | undefined): void {
  if (directory === undefined) return;
  if (isAbsolute(directory) || directory.includes("\0") || directory.split("/").includes("..")) {
    throw new Refusal(
      `Cannot run a command: its directory must be relative and stay in the tree, it is "${directory}"`,
    );
  }
}
