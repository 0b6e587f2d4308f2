import { parentPort } from "node:worker_threads";
import { openSourceTree } from "../../workspace/source-tree.ts";
import { forgetContexts } from "./context-cache.ts";
import { type Ranked, type RankRequest, rankFiles } from "./rank-files.ts";

/** The thread that `selectContext` starts. */
export type ToThread =
  | { kind: "rank"; id: number; request: RankRequest }
  | { kind: "cancel"; id: number }
  | { kind: "forget" };

export type FromThread =
  | { kind: "ranked"; id: number; ranked: Ranked[] }
  | { kind: "failed"; id: number; error: unknown };

const port = parentPort;
if (!port) throw new Error("Cannot select context: select-thread.ts is to be started as a thread by select-context.ts");

const controllers = new Map<number, AbortController>();

/** One selection at a time: each uses a core and much memory, so that two at once gain nothing. */
let lastTurn: Promise<void> = Promise.resolve();

port.on("message", (message: ToThread) => {
  if (message.kind === "cancel") controllers.get(message.id)?.abort();
  else if (message.kind === "forget") lastTurn = lastTurn.then(forgetContexts);
  else {
    const { id, request } = message;
    const controller = new AbortController();
    controllers.set(id, controller);
    lastTurn = lastTurn.then(async () => {
      port.postMessage(await answer(id, request, controller.signal));
      controllers.delete(id);
    });
  }
});

async function answer(id: number, request: RankRequest, signal: AbortSignal): Promise<FromThread> {
  try {
    const ranked = await rankFiles(openSourceTree(request.gitDir, request.commit), request, signal);
    return { kind: "ranked", id, ranked };
  } catch (error) {
    return { kind: "failed", id, error };
  }
}
