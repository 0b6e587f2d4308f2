import type { Route } from "../http.ts";
import { actionRoutes } from "./actions.ts";
import { appRoutes } from "./app.ts";
import { checkRoutes } from "./checks.ts";
import { gitDataRoutes } from "./git-data.ts";
import { historyRoutes } from "./history.ts";
import { issueRoutes } from "./issues.ts";
import { pullRoutes } from "./pulls.ts";
import { reactionRoutes } from "./reactions.ts";
import { repositoryRoutes } from "./repositories.ts";
import { reviewRoutes } from "./reviews.ts";

/** Every REST route of the local GitHub, by topic. */
export const ROUTES: Route[] = [
  ...appRoutes,
  ...repositoryRoutes,
  ...gitDataRoutes,
  ...issueRoutes,
  ...historyRoutes,
  ...reactionRoutes,
  ...pullRoutes,
  ...reviewRoutes,
  ...checkRoutes,
  ...actionRoutes,
];
