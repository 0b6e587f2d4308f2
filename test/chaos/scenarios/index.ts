import type { ChaosScenario } from "../chaos.ts";
import { cancel } from "./cancel.ts";
import { deliveries } from "./deliveries.ts";
import { fuzz } from "./fuzz.ts";
import { hostileModel } from "./hostile-model.ts";
import { hostileRepository } from "./hostile-repository.ts";
import { hostileTree } from "./hostile-tree.ts";
import { intake } from "./intake.ts";
import { kill } from "./kill.ts";
import { longJobs } from "./long-jobs.ts";
import { lostAnswers } from "./lost-answers.ts";
import { modelFaultsScenario } from "./model-faults.ts";
import { reconciler } from "./reconciler.ts";
import { triggers } from "./triggers.ts";
import { visibleTextScenario } from "./visible-text.ts";

/** The only list of scenarios, in the order of docs/security.md's figures. */
export const scenarios: readonly ChaosScenario[] = [
  deliveries,
  kill,
  lostAnswers,
  cancel,
  hostileModel,
  hostileRepository,
  hostileTree,
  modelFaultsScenario,
  reconciler,
  visibleTextScenario,
  triggers,
  intake,
  longJobs,
  fuzz,
];
