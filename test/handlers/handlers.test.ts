import type { EmitterWebhookEvent, EmitterWebhookEventName } from "@octokit/webhooks";
import nock from "nock";
import { Probot, ProbotOctokit } from "probot";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Known, Verdict } from "../../src/handlers/handler.ts";
import { routes } from "../../src/index.ts";
import { Intent } from "../../src/pipeline/intent.ts";
import { webhookPayload } from "../support/webhook-payloads.ts";

// biome-ignore lint/suspicious/noExplicitAny: published payloads are bent freely here; the handlers' own types are strict.
type Payload = any;

const known: Known = {
  operator: {
    labels: {
      trigger: "agent:builder",
      done: "agent:done",
      needsReview: "agent:needs-review",
      needsInfo: "agent:needs-info",
      failed: "agent:failed",
    },
    shortCommands: ["code", "stop", "retry", "status", "approve"],
    allowedBots: ["trusted[bot]"],
  },
  app: { id: 4242, slug: "millwright" },
};

let app: Probot;
let verdicts: Verdict[];

beforeEach(async () => {
  nock.disableNetConnect();
  verdicts = [];
  app = new Probot({
    githubToken: "test",
    secret: "a test secret",
    Octokit: ProbotOctokit.defaults({ retry: { enabled: false }, throttle: { enabled: false } }),
  });
  await app.ready();
  routes(app, async (event, handler) => {
    verdicts.push(handler(event, known));
  });
});

afterEach(() => {
  nock.cleanAll();
  nock.enableNetConnect();
});

/** Sends a published payload through Probot and returns what the handler said. */
async function received(
  event: string,
  action: string,
  change: (payload: Payload) => void = () => undefined,
): Promise<Verdict> {
  const payload = webhookPayload<Payload>(event, action, change);
  await app.receive({
    id: "delivery-1",
    name: event,
    payload,
  } as unknown as EmitterWebhookEvent<EmitterWebhookEventName> & { id: string });
  expect(verdicts).toHaveLength(1);
  expect(nock.pendingMocks()).toEqual([]);
  const [verdict] = verdicts;
  if (verdict !== undefined && "start" in verdict) expect(Intent.parse(verdict.start)).toBeTruthy();
  return verdict!;
}

const labelled = (payload: Payload) => {
  payload.label = { ...payload.label, name: "agent:builder" };
  payload.sender.type = "User";
  payload.issue.state = "open";
};
const commented = (body: string) => (payload: Payload) => {
  payload.comment.body = body;
  payload.comment.performed_via_github_app = null;
  payload.issue.state = "open";
  payload.issue.labels = [];
  delete payload.issue.pull_request;
  payload.sender.type = "User";
};

describe("issueLabeled", () => {
  test("issueLabeled starts issue-to-pr with the frozen text of the payload", async () => {
    const verdict = await received("issues", "labeled", labelled);
    expect(verdict).toMatchObject({
      start: {
        pipeline: "issue-to-pr",
        trigger: { kind: "label", label: "agent:builder" },
        text: { title: "Spelling error in the README file" },
        work: { owner: "Codertocat", repo: "Hello-World", subject: { kind: "issue" } },
      },
    });
  });

  test("issueLabeled names the same intent for every delivery of one labelling", async () => {
    const first = await received("issues", "labeled", labelled);
    verdicts = [];
    const second = await received("issues", "labeled", labelled);
    expect("start" in first && "start" in second && first.start.id === second.start.id).toBe(true);
  });

  test.each<[string, (payload: Payload) => void, string]>([
    ["another label", (payload) => (payload.label.name = "bug"), "another label"],
    ["a closed issue", (payload) => (payload.issue.state = "closed"), "the issue is closed"],
    [
      "a pull request",
      (payload) => (payload.issue.pull_request = { url: "https://example.com" }),
      "a pull request, not an issue",
    ],
    ["our own act", (payload) => (payload.sender.login = "millwright[bot]"), "own act"],
    [
      "a bot that is not listed",
      (payload) => Object.assign(payload.sender, { login: "other[bot]", type: "Bot" }),
      "bots are not heard",
    ],
  ])("issueLabeled ignores %s", async (_what, change, reason) => {
    const verdict = await received("issues", "labeled", (payload) => {
      labelled(payload);
      change(payload);
    });
    expect(verdict).toEqual({ ignore: reason });
  });

  test("issueLabeled hears a bot that the operator listed", async () => {
    const verdict = await received("issues", "labeled", (payload) => {
      labelled(payload);
      Object.assign(payload.sender, { login: "trusted[bot]", type: "Bot" });
    });
    expect(verdict).toHaveProperty("start");
  });
});

