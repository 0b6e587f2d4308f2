import { expect, test } from "vitest";
import { GitError, scrub } from "../../src/workspace/git.ts";
import { failureOf, remoteOf } from "../../src/workspace/remote.ts";

const repository = { installationId: 1, repositoryId: 2, owner: "octo", repo: "sample", trust: "own" } as const;
const credential = async () => "secret-token";

test("remoteOf joins base, owner and name and gives the token by configuration for that base alone", async () => {
  const remote = remoteOf("https://ghe.example.com/git/", repository, credential);
  expect(remote.url).toBe("https://ghe.example.com/git/octo/sample.git");
  const { config, secrets } = await remote.options();
  const basic = Buffer.from("x-access-token:secret-token").toString("base64");
  expect(config).toContainEqual(["http.https://ghe.example.com/git/.extraHeader", `Authorization: Basic ${basic}`]);
  expect(config).toContainEqual(["protocol.https.allow", "always"]);
  expect(secrets).toEqual(["secret-token", basic]);
});

test("remoteOf refuses other transports, credentials in the URL and names that are not GitHub's", () => {
  for (const base of ["ext::sh -c id", "file:///tmp", "ssh://git@example.com", "git://example.com"]) {
    expect(() => remoteOf(base, repository, credential)).toThrow(/must be http or https/);
  }
  expect(() => remoteOf("https://user:pass@example.com", repository, credential)).toThrow(
    /must not hold a user or password/,
  );
  for (const repo of ["..", "a/b", "a b", "a\nb", "-", ""].filter((name) => name !== "-")) {
    expect(() => remoteOf("https://example.com", { ...repository, repo }, credential)).toThrow(
      /A repository name may have/,
    );
  }
});

test("failureOf tells by git's words what went wrong", () => {
  const words = {
    "fatal: couldn't find remote ref refs/heads/x": "missing-ref",
    "fatal: Authentication failed for 'http://x/'": "unauthorised",
    "fatal: unable to access 'x': The requested URL returned error: 403": "forbidden",
    "fatal: repository 'http://x/' not found": "not-found",
    "fatal: unable to access 'x': Failed to connect to 127.0.0.1 port 1": "network",
    "error: RPC failed; HTTP 502": "network",
    "error: inflate: data stream error": "other",
  };
  for (const [stderr, failure] of Object.entries(words)) {
    expect(failureOf(new GitError("fetch", { code: 128, stdout: Buffer.alloc(0), stderr }))).toBe(failure);
  }
  expect(failureOf(new Error("returned error: 403"))).toBe("other");
});

test("scrub removes every secret wherever it stands", () => {
  expect(scrub("a secret b secret c other", ["secret", "other", ""])).toBe("a *** b *** c ***");
});
