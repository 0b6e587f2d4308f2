import type { Limits } from "./sandbox.ts";

/** File descriptors that the worker itself was started with are not the command's. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: it is shell text.
const CLOSE_INHERITED = 'for fd in /proc/self/fd/*; do fd=${fd##*/}; [ "$fd" -gt 2 ] && eval "exec $fd>&-"; done';

export interface ShellOptions {
  limits: Limits;
  /**
   * A user's processes are counted over the whole machine, so they are limited only where the command has a user id or a
   * user namespace of its own.
   */
  countsProcesses: boolean;
  /** The command's whole environment; set after the limits, so that no variable of the command acts before. */
  env: Record<string, string>;
  /** Trusted shell text that starts helpers. They are not children of the command's shell, which may `wait` for all. */
  helpers?: string;
}

/**
 * Words of a program that sets resource limits for itself and then runs `bash -c run`. It ends with code 125 when a limit
 * does not hold, so that a command never runs unlimited.
 */
export function limitedShell(run: string, options: ShellOptions): string[] {
  const { limits, helpers } = options;
  const wanted: [flag: string, value: number][] = [
    ["v", Math.ceil(limits.maxMemoryBytes / 1024)],
    ["f", Math.ceil(limits.maxFileBytes / 1024)],
    ["t", Math.ceil(limits.maxCpuSeconds)],
    ["c", 0],
  ];
  if (options.countsProcesses) wanted.push(["u", limits.maxProcesses]);
  // A stricter limit that the worker itself was started with cannot be raised and stays; what holds is looked at.
  const lines = wanted.map(
    ([flag, value]) =>
      `ulimit -${flag} ${value} 2>/dev/null; [ "$(ulimit -S${flag})" -le ${value} ] 2>/dev/null || { echo "limit -${flag} ${value} does not hold" >&2; exit 125; }`,
  );
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is shell text.
  const command = '/usr/bin/env -i "${@:2}" /bin/bash -c "$1"';
  const last = helpers === undefined ? [`exec ${command}`] : [helpers, `${command}; exit $?`];
  const assignments = Object.entries(options.env).map(([name, value]) => `${name}=${value}`);
  return ["/bin/bash", "-c", [CLOSE_INHERITED, ...lines, ...last].join("\n"), "bash", run, ...assignments];
}
