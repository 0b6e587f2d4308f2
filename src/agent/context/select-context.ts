import { Worker } from "node:worker_threads";
import type { SourceTree } from "../../workspace/source-tree.ts";
import type { Ranked, RankRequest } from "./rank-files.ts";
import type { FromThread, ToThread } from "./select-thread.ts";

export interface ContextRequest extends Omit<RankRequest, "gitDir" | "commit"> {
  tree: Pick<SourceTree, "gitDir" | "commit">;
  signal?: AbortSignal | undefined;
}

/**
 * Ranks the files of a commit as `rankFiles` does, in a thread of its own: this one goes on answering webhooks. The
 * thread takes one request at a time, keeps what it read in memory, and ends when nothing was asked for a while.
 * Throws what `rankFiles` throws, the signal's reason, and an Error when the thread ends or runs out of memory.
 */
export async function selectContext({ tree, signal, ...rest }: ContextRequest): Promise<Ranked[]> {
  signal?.throwIfAborted();
  const { gitDir, commit } = tree;
  running ??= new SelectThread();
  return running.rank({ ...rest, gitDir, commit }, signal);
}

/** Drops what the thread holds in memory; files stay. To measure what a new process does. */
export function forgetSelections(): void {
  running?.forget();
}

const idleMilliseconds = 5 * 60_000;

/** The facts of files lie outside of the heap: a selection among 100,000 files needs a tenth of this. */
const maxHeapMegabytes = 1024;

let running: SelectThread | undefined;

interface Waiting {
  resolve(ranked: Ranked[]): void;
  reject(reason: unknown): void;
}

class SelectThread {
  readonly #worker = new Worker(new URL("./select-thread.ts", import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: maxHeapMegabytes },
  });
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #idle: NodeJS.Timeout | undefined;

  constructor() {
    this.#worker.on("message", (answer: FromThread) => this.#answer(answer));
    this.#worker.on("error", (error) => this.#end(error));
    this.#worker.on("exit", (code) => this.#end(new Error(`the thread ended with ${code}`)));
    this.#worker.unref();
  }

  rank(request: RankRequest, signal?: AbortSignal): Promise<Ranked[]> {
    const id = ++this.#lastId;
    clearTimeout(this.#idle);
    const { promise, resolve, reject } = Promise.withResolvers<Ranked[]>();
    const cancel = () => {
      this.#post({ kind: "cancel", id });
      this.#waiting.get(id)?.reject(signal?.reason);
    };
    this.#post({ kind: "rank", id, request });
    this.#waiting.set(id, { resolve, reject });
    this.#worker.ref();
    signal?.addEventListener("abort", cancel, { once: true });
    return promise.finally(() => {
      signal?.removeEventListener("abort", cancel);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) this.#rest();
    });
  }

  forget(): void {
    this.#post({ kind: "forget" });
  }

  #post(message: ToThread): void {
    this.#worker.postMessage(message);
  }

  #answer(answer: FromThread): void {
    const waiting = this.#waiting.get(answer.id);
    if (answer.kind === "ranked") waiting?.resolve(answer.ranked);
    else waiting?.reject(answer.error);
  }

  /** Neither keeps the process alive nor its memory for long. */
  #rest(): void {
    this.#worker.unref();
    this.#idle = setTimeout(() => {
      this.#leave();
      void this.#worker.terminate();
    }, idleMilliseconds).unref();
  }

  #end(cause: unknown): void {
    this.#leave();
    for (const { reject } of this.#waiting.values()) {
      reject(new Error(`Cannot select context: ${cause instanceof Error ? cause.message : cause}`, { cause }));
    }
  }

  /** The next request starts a new thread. */
  #leave(): void {
    if (running === this) running = undefined;
  }
}
