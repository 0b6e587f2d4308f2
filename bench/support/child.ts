import { fork } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";

type Message = { options: unknown } | { id: number; question: unknown };
type Answer = { ready: unknown } | { id: number; answer: unknown } | { id?: number; error: string };

/** Part of a benchmark in a process of its own, so that its work is not counted as that of the others. */
export interface Child<Ready, Question, Reply> {
  pid: number;
  ready: Ready;
  /** Rejects when the child could not answer or ended. */
  ask(question: Question): Promise<Reply>;
  stop(): Promise<void>;
}

/** What a child's module serves: `start` makes what is ready, and answers questions one after the other or at once. */
export type Serve<Options, Ready, Question, Reply> = (
  options: Options,
) => Promise<{ ready: Ready; answer?: (question: Question) => Promise<Reply> }>;

/** In the child: waits for the options, says when it is ready, and answers. Its standard output is never the figures'. */
export function serve<Options, Ready, Question, Reply>(start: Serve<Options, Ready, Question, Reply>): void {
  const send = (answer: Answer) => process.send?.(answer);
  let answering: ((question: Question) => Promise<Reply>) | undefined;
  process.on("message", async (message: Message) => {
    const id = "id" in message ? message.id : undefined;
    try {
      if ("options" in message) {
        const { ready, answer } = await start(message.options as Options);
        answering = answer;
        send({ ready });
      } else send({ id: message.id, answer: await answering?.(message.question as Question) });
    } catch (error) {
      send({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  });
  process.on("disconnect", () => process.exit());
}

/** Starts a module that calls `serve`; throws what its start threw. `log` takes its standard output; default: ours for errors. */
export async function startChild<Options, Ready, Question, Reply>(
  module: string,
  options: Options,
  { log }: { log?: string } = {},
): Promise<Child<Ready, Question, Reply>> {
  const output = log === undefined ? 2 : openSync(log, "a");
  const child = fork(module, { stdio: ["ignore", output, log === undefined ? 2 : output, "ipc"] });
  if (output !== 2) closeSync(output);
  const waiting = new Map<number | undefined, PromiseWithResolvers<unknown>>();
  const started = Promise.withResolvers<unknown>();
  waiting.set(undefined, started);
  const settle = (id: number | undefined, how: (waiter: PromiseWithResolvers<unknown>) => void) => {
    const waiter = waiting.get(id);
    waiting.delete(id);
    if (waiter) how(waiter);
  };
  child.on("message", (message: Answer) => {
    if ("ready" in message) settle(undefined, ({ resolve }) => resolve(message.ready));
    else if ("error" in message) settle(message.id, ({ reject }) => reject(new Error(message.error)));
    else settle(message.id, ({ resolve }) => resolve(message.answer));
  });
  const exited = once(child, "exit").then(([code, signal]) => {
    for (const { reject } of waiting.values()) reject(new Error(`${module} ended with ${code ?? signal}`));
    waiting.clear();
  });
  let asked = 0;
  const stop = async () => {
    if (child.connected) child.disconnect();
    const late = setTimeout(() => child.kill("SIGKILL"), 5_000);
    await exited;
    clearTimeout(late);
  };
  child.send({ options });
  try {
    const ready = (await started.promise) as Ready;
    return {
      pid: child.pid as number,
      ready,
      ask(question) {
        const id = asked++;
        const waiter = Promise.withResolvers<unknown>();
        waiting.set(id, waiter);
        child.send({ id, question });
        return waiter.promise as Promise<Reply>;
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
