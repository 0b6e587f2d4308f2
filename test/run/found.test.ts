import { describe, expect, test } from "vitest";
import type { Known, Verdict } from "../../src/handlers/handler.ts";
import { issueClosed } from "../../src/handlers/issue-closed.ts";
import { issueCommented } from "../../src/handlers/issue-commented.ts";
import { issueLabeled } from "../../src/handlers/issue-labeled.ts";
import { pullRequestClosed } from "../../src/handlers/pull-request-closed.ts";
import { reviewSubmitted } from "../../src/handlers/review-submitted.ts";
import { type Intent, sameLabelling } from "../../src/pipeline/intent.ts";
import {
  fromComment,
  fromEvent,
  fromPlanEdit,
  fromReview,
  type ListedComment,
  type ListedEvent,
  labellingsWithoutRun,
  type Place,
  type Subject,
  unlessChanged,
} from "../../src/run/reconcile/found.ts";

const known: Known = {
  operator: {
    labels: {
      trigger: "agent:builder",
      done: "agent:done",
      needsReview: "agent:needs-review",
      needsInfo: "agent:needs-info",
      failed: "agent:failed",
    },
    shortCommands: ["code", "stop"],
    allowedBots: [],
  },
  app: { id: 4242, slug: "millwright" },
};
const place: Place = { installationId: 7, repository: { id: 11, name: "mill", owner: { login: "acme" } } };
const person = { id: 5, login: "maintainer", type: "User" };
const at = "2026-11-21T12:00:00Z";
const issue = {
  node_id: "I_1",
  number: 3,
  title: "A title",
  body: "A body",
  state: "open",
  updated_at: "2026-11-21T12:30:00Z",
  closed_at: null as string | null,
  labels: [{ name: "agent:builder" }],
  user: person,
};
const subject: Subject = {
  number: 3,
  title: "A title",
  body: "A body",
  state: "open",
  labels: [],
  author: person,
  isPull: false,
  editedAt: undefined,
};
const comment: ListedComment = {
  id: 99,
  node_id: "IC_99",
  body: "/code please",
  html_url: "https://github.com/acme/mill/issues/3#issuecomment-99",
  created_at: at,
  updated_at: at,
  user: person,
};
const webhook = { sender: person, installation: { id: 7 }, repository: place.repository };
const labelled: ListedEvent = {
  event: "labeled",
  created_at: at,
  actor: person,
  label: { name: "agent:builder" },
  issue,
};
const branch = () => "millwright/issue-3-0123abcd";

function started(verdict: Verdict): Intent {
  if ("ignore" in verdict) throw new Error(`ignored: ${verdict.ignore}`);
  return verdict.start;
}

/** What the webhook would have become, delivery apart. */
function twin(found: Verdict, told: Verdict): void {
  const { deliveryId, ...rest } = started(found);
  const { deliveryId: _, ...expected } = started(told);
  expect(rest).toEqual(expected);
  expect(deliveryId).toBe(`found:${rest.id}`);
}

describe("fromEvent", () => {
  test("fromEvent makes of a labelling what its webhook would have made", () => {
    twin(
      fromEvent(place, labelled, known, branch),
      issueLabeled(
        { id: "1", payload: { ...webhook, issue: { ...issue, updated_at: at }, label: { name: "agent:builder" } } },
        known,
      ),
    );
  });

  test("fromEvent makes of a removed label and a closed issue what their webhooks would have made", () => {
    const bare = { ...issue, labels: [] };
    twin(
      fromEvent(place, { ...labelled, event: "unlabeled", issue: bare }, known, branch),
      issueClosed(
        {
          id: "1",
          payload: {
            ...webhook,
            action: "unlabeled",
            issue: { ...bare, updated_at: at },
            label: { name: "agent:builder" },
          },
        },
        known,
      ),
    );
    const closed = { ...bare, state: "closed", closed_at: at, updated_at: at };
    twin(
      fromEvent(place, { ...labelled, event: "closed", issue: closed }, known, branch),
      issueClosed({ id: "1", payload: { ...webhook, action: "closed", issue: closed } }, known),
    );
  });

  test("fromEvent makes of a merged pull request of ours what its webhook would have made", () => {
    const closed = {
      ...issue,
      state: "closed",
      closed_at: at,
      updated_at: at,
      pull_request: { merged_at: at },
    };
    const found = fromEvent(place, { ...labelled, event: "closed", issue: closed }, known, branch);
    twin(
      found,
      pullRequestClosed({
        id: "1",
        payload: {
          ...webhook,
          pull_request: { ...closed, merged: true, head: { ref: branch(), repo: { id: 11 } } },
        },
      }),
    );
    expect(started(found).args).toBe("merged");
    expect(fromEvent(place, { ...labelled, event: "closed", issue: closed }, known, () => undefined)).toEqual({
      ignore: "not our pull request",
    });
  });

  test.each<[string, ListedEvent, string]>([
    ["a label that is gone", { ...labelled, issue: { ...issue, labels: [] } }, "the label is gone"],
    ["a label that is there again", { ...labelled, event: "unlabeled" }, "the label is there again"],
    ["an issue that is open again", { ...labelled, event: "closed" }, "open again"],
    ["a closed issue with a label", { ...labelled, issue: { ...issue, state: "closed" } }, "the issue is closed"],
    ["another label", { ...labelled, label: { name: "bug" } }, "another label"],
    ["our own act", { ...labelled, actor: { id: 1, login: "millwright[bot]", type: "Bot" } }, "own act"],
    ["a bot", { ...labelled, actor: { id: 1, login: "other[bot]", type: "Bot" } }, "bots are not heard"],
    ["an account that was deleted", { ...labelled, actor: null }, "nobody's act"],
    ["another event", { ...labelled, event: "assigned" }, "another event"],
  ])("fromEvent ignores %s", (_what, event, ignore) => {
    expect(fromEvent(place, event, known, branch)).toEqual({ ignore });
  });
});

