import { parseDocument } from "yaml";
import { z } from "zod";

/** Where a repository keeps its configuration; read from the default branch at the pinned commit only. */
export const repositoryConfigPath = ".github/millwright.yml";

const commands = z.union([z.literal("auto"), z.literal("none"), z.array(z.string().min(1)).max(20)]).default("auto");

const PullRequest = z.strictObject({
  openAt: z
    .enum(["finish", "start"])
    .default("finish")
    .meta({ description: "`start` opens a draft at once, with an empty first commit, so that people can watch it." }),
  requestReview: z.boolean().default(true).meta({ description: "Ask the person who triggered the run for a review." }),
});

const Publish = z.strictObject({
  ci: z.enum(["run", "wait", "auto"]).default("auto").meta({
    description:
      "Whether the repository's own CI runs on Millwright's commits at once (`run`) or after a person with write access approved (`wait`). `auto` waits in public repositories.",
  }),
});

const Commit = z.strictObject({
  coAuthor: z.boolean().default(true).meta({ description: "Name the requester in a `Co-authored-by` trailer." }),
  signOff: z
    .enum(["auto", "always", "never"])
    .default("auto")
    .meta({ description: "`Signed-off-by` trailer; `auto` adds it where CONTRIBUTING.md asks for it." }),
  viaApi: z.boolean().default(false).meta({
    description:
      'Create the commit through GitHub\'s API, so that it is signed ("Verified"). Commits with binary files, programs or links, and those that replace an earlier commit, are pushed by git and are not signed.',
  }),
});

const Checks = z.strictObject({
  setup: commands.meta({ description: "Commands that install dependencies, with network to the registries only." }),
  format: commands.meta({ description: "Commands that format the code." }),
  lint: commands.meta({ description: "Commands that lint the code." }),
  build: commands.meta({ description: "Commands that build." }),
  test: commands.meta({ description: "Commands that test." }),
  timeoutMinutes: z
    .number()
    .positive()
    .max(10)
    .default(10)
    .meta({ description: "Time limit of each command in minutes; all checks of one round together have ten." }),
  withoutTests: z
    .enum(["draft", "ready"])
    .default("draft")
    .meta({ description: "What the pull request is when no tests were run." }),
});

const Guard = z.strictObject({
  protectedPaths: z
    .array(z.string().min(1))
    .max(200)
    .default([])
    .meta({ description: "Further globs that a change may not touch." }),
  maxFiles: z.number().int().positive().default(40).meta({ description: "More changed files than this make a draft." }),
  maxLines: z
    .number()
    .int()
    .positive()
    .default(1500)
    .meta({ description: "More changed lines than this make a draft." }),
});

/** Whose pull requests are worked on when nobody asks for it (security.md M4), and how often. */
const authors = z.enum(["members", "all"]).default("members").meta({
  description:
    "Whose pull requests are worked on without being asked: those of people with write access, or everybody's.",
});
const bots = z
  .array(z.string().min(1).max(100))
  .max(20)
  .default([])
  .meta({ description: "Logins of bots whose pull requests are worked on too." });

const perDay = z
  .number()
  .int()
  .min(1)
  .max(1_000)
  .default(20)
  .meta({ description: "At most so many runs a day are started without being asked." });

const globs = z.array(z.string().min(1).max(200)).max(100);

/** What a failure can be (product.md F4). */
export const FailureCategory = z.enum([
  "compilation",
  "test",
  "lint",
  "format",
  "types",
  "dependency",
  "configuration",
  "deployment",
  "infrastructure",
  "timeout",
  "flaky",
]);
export type FailureCategory = z.infer<typeof FailureCategory>;

