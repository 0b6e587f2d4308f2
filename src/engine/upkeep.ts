import type { Logger } from "pino";

/** What an engine does again and again while it works. */
export interface Upkeep {
  /** Does `work` every so many seconds, never twice at once; what it throws is logged, and it is tried again. */
  every(seconds: number, work: () => Promise<void>): void;
  /** Begins nothing more; what is under way ends by itself. */
  stop(): void;
}

/** With `quiet`, what fails after it was aborted is not told. Keeps no process alive. */
export function createUpkeep(log: Logger, quiet?: AbortSignal): Upkeep {
  const timers: NodeJS.Timeout[] = [];
  return {
    every(seconds, work) {
      let busy = false;
      const timer = setInterval(async () => {
        if (busy) return;
        busy = true;
        try {
          await work();
        } catch (error) {
          if (!quiet?.aborted) log.warn({ error: String(error) }, "the engine's upkeep failed; it is tried again");
        }
        busy = false;
      }, seconds * 1000);
      timer.unref();
      timers.push(timer);
    },
    stop() {
      for (const timer of timers.splice(0)) clearInterval(timer);
    },
  };
}