describe("issueCommented", () => {
  test("issueCommented starts issue-to-pr for /code with what stands behind it", async () => {
    const verdict = await received("issue_comment", "created", commented("/code use the old API\nplease"));
    expect(verdict).toMatchObject({
      start: { pipeline: "issue-to-pr", args: "use the old API\nplease", trigger: { kind: "comment" } },
    });
  });

  test("issueCommented starts iterate-pr for /code on a pull request", async () => {
    const verdict = await received("issue_comment", "created", (payload) => {
      commented("/millwright code rename it")(payload);
      payload.issue.pull_request = { url: "https://example.com" };
    });
    expect(verdict).toMatchObject({
      start: { pipeline: "iterate-pr", args: "rename it", work: { subject: { kind: "pull-request" } } },
    });
  });

  test.each(["stop", "retry", "status", "approve"])("issueCommented hears /%s as a control word", async (word) => {
    expect(await received("issue_comment", "created", commented(`/${word}`))).toMatchObject({
      start: { pipeline: "answer-command", command: word, short: true },
    });
  });

  test("issueCommented asks for help on an unknown word after /millwright", async () => {
    expect(await received("issue_comment", "created", commented("/millwright dance"))).toMatchObject({
      start: { pipeline: "answer-command", command: "unknown", args: "dance" },
    });
  });

  test.each(["/deploy now", "nice work", "see /code in the docs", "/codes", "/help", "/reject", ""])(
    "issueCommented leaves %j to others",
    async (body) => {
      expect(await received("issue_comment", "created", commented(body))).toEqual({ ignore: "not a command" });
    },
  );

  test("issueCommented takes a plain comment as an answer where information is needed", async () => {
    const verdict = await received("issue_comment", "created", (payload) => {
      commented("The second one.")(payload);
      payload.issue.labels = [{ name: "agent:needs-info" }];
    });
    expect(verdict).toMatchObject({ start: { pipeline: "issue-to-pr", answers: true, args: "The second one." } });
  });

  test("issueCommented ignores what our own App wrote", async () => {
    const verdict = await received("issue_comment", "created", (payload) => {
      commented("/code")(payload);
      payload.comment.performed_via_github_app = { id: 4242 };
    });
    expect(verdict).toEqual({ ignore: "own act" });
  });
});

describe("issueClosed", () => {
  test.each(["closed", "deleted", "transferred"])("issueClosed cancels when the issue is %s", async (action) => {
    const verdict = await received("issues", action, (payload) => (payload.sender.type = "User"));
    expect(verdict).toMatchObject({
      start: { pipeline: "answer-command", command: "closed", trigger: { kind: "state" } },
    });
  });

  test("issueClosed cancels when our label is removed, and only then", async () => {
    const unlabelled = (name: string) => (payload: Payload) => (payload.label = { ...payload.label, name });
    expect(await received("issues", "unlabeled", unlabelled("agent:builder"))).toMatchObject({
      start: { command: "unlabelled" },
    });
    verdicts = [];
    expect(await received("issues", "unlabeled", unlabelled("bug"))).toEqual({ ignore: "another label" });
  });
});

