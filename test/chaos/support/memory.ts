import { readFileSync, writeFileSync } from "node:fs";

/** Resident memory of a process in bytes, as the kernel counts it. https://man7.org/linux/man-pages/man5/proc_pid_status.5.html */
export function residentBytes(pid: number, what: "VmRSS" | "VmHWM"): number {
  const kilobytes = new RegExp(`^${what}:\\s*(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  if (kilobytes === undefined) throw new Error(`Process ${pid} has no ${what}`);
  return Number(kilobytes) * 1024;
}

/** From now on `VmHWM` is the most since this moment. https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}
