/**
 * The environment of every git process that the worker itself starts. Repository content must never make
 * trusted git run a program: no system or user configuration, no hooks, no prompts, no fsmonitor, no external
 * diff or filters, submodules and LFS opaque (security.md M2).
 * Source of the keys: https://git-scm.com/docs/git#_environment_variables and https://git-scm.com/docs/git-config
 */
const config: readonly (readonly [key: string, value: string])[] = [
  ["core.hooksPath", "/dev/null"],
  ["core.fsmonitor", "false"],
  ["core.untrackedCache", "false"],
  ["core.symlinks", "true"],
  ["core.autocrlf", "false"],
  ["core.quotePath", "false"],
  ["core.attributesFile", "/dev/null"],
  ["core.excludesFile", "/dev/null"],
  ["credential.helper", ""],
  ["diff.external", ""],
  ["diff.ignoreSubmodules", "all"],
  ["submodule.recurse", "false"],
  ["fetch.recurseSubmodules", "false"],
  ["filter.lfs.process", ""],
  ["filter.lfs.smudge", ""],
  ["filter.lfs.clean", ""],
  ["filter.lfs.required", "false"],
  ["gc.auto", "0"],
  ["maintenance.auto", "false"],
  // Only calls that name a server allow HTTP again; no tree, submodule or remote can open another transport.
  ["protocol.allow", "never"],
  ["protocol.ext.allow", "never"],
  // Trees belong to the user of a sandbox slot at times; the git dir is ours and always named outright.
  ["safe.directory", "*"],
  ["commit.gpgSign", "false"],
  ["advice.detachedHead", "false"],
  ["init.defaultBranch", "main"],
];

/** `extra` adds configuration for one call, for example an authorisation header that must not appear in argv. */
export function gitEnvironment(extra: readonly (readonly [key: string, value: string])[] = []): Record<string, string> {
  const pairs = [...config, ...extra];
  const environment: Record<string, string> = {
    PATH: process.env["PATH"] ?? "/usr/bin:/bin",
    HOME: "/nonexistent",
    LC_ALL: "C.UTF-8",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    GIT_OPTIONAL_LOCKS: "0",
    GIT_LFS_SKIP_SMUDGE: "1",
    GIT_ATTR_NOSYSTEM: "1",
    GIT_NO_REPLACE_OBJECTS: "1",
    GIT_LITERAL_PATHSPECS: "1",
    GIT_CONFIG_COUNT: String(pairs.length),
  };
  pairs.forEach(([key, value], index) => {
    environment[`GIT_CONFIG_KEY_${index}`] = key;
    environment[`GIT_CONFIG_VALUE_${index}`] = value;
  });
  return environment;
}