describe("commentEdited", () => {
  const ours = (body: string) => (payload: Payload) => {
    payload.comment.body = body;
    payload.comment.performed_via_github_app = { id: 4242 };
    payload.sender.type = "User";
  };

  test("commentEdited takes an edit of our plan to answer-command", async () => {
    const verdict = await received(
      "issue_comment",
      "edited",
      ours("- [x] Approve this plan\n\n<!-- millwright:plan abc 1 -->"),
    );
    expect(verdict).toMatchObject({ start: { pipeline: "answer-command", command: "plan-edited" } });
  });

  test("commentEdited ignores a forged plan of somebody else", async () => {
    const verdict = await received("issue_comment", "edited", (payload) => {
      ours("<!-- millwright:plan abc 1 -->")(payload);
      payload.comment.performed_via_github_app = null;
    });
    expect(verdict).toEqual({ ignore: "not our plan" });
  });
});

describe("issueCommented and /review", () => {
  const asked = (body: string) => (payload: Payload) => {
    commented(body)(payload);
    payload.issue.pull_request = { url: "https://example.com" };
  };

  test("issueCommented starts review-pr for /millwright review on a pull request, with the focus", async () => {
    const verdict = await received("issue_comment", "created", asked("/millwright review the parser"));
    expect(verdict).toMatchObject({
      start: { pipeline: "review-pr", args: "the parser", trigger: { kind: "comment" } },
    });
    expect("start" in verdict && verdict.start.short).toBeUndefined();
  });

  test("issueCommented marks the short form, which other bots may have too", async () => {
    known.operator.shortCommands.push("review");
    const verdict = await received("issue_comment", "created", asked("/review"));
    known.operator.shortCommands.pop();
    expect(verdict).toMatchObject({ start: { pipeline: "review-pr", short: true } });
  });

  test("issueCommented ignores /review on an issue and on a closed pull request", async () => {
    expect(await received("issue_comment", "created", commented("/millwright review"))).toHaveProperty("ignore");
    verdicts = [];
    const closed = (payload: Payload) => {
      asked("/millwright review")(payload);
      payload.issue.state = "closed";
    };
    expect(await received("issue_comment", "created", closed)).toHaveProperty("ignore");
  });
});

describe("reviewSubmitted", () => {
  const ours = (payload: Payload) => {
    payload.pull_request.head.ref = "millwright/issue-1-abcdef12";
    payload.pull_request.head.repo = { ...payload.pull_request.head.repo, id: payload.repository.id };
    payload.pull_request.state = "open";
    payload.review.state = "changes_requested";
    payload.sender.type = "User";
  };

  test("reviewSubmitted starts iterate-pr once per review of our pull request", async () => {
    const verdict = await received("pull_request_review", "submitted", ours);
    expect(verdict).toMatchObject({
      start: { pipeline: "iterate-pr", id: expect.stringMatching(/^review:\d+$/), trigger: { kind: "review" } },
    });
  });

  test.each<[string, (payload: Payload) => void]>([
    ["an approval", (payload) => (payload.review.state = "approved")],
    ["somebody's branch", (payload) => (payload.pull_request.head.ref = "feature")],
    ["a fork with our branch name", (payload) => (payload.pull_request.head.repo.id = 1)],
    ["a closed pull request", (payload) => (payload.pull_request.state = "closed")],
    ["our own review", (payload) => (payload.sender.login = "millwright[bot]")],
  ])("reviewSubmitted ignores %s", async (_what, change) => {
    const verdict = await received("pull_request_review", "submitted", (payload) => {
      ours(payload);
      change(payload);
    });
    expect(verdict).toHaveProperty("ignore");
  });
});

