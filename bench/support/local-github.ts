import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { appId, privateKey, startGitHub, webhookSecret } from "../../test/support/local-app.ts";
import type { LocalGitHub, RepositoryInput } from "../../test/support/local-github/index.ts";
import { type Child, serve, startChild } from "./child.ts";

/** How the App under measurement reaches its GitHub. */
export interface Credentials {
  url: string;
  appId: number;
  privateKey: string;
  webhookSecret: string;
  /** A person with write access. */
  personToken: string;
}

type Question =
  | { do: "repository"; repository: Pick<RepositoryInput, "owner" | "name" | "fromDirectory" | "fromGit" | "files"> }
  /** Opens and labels issues while the App is not listening, and writes what GitHub would have sent, one JSON per line. */
  | { do: "write-deliveries"; repositories: string[]; count: number; file: string }
  /** Opens an issue and labels it; the App gets the event. Resolves to when the label was set, in milliseconds since 1970. */
  | { do: "label-issue"; repository: string; webhookUrl: string };

type Reply = { gitDir?: string; number?: number; at?: number };

/** One delivery as GitHub sends it. */
export interface StoredDelivery {
  id: string;
  event: string;
  body: string;
}

export type GitHubProcess = Child<Credentials, Question, Reply>;

/** A local GitHub in a process of its own, with the App installed in `account`. */
export function startGitHubProcess(directory: string): Promise<GitHubProcess> {
  return startChild(import.meta.filename, { directory });
}

const person = "maintainer";
/** Owns the App and every repository. */
export const account = "acme";

async function start({ directory }: { directory: string }) {
  const github = await startGitHub(join(directory, "github"), { validateAnswers: false });
  github.createUser(person);
  github.install({ owner: account });
  const ready: Credentials = { url: github.url, appId, privateKey, webhookSecret, personToken: github.tokenOf(person) };
  return { ready, answer: (question: Question) => answer(github, question) };
}

async function answer(github: LocalGitHub, question: Question): Promise<Reply> {
  switch (question.do) {
    case "repository": {
      const { repository } = question;
      const made = await github.createRepository({
        ...repository,
        private: true,
        collaborators: { [person]: "write" },
      });
      return { gitDir: made.gitDir };
    }
    case "write-deliveries": {
      const { repositories, count, file } = question;
      github.setWebhookUrl(undefined);
      const lines: string[] = [];
      for (let n = 0; n < count; n++) {
        label(github, repositories[n % repositories.length]!);
        const labelled = github.deliveries.find(({ event, action }) => event === "issues" && action === "labeled");
        if (labelled === undefined) throw new Error("The local GitHub announced no label");
        const { id, event, payload } = labelled;
        lines.push(JSON.stringify({ id, event, body: JSON.stringify(payload) } satisfies StoredDelivery));
        github.deliveries.length = 0;
      }
      await writeFile(file, lines.join("\n"));
      return {};
    }
    case "label-issue": {
      github.setWebhookUrl(question.webhookUrl);
      return label(github, question.repository);
    }
  }
}

function label(github: LocalGitHub, repository: string): { number: number; at: number } {
  const { number } = github.as(person).openIssue(repository, issue);
  const at = Date.now();
  github.as(person).label(repository, number, "agent:builder");
  return { number, at };
}

/** As long as issues usually are: a sentence, an example and a list. */
const issue = {
  title: "The limit of entries on one page is too low",
  body: `The limit in \`src/limits.js\` is 10, so a list of twelve entries is split over two pages.

\`\`\`js
import { pageLimit } from "./limits.js";
console.log(pageLimit); // 10
\`\`\`

Expected:

- the limit is 20;
- the other limits stay as they are;
- a test says so.
`,
};

if (import.meta.main) serve(start);
