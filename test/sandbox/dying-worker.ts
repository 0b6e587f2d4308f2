// A worker for bubblewrap.integration.test.ts: runs the command given, until it is killed.
import { join } from "node:path";
import { createSandbox } from "../../src/sandbox/create-sandbox.ts";
import { LIMITS, makeTree } from "./trees.ts";

const [root = "", run = ""] = process.argv.slice(2);
const log = { info: () => {}, warn: () => {} };
const sandbox = await createSandbox({ backend: "bubblewrap", slots: 1, dataDirectory: join(root, "dying"), log });
await sandbox.run({ run, network: "none" }, await makeTree(root, "dying-job"), LIMITS);
