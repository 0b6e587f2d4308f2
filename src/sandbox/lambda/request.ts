import { z } from "zod";

/** Where the function puts what it was given: the only place that it may write. The same for every job. */
export const INSIDE = {
  tree: "/tmp/sandbox/workspace",
  home: "/tmp/sandbox/environment",
  temporary: "/tmp/sandbox/tmp",
} as const;
/** Beside the roots of a tree, an answer's archive has the streams of the command, as `output/stdout` and `output/stderr`. */
export const OUTPUT_ROOT = "output";

/** How the function begins to say that it could not get what it was sent. */
export const LAYER_IS_GONE = "Cannot download layer";

/** What one archive holds at most, when it is unpacked; a function's `/tmp` has at most 10 GB. */
export const MAX_TREE_BYTES = 6 * 1024 ** 3;
export const MAX_ENTRIES = 1_000_000;

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const Limit = z.number().positive();

/** The event of the sandbox's function. It holds no secret: its addresses are good for one object each, for minutes. */
export const SandboxRequest = z.object({
  /** Archives that make the folders, one upon the other. */
  layers: z.array(z.object({ url: z.url(), sha256: Sha256, bytes: z.number().int().nonnegative() })),
  /** Where what the command changed is put. */
  resultUrl: z.url(),
  command: z.object({ run: z.string(), directory: z.string().optional(), env: z.record(z.string(), z.string()) }),
  /** Whether HOME is a folder of its own, and whether it stays as it is. */
  home: z.enum(["temporary", "kept", "read-only"]),
  limits: z.object({
    timeoutSeconds: Limit,
    maxOutputBytes: Limit,
    maxMemoryBytes: Limit,
    maxProcesses: Limit,
    maxFileBytes: Limit,
    maxCpuSeconds: Limit,
  }),
});
export type SandboxRequest = z.infer<typeof SandboxRequest>;

/** The function's answer, written by a machine that ran hostile code. */
export const SandboxAnswer = z.object({
  kind: z.enum(["ok", "failed", "timed-out", "killed", "refused"]),
  exitCode: z.number().int().min(0).max(255).optional(),
  signal: z
    .string()
    .regex(/^SIG[A-Z0-9]{1,10}$/)
    .optional(),
  droppedOutputBytes: z.number().int().nonnegative(),
  durationSeconds: z.number().nonnegative(),
  reason: z.string().max(2_000).optional(),
  /** Of the object at `resultUrl`; absent where nothing was run. */
  result: z.object({ sha256: Sha256, bytes: z.number().int().nonnegative().max(MAX_TREE_BYTES) }).optional(),
});
export type SandboxAnswer = z.infer<typeof SandboxAnswer>;
