import type { ProbotOctokit } from "probot";
import { statusOf } from "./client.ts";
import type { FailedCheck } from "./failed-checks.ts";

export type CheckLog =
  | {
      kind: "log";
      /** What was read: a job's log, what an App wrote into its check run, or a status' description. */
      source: "job-log" | "check-output" | "description";
      /** Read it once. Throws when GitHub's answer is cut short, stalls or the signal aborts: trying again can help. */
      stream: AsyncIterable<Uint8Array>;
      /** Why it is not the job's log, where it is a job. */
      instead?: string;
    }
  /** A sentence for people: nothing is left that could be read. */
  | { kind: "none"; why: string };

export interface LogLimits {
  signal: AbortSignal;
  /** Of a longer log the head and the last 16 MB at most are kept; default 64 MB, at most 100 MB. */
  maxBytes?: number;
  /** So long the log's server may be silent; default 30. */
  stallSeconds?: number;
}

const megabyte = 1024 * 1024;
const defaultBytes = 64 * megabyte;
const largestBytes = 100 * megabyte;
const largestTail = 16 * megabyte;
// A log that goes on beyond this is not read to its end.
const mostReadBytes = 1024 * megabyte;
const maxAnnotations = 300;

/**
 * What a failed check left to read (product.md F2), as a stream of bytes that a stranger wrote. A log that is gone is no
 * error: the check run's output and annotations take its place. A job costs one request, and two or three more without
 * its log; a check run two or three; a status none. Needs `actions: read` and `checks: read`.
 */
export async function readCheckLog(
  octokit: ProbotOctokit,
  place: { owner: string; repo: string },
  check: Pick<FailedCheck, "kind" | "id" | "description">,
  limits: LogLimits,
): Promise<CheckLog> {
  switch (check.kind) {
    case "job": {
      const stream = await jobLog(octokit, place, check.id, limits);
      if (stream !== undefined) return { kind: "log", source: "job-log", stream };
      const why = "GitHub does not have the log of this job any more.";
      const output = await checkOutput(octokit, place, check.id);
      if (output === undefined) return { kind: "none", why };
      return { kind: "log", source: "check-output", stream: once(output), instead: why };
    }
    case "check": {
      const output = await checkOutput(octokit, place, check.id);
      if (output === undefined) return { kind: "none", why: "The check says nothing about why it failed." };
      return { kind: "log", source: "check-output", stream: once(output) };
    }
    case "status": {
      const { description = "" } = check;
      if (description.trim() === "") return { kind: "none", why: "The status says nothing about why it failed." };
      return { kind: "log", source: "description", stream: once(`${description}\n`) };
    }
  }
}

/** Undefined where GitHub has no log (any more). */
async function jobLog(
  octokit: ProbotOctokit,
  { owner, repo }: { owner: string; repo: string },
  jobId: number,
  limits: LogLimits,
): Promise<AsyncIterable<Uint8Array> | undefined> {
  try {
    // The answer leads to a short-lived address on another host, which must not get our token: it is fetched without.
    // https://docs.github.com/en/rest/actions/workflow-jobs#download-job-logs-for-a-workflow-run
    const { headers, status } = await octokit.request("GET /repos/{owner}/{repo}/actions/jobs/{job_id}/logs", {
      owner,
      repo,
      job_id: jobId,
      request: { redirect: "manual", signal: limits.signal },
    });
    if (headers.location === undefined) throw new Error(`GitHub answered ${status} without the address of the log`);
    return await download(new URL(headers.location), limits);
  } catch (error) {
    const answer = statusOf(error);
    if (answer === 404 || answer === 410) return undefined;
    throw error;
  }
}

async function download(address: URL, limits: LogLimits): Promise<AsyncIterable<Uint8Array> | undefined> {
  if (address.protocol !== "https:" && address.protocol !== "http:")
    throw new Error(`GitHub's address of a log has the scheme ${address.protocol}`);
  const stalled = new AbortController();
  const stallMs = (limits.stallSeconds ?? 30) * 1000;
  const watch = setTimeout(() => stalled.abort(silence(limits)), stallMs);
  try {
    const response = await fetch(address, { signal: AbortSignal.any([limits.signal, stalled.signal]) });
    if (response.status === 404 || response.status === 410) {
      await response.body?.cancel();
      return undefined;
    }
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      // Neither its address, which works without a token, nor what it says.
      throw new Error(`The server of the log answered ${response.status}`);
    }
    return capped(whileAlive(response.body, { stalled, stallMs, limits }), limits);
  } finally {
    clearTimeout(watch);
  }
}

