import type { ProbotOctokit } from "probot";
import { statusOf } from "./client.ts";

/** Adds one label and removes others from an issue or pull request; both are harmless when done twice. */
export async function changeLabels(
  octokit: ProbotOctokit,
  place: { owner: string; repo: string; number: number },
  change: { add?: string; remove: string[] },
): Promise<void> {
  const target = { owner: place.owner, repo: place.repo, issue_number: place.number };
  const { data } = await octokit.rest.issues.listLabelsOnIssue({ ...target, per_page: 100 });
  const present = new Set(data.map((label) => label.name));
  if (change.add !== undefined && !present.has(change.add))
    await octokit.rest.issues.addLabels({ ...target, labels: [change.add] });
  for (const name of change.remove) {
    if (!present.has(name) || name === change.add) continue;
    try {
      await octokit.rest.issues.removeLabel({ ...target, name });
    } catch (error) {
      if (statusOf(error) !== 404) throw error;
    }
  }
}
