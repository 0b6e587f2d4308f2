import { homedir } from "node:os";

/** The home of the worker's user, or undefined for a user id without an entry, as containers often have. */
export function homeDirectory(): string | undefined {
  try {
    return homedir();
  } catch {
    return undefined;
  }
}
