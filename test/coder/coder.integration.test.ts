import { agentCoder } from "../../src/coder/agent.ts";
import { modelAt } from "../agent/support.ts";
import { bubblewrapMissing } from "../sandbox/available.ts";
import { claudeCodeAvailable, claudeCodeMissing } from "../support/claude-code.ts";
import { useTools } from "../support/model-replies.ts";
import { coderSuite } from "./coder.testsuite.ts";
import { claudeCodeAt } from "./support.ts";

coderSuite({
  name: "agent",
  missing: bubblewrapMissing(),
  create: (_, url) => agentCoder(modelAt(url)),
  write: (path, content) => useTools(["write", { file_path: path, content }]),
  wait: undefined,
});

coderSuite({
  name: "claude-code",
  missing: claudeCodeAvailable ? bubblewrapMissing() : claudeCodeMissing,
  create: (sandbox, url) => claudeCodeAt(sandbox, url),
  write: (path, content) => useTools(["Write", { file_path: `/workspace/${path}`, content }]),
  wait: (mark) => useTools(["Bash", { command: `sleep ${mark}`, description: "wait" }]),
});
