import type { Limits } from "./sandbox.ts";

/** File descriptors that the worker itself was started with are not the command's. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: it is shell text.
const CLOSE_INHERITED = 'for fd in /proc/self/fd/*; do fd=${fd##*/}; [ "$fd" -gt 2 ] && eval "exec $fd>&-"; done';

/**
 * Words of a program that sets resource limits for itself and then becomes `bash -c run`. It ends with code 125 when a
 * limit does not hold, so that a command never runs unlimited. `$1` is the shell text.
 * A user's processes are counted over the whole machine, so they are limited only where `countsProcesses` is true: with
 * a user id or a user namespace of the command's own.
 */
export function limitedShell(bash: string, limits: Limits, countsProcesses: boolean, run: string): string[] {
  const wanted: [flag: string, value: number][] = [
    ["v", Math.ceil(limits.maxMemoryBytes / 1024)],
    ["f", Math.ceil(limits.maxFileBytes / 1024)],
    ["t", Math.ceil(limits.maxCpuSeconds)],
    ["c", 0],
  ];
  if (countsProcesses) wanted.push(["u", limits.maxProcesses]);
  // A stricter limit that the worker itself was started with cannot be raised and stays.
  const lines = wanted.map(
    ([flag, value]) =>
      `ulimit -${flag} ${value} 2>/dev/null || [ "$(ulimit -H${flag})" != unlimited ] && [ "$(ulimit -S${flag})" -le ${value} ] || { echo "limit -${flag} ${value} does not hold" >&2; exit 125; }`,
  );
  return [bash, "-c", [CLOSE_INHERITED, ...lines, `exec ${bash} -c "$1"`].join("\n"), "bash", run];
}
