import type { Logger } from "pino";
import { ProbotOctokit } from "probot";
import type { OperatorConfig } from "../config/operator.ts";
import { assertInsideEffect } from "../github/effect-scope.ts";

/**
 * Signs as the App at the configured address, which Probot's own client cannot know under `probot run` (it reads GHE_HOST
 * alone); and without Probot's throttle, which lets one token be minted each second. It mints tokens and reads: whatever
 * else it is asked for has to be an effect.
 */
export function appClient(operator: Pick<OperatorConfig, "app" | "github">, log: Logger): ProbotOctokit {
  const octokit = new ProbotOctokit({
    auth: { appId: operator.app.id, privateKey: operator.app.privateKey },
    baseUrl: operator.github.apiUrl,
    log: log.child({ name: "octokit" }),
    throttle: { enabled: false },
  });
  octokit.hook.before("request", ({ method, url }) => {
    if (method !== "GET" && method !== "HEAD" && !url.endsWith("/access_tokens"))
      assertInsideEffect(`${method} ${url}`);
  });
  return octokit;
}
