import type { InsidePaths } from "./sandbox.ts";
import type { Toolchain } from "./toolchain.ts";

const CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt";

/**
 * The whole environment of a command: an allow-list that names places and settings, never a value of the worker's own
 * environment. `extra` (of the command) is laid over it.
 */
export function commandEnvironment(
  paths: InsidePaths,
  toolchain: Pick<Toolchain, "searchPath" | "variables">,
  options: { readOnlyHome: boolean; extra?: Record<string, string> },
): Record<string, string> {
  const cache = options.readOnlyHome ? paths.temporary : paths.home;
  return {
    PATH: [
      `${paths.home}/.local/bin`,
      `${paths.home}/go/bin`,
      `${paths.home}/.cargo/bin`,
      ...toolchain.searchPath,
    ].join(":"),
    HOME: paths.home,
    TMPDIR: paths.temporary,
    USER: "millwright",
    LOGNAME: "millwright",
    SHELL: "/bin/bash",
    LANG: "C.UTF-8",
    TERM: "dumb",
    CI: "true",
    // Tools whose caches are written even when they only read packages.
    XDG_CACHE_HOME: `${cache}/.cache`,
    GOCACHE: `${cache}/.cache/go-build`,
    GOPATH: `${paths.home}/go`,
    GOTOOLCHAIN: "local",
    CARGO_HOME: `${paths.home}/.cargo`,
    npm_config_cache: `${cache}/.npm`,
    npm_config_update_notifier: "false",
    ...toolchain.variables,
    ...options.extra,
  };
}

/** Settings by which package managers trust the machine's certificates (an inner proxy may have its own authority). */
export function certificateVariables(): Record<string, string> {
  return {
    SSL_CERT_FILE: CA_BUNDLE,
    NODE_EXTRA_CA_CERTS: CA_BUNDLE,
    REQUESTS_CA_BUNDLE: CA_BUNDLE,
    PIP_CERT: CA_BUNDLE,
    CARGO_HTTP_CAINFO: CA_BUNDLE,
  };
}
