import type { ChaosScenario } from "../chaos.ts";
import { cancel } from "./cancel.ts";
import { deliveries } from "./deliveries.ts";
import { hostileModel } from "./hostile-model.ts";
import { kill } from "./kill.ts";
import { lostAnswers } from "./lost-answers.ts";

/** The only list of scenarios, in the order of docs/security.md's figures. */
export const scenarios: readonly ChaosScenario[] = [deliveries, kill, lostAnswers, cancel, hostileModel];