describe("fromComment, fromPlanEdit and fromReview", () => {
  test("fromComment makes of a command what its webhook would have made", () => {
    for (const body of ["/code please", "/stop", "/millwright nonsense"]) {
      twin(
        fromComment(place, { ...comment, body }, subject, known),
        issueCommented({ id: "1", payload: { ...webhook, issue, comment: { ...comment, body } } }, known),
      );
    }
  });

  test("fromComment takes a comment for an answer only where information is needed", () => {
    const plain = { ...comment, body: "The blue one." };
    expect(fromComment(place, plain, subject, known)).toEqual({ ignore: "not a command" });
    const waiting = { ...subject, labels: [{ name: "agent:needs-info" }] };
    expect(started(fromComment(place, plain, waiting, known))).toMatchObject({ answers: true, id: "comment:99" });
  });

  test("fromComment continues a pull request, and nothing that is closed", () => {
    const pull = { ...subject, isPull: true };
    expect(started(fromComment(place, comment, pull, known))).toMatchObject({ pipeline: "iterate-pr" });
    expect(fromComment(place, comment, { ...pull, state: "closed" }, known)).toEqual({
      ignore: "the pull request is closed",
    });
  });

  test("fromPlanEdit hears the editor, and not ourselves", () => {
    const plan = { ...comment, body: "<!-- millwright:plan ab 1 -->", performed_via_github_app: { id: 4242 } };
    const found = started(fromPlanEdit(place, plan, subject, person, known));
    expect(found).toMatchObject({ command: "plan-edited", actor: person, trigger: { kind: "comment", commentId: 99 } });
    expect(found.id).toMatch(/^edited:99:2026-11-21T12:00:00Z:[0-9a-f]{12}$/);
    const bot = { id: 1, login: "millwright[bot]", type: "Bot" };
    expect(fromPlanEdit(place, plan, subject, bot, known)).toEqual({ ignore: "own act" });
  });

  test("fromReview makes of a review what its webhook would have made", () => {
    const review = { id: 8, node_id: "PRR_8", body: "Look again.", submitted_at: at, commit_id: "abc", user: person };
    const head = { ref: branch(), repo: { id: 11 } };
    twin(
      fromReview(place, { ...review, state: "CHANGES_REQUESTED" }, { ...subject, isPull: true }, branch(), known),
      reviewSubmitted(
        {
          id: "1",
          payload: {
            ...webhook,
            review: { ...review, state: "changes_requested" },
            pull_request: { ...issue, head },
          },
        },
        known,
      ),
    );
  });
});

describe("unlessChanged", () => {
  const intent = started(fromComment(place, comment, subject, known));
  const later = "2026-11-21T12:00:01Z";

  test("unlessChanged keeps the text that was there when somebody asked", () => {
    expect(unlessChanged(intent, {})).toBe(intent);
    expect(unlessChanged(intent, { actEditedAt: at, subjectEditedAt: at })).toBe(intent);
  });

  test.each([{ actEditedAt: later }, { subjectEditedAt: later }])("unlessChanged asks anew after %j", (changes) => {
    const changed = unlessChanged(intent, changes);
    expect(changed).toMatchObject({ id: intent.id, pipeline: "answer-command", command: "changed" });
    expect(changed).not.toHaveProperty("text");
    expect(changed).not.toHaveProperty("args");
  });

  test("unlessChanged lets a control word pass below an issue that was edited, but not when it was edited itself", () => {
    const stop = started(fromComment(place, { ...comment, body: "/stop" }, subject, known));
    expect(unlessChanged(stop, { subjectEditedAt: later })).toBe(stop);
    expect(unlessChanged(stop, { actEditedAt: later })).toMatchObject({ command: "changed" });
  });
});

describe("labellings", () => {
  const label = (second: number, deliveryId = "found:x", besides?: string[]): Intent => {
    const moment = `2026-11-21T12:00:${String(second).padStart(2, "0")}Z`;
    return {
      ...started(fromEvent(place, labelled, known, branch)),
      id: `label:agent:builder:${moment}`,
      at: moment,
      deliveryId,
      trigger: { kind: "label", label: "agent:builder", ...(besides && { besides }) },
    };
  };

  test("sameLabelling is what came by webhook and what was found, within five seconds", () => {
    expect(sameLabelling(label(10), label(15, "a-delivery"))).toBe(true);
    expect(sameLabelling(label(10), label(16, "a-delivery"))).toBe(false);
    expect(sameLabelling(label(10, "one"), label(12, "another"))).toBe(false);
    expect(sameLabelling(label(10), label(12))).toBe(false);
    expect(sameLabelling(label(10, "found:x", [label(12).id]), label(12, "a-delivery"))).toBe(false);
  });

  test("labellingsWithoutRun lets each run stand for one labelling", () => {
    expect(labellingsWithoutRun([label(10)], [label(10, "a")])).toEqual([]);
    expect(labellingsWithoutRun([label(10)], [label(12, "a")])).toEqual([]);
    expect(labellingsWithoutRun([label(10)], [label(20, "a")])).toEqual([label(10)]);
    // Labelled, unlabelled and labelled within five seconds: only the first was told, a second late.
    expect(labellingsWithoutRun([label(12), label(10)], [label(11, "a")])).toEqual([
      label(12, "found:x", [label(11).id]),
    ]);
    expect(labellingsWithoutRun([label(10), label(12)], [label(12, "a")])).toEqual([
      label(10, "found:x", [label(12).id]),
    ]);
  });
});
