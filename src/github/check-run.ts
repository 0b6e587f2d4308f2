import type { ProbotOctokit } from "probot";
import { cutMarkdown } from "../policy/cut-markdown.ts";

/** A button; GitHub sends `check_run.requested_action` with its identifier when somebody presses it. */
export interface CheckAction {
  /** At most 20 characters. */
  label: string;
  /** At most 40 characters. */
  description: string;
  /** At most 20 characters. */
  identifier: string;
}

export interface CheckAnnotation {
  path: string;
  startLine: number;
  endLine: number;
  level: "notice" | "warning" | "failure";
  message: string;
  title?: string;
}

export type CheckRunState = {
  title: string;
  /** Markdown, cut at GitHub's limit. */
  summary: string;
  /** Markdown, cut at GitHub's limit; left out, what is there stays. */
  text?: string;
  detailsUrl?: string;
  externalId?: string;
  /** At most three; those of before are gone. */
  actions?: CheckAction[];
  /** GitHub never takes one away: those that the check run has already are taken for the first ones of this list. */
  annotations?: CheckAnnotation[];
} & (
  | { status: "queued" | "in_progress" }
  | { conclusion: "success" | "failure" | "neutral" | "cancelled" | "skipped" | "timed_out" | "action_required" }
);

export interface OwnCheckRun {
  id: number;
  url: string;
}

// https://docs.github.com/en/rest/checks/runs#create-a-check-run
const maxOutputCharacters = 65_535;
const maxTitleCharacters = 255;
const maxAnnotationsInRequest = 50;
const maxActions = 3;
const maxCharacters = { label: 20, description: 40, identifier: 20 };

/**
 * Find-or-create by name, commit and our App: the check run says what `state` says. Where two were created at once, the
 * newest is kept, because GitHub hides the older ones of one name behind it, and the others end as skipped: a check run
 * cannot be deleted. A second call finds it and updates it. Call inside `ctx.effect`; needs `checks: write`.
 *
 * @throws Error when GitHub would refuse the actions
 */
export async function putCheckRun(
  octokit: ProbotOctokit,
  appId: number,
  place: { owner: string; repo: string; sha: string; name: string },
  state: CheckRunState,
): Promise<OwnCheckRun> {
  const { owner, repo, sha, name } = place;
  const fields = { owner, repo, ...fieldsOf(state) };
  const annotations = (state.annotations ?? []).map(annotationOf);
  const batches = chunksOf(annotations);
  let [run, ...older] = await ownRuns(octokit, appId, place);
  let sent = run?.annotations ?? 0;
  if (run === undefined) {
    await octokit.rest.checks.create({ ...fields, output: outputOf(state, batches[0]), name, head_sha: sha });
    // An answer that was lost leaves a check run that the first list did not have yet.
    [run, ...older] = await ownRuns(octokit, appId, place);
    if (run === undefined) throw new Error(`GitHub does not list the check run ${name} that it created at ${sha}`);
    sent = batches[0]?.length ?? 0;
  } else {
    const batch = annotations.slice(sent, sent + maxAnnotationsInRequest);
    await octokit.rest.checks.update({ ...fields, output: outputOf(state, batch), check_run_id: run.id });
    sent += batch.length;
  }
  for (const batch of chunksOf(annotations.slice(sent)))
    await octokit.rest.checks.update({ ...fields, output: outputOf(state, batch), check_run_id: run.id });
  for (const { id, ended } of older) {
    if (!ended) await octokit.rest.checks.update({ owner, repo, check_run_id: id, conclusion: "skipped", actions: [] });
  }
  return { id: run.id, url: run.url };
}

/** Our App's check runs of this name on the commit, newest first. */
async function ownRuns(
  octokit: ProbotOctokit,
  appId: number,
  { owner, repo, sha, name }: { owner: string; repo: string; sha: string; name: string },
) {
  const { data } = await octokit.rest.checks.listForRef({
    owner,
    repo,
    ref: sha,
    check_name: name,
    app_id: appId,
    filter: "all",
    per_page: 100,
  });
  return data.check_runs
    .filter((run) => run.app?.id === appId && run.name === name && run.head_sha === sha)
    .map((run) => ({
      id: run.id,
      url: run.html_url ?? "",
      ended: run.status === "completed",
      annotations: run.output.annotations_count,
    }))
    .sort((a, b) => b.id - a.id);
}

function fieldsOf(state: CheckRunState) {
  return {
    ...("conclusion" in state
      ? { status: "completed" as const, conclusion: state.conclusion }
      : { status: state.status }),
    ...(state.detailsUrl === undefined ? {} : { details_url: state.detailsUrl }),
    ...(state.externalId === undefined ? {} : { external_id: state.externalId }),
    actions: checkedActions(state.actions ?? []),
  };
}

function outputOf(state: CheckRunState, annotations: ReturnType<typeof annotationOf>[] = []) {
  return {
    title: cutLine(state.title, maxTitleCharacters),
    summary: cutMarkdown(state.summary, maxOutputCharacters),
    ...(state.text === undefined ? {} : { text: cutMarkdown(state.text, maxOutputCharacters) }),
    ...(annotations.length === 0 ? {} : { annotations }),
  };
}

function checkedActions(actions: CheckAction[]): CheckAction[] {
  if (actions.length > maxActions)
    throw new Error(`A check run has at most ${maxActions} buttons, but ${actions.length} were given`);
  for (const action of actions) {
    for (const [field, limit] of Object.entries(maxCharacters)) {
      const value = action[field as keyof CheckAction];
      if ([...value].length === 0 || [...value].length > limit)
        throw new Error(
          `The ${field} of a check run's button has 1 to ${limit} characters, but is ${JSON.stringify(value)}`,
        );
    }
  }
  return actions.map(({ label, description, identifier }) => ({ label, description, identifier }));
}

function annotationOf({ path, startLine, endLine, level, message, title }: CheckAnnotation) {
  return {
    path,
    start_line: startLine,
    end_line: endLine,
    annotation_level: level,
    // 64 KB; a character has up to four bytes.
    message: cutMarkdown(message, 16_000),
    ...(title === undefined ? {} : { title: cutLine(title, maxTitleCharacters) }),
  };
}

function cutLine(text: string, limit: number): string {
  const characters = [...text.slice(0, limit * 2 + 2)];
  return characters.length <= limit ? text : `${characters.slice(0, limit - 1).join("")}…`;
}

function chunksOf<T>(items: T[]): T[][] {
  const count = Math.ceil(items.length / maxAnnotationsInRequest);
  return Array.from({ length: count }, (_, at) =>
    items.slice(at * maxAnnotationsInRequest, (at + 1) * maxAnnotationsInRequest),
  );
}
