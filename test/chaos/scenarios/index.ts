import type { ChaosScenario } from "../chaos.ts";
import { cancel } from "./cancel.ts";
import { deliveries } from "./deliveries.ts";
import { hostileModel } from "./hostile-model.ts";
import { hostileRepository } from "./hostile-repository.ts";
import { intake } from "./intake.ts";
import { kill } from "./kill.ts";
import { longJobs } from "./long-jobs.ts";
import { lostAnswers } from "./lost-answers.ts";
import { modelFaultsScenario } from "./model-faults.ts";
import { reconciler } from "./reconciler.ts";
import { visibleTextScenario } from "./visible-text.ts";

/** The only list of scenarios, in the order of docs/security.md's figures. */
export const scenarios: readonly ChaosScenario[] = [
  deliveries,
  kill,
  lostAnswers,
  cancel,
  hostileModel,
  hostileRepository,
  modelFaultsScenario,
  reconciler,
  visibleTextScenario,
  intake,
  longJobs,
];
