import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { Intent } from "../../pipeline/intent.ts";

/**
 * A file of intents that were acknowledged and are not filed in the database yet, one JSON a line. What was appended
 * survives the death of the process and of the machine; it is emptied whenever all of it is filed.
 */
export interface Spool {
  /** What an earlier process left, oldest first; they count as not filed. A last line that was cut is dropped: nobody acknowledged it. */
  readonly left: readonly Intent[];
  /** Resolves when the intent is on disk. Those that come while others are written share the next write. */
  append(intent: Intent): Promise<void>;
  /** So many more are filed. */
  filed(count: number): void;
  close(): Promise<void>;
}

interface Writing {
  lines: string[];
  done: Promise<void>;
}

/** Opens the spool at `path`, and creates it. Throws when it cannot be read or written. */
export async function openSpool(path: string): Promise<Spool> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "a+", 0o600);
  const content = await file.readFile();
  const whole = content.subarray(0, content.lastIndexOf("\n") + 1);
  if (whole.length < content.length) await file.truncate(whole.length);
  const left = parse(whole.toString("utf8"));
  let notFiled = left.length;
  let last: Promise<unknown> = Promise.resolve();
  let next: Writing | undefined;

  /** One after another, so that what empties the file cannot take an append with it. */
  function after<T>(work: () => Promise<T>): Promise<T> {
    const done = last.then(work, work);
    last = done;
    return done;
  }

  return {
    left,
    append(intent) {
      notFiled += 1;
      if (next === undefined) {
        const writing: Writing = { lines: [], done: Promise.resolve() };
        writing.done = after(() => {
          next = undefined;
          return write(file, writing.lines);
        });
        next = writing;
      }
      next.lines.push(`${JSON.stringify(intent)}\n`);
      return next.done.catch((error: unknown) => {
        notFiled -= 1;
        throw error;
      });
    },
    filed(count) {
      notFiled -= count;
      if (notFiled === 0) after(() => file.truncate(0)).catch(() => undefined);
    },
    async close() {
      await last.catch(() => undefined);
      await file.close();
    },
  };
}

async function write(file: FileHandle, lines: string[]): Promise<void> {
  await file.appendFile(lines.join(""));
  await file.datasync();
}

function parse(text: string): Intent[] {
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => Intent.parse(JSON.parse(line)));
}