function silence(limits: LogLimits): Error {
  return new Error(`The server of the log said nothing for ${limits.stallSeconds ?? 30} s`);
}

/** The body's chunks; aborts the connection when none comes for a while, and when the reader goes away. */
async function* whileAlive(
  body: ReadableStream<Uint8Array>,
  { stalled, stallMs, limits }: { stalled: AbortController; stallMs: number; limits: LogLimits },
): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  let ended = false;
  try {
    for (;;) {
      const watch = setTimeout(() => stalled.abort(silence(limits)), stallMs);
      const { done, value } = await reader.read().finally(() => clearTimeout(watch));
      ended = done;
      if (done) return;
      yield value;
    }
  } finally {
    if (!ended) await reader.cancel().catch(() => undefined);
  }
}

/** The head as it comes, then what is left out in one line, then the tail. */
async function* capped(source: AsyncIterable<Uint8Array>, limits: LogLimits): AsyncGenerator<Uint8Array> {
  const maxBytes = Math.min(limits.maxBytes ?? defaultBytes, largestBytes);
  const tailBytes = Math.min(Math.floor(maxBytes / 2), largestTail);
  let headLeft = maxBytes - tailBytes;
  let read = 0;
  let kept = 0;
  let dropped = 0;
  const tail: Uint8Array[] = [];
  for await (const chunk of source) {
    read += chunk.length;
    const head = chunk.subarray(0, headLeft);
    headLeft -= head.length;
    if (head.length > 0) yield head;
    if (head.length < chunk.length) {
      const rest = chunk.subarray(head.length);
      tail.push(rest);
      kept += rest.length;
      while (kept - (tail[0] as Uint8Array).length >= tailBytes) {
        const { length } = tail.shift() as Uint8Array;
        kept -= length;
        dropped += length;
      }
    }
    if (read > mostReadBytes) break;
  }
  const surplus = kept - tailBytes;
  if (surplus > 0) {
    tail[0] = (tail[0] as Uint8Array).subarray(surplus);
    dropped += surplus;
  }
  if (dropped > 0) yield Buffer.from(`\n... ${dropped} bytes of the log were left out here ...\n`);
  yield* tail;
}

/** Title, summary and text of a check run, and its annotations as a compiler would print them; undefined where there are none. */
async function checkOutput(
  octokit: ProbotOctokit,
  { owner, repo }: { owner: string; repo: string },
  id: number,
): Promise<string | undefined> {
  try {
    const { data: run } = await octokit.rest.checks.get({ owner, repo, check_run_id: id });
    const parts = [run.output.title, run.output.summary, run.output.text].map((part) => part?.trim() ?? "");
    const annotations: string[] = [];
    for (let page = 1; annotations.length < Math.min(run.output.annotations_count, maxAnnotations); page++) {
      const place = { owner, repo, check_run_id: id, per_page: 100, page };
      const { data } = await octokit.rest.checks.listAnnotations(place);
      annotations.push(...data.map(annotationText));
      if (data.length < 100) break;
    }
    const text = [...parts, annotations.join("\n")].filter((part) => part !== "").join("\n\n");
    return text === "" ? undefined : `${text}\n`;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

const levelNames: Record<string, string> = { failure: "error", warning: "warning", notice: "note" };

function annotationText(annotation: {
  path: string;
  start_line: number;
  start_column: number | null;
  annotation_level: string | null;
  title: string | null;
  message: string | null;
  raw_details: string | null;
}): string {
  const { path, start_line: line, start_column: column, annotation_level: level } = annotation;
  const [first = "", ...rest] = [annotation.title, annotation.message, annotation.raw_details]
    .filter((part) => part !== null && part !== "")
    .join("\n")
    .split("\n");
  // GitHub files what belongs to no file under this name.
  const where = path === ".github" ? "" : `${path}:${line}:${column === null ? "" : `${column}:`} `;
  return [`${where}${levelNames[level ?? ""] ?? "note"}: ${first}`, ...rest.map((text) => `    ${text}`)].join("\n");
}

async function* once(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}
