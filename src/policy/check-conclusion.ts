/**
 * Whether a check that ended like this failed by what it checked. `cancelled`, `action_required` and `stale` say that it
 * did not come to an end, `neutral` and `skipped` that nothing is wrong; `error` and `failure` are also states of a commit
 * status. https://docs.github.com/en/rest/guides/using-the-rest-api-to-interact-with-checks#about-check-suites
 */
export function countsAsFailed(conclusion: string | null | undefined): boolean {
  return ["failure", "error", "timed_out", "startup_failure"].includes(conclusion ?? "");
}

/** Whether a check that ended like this found nothing wrong; one that was skipped looked at nothing. */
export function countsAsPassed(conclusion: string | null | undefined): boolean {
  return conclusion === "success" || conclusion === "neutral";
}

/** The workflow run of a check run of GitHub Actions: its `details_url` ends in `/actions/runs/<run>/job/<job>`. */
export function workflowRunIn(detailsUrl: string | null | undefined): number | undefined {
  const [, run] = /\/actions\/runs\/(\d{1,15})\/job\/\d{1,15}(?:[?#]|$)/.exec(detailsUrl ?? "") ?? [];
  return run === undefined ? undefined : Number(run);
}