describe("pullRequestChanged", () => {
  const open = (payload: Payload) => {
    payload.pull_request.state = "open";
    payload.pull_request.head.sha = "a".repeat(40);
  };

  test("pullRequestChanged starts one review-pr for each head, however it became the head", async () => {
    const opened = await received("pull_request", "opened", open);
    verdicts = [];
    const pushed = await received("pull_request", "synchronize", open);
    const headSha = "a".repeat(40);
    const common = { pipeline: "review-pr", id: `head:${headSha}`, headSha };
    expect(opened).toMatchObject({ start: { ...common, trigger: { kind: "state", event: "opened" } } });
    expect(pushed).toMatchObject({ start: { ...common, trigger: { kind: "state", event: "pushed" } } });
  });

  test("pullRequestChanged starts another one for a head that becomes ready or is opened again, also by a bot of ours", async () => {
    const ready = await received("pull_request", "ready_for_review", (payload) => {
      open(payload);
      payload.sender = { ...payload.sender, type: "Bot", login: "millwright[bot]" };
    });
    expect(ready).toMatchObject({
      start: { id: expect.stringMatching(/^ready_for_review:20/), trigger: { kind: "state", event: "ready" } },
    });
    verdicts = [];
    const reopened = await received("pull_request", "reopened", open);
    expect(reopened).toMatchObject({
      start: { id: expect.stringMatching(/^reopened:20/), trigger: { kind: "state", event: "opened" } },
    });
  });

  test("pullRequestChanged ignores a closed pull request", async () => {
    const verdict = await received("pull_request", "synchronize", (payload) => {
      open(payload);
      payload.pull_request.state = "closed";
    });
    expect(verdict).toEqual({ ignore: "the pull request is closed" });
  });
});

describe("reviewCommented", () => {
  const reply = (payload: Payload) => {
    payload.pull_request.state = "open";
    payload.comment.in_reply_to_id = 71;
    payload.comment.body = "It is never empty.";
    payload.sender.type = "User";
  };

  test("reviewCommented starts review-pr with the frozen words of a reply and the thread that it is in", async () => {
    const verdict = await received("pull_request_review_comment", "created", reply);
    expect(verdict).toMatchObject({
      start: {
        pipeline: "review-pr",
        id: expect.stringMatching(/^review-comment:\d+$/),
        trigger: { kind: "review-comment", inReplyTo: 71 },
        args: "It is never empty.",
      },
    });
  });

  test.each<[string, (payload: Payload) => void]>([
    ["a comment that begins a thread", (payload) => delete payload.comment.in_reply_to_id],
    ["our own reply", (payload) => (payload.sender.login = "millwright[bot]")],
    ["a bot", (payload) => (payload.sender.type = "Bot")],
    ["a closed pull request", (payload) => (payload.pull_request.state = "closed")],
    [
      "our own pull request, where it is a review",
      (payload) => {
        payload.pull_request.head.ref = "millwright/issue-1-abcdef12";
        payload.pull_request.head.repo = { ...payload.pull_request.head.repo, id: payload.repository.id };
      },
    ],
  ])("reviewCommented ignores %s", async (_what, change) => {
    const verdict = await received("pull_request_review_comment", "created", (payload) => {
      reply(payload);
      change(payload);
    });
    expect(verdict).toHaveProperty("ignore");
  });
});

describe("accessRemoved", () => {
  test.each(["deleted", "suspend"])("installationRemoved forgets an installation that is %s", async (action) => {
    expect(await received("installation", action)).toMatchObject({
      start: { pipeline: "forget-data", work: { repositoryId: 0 } },
    });
  });

  test("repositoriesRemoved names the repositories that were taken out", async () => {
    const verdict = await received(
      "installation_repositories",
      "removed",
      (payload) => (payload.repositories_removed = [{ id: 5 }, { id: 6 }]),
    );
    expect(verdict).toMatchObject({ start: { pipeline: "forget-data", args: "5,6" } });
  });

  test("repositoryDeleted forgets that repository alone", async () => {
    const verdict = await received("repository", "deleted");
    expect(verdict).toMatchObject({ start: { pipeline: "forget-data", work: { repositoryId: expect.any(Number) } } });
  });
});

