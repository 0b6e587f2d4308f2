import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";
import { type Switch, switches } from "./switches.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A vitest plugin that takes one mechanism out of the source while tests are run; for `npm run mechanisms` alone. */
export function without(id: string): Plugin {
  const off = switches.find((one) => one.id === id);
  if (off === undefined) throw new Error(`There is no switch ${id}; test/mechanisms/switches.ts lists them`);
  return {
    name: `without ${id}`,
    enforce: "pre",
    transform: (code, path) => (path === `${root}${off.file}` ? switchedOff(code, off) : undefined),
  };
}

/** The source without the mechanism. Throws unless the place is there exactly once. */
function switchedOff(code: string, { id, file, find, replace }: Switch): string {
  const parts = code.split(find);
  if (parts.length !== 2) throw new Error(`${id}: ${file} has its place ${parts.length - 1} times, not once`);
  return parts.join(replace);
}
