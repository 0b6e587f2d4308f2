// A worker of its own for bubblewrap.integration.test.ts: prints what its sandbox says, as one JSON line.
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { createSandbox } from "../../src/sandbox/create-sandbox.ts";
import { LIMITS, makeTree } from "./trees.ts";

const home = process.argv[2] ?? "";
const at = await makeTree(home);
const sandbox = await createSandbox({
  backend: "bubblewrap",
  slots: 1,
  dataDirectory: join(home, "data"),
  log: { info: () => {}, warn: () => {} },
});
const { checks, passed } = await sandbox.selfTest();
const { stdout } = await sandbox.run(
  { run: "id -u; touch made; cd /proc/self/fd && echo *", network: "none" },
  at,
  LIMITS,
);
const mine = (await stat(join(at.directory, "made"))).uid === process.getuid?.();
await sandbox.close();
console.log(JSON.stringify({ failed: checks.filter((check) => !check.passed), passed, stdout, mine }));
