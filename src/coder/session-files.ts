import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { confinedPath } from "../agent/tools/confined-path.ts";

/** A conversation of 200,000 tokens has about a megabyte; tool results that were cut out of it are kept too. */
const maxSessionBytes = 24 * 1024 * 1024;

/** First entry of a transcript; the others are the lines of the program's own file. */
const Head = z.object({ coder: z.literal("claude-code"), sessionId: z.uuid() });

/** A conversation of the program. */
export interface Session {
  id: string;
  lines: unknown[];
}

/** Undefined for a transcript of another coder, or none. */
export function sessionOf(transcript: readonly unknown[] | undefined): Session | undefined {
  const head = Head.safeParse(transcript?.[0]);
  return head.success && transcript !== undefined && transcript.length > 1
    ? { id: head.data.sessionId, lines: transcript.slice(1) }
    : undefined;
}

export function transcriptOf({ id, lines }: Session): unknown[] {
  return [{ coder: "claude-code", sessionId: id }, ...lines];
}

/** Folder of the temporary folder, in which the program finds what it needs and keeps what it wants. */
const folder = "claude-code";

/**
 * The program's folder on disk, and where the program itself sees it. It is made anew for every start: what commands of the
 * model wrote into it, such as settings with hooks, is gone, and no link of theirs is written through.
 */
export class SessionFiles {
  readonly #directory: string;
  /** As the program sees it. */
  readonly inside: string;
  readonly #project: string;

  /** `temporary` on disk and as the program sees it; `tree` as the program sees it. */
  constructor(temporary: string, inside: { temporary: string; tree: string }) {
    this.#directory = join(temporary, folder);
    this.inside = `${inside.temporary}/${folder}`;
    // The program names the folder of a project's conversations after its path.
    this.#project = join("config", "projects", inside.tree.replaceAll(/[^A-Za-z0-9]/g, "-"));
  }

  /** Puts texts and the conversation in their places. Nothing of the program may be running. */
  async prepare(texts: Record<string, string>, session: Session | undefined): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
    await mkdir(join(this.#directory, "config"), { recursive: true });
    for (const [name, text] of Object.entries(texts)) await writeFile(join(this.#directory, name), text);
    if (session === undefined) return;
    const file = join(this.#directory, this.#file(session.id));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, session.lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  }

  /**
   * The conversation as the program left it; undefined when there is none that can be used. Untrusted code could write there,
   * so no link is followed and only a regular file is read. Nothing of the program may be running.
   */
  async read(id: string): Promise<Session | undefined> {
    const text = await this.#readRegularFile(this.#file(id));
    const lines = (text ?? "").split("\n").flatMap((line): unknown[] => {
      try {
        const value: unknown = JSON.parse(line);
        return typeof value === "object" && value !== null ? [value] : [];
      } catch {
        return []; // The last line may be cut.
      }
    });
    return lines.length === 0 ? undefined : { id, lines };
  }

  async remove(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }

  #file(id: string): string {
    return join(this.#project, `${id}.jsonl`);
  }

  async #readRegularFile(path: string): Promise<string | undefined> {
    const place = await confinedPath(this.#directory, path).catch(() => undefined);
    if (place !== join(this.#directory, path)) return undefined; // There is a link on the way.
    // O_NONBLOCK: a pipe in the file's place must not block the worker.
    const file = await open(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
      () => undefined,
    );
    if (file === undefined) return undefined;
    try {
      const stats = await file.stat();
      // A second name of a file could be one of a file elsewhere.
      if (!stats.isFile() || stats.nlink !== 1 || stats.size > maxSessionBytes) return undefined;
      const { buffer, bytesRead } = await file.read(Buffer.alloc(stats.size), 0, stats.size, 0);
      return buffer.toString("utf8", 0, bytesRead);
    } finally {
      await file.close();
    }
  }
}

export function newSessionId(): string {
  return randomUUID();
}
