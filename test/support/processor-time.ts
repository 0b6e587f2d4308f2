/** Milliseconds of processor time of this thread: what else the machine does is not counted, as a clock would. */
export function processorMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
