import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eq } from "drizzle-orm";
import pino from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Deps } from "../../../src/pipeline/deps.ts";
import { type Intent, runKeyOf } from "../../../src/pipeline/intent.ts";
import type { Outcome } from "../../../src/pipeline/outcome.ts";
import type { StepContext } from "../../../src/pipeline/step.ts";
import { takeOffer } from "../../../src/pipeline/steps/take-offer.ts";
import { type OpenStore, openStore } from "../../../src/store/open-store.ts";
import { runs } from "../../../src/store/schema.ts";
import { copyDatabaseTemplate } from "../../support/database-template.ts";

const repositoryId = 5;
const headSha = "a".repeat(40);
const pull = {
  ...{ number: 3, title: "Mine", headSha, headRef: "feature", author: "maintainer", authorId: 1 },
  ...{ fork: false, draft: false, onDefaultBranch: false, ours: false, textBlob: "t" },
};
const base = {
  ...{ kind: "read" as const, baseRef: "main", baseSha: "b".repeat(40), private: true, configBlob: "c" },
  ...{ plan: "auto" as const, planTimeoutMinutes: 1, openAt: "finish" as const, maxAttempts: 1 },
  ...{ issueNumber: 3, branch: "feature", opaque: [] },
};
const content = {
  base,
  checks: [],
  plan: { kind: "plan", taskBlob: "t", title: "mend it", commitType: "fix", risk: "low" },
  change: { sha: "d".repeat(40), attempts: 1 },
  verdict: { kind: "judged", decision: "pass", findings: [] },
  reproduction: { kind: "not-reproduced", reason: "It passes here." },
  notes: [],
};

describe("takeOffer", () => {
  const directory = mkdtempSync(join(tmpdir(), "millwright-offers-"));
  let store: OpenStore;
  let deps: Deps;
  let count = 0;
  beforeAll(async () => {
    await copyDatabaseTemplate(directory);
    store = await openStore({ dataDirectory: directory, log: pino({ level: "silent" }) });
    deps = { store } as unknown as Deps;
  });
  afterAll(async () => {
    await store?.close();
    rmSync(directory, { recursive: true });
  });

  async function offer(over: { pullNumber?: number; repositoryId?: number } = {}): Promise<string> {
    count += 1;
    const runKey = `offer-${count}`;
    await store.offers.put({ ...{ runKey, repositoryId, pullNumber: 3, headSha, content }, ...over });
    return runKey;
  }

  /** A press of the button, as a run of its own; with an outcome it has ended. */
  async function press(args: string, outcome?: Outcome): Promise<StepContext> {
    count += 1;
    const intent: Intent = {
      work: {
        ...{ installationId: 1, repositoryId, owner: "acme", repo: "mill" },
        subject: { kind: "pull-request", number: 3 },
      },
      ...{ id: `delivery:${count}`, pipeline: "apply-fix", at: "2026-11-21T12:00:00Z", deliveryId: `d${count}`, args },
      ...{ actor: { id: 1, login: "maintainer", type: "User" }, trigger: { kind: "button" } },
    };
    await store.runs.file([intent], () => 0);
    const runKey = runKeyOf(intent);
    if (outcome !== undefined)
      await store.database.db.update(runs).set({ state: "ended", outcome }).where(eq(runs.runKey, runKey));
    return { intent, runKey } as unknown as StepContext;
  }

  const take = (ctx: StepContext, change: Partial<typeof pull> = {}) =>
    takeOffer.run({ base, pull: { ...pull, ...change } }, deps, ctx);

  test("takeOffer takes what the button names, again when it is repeated, and for nobody else after that", async () => {
    const runKey = await offer();
    const first = await press(runKey);
    expect(await take(first)).toMatchObject({ kind: "taken", offer: { plan: { title: "mend it" } } });
    expect(await take(first)).toMatchObject({ kind: "taken" });
    const second = await press(runKey);
    expect(await take(second)).toMatchObject({ outcome: { kind: "no-change-needed" } });
    expect(await store.offers.get(runKey)).toMatchObject({ state: "applied", decidedBy: `maintainer ${first.runKey}` });
  });

  test("takeOffer lets one be tried again whose push failed, and not one that was pushed or rejected", async () => {
    for (const [kind, again] of [
      ["failed", "taken"],
      ["fixed", "ended"],
    ] as const) {
      const runKey = await offer();
      await take(await press(runKey, { kind, reason: "how it ended" }));
      expect((await take(await press(runKey))).kind).toBe(again);
    }
    const rejected = await offer();
    await store.offers.decide(rejected, "rejected", "maintainer");
    expect(await take(await press(rejected))).toMatchObject({ outcome: { kind: "no-change-needed" } });
  });

  test("takeOffer refuses what is not this pull request's at this head", async () => {
    const mine = await offer();
    const refused = async (args: string, change: Partial<typeof pull> = {}) => {
      const taken = await take(await press(args), change);
      return taken.kind === "ended" ? taken.outcome.kind : taken.kind;
    };
    expect(await refused("nobody's")).toBe("refused");
    expect(await refused(await offer({ repositoryId: 6 }))).toBe("refused");
    expect(await refused(await offer({ pullNumber: 4 }))).toBe("refused");
    expect(await refused(mine, { headSha: "e".repeat(40) })).toBe("superseded");
    expect(await refused(mine, { fork: true })).toBe("refused");
    expect(await refused(mine, { onDefaultBranch: true })).toBe("refused");
    expect(await store.offers.get(mine)).toMatchObject({ state: "open" });
  });
});
