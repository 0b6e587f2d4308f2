import picomatch from "picomatch";

/** What a repository's configuration says of fixes (`fix:`). */
export interface FixRules {
  apply: "verified" | "ask";
  categories: readonly string[];
  minConfidence: number;
  paths: { allow: readonly string[]; deny: readonly string[] };
}

/** What is known of a failure before anything is written. */
export interface KnownFailure {
  category: string;
  confidence: number;
  fixable: boolean;
  /** Whether every quote was found in the log. */
  evidenceHolds: boolean;
  /** Attempts of earlier runs at this check on this head. */
  attempts: number;
  attemptsPerHead: number;
}

/** Kinds of failures that no change of files mends. */
const forPeople: readonly string[] = ["infrastructure", "deployment", "flaky", "timeout"];

/** Below this a fix would be a guess (product.md F6). */
const leastConfidence = 30;

/** Why a person is asked instead of a fix being written; undefined when one is worth trying. */
export function whyEscalate(failure: KnownFailure): string | undefined {
  if (failure.attempts >= failure.attemptsPerHead)
    return `This check was worked on ${failure.attempts} ${failure.attempts === 1 ? "time" : "times"} on this head already.`;
  if (!failure.fixable) return "No change of this repository's files can mend it.";
  if (forPeople.includes(failure.category)) return `The failure is of the kind \`${failure.category}\`.`;
  if (failure.confidence < leastConfidence)
    return `The cause is not clear enough (confidence ${failure.confidence} of 100).`;
  return undefined;
}

/** What became of the writing. */
export interface WrittenFix {
  /** The failed command was red in the sandbox before, and is green after it. */
  verified: boolean;
  whyUnverified?: string;
  guard: "pass" | "draft";
  fork: boolean;
  /** The head is a branch that only pull requests may change: the default branch. */
  onDefaultBranch: boolean;
  /** The repository's own CI waits for a person before it runs what a model wrote (security.md M13). */
  ciWaits: boolean;
  paths: readonly string[];
}

/** Why a fix is offered instead of pushed; undefined when it may be pushed. The first reason that holds. */
export function whyOffer(
  failure: Pick<KnownFailure, "category" | "confidence" | "evidenceHolds">,
  fix: WrittenFix,
  rules: FixRules,
): string | undefined {
  if (!fix.verified) return fix.whyUnverified ?? "It could not be verified.";
  if (fix.fork) return "The pull request comes from a fork, to which nothing is pushed.";
  if (fix.onDefaultBranch) return "The pull request's head is the default branch.";
  if (rules.apply === "ask") return "The configuration asks for a person's consent (`fix.apply: ask`).";
  if (fix.ciWaits)
    return "What a model wrote reaches this repository's CI with a person's consent only (`publish.ci`).";
  if (!failure.evidenceHolds) return "The analysis quotes what the log does not say.";
  if (!rules.categories.includes(failure.category))
    return `Fixes of the kind \`${failure.category}\` are not pushed here.`;
  if (failure.confidence < rules.minConfidence)
    return `The analysis is less sure (${failure.confidence}) than \`fix.minConfidence\` asks for (${rules.minConfidence}).`;
  const outside = outsidePaths(fix.paths, rules.paths);
  if (outside.length > 0) return `It changes \`${shownPath(outside[0] ?? "")}\`, which \`fix.paths\` does not allow.`;
  if (fix.guard === "draft") return "The guard asks for a person.";
  return undefined;
}

/** A path that a model chose, so that it ends no code span. */
function shownPath(path: string): string {
  return path.replaceAll(/[`\s]/g, " ").slice(0, 200);
}

function outsidePaths(paths: readonly string[], { allow, deny }: FixRules["paths"]): string[] {
  const match = (globs: readonly string[]) => picomatch([...globs], { dot: true });
  const [allowed, denied] = [match(allow), match(deny)];
  return paths.filter((path) => !allowed(path) || (deny.length > 0 && denied(path)));
}
