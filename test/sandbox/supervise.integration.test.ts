import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { supervise } from "../../src/sandbox/supervise.ts";
import { bubblewrapMissing } from "./available.ts";
import { skips } from "./sandbox.testsuite.ts";
import { LIMITS } from "./trees.ts";

const missing = bubblewrapMissing();
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "supervise-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const launch = (file: string, args: string[], extra = {}) => ({
  ...{ file, args, env: { PATH: "/usr/bin:/bin" }, cwd: "/", release: async () => {} },
  ...extra,
});

test.skipIf(skips(missing))(
  "supervise settles only when the last process of the namespace is gone (needs bubblewrap)",
  async () => {
    const mark = `${6_000_000 + Math.floor(Math.random() * 1_000_000)}`;
    const many = `for i in {1..200}; do setsid sleep ${mark} </dev/null >/dev/null 2>&1 & done; exec >&- 2>&-; sleep 0.3; exit 0`;
    const words = "--unshare-user --unshare-pid --die-with-parent --info-fd 4 --dev-bind / / --proc /proc".split(" ");
    const inputs = { 3: words.map((word) => `${word}\0`).join(""), 5: "" };
    for (let round = 0; round < 3; round++) {
      const bwrap = launch("/usr/bin/bwrap", ["--args", "3", "--", "/bin/bash", "-c", many], { inputs });
      expect((await supervise(bwrap, LIMITS, directory)).kind).toBe("ok");
      expect(processesNow(mark)).toEqual([]);
    }
  },
);

test("supervise rejects when the trusted program cannot be started, and releases", async () => {
  let released = false;
  const release = async () => {
    released = true;
  };
  await expect(supervise(launch("/nonexistent", [], { release }), LIMITS, directory)).rejects.toThrow("/nonexistent");
  expect(released).toBe(true);
  expect(readdirSync(directory)).toEqual([]);
});

/** Processes with the text in their command line, without giving time to any that is about to end. */
function processesNow(text: string): string[] {
  const lines = readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8");
      } catch {
        return "";
      }
    });
  return lines.filter((line) => line.includes(text));
}