describe("buttonPressed", () => {
  test("buttonPressed approves only by the button of our own check", async () => {
    const pressed = (payload: Payload) => {
      payload.check_run.app = { ...payload.check_run.app, id: 4242 };
      payload.check_run.pull_requests = [{ number: 9, base: { repo: { id: payload.repository.id } } }];
      payload.requested_action = { identifier: "approve-ci" };
      payload.sender.type = "User";
    };
    expect(await received("check_run", "requested_action", pressed)).toMatchObject({
      start: { command: "approve", work: { subject: { number: 9 } } },
    });
    verdicts = [];
    const foreign = (payload: Payload) => {
      pressed(payload);
      payload.check_run.app.id = 1;
    };
    expect(await received("check_run", "requested_action", foreign)).toEqual({ ignore: "not our button" });
  });

  const ofFix = (identifier: string) => (payload: Payload) => {
    payload.check_run.app = { ...payload.check_run.app, id: 4242 };
    payload.check_run.external_id = "a-run";
    payload.check_run.pull_requests = [
      { number: 70, base: { repo: { id: 1 } } },
      { number: 9, base: { repo: { id: payload.repository.id } } },
    ];
    payload.requested_action = { identifier };
    payload.sender.type = "User";
  };

  test.each([
    ["apply-fix", { pipeline: "apply-fix" }],
    ["reject-fix", { pipeline: "answer-command", command: "reject-fix" }],
    ["rerun-check", { pipeline: "answer-command", command: "rerun" }],
    ["explain-check", { pipeline: "answer-command", command: "explain" }],
  ])(
    "buttonPressed takes %s to the run that the check run names, on the pull request of this repository",
    async (button, asked) => {
      const verdict = await received("check_run", "requested_action", ofFix(button));
      expect(verdict).toMatchObject({
        start: {
          ...asked,
          id: "delivery:delivery-1",
          args: "a-run",
          work: { subject: { kind: "pull-request", number: 9 } },
        },
      });
      expect(verdict).toHaveProperty("start.headSha");
    },
  );

  test.each<[string, (payload: Payload) => void, string]>([
    [
      "a button that we do not have",
      (payload) => (payload.requested_action.identifier = "constructor"),
      "not our button",
    ],
    ["a bot", (payload) => Object.assign(payload.sender, { login: "x[bot]", type: "Bot" }), "bots are not heard"],
    ["a pull request of another repository", (payload) => payload.check_run.pull_requests.pop(), "no pull request"],
  ])("buttonPressed ignores %s", async (_what, change, reason) => {
    const verdict = await received("check_run", "requested_action", (payload) => {
      ofFix("apply-fix")(payload);
      change(payload);
    });
    expect(verdict).toEqual({ ignore: reason });
  });
});

describe("checkRunCompleted", () => {
  const failed = (payload: Payload) => {
    Object.assign(payload.check_run, { id: 5, conclusion: "failure", completed_at: "2026-11-20T10:00:00Z" });
    payload.check_run.app = { ...payload.check_run.app, id: 1, slug: "a-linter" };
    payload.check_run.pull_requests = [
      { number: 70, base: { repo: { id: 1 } } },
      { number: 9, base: { repo: { id: payload.repository.id } } },
    ];
  };

  test("checkRunCompleted starts fix-check on the pull request of this repository, once for each ending", async () => {
    const first = await received("check_run", "completed", failed);
    expect(first).toMatchObject({
      start: {
        ...{ pipeline: "fix-check", trigger: { kind: "state" }, id: "check:5:2026-11-20T10:00:00Z" },
        work: { subject: { kind: "pull-request", number: 9 } },
      },
    });
    expect(first).toHaveProperty("start.headSha", expect.stringMatching(/^[0-9a-f]{40}$/));
  });

  test("checkRunCompleted lets a command find the pull request of a fork, which the payload does not name", async () => {
    const verdict = await received("check_run", "completed", (payload) => {
      failed(payload);
      payload.check_run.pull_requests = [];
    });
    expect(verdict).toMatchObject({
      start: { pipeline: "answer-command", command: "check-failed", work: { subject: { kind: "repository" } } },
    });
  });

  test.each<[string, (payload: Payload) => void, string]>([
    ["our own check run", (payload) => (payload.check_run.app.id = 4242), "own act"],
    [
      "a job of GitHub Actions, which its workflow run tells",
      (payload) => (payload.check_run.app.slug = "github-actions"),
      "its workflow run tells it",
    ],
    ["one that passed", (payload) => (payload.check_run.conclusion = "success"), "the check ended as success"],
    [
      "one that was cancelled",
      (payload) => (payload.check_run.conclusion = "cancelled"),
      "the check ended as cancelled",
    ],
  ])("checkRunCompleted ignores %s", async (_what, change, reason) => {
    const verdict = await received("check_run", "completed", (payload) => {
      failed(payload);
      change(payload);
    });
    expect(verdict).toEqual({ ignore: reason });
  });
});

