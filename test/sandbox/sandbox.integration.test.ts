import { createSandbox } from "../../src/sandbox/create-sandbox.ts";
import { bubblewrapMissing, containerEngine } from "./available.ts";
import { sandboxSuite } from "./sandbox.testsuite.ts";

const log = { info: () => {}, warn: () => {} };

sandboxSuite({
  name: "bubblewrap",
  missing: bubblewrapMissing(),
  isolates: true,
  create: (dataDirectory) =>
    createSandbox({ backend: "bubblewrap", slots: 2, dataDirectory, searchPath: process.env.PATH, log }),
});

const engine = containerEngine();
sandboxSuite({
  name: "container",
  missing: engine.missing,
  isolates: true,
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
  isolates: false,
  create: (dataDirectory) =>
    createSandbox({ backend: "none", slots: 2, dataDirectory, searchPath: process.env.PATH, log }),
});