const Fix = z.strictObject({
  enabled: z
    .boolean()
    .default(false)
    .meta({ description: "`true` looks into failed checks of pull requests; `/fix` works only then." }),
  authors,
  bots,
  perDay,
  threshold: z
    .number()
    .int()
    .min(1)
    .max(10)
    .default(1)
    .meta({ description: "How often a check must fail on a commit before it is looked into; `/fix` does not wait." }),
  apply: z.enum(["verified", "ask"]).default("verified").meta({
    description:
      "`verified` pushes a fix that turned the failed command from red to green in the sandbox; `ask` offers every fix by a button.",
  }),
  categories: z
    .array(FailureCategory)
    .max(11)
    .default(["compilation", "test", "lint", "format", "types", "dependency"])
    .meta({ description: "Kinds of failures whose fix may be pushed; the fix of another kind is offered." }),
  minConfidence: z
    .number()
    .int()
    .min(0)
    .max(100)
    .default(70)
    .meta({ description: "The fix of an analysis that is less sure than this is offered, not pushed." }),
  paths: z
    .strictObject({
      allow: globs.default(["**"]).meta({ description: "Globs of the files that a pushed fix may change." }),
      deny: globs.default([]).meta({ description: "Globs of the files that it may not change." }),
    })
    .prefault({}),
  attemptsPerHead: z
    .number()
    .int()
    .min(1)
    .max(10)
    .default(2)
    .meta({ description: "How often a check is fixed before a person is asked; a person's push begins anew." }),
  rerunsPerCommit: z
    .number()
    .int()
    .min(0)
    .max(5)
    .default(1)
    .meta({ description: "How often a flaky check is started again on one commit." }),
  reviewers: z
    .array(z.string().regex(/^[A-Za-z0-9_.-]+(\/[A-Za-z0-9_.-]+)?$/))
    .max(20)
    .default([])
    .meta({ description: "People (`login`) and teams (`org/team`) that are asked besides the code's owners." }),
  channels: z
    .array(z.string().min(1).max(60))
    .max(10)
    .default([])
    .meta({ description: "Names of the operator's channels that are told when a person is needed." }),
});

const reviewerName = /^[a-z][a-z0-9-]{0,30}$/;

const Review = z.strictObject({
  enabled: z.boolean().default(false).meta({ description: "`true` reviews pull requests; `/review` works only then." }),
  on: z
    .array(z.enum(["opened", "ready", "pushed"]))
    .max(3)
    .default(["opened", "ready", "pushed"])
    .meta({ description: "What starts a review besides `/review`: opened or reopened, marked as ready, new commits." }),
  authors,
  bots,
  perDay,
  drafts: z
    .enum(["skip", "review"])
    .default("skip")
    .meta({ description: "Whether drafts are reviewed without being asked." }),
  debounceMinutes: z
    .number()
    .min(0)
    .max(60)
    .default(2)
    .meta({ description: "How long a head must stand still before it is reviewed; `/review` does not wait." }),
  reviewers: z
    .array(z.enum(["security", "performance", "quality", "architecture"]))
    .max(4)
    .default(["security", "performance", "quality", "architecture"])
    .meta({ description: "Which of the built-in reviewers look at it, side by side." }),
  ownReviewers: z
    .array(
      z.strictObject({
        name: z.string().regex(reviewerName).meta({ description: "Lower case letters, digits and dashes." }),
        prompt: z
          .string()
          .min(1)
          .max(400)
          .meta({ description: "Path of a Markdown file on the default branch that says what to look for." }),
      }),
    )
    .max(4)
    .default([])
    .meta({ description: "Reviewers of the repository's own." }),
  severityFloor: z
    .enum(["critical", "major", "minor", "nit"])
    .default("minor")
    .meta({ description: "Findings below it are counted, not shown." }),
  maxFindings: z.number().int().min(1).max(20).default(6).meta({ description: "At most so many findings are shown." }),
  paths: z.array(z.string().min(1).max(200)).max(50).default([]).meta({
    description: "Globs of the files to look at; all by default. A glob that begins with `!` leaves files out.",
  }),
  decision: z.enum(["comment", "request-changes", "decide"]).default("comment").meta({
    description:
      "`request-changes` does so when a critical or major finding is shown; `decide` also approves when everything was looked at and nothing was found. Never on Millwright's own pull requests.",
  }),
  language: z
    .string()
    .regex(/^[\p{L} -]{2,40}$/u)
    .default("English")
    .meta({ description: "The language that the review is written in." }),
});

const Models = z.strictObject({
  allowed: z
    .array(z.string().regex(/^[\w.:/-]{1,120}$/, "must be the name of a model or of a provider"))
    .min(1)
    .max(50)
    .optional()
    .meta({
      description:
        "Models or providers that texts of this repository may go to: `anthropic`, `bedrock`, `vertex`, `openai`, `openai-compatible`, a model as its provider writes it, or the operator's name for one. Without it, any that the operator configured.",
    }),
});