describe("workflowRunCompleted", () => {
  const ended = (conclusion: string, attempt: number) => (payload: Payload) => {
    Object.assign(payload.workflow_run, { id: 6, conclusion, run_attempt: attempt });
    payload.workflow_run.pull_requests = [{ number: 9, base: { repo: { id: payload.repository.id } } }];
  };

  test("workflowRunCompleted starts fix-check once for each attempt that failed", async () => {
    expect(await received("workflow_run", "completed", ended("failure", 2))).toMatchObject({
      start: { pipeline: "fix-check", id: "workflow:6:2", work: { subject: { number: 9 } } },
    });
  });

  test("workflowRunCompleted remembers that a later attempt passed, and ignores a first one", async () => {
    expect(await received("workflow_run", "completed", ended("success", 2))).toMatchObject({
      start: { pipeline: "answer-command", command: "check-passed", trigger: { kind: "state" } },
    });
    verdicts = [];
    expect(await received("workflow_run", "completed", ended("success", 1))).toEqual({
      ignore: "the workflow ended as success",
    });
  });
});

describe("statusFailed", () => {
  const stated = (state: string) => (payload: Payload) => {
    Object.assign(payload, { id: 8, state });
    delete payload.action;
  };

  test.each(["failure", "error"])(
    "statusFailed lets a command find the pull requests of a commit with %s",
    async (state) => {
      const verdict = await received("status", "", stated(state));
      expect(verdict).toMatchObject({
        start: {
          pipeline: "answer-command",
          command: "check-failed",
          id: "status:8",
          work: { subject: { kind: "repository" } },
        },
      });
      expect(verdict).toHaveProperty("start.headSha", expect.stringMatching(/^[0-9a-f]{40}$/));
    },
  );

  test.each(["pending", "success"])("statusFailed ignores %s", async (state) => {
    expect(await received("status", "", stated(state))).toEqual({ ignore: `the status is ${state}` });
  });
});

describe("issueCommented and /fix", () => {
  const onPull = (body: string) => (payload: Payload) => {
    commented(body)(payload);
    payload.issue.pull_request = { url: "https://example.com" };
  };

  test("issueCommented starts fix-check for /millwright fix on a pull request, whatever its head", async () => {
    const verdict = await received("issue_comment", "created", onPull("/millwright fix the tests"));
    expect(verdict).toMatchObject({
      start: { pipeline: "fix-check", trigger: { kind: "comment" }, work: { subject: { kind: "pull-request" } } },
    });
    expect(verdict).not.toHaveProperty("start.headSha");
  });

  test("issueCommented ignores /fix on an issue and where the operator has not listed the short form", async () => {
    expect(await received("issue_comment", "created", commented("/millwright fix"))).not.toMatchObject({
      start: { pipeline: "fix-check" },
    });
    verdicts = [];
    expect(await received("issue_comment", "created", onPull("/fix"))).toHaveProperty("ignore");
  });
});
