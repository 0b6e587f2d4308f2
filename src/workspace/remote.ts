import { UserFacingError } from "../pipeline/step.ts";
import { GitError, type RunOptions } from "./git.ts";
import type { Credential, RepositoryRef } from "./workspace.ts";

/** A repository on the server. The token goes to git by its environment alone: not in argv, URL, configuration or errors. */
export interface Remote {
  url: string;
  /** Options for one git call that talks to the server. */
  options(): Promise<Pick<RunOptions, "config" | "secrets">>;
}

/**
 * The remote of a repository below `gitBaseUrl`, with a token asked for each call. Throws a TypeError for a base that
 * is not http(s), or that holds a user or password, and for a name that is not GitHub's.
 */
export function remoteOf(gitBaseUrl: string, repository: RepositoryRef, credential: Credential): Remote {
  const base = new URL(gitBaseUrl);
  if (base.protocol !== "https:" && base.protocol !== "http:") {
    throw new TypeError(`The git base URL must be http or https, but is ${base.protocol}//…`);
  }
  if (base.username !== "" || base.password !== "")
    throw new TypeError("The git base URL must not hold a user or password");
  for (const name of [repository.owner, repository.repo]) {
    if (!/^[A-Za-z0-9_.-]+$/.test(name) || name === "." || name === "..") {
      throw new TypeError(
        `A repository name may have letters, digits, ".", "_" and "-", but is ${JSON.stringify(name)}`,
      );
    }
  }
  const root = base.href.replace(/\/+$/, "");
  const url = `${root}/${repository.owner}/${repository.repo}.git`;
  return {
    url,
    async options() {
      const token = await credential();
      const basic = Buffer.from(`x-access-token:${token}`).toString("base64");
      return {
        config: [
          [`protocol.${base.protocol.slice(0, -1)}.allow`, "always"],
          ["protocol.version", "2"],
          // A server that stops in mid-transfer: git gives up by itself after a minute below 1 kB/s.
          ["http.lowSpeedLimit", "1000"],
          ["http.lowSpeedTime", "60"],
          [`http.${root}/.extraHeader`, `Authorization: Basic ${basic}`],
        ],
        secrets: [token, basic],
      };
    },
  };
}

/** What went wrong between us and the server, as far as git's words tell it. */
export type RemoteFailure = "missing-ref" | "unauthorised" | "forbidden" | "not-found" | "network" | "other";

export function failureOf(error: unknown): RemoteFailure {
  if (!(error instanceof GitError)) return "other";
  const { stderr } = error;
  if (/couldn't find remote ref|not our ref|unadvertised object/i.test(stderr)) return "missing-ref";
  if (/returned error: 401|Authentication failed|could not read Username|terminal prompts disabled/i.test(stderr))
    return "unauthorised";
  if (/returned error: 403/i.test(stderr)) return "forbidden";
  if (/returned error: 404|repository '.*' not found/i.test(stderr)) return "not-found";
  if (
    /returned error: 5\d\d|Could not resolve|Failed to connect|timed out|early EOF|hung up|RPC failed|reset by peer|SSL|Couldn't connect/i.test(
      stderr,
    )
  ) {
    return "network";
  }
  return "other";
}

/** Turns a known failure into words for people; anything else stays as it is. */
export function explain(error: unknown, repository: RepositoryRef): unknown {
  const name = `${repository.owner}/${repository.repo}`;
  switch (failureOf(error)) {
    case "unauthorised":
    case "forbidden":
      return new UserFacingError(`GitHub does not let this App read ${name}.`, {
        cause: error,
        advice: "Check that the App is installed on this repository and has the permission to read its contents.",
      });
    case "not-found":
      return new UserFacingError(`${name} was not found on the git server.`, {
        cause: error,
        advice: "Check that the repository still exists and that the App is installed on it.",
      });
    case "network":
      return new UserFacingError(`${name} could not be fetched: the git server did not answer as expected.`, {
        cause: error,
        transient: true,
      });
    case "missing-ref":
    case "other":
      return error;
  }
}
