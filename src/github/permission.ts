import type { ProbotOctokit } from "probot";
import { statusOf } from "./client.ts";

export type Permission = "none" | "read" | "triage" | "write" | "maintain" | "admin";

const known: readonly string[] = ["none", "read", "triage", "write", "maintain", "admin"];

/**
 * A person's permission on the repository. A custom role counts as the base permission that GitHub reports beside it.
 * https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user
 */
export async function permissionOf(
  octokit: ProbotOctokit,
  place: { owner: string; repo: string },
  login: string,
): Promise<Permission> {
  try {
    const { data } = await octokit.rest.repos.getCollaboratorPermissionLevel({
      owner: place.owner,
      repo: place.repo,
      username: login,
    });
    const role = known.includes(data.role_name) ? data.role_name : data.permission;
    return known.includes(role) ? (role as Permission) : "none";
  } catch (error) {
    if (statusOf(error) === 404) return "none";
    throw error;
  }
}
