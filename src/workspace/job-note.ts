import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "./git-directory.ts";
import type { RepositoryRef } from "./workspace.ts";

/** What a job's directory says about itself. Written when its tree is complete: a job without it is half made. */
export interface JobNote extends RepositoryRef {
  baseSha: string;
}

/** Its time is that of the last use. */
export async function writeNote(directory: string, note: JobNote): Promise<void> {
  await replaceFile(join(directory, "job.json"), JSON.stringify(note));
}

/** Undefined when there is no complete job. */
export async function readNote(directory: string): Promise<JobNote | undefined> {
  try {
    return JSON.parse(await readFile(join(directory, "job.json"), "utf8")) as JobNote;
  } catch {
    return undefined;
  }
}
