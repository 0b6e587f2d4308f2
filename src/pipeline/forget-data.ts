import type { Pipeline } from "./run.ts";

/** An installation or repository is gone: its runs stop and what was kept of it is deleted (P15). */
export const forgetData: Pipeline = (run) => run.step("delete-data", {});
