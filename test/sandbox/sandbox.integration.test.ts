import { afterAll } from "vitest";
import { createSandbox } from "../../src/sandbox/create-sandbox.ts";
import { bubblewrapMissing, containerEngine } from "./available.ts";
import { type LambdaSandbox, lambdaSandbox } from "./lambda-sandbox.ts";
import { sandboxSuite } from "./sandbox.testsuite.ts";

const log = { info: () => {}, warn: () => {} };

sandboxSuite({
  name: "bubblewrap",
  missing: bubblewrapMissing(),
  isolation: "own",
  create: (dataDirectory) =>
    createSandbox({ backend: "bubblewrap", slots: 2, dataDirectory, searchPath: process.env.PATH, log }),
});

const engine = containerEngine();
sandboxSuite({
  name: "container",
  missing: engine.missing,
  isolation: "own",
  create: (dataDirectory) =>
    createSandbox({
      backend: "container",
      image: engine.image,
      containerEngine: engine.command,
      containerControlGroups: engine.controlGroups,
      slots: 2,
      dataDirectory,
      log,
    }),
});

sandboxSuite({
  name: "none",
  missing: undefined,
  isolation: "none",
  create: (dataDirectory) =>
    createSandbox({ backend: "none", slots: 2, dataDirectory, searchPath: process.env.PATH, log }),
});

let standIn: LambdaSandbox | undefined;
afterAll(() => standIn?.close());
sandboxSuite({
  name: "lambda, its packaged function on a stand-in for AWS",
  // The stand-in gives the function a machine of its own with it.
  missing: bubblewrapMissing(),
  isolation: "machine",
  create: async (dataDirectory) => {
    standIn = await lambdaSandbox();
    return createSandbox({ backend: "lambda", lambda: standIn.options, slots: 2, dataDirectory, log });
  },
});
