import type { SeenUser } from "../../handlers/handler.ts";
import type { Subject } from "./found.ts";
import type { Lists } from "./lists.ts";

interface Account {
  __typename: string;
  login: string;
  databaseId?: number | null;
}

interface SubjectNode {
  number: number;
  title: string;
  body: string;
  state: string;
  lastEditedAt: string | null;
  author: Account | null;
  labels: { nodes: { name: string }[] } | null;
  timelineItems: { nodes: { createdAt?: string }[] };
}

interface Written {
  id: string;
  lastEditedAt: string | null;
  editor: Account | null;
  issue?: SubjectNode;
  pullRequest?: SubjectNode;
}

/** What is asked for, by node ids; at most 100 of each kind. */
export interface AskedFor {
  issues: string[];
  issueComments: string[];
  pullComments: string[];
  reviews: string[];
}

/** The subject of a comment, a review or a labelling as it is now, and when and by whom the text of the act was changed. */
export interface Act {
  subject: Subject;
  actEditedAt: string | undefined;
  editor: SeenUser | undefined;
}

const account = "__typename login ... on User { databaseId } ... on Bot { databaseId } ... on Mannequin { databaseId }";
const subject = `number title body state lastEditedAt author { ${account} } labels(first: 100) { nodes { name } }
  timelineItems(last: 1, itemTypes: [RENAMED_TITLE_EVENT]) { nodes { ... on RenamedTitleEvent { createdAt } } }`;
const written = `id lastEditedAt editor { ${account} }`;
const query = `query ($issues: [ID!]!, $issueComments: [ID!]!, $pullComments: [ID!]!, $reviews: [ID!]!) {
  issues: nodes(ids: $issues) { ... on Issue { id ${subject} } }
  issueComments: nodes(ids: $issueComments) { ... on IssueComment { ${written} issue { ${subject} } } }
  pullComments: nodes(ids: $pullComments) { ... on IssueComment { ${written} pullRequest { ${subject} } } }
  reviews: nodes(ids: $reviews) { ... on PullRequestReview { ${written} pullRequest { ${subject} } } }
}`;

/** One request for all of them. What was deleted meanwhile is missing from the answer. */
export async function readActs(lists: Lists, asked: AskedFor): Promise<Map<string, Act>> {
  const described = new Map<string, Act>();
  if (Object.values(asked).every((ids) => ids.length === 0)) return described;
  const answer = await lists.query<{
    issues: ((SubjectNode & { id: string }) | null)[];
    issueComments: (Written | null)[];
    pullComments: (Written | null)[];
    reviews: (Written | null)[];
  }>(query, { ...asked });
  for (const issue of answer.issues) {
    if (issue?.id === undefined) continue;
    described.set(issue.id, { subject: subjectOf(issue, false), actEditedAt: undefined, editor: undefined });
  }
  for (const item of [...answer.issueComments, ...answer.pullComments, ...answer.reviews]) {
    const below = item?.pullRequest ?? item?.issue;
    if (item == null || below === undefined) continue;
    described.set(item.id, {
      subject: subjectOf(below, item.pullRequest !== undefined),
      actEditedAt: item.lastEditedAt ?? undefined,
      editor: item.editor === null ? undefined : userOf(item.editor),
    });
  }
  return described;
}

function subjectOf(node: SubjectNode, isPull: boolean): Subject {
  const changes = [node.lastEditedAt, ...node.timelineItems.nodes.map(({ createdAt }) => createdAt)];
  const editedAt = changes.filter((time) => time != null).toSorted((a, b) => Date.parse(a) - Date.parse(b));
  return {
    number: node.number,
    title: node.title,
    body: node.body,
    state: node.state === "OPEN" ? "open" : "closed",
    labels: node.labels?.nodes ?? [],
    author: node.author === null ? null : userOf(node.author),
    isPull,
    editedAt: editedAt.at(-1),
  };
}

/** GraphQL names a bot without the suffix that it has everywhere else. */
function userOf({ __typename: type, login, databaseId }: Account): SeenUser {
  return { id: databaseId ?? 0, login: type === "Bot" ? `${login}[bot]` : login, type };
}
