import { startScenario } from "../test/support/scenario.ts";
import type { RawRequest } from "../test/support/scripted-model.ts";
import { type Figure, say, smallerIsBetter } from "./figure.ts";

const diffLines = 3_000;
const filesChanged = 12;
const maxRequests = 12;
const leastCachedShare = 0.6;

/**
 * One review of a pull request of 3,000 changed lines, from the webhook to the end of the check run, on the real App with a
 * local GitHub and a scripted model. `review.requests` counts what GitHub is asked, the six comments included; tokens
 * that are minted and git are counted apart. `review.cached` is the share of the reviewers' input, as bytes on the wire, that
 * lies before the last cache mark and is the same for all reviewers of a group.
 */
export async function reviewRunFigures(): Promise<Figure[]> {
  const scenario = await startScenario({
    config: "review:\n  enabled: true\n  debounceMinutes: 0\n",
    model: ({ stage, request }) => ({ message: { content: JSON.stringify(answerTo(stage, request)) } }),
  });
  try {
    const { github, name, repository } = scenario;
    const maintainer = github.as("maintainer");
    await maintainer.push(name, { branch: "feature", message: "change", files: changedFiles() });
    github.requests.length = 0;
    const pull = await maintainer.openPullRequest(name, { title: "Many lists", head: "feature" });
    const run = await scenario.ended(pull.issue.number, { kind: "pull-request" });
    const reviews = pull.reviews.length;
    const comments = repository.reviewComments.length;
    if (run.outcome?.kind !== "reviewed" || reviews !== 1 || comments !== 6)
      throw new Error(
        `The review ended as ${JSON.stringify(run.outcome)} with ${reviews} reviews and ${comments} comments`,
      );
    const asked = github.requests.filter(({ path }) => !/\.git\/|\.git\?|\/info\/refs/.test(path));
    const tokens = asked.filter(({ path }) => path.endsWith("/access_tokens"));
    const others = asked.filter((request) => !tokens.includes(request));
    say(`review: ${tokens.length} tokens minted, ${github.requests.length - asked.length} requests of git, and:`);
    for (const { method, path } of others) say(`  ${method} ${path}`);
    return [
      smallerIsBetter("review.requests", others.length, "requests", { limit: maxRequests }),
      cachedFigure(scenario.sentToModel()),
    ];
  } finally {
    await scenario.close();
  }
}

/** A request that shares its prefix with nobody counts as not cached. */
function cachedFigure(sent: readonly RawRequest[]): Figure {
  const reviewers = sent.filter(({ body }) => stageOf(body) === "review-group");
  const prefixes = reviewers.map(({ body }) => prefixOf(body));
  const count = new Map<string, number>();
  for (const prefix of prefixes) count.set(prefix, (count.get(prefix) ?? 0) + 1);
  const shared = prefixes.reduce((sum, prefix) => sum + (count.get(prefix)! > 1 ? Buffer.byteLength(prefix) : 0), 0);
  const all = reviewers.reduce((sum, { body }) => sum + Buffer.byteLength(JSON.stringify(body)), 0);
  const share = shared / all;
  say(
    `review: ${reviewers.length} requests of reviewers with ${count.size} prefixes; ${shared} of ${all} bytes are shared`,
  );
  const least = leastCachedShare;
  return {
    ...smallerIsBetter("review.cached", share, "share", {}),
    limit: least,
    ok: reviewers.length > 1 && share >= least,
  };
}

/** What the provider caches: tools and system text up to the last mark; nothing where there is none. */
function prefixOf(body: { tools?: unknown; system: { cache_control?: unknown }[] }): string {
  const last = body.system.findLastIndex((block) => block.cache_control !== undefined);
  return last < 0 ? "" : JSON.stringify([body.tools ?? [], body.system.slice(0, last + 1)]);
}

function stageOf(body: { system?: unknown }): string | undefined {
  return /stage: ([a-z-]+)/.exec(JSON.stringify(body.system ?? ""))?.[1];
}

function changedFiles(): Record<string, string> {
  const lines = Math.ceil(diffLines / filesChanged);
  return Object.fromEntries(
    Array.from({ length: filesChanged }, (_, file) => {
      const functions = Array.from(
        { length: Math.ceil(lines / 5) },
        (_, at) => `export function pick${file}of${at}(list) {\n  const item = list[${at}];\n  return item.name;\n}\n`,
      );
      return [`src/lists/list${file}.js`, `${functions.join("\n")}\n`];
    }),
  );
}

const scores = {
  correctness: 8,
  security: 8,
  performance: 8,
  maintainability: 8,
  tests: 5,
  documentation: 7,
  overall: 8,
};

/** Each reviewer finds one thing in each of five files, others than the other reviewers; the verifier keeps all. */
function answerTo(stage: string, request: RawRequest): unknown {
  if (stage !== "review-group") {
    const ids = [...JSON.stringify(request.body.messages).matchAll(/\\"id\\": \\"([ne]\d+)\\"/g)].map(
      (match) => match[1],
    );
    const verdicts = ids.map((id) => ({
      id,
      verdict: "holds",
      reason: "Seen.",
      scenario: "A short list makes it throw.",
    }));
    return { verdicts };
  }
  const who = /reviewer|\*\*(\w+)/.exec(JSON.stringify(request.body.messages))?.[1] ?? "";
  const text = JSON.stringify(request.body.system);
  const files = [...new Set([...text.matchAll(/src\/lists\/list\d+\.js/g)].map(([path]) => path))].slice(0, 5);
  const line = 3 + 5 * (who.length % 7);
  const findings = files.map((path) => ({
    category: "correctness",
    severity: "major",
    confidence: 80,
    path,
    line,
    quote: "return item.name;",
    title: `${who} sees that a short list makes it throw in ${path.slice(10)}`,
    scenario: "A list that is shorter has no such item.",
  }));
  return { findings, scores };
}
