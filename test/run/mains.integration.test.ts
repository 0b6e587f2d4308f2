import { createHmac } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { privateKey, webhookSecret } from "../support/local-app.ts";
import { type ScriptedModel, startScriptedModel } from "../support/scripted-model.ts";
import {
  type Child,
  deliver,
  type Line,
  type Main,
  modelKey,
  type Stage,
  signature,
  startStage,
  webhookPath,
} from "./child.ts";

const previousSecret = "the-secret-before-it-was-rotated";

/** Each main in one of the two ways to say where GitHub is. */
const ways: [Main, "GITHUB_API_URL" | "GHE_HOST"][] = [
  ["npm start", "GHE_HOST"],
  ["probot run", "GITHUB_API_URL"],
];

describe.each(ways)("%s with %s", { timeout: 300_000 }, (main, address) => {
  let model: ScriptedModel;
  let stage: Stage;
  let child: Child;

  beforeAll(async () => {
    model = await startScriptedModel({ fixtures: ["test/fixtures/transcripts/text-tools.json"] });
    stage = await startStage(model.url);
    child = await stage.start(main, {
      ...(address === "GHE_HOST" ? { GHE_HOST: new URL(stage.github.url).host, GHE_PROTOCOL: "http" } : {}),
      WEBHOOK_SECRET_PREVIOUS: previousSecret,
      LOG_LEVEL: "trace",
    });
  }, 300_000);
  afterAll(async () => {
    await stage?.close();
    await model?.close();
  });

  test("a labelled issue becomes a pull request; its log tells one story, its metrics move, no secret is in either", async () => {
    const issue = stage.labelIssue();
    const pull = await stage.pullRequest(child, issue);
    const ended = await child.until("the last line", () =>
      child.lines().find((line) => line.msg === "run ended" && line["pipeline"] === "issue-to-pr"),
    );
    expect(ended).toMatchObject({ outcome: "ready", pullRequest: pull });
    // That the pull request was opened is looked at too, and ends at once where reviews are off.
    await child.until("the review's last line", () =>
      child.lines().find((line) => line.msg === "run ended" && line["pipeline"] === "review-pr"),
    );

    const { deliveryId, runKey } = ended;
    const labeled = stage.github.deliveries.find(
      (delivery) => delivery.event === "issues" && delivery.action === "labeled",
    );
    expect(deliveryId).toBe(labeled?.id);
    const story = child.lines().filter((line) => line["deliveryId"] === deliveryId);
    expect(story[0]).toMatchObject({ msg: "delivery started", runKey, event: "issues.labeled" });
    const done = story
      .filter((line) => line.msg === "step done")
      .map((line) => String(line["step"]).replace(/#.*/, ""));
    for (const step of [
      "authorise-trigger",
      "analyse-issue",
      "write-change",
      "run-checks",
      "open-pull-request",
      "report-outcome",
    ])
      expect(done).toContain(step);
    expect(story.every((line) => line["runKey"] === runKey)).toBe(true);

    const metrics = await (await fetch(`${child.healthUrl}/metrics`)).text();
    expect(sample(metrics, 'millwright_webhook_deliveries_total{event="issues",answer="200"}')).toBeGreaterThanOrEqual(
      2,
    );
    expect(sample(metrics, 'millwright_runs_ended_total{pipeline="issue-to-pr",outcome="ready"}')).toBe(1);
    expect(sample(metrics, 'millwright_step_seconds_count{step="run-checks",result="done"}')).toBeGreaterThanOrEqual(1);
    expect(metrics).toMatch(/millwright_effects_total\{effect="[a-z-]+",result="ok"\} [1-9]/);
    expect(metrics).toMatch(/millwright_model_tokens_total\{model="[^"]+",kind="input"\} [1-9]/);
    expect(metrics).toMatch(/millwright_model_tokens_total\{model="[^"]+",kind="output"\} [1-9]/);
    expect(metrics).toMatch(/millwright_model_cost_usd_total\{model="[^"]+"\} 0\.\d*[1-9]/);
    expect(sample(metrics, "millwright_runs_active")).toBe(0);

    const keyLines = privateKey.split("\n").filter((line) => line.length > 20 && !line.startsWith("-----"));
    const tokens = [...stage.github.world.tokens.keys()];
    expect(tokens.length).toBeGreaterThan(5);
    for (const secret of [webhookSecret, previousSecret, modelKey, ...keyLines, ...tokens]) {
      expect(child.text().includes(secret), "a secret is in the log").toBe(false);
      expect(metrics.includes(secret)).toBe(false);
    }
    expect(child.text()).not.toMatch(/sha256=[0-9a-f]{64}|x-hub-signature|eyJ[\w-]+\.eyJ/);
    // Every line is JSON in one shape, Probot's as well.
    for (const line of child
      .text()
      .split("\n")
      .filter((text) => text !== ""))
      expect(JSON.parse(line)).toMatchObject({
        level: expect.stringMatching(/^[a-z]+$/),
        time: expect.stringMatching(/^\d{4}-.*Z$/),
      });
  });

  test("the same delivery again is answered 200 and starts nothing, with one line", async () => {
    const labeled = stage.github.deliveries.find((delivery) => delivery.action === "labeled")!;
    const { lines } = await linesOf(child, async () => {
      await stage.github.redeliver(labeled.id);
      expect(labeled.answerStatus).toBe(200);
    });
    expect(lines).toEqual([expect.objectContaining({ msg: "delivery repeated", deliveryId: labeled.id })]);
    expect(stage.repository.pulls).toHaveLength(1);
  });

  const body = JSON.stringify({ action: "edited" });
  const refusals: [how: string, status: number, body: string, headers: () => Record<string, string>][] = [
    ["without a signature", 401, body, () => ({ "x-hub-signature-256": "" })],
    ["signed with another secret", 401, body, () => ({ "x-hub-signature-256": signature(body, "development") })],
    [
      "with a sha1 signature",
      401,
      body,
      () => ({
        "x-hub-signature-256": "",
        "x-hub-signature": `sha1=${createHmac("sha1", webhookSecret).update(body).digest("hex")}`,
      }),
    ],
    ["that is not JSON", 400, "{", () => ({})],
    ["that is a form", 415, "payload=%7B%7D", () => ({ "content-type": "application/x-www-form-urlencoded" })],
    ["without a delivery id", 400, body, () => ({ "x-github-delivery": "" })],
  ];
  test.each(refusals)("a delivery %s is answered %i, with one line", async (_how, status, text, headers) => {
    const { result, lines } = await linesOf(child, () =>
      deliver(child, text, { "x-hub-signature-256": signature(text), ...headers() }),
    );
    expect(result.status).toBe(status);
    expect(lines).toEqual([
      expect.objectContaining({ level: "warn", status, msg: expect.stringContaining("delivery refused") }),
    ]);
  });

  test("a delivery signed with the previous secret is accepted while it is rotated", async () => {
    expect((await deliver(child, body, { "x-hub-signature-256": signature(body, previousSecret) })).status).toBe(200);
  });

  test.each(["declared", "streamed"] as const)(
    "an unsigned body of 300 MB, %s, is answered 413 with one line and at most 32 MB more memory",
    async (how) => {
      const before = memoryMb(child, "VmRSS");
      writeFileSync(`/proc/${child.pid}/clear_refs`, "5");
      const { result, lines } = await linesOf(child, () => pour(`${child.url}${webhookPath}`, 300_000_000, how));
      expect(result).toBe(413);
      expect(memoryMb(child, "VmHWM") - before).toBeLessThanOrEqual(32);
      expect(lines).toEqual([expect.objectContaining({ level: "warn", status: 413 })]);
    },
  );

  test("/health names every probe, on an address of its own", async () => {
    const health = (await (await fetch(`${child.healthUrl}/health`)).json()) as {
      ok: boolean;
      wrong: string[];
      probes: { name: string }[];
    };
    expect(health.wrong).toEqual([]);
    expect(health.probes.map(({ name }) => name)).toEqual([
      "database",
      "engine",
      "queue",
      "sandbox",
      "disk",
      "github",
      "model",
    ]);
    for (const path of ["/health", "/metrics"]) expect((await fetch(`${child.url}${path}`)).status).toBe(404);
    expect((await fetch(`${child.url}/livez`)).status).toBe(200);
  });

  test("GitHub was asked nothing that it would not understand", () => {
    expect(stage.github.violations).toEqual([]);
  });
});

/** What the log has more of after `work`, requests to GitHub in the background (debug) apart. */
async function linesOf<T>(child: Child, work: () => Promise<T>): Promise<{ result: T; lines: Line[] }> {
  const before = child.lines().length;
  const result = await work();
  await new Promise((resolve) => setTimeout(resolve, 300));
  const lines = child.lines().slice(before);
  return { result, lines: lines.filter(({ level }) => level !== "debug" && level !== "trace") };
}

function sample(metrics: string, name: string): number {
  const line = metrics.split("\n").find((text) => text.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

function memoryMb(child: Child, name: "VmRSS" | "VmHWM"): number {
  const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
  return Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024;
}

/** Sends a body for as long as the other side takes it; the status of the answer. */
function pour(url: string, bytes: number, how: "declared" | "streamed"): Promise<number> {
  const chunk = Buffer.alloc(1_000_000, "x");
  return new Promise((resolve, reject) => {
    const headers = {
      "x-github-event": "issues",
      "x-github-delivery": "a-flood",
      ...(how === "declared" ? { "content-length": bytes } : { "transfer-encoding": "chunked" }),
    };
    const sending = request(url, { method: "POST", headers }, (answer) => {
      resolve(answer.statusCode ?? 0);
      answer.resume();
      sending.destroy();
    });
    sending.on("error", reject);
    let sent = 0;
    const send = () => {
      while (sent < bytes && !sending.destroyed) {
        sent += chunk.length;
        if (!sending.write(chunk)) return void sending.once("drain", send);
      }
      sending.end();
    };
    send();
  });
}