const Limits = z.strictObject({
  costUsd: z.number().positive().optional().meta({ description: "Most dollars of one run." }),
  tokens: z.number().int().positive().optional().meta({ description: "Most tokens of one run." }),
  minutes: z.number().positive().optional().meta({ description: "Most minutes of one run." }),
  attempts: z.number().int().min(1).max(10).optional().meta({ description: "Most attempts at passing the checks." }),
  dayCostUsd: z.number().positive().optional().meta({ description: "Most dollars of this repository on one UTC day." }),
  dayRuns: z.number().int().positive().optional().meta({ description: "Most runs of this repository on one UTC day." }),
});

/** `.github/millwright.yml`. Limits can only be lower than the operator's. Unknown keys are errors: a typo must not switch a rule off. */
export const RepositoryConfig = z.strictObject({
  enabled: z.boolean().default(true).meta({ description: "`false` pauses Millwright in this repository." }),
  base: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "Branch that pull requests are made against; the default branch by default." }),
  plan: z
    .enum(["auto", "ask"])
    .default("auto")
    .meta({ description: "`ask` posts the plan and waits for approval before code is written." }),
  planTimeoutHours: z
    .number()
    .positive()
    .max(720)
    .default(72)
    .meta({ description: "How long a plan waits for approval." }),
  instructions: z
    .string()
    .max(20_000)
    .optional()
    .meta({ description: "Instructions for the model, besides AGENTS.md, CLAUDE.md and CONTRIBUTING.md." }),
  pullRequest: PullRequest.prefault({}),
  publish: Publish.prefault({}),
  commit: Commit.prefault({}),
  checks: Checks.prefault({}),
  guard: Guard.prefault({}),
  fix: Fix.prefault({}),
  review: Review.prefault({}),
  models: Models.prefault({}),
  limits: Limits.prefault({}),
});
export type RepositoryConfig = z.infer<typeof RepositoryConfig>;

export interface ConfigProblem {
  path: string;
  rule: string;
  value: string;
  line?: number;
}

/** Parses the file's text; an absent or empty file is all defaults. Never throws: problems are values with path, rule and value. */
export function parseRepositoryConfig(
  text: string | undefined,
): { kind: "ok"; config: RepositoryConfig } | { kind: "invalid"; problems: ConfigProblem[] } {
  if (text !== undefined && text.length > 100_000) {
    return invalid([
      { path: "(file)", rule: "must be at most 100,000 characters", value: `${text.length} characters` },
    ]);
  }
  const document = parseDocument(text ?? "", { prettyErrors: false, uniqueKeys: true });
  const [syntaxError] = document.errors;
  if (syntaxError !== undefined) {
    const line = (text ?? "").slice(0, syntaxError.pos[0]).split("\n").length;
    return invalid([
      { path: "(file)", rule: `must be YAML: ${syntaxError.message.split("\n")[0]}`, value: `line ${line}`, line },
    ]);
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 20 }) ?? {};
  } catch (error) {
    return invalid([
      { path: "(file)", rule: `must be YAML without excessive aliases: ${(error as Error).message}`, value: "" },
    ]);
  }
  const parsed = RepositoryConfig.safeParse(value);
  return parsed.success
    ? { kind: "ok", config: parsed.data }
    : invalid(parsed.error.issues.flatMap((issue) => problemsOf(issue, value)));
}

function invalid(problems: ConfigProblem[]): { kind: "invalid"; problems: ConfigProblem[] } {
  return { kind: "invalid", problems };
}

function problemsOf(issue: z.core.$ZodIssue, root: unknown): ConfigProblem[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      path: shownPath([...issue.path, key]),
      rule: "is not a known key",
      value: show(valueAt(root, [...issue.path, key])),
    }));
  }
  if (issue.code === "invalid_union") {
    return [
      {
        path: shownPath(issue.path),
        rule: 'must be "auto", "none" or a list of commands',
        value: show(valueAt(root, issue.path)),
      },
    ];
  }
  return [{ path: shownPath(issue.path), rule: issue.message, value: show(valueAt(root, issue.path)) }];
}

function valueAt(root: unknown, path: PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], root);
}

/** With dots between the keys; an empty key is quoted, to be seen. */
function shownPath(path: PropertyKey[]): string {
  return path.map((key) => (key === "" ? '""' : String(key))).join(".") || "(file)";
}

function show(value: unknown): string {
  let text: string;
  try {
    text = JSON.stringify(value) ?? "nothing";
  } catch {
    // An alias can make a value a part of itself.
    text = "a value that contains itself";
  }
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
