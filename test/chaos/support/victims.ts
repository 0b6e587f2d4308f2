import { readdirSync, readFileSync } from "node:fs";

/** Which process is killed: the App's, its embedded database's, or both at once. */
export type Victim = "app" | "database" | "both";

/** Kills with -9; the App's process last, as it may be the caller's. Returns how many processes were there to be killed. */
export function killProcesses(app: number, victim: Victim): number {
  const victims = [...(victim === "app" ? [] : databaseProcesses(app)), ...(victim === "database" ? [] : [app])];
  for (const id of victims) process.kill(id, "SIGKILL");
  return victims.length;
}

/** Ids of the processes of the embedded database that this worker started. */
function databaseProcesses(worker: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        // proc_pid_stat(5): the parent's id follows the name, which stands in brackets, and the state.
        const [, parent] = readFileSync(`/proc/${name}/stat`, "utf8")
          .replace(/^.*\) /s, "")
          .split(" ");
        return Number(parent) === worker && readFileSync(`/proc/${name}/cmdline`, "utf8").includes("embedded-process");
      } catch {
        // It has ended since it was listed.
        return false;
      }
    })
    .map(Number);
}
