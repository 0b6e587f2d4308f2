import type { Model } from "../agent/model.ts";
import type { Models } from "../agent/models.ts";
import type { Coder } from "../coder/coder.ts";
import type { OperatorConfig } from "../config/operator.ts";
import type { Engine } from "../engine/engine.ts";
import type { GitHubApp } from "../github/client.ts";
import type { Redactor } from "../policy/redact.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { Store } from "../store/store.ts";
import type { Workspaces } from "../workspace/workspace.ts";

/** Everything that a step may use; composed once in `src/run/`, scripted in tests. */
export interface Deps {
  operator: OperatorConfig;
  store: Store;
  workspaces: Workspaces;
  sandbox: Sandbox;
  /** The model of the step that runs; every call's tokens and cost are recorded before the answer is returned. */
  model: Model;
  models: Models;
  /** Who writes changes; its calls are recorded likewise. */
  coder: Coder;
  engine: Engine;
  redactor: Redactor;
  app: GitHubApp;
}
