import { AsyncLocalStorage } from "node:async_hooks";

/** The name of the effect that runs now; what writes to GitHub or pushes asks for it. */
const scope = new AsyncLocalStorage<string>();

/** Runs `write` as the named effect. Called by the shared step runner for `ctx.effect` alone. */
export function insideEffect<T>(name: string, write: () => Promise<T>): Promise<T> {
  return scope.run(name, write);
}

/** Throws unless called inside `ctx.effect`: there is no other way to write. */
export function assertInsideEffect(what: string): void {
  if (scope.getStore() === undefined)
    throw new Error(`${what} outside ctx.effect: every write to GitHub must be a named effect`);
}
