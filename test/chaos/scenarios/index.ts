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
import { temporal } from "./temporal.ts";
import { triggers } from "./triggers.ts";
import { visibleTextScenario } from "./visible-text.ts";

/** What goes wrong by itself: deliveries, processes, servers and what people do meanwhile. */
export const faults: readonly ChaosScenario[] = [
  deliveries,
  kill,
  lostAnswers,
  cancel,
  modelFaultsScenario,
  reconciler,
  longJobs,
  temporal,
];

/** What somebody does on purpose: a model, a repository, a text, an account, a sender. */
export const attacks: readonly ChaosScenario[] = [
  hostileModel,
  hostileRepository,
  hostileTree,
  visibleTextScenario,
  triggers,
  intake,
  fuzz,
];

/** The only list of scenarios. */
export const scenarios: readonly ChaosScenario[] = [...faults, ...attacks];
