import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeBundle } from "./bundle.ts";
import { readChanges, readDiff } from "./changes.ts";
import { GitError, runGit, trustedGit, tryGit } from "./git.ts";
import { readShallow, replaceFile, writeShallow } from "./git-directory.ts";
import type { Mirror } from "./mirror.ts";
import { refuseNestedGit, removeNestedGit } from "./nested-git.ts";
import { pushBranch } from "./push.ts";
import { readTextFile } from "./read-text-file.ts";
import { remoteOf } from "./remote.ts";
import { openSourceTree, type SourceTree } from "./source-tree.ts";
import type { Credential, Job, MergeResult, Person, PushResult, RepositoryRef } from "./workspace.ts";

export interface LocalJobOptions {
  directory: string;
  repository: RepositoryRef;
  baseSha: string;
  mirror: Mirror;
  gitBaseUrl: string;
  signal: AbortSignal;
}

/** A job's tree on this disk. Its git dir lies beside the tree and borrows the mirror's objects (security.md M2). */
export class LocalJob implements Job {
  readonly tree: string;
  readonly temporary: string;
  readonly home: string;
  readonly baseSha: string;
  readonly repository: RepositoryRef;
  readonly gitDir: string;
  readonly #directory: string;
  readonly #mirror: Mirror;
  readonly #gitBaseUrl: string;
  readonly #signal: AbortSignal;

  constructor({ directory, repository, baseSha, mirror, gitBaseUrl, signal }: LocalJobOptions) {
    this.#directory = directory;
    this.tree = join(directory, "tree");
    this.gitDir = join(directory, "git");
    this.temporary = join(directory, "tmp");
    this.home = join(directory, "home");
    this.repository = repository;
    this.baseSha = baseSha;
    this.#mirror = mirror;
    this.#gitBaseUrl = gitBaseUrl;
    this.#signal = signal;
  }

  /** HEAD is always detached here, and only this class writes it. */
  async head(): Promise<string> {
    return (await readFile(join(this.gitDir, "HEAD"), "utf8")).trim();
  }

  async commit(message: string, author: Person, committer: Person): Promise<string | undefined> {
    await refuseNestedGit(await this.#place());
    await trustedGit(["add", "--all"], this.#inTree());
    const before = await this.head();
    const args = [
      "commit",
      "--quiet",
      "--no-verify",
      "--no-gpg-sign",
      "--allow-empty-message",
      "--cleanup=verbatim",
      "--file=-",
    ];
    const result = await tryGit(args, { ...this.#inTree(), input: message, environment: people(author, committer) });
    const after = await this.head();
    if (after !== before) return after;
    // Git ends with 1 and says on standard output why: there was nothing to commit.
    if (result.code > 1) throw new GitError("commit", result);
    return undefined;
  }

  async reset(sha: string): Promise<void> {
    await this.borrowShallow();
    await removeNestedGit(await this.#place());
    await trustedGit(["reset", "--hard", "--quiet", sha, "--"], this.#inTree());
    await trustedGit(["clean", "-ffdq"], this.#inTree());
    await this.#freezeSubmodules();
  }

  /** The first checkout, into an empty tree. Nothing runs any more when it throws. Submodules are still to be frozen. */
  async checkOut(sha: string, signal: AbortSignal): Promise<void> {
    await this.borrowShallow();
    // Git writes hundreds of files faster with one process for each core; few files it writes itself.
    const config = [["checkout.workers", "0"]] as const;
    await runGit(["reset", "--hard", "--quiet", sha, "--"], { ...this.#inTree(), signal, config });
  }

  async dirty(): Promise<string[]> {
    await refuseNestedGit(await this.#place());
    const args = ["status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=all"];
    const output = await runGit(args, this.#inTree());
    return output
      .toString("utf8")
      .split("\0")
      .filter((entry) => entry !== "")
      .map((entry) => entry.slice(3));
  }

  async knows(sha: string): Promise<boolean> {
    return (await tryGit(["cat-file", "-e", `${sha}^{commit}`], this.#here())).code === 0;
  }

  async merge(sha: string, credential?: Credential): Promise<MergeResult> {
    await refuseNestedGit(await this.#place());
    await this.borrowShallow();
    const head = await this.head();
    const bases = await this.#mergeBases(head, sha, credential);
    if (bases.includes(sha)) return { kind: "up-to-date" };
    if (bases.includes(head)) {
      await this.reset(sha);
      return { kind: "merged", sha };
    }
    // Written to the job's own objects while history is looked up in the mirror's; no merge driver can be configured.
    const place = await this.#withHistory();
    const environment = {
      GIT_OBJECT_DIRECTORY: join(this.gitDir, "objects"),
      GIT_ALTERNATE_OBJECT_DIRECTORIES: join(this.#mirror.historyDir, "objects"),
    };
    const args = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", head, sha];
    const result = await tryGit(args, { gitDir: place, environment, signal: this.#signal });
    if (result.code !== 0 && result.code !== 1) throw new GitError("merge-tree", result);
    const [tree, ...paths] = result.stdout
      .toString("utf8")
      .split("\0")
      .filter((field) => field !== "");
    if (result.code === 0) {
      const merged = await this.#commitTree(
        tree!,
        [head, sha],
        `Merge ${sha}`,
        merger,
        merger,
        await this.#dateOf(sha),
      );
      await this.reset(merged);
      return { kind: "merged", sha: merged };
    }
    await trustedGit(["read-tree", "--reset", "-u", tree!], this.#inTree());
    await this.#freezeSubmodules();
    return { kind: "conflict", paths: [...new Set(paths)] };
  }

  async squash(
    ontoSha: string,
    message: string,
    author: Person,
    committer: Person,
    parents: string[] = [],
    date?: Date,
  ): Promise<string> {
    await this.borrowShallow();
    return this.#commitTree(`${await this.head()}^{tree}`, [ontoSha, ...parents], message, author, committer, date);
  }

  changes(fromSha: string, toSha: string) {
    return readChanges(this.gitDir, fromSha, toSha, this.#signal);
  }

  diff(fromSha: string, toSha: string, maxBytes: number) {
    return readDiff(this.gitDir, fromSha, toSha, maxBytes, this.#signal);
  }

  bundle(sha: string): Promise<Buffer> {
    return writeBundle(this.gitDir, this.baseSha, sha);
  }

  /** Only its `history` waits for what is still on its way. */
  async source(sha: string): Promise<SourceTree> {
    return {
      ...openSourceTree(this.gitDir, sha),
      history: async (bounds) => openSourceTree(await this.#withHistory(), sha).history(bounds),
    };
  }

  readFile(sha: string, path: string): Promise<string | undefined> {
    return readTextFile(this.gitDir, sha, path);
  }

  async push(
    branch: string,
    sha: string,
    expectedSha: string | undefined,
    credential: Credential,
  ): Promise<PushResult> {
    const remote = remoteOf(this.#gitBaseUrl, this.repository, credential);
    return pushBranch(this.gitDir, remote, branch, sha, expectedSha, this.#signal);
  }

  /** From now on these paths of the tree are left out of every commit, unless the repository itself has them. */
  async neverCommit(paths: readonly string[]): Promise<void> {
    const known = await this.#excluded();
    const all = [...new Set([...known, ...paths])].toSorted();
    if (all.length === known.length) return;
    await replaceFile(join(this.gitDir, "info", "millwright-paths"), all.join("\0"));
    await replaceFile(join(this.gitDir, "info", "exclude"), all.map((path) => `${excludePattern(path)}\n`).join(""));
  }

  /** What a killed git process left; only one worker works on a job. */
  async removeLeftLocks(): Promise<void> {
    for (const name of ["index.lock", "HEAD.lock", "shallow.lock"]) await rm(join(this.gitDir, name), { force: true });
  }

  #here() {
    return { gitDir: this.gitDir, signal: this.#signal };
  }

  #inTree() {
    return { ...this.#here(), tree: this.tree };
  }

  async #place() {
    return { gitDir: this.gitDir, tree: this.tree, excluded: await this.#excluded() };
  }

  async #excluded(): Promise<string[]> {
    const text = await readFile(join(this.gitDir, "info", "millwright-paths"), "utf8").catch(() => "");
    return text.split("\0").filter((path) => path !== "");
  }

  /** Commits of the mirror have no parents here: git must know, also of those that were fetched after the job was made. */
  async borrowShallow(): Promise<void> {
    const own = await readShallow(this.gitDir);
    const all = new Set([...own, ...(await readShallow(this.#mirror.treeDir))]);
    if (all.size !== own.length) await writeShallow(this.gitDir, [...all]);
  }

  /** Submodules stay as the commit has them, whatever happens to their directories in the tree. */
  async freeze(submodules: readonly string[]): Promise<void> {
    if (submodules.length === 0) return;
    const input = submodules.map((path) => `${path}\0`).join("");
    await runGit(["update-index", "-z", "--skip-worktree", "--stdin"], { ...this.#inTree(), input });
  }

  async #freezeSubmodules(): Promise<void> {
    const output = await runGit(["ls-files", "--stage", "-z"], this.#here());
    const entries = output.toString("utf8").split("\0");
    const links = entries.filter((entry) => entry.startsWith("160000 "));
    await this.freeze(links.map((entry) => entry.slice(entry.indexOf("\t") + 1)));
  }

  async #withHistory(): Promise<string> {
    await this.#mirror.historyArrived();
    return this.#mirror.makeView(
      join(this.#directory, "view.git"),
      [join(this.gitDir, "objects")],
      await readShallow(this.gitDir),
    );
  }

  async #mergeBases(head: string, sha: string, credential?: Credential): Promise<string[]> {
    let bases = await this.#knownMergeBases(head, sha);
    if (credential) {
      if (bases.length === 0) {
        const shallow = new Set(await readShallow(this.gitDir));
        const ancestors = (await runGit(["rev-list", head, sha], this.#here())).toString("utf8").split("\n");
        await this.#mirror.fetchHistory(
          this.repository,
          ancestors.filter((commit) => shallow.has(commit)),
          credential,
          this.#signal,
        );
        bases = await this.#knownMergeBases(head, sha);
      }
      if (bases.length > 0)
        await this.#mirror.fetch(
          this.repository,
          bases.filter((base) => base !== head),
          credential,
          this.#signal,
        );
    }
    if (bases.length > 0) return bases;
    throw new Error(`Cannot merge ${sha} into ${head}: no common ancestor is known on this disk`);
  }

  async #knownMergeBases(head: string, sha: string): Promise<string[]> {
    const result = await tryGit(["merge-base", "--all", head, sha], {
      gitDir: await this.#withHistory(),
      signal: this.#signal,
    });
    return result.stdout
      .toString("utf8")
      .split("\n")
      .filter((line) => line !== "");
  }

  async #commitTree(
    tree: string,
    parents: readonly string[],
    message: string,
    author: Person,
    committer: Person,
    date?: Date,
  ): Promise<string> {
    const environment = people(author, committer, date);
    const args = ["commit-tree", tree, ...parents.flatMap((parent) => ["-p", parent]), "-F", "-"];
    return trustedGit(args, { ...this.#here(), input: message, environment });
  }

  async #dateOf(sha: string): Promise<Date> {
    const seconds = await trustedGit(["show", "--no-patch", "--format=%ct", sha, "--"], this.#here());
    return new Date(Number(seconds) * 1000);
  }
}

/** Merges inside of a job are squashed before anything leaves the machine; nobody reads this name. */
const merger: Person = { name: "Millwright", email: "millwright@localhost" };

function people(author: Person, committer: Person, date?: Date): Record<string, string> {
  const when = date === undefined ? undefined : `@${Math.floor(date.getTime() / 1000)} +0000`;
  return {
    GIT_AUTHOR_NAME: author.name,
    GIT_AUTHOR_EMAIL: author.email,
    GIT_COMMITTER_NAME: committer.name,
    GIT_COMMITTER_EMAIL: committer.email,
    ...(when === undefined ? {} : { GIT_AUTHOR_DATE: when, GIT_COMMITTER_DATE: when }),
  };
}

/** https://git-scm.com/docs/gitignore#_pattern_format */
function excludePattern(path: string): string {
  return `/${path.replaceAll(/[\\*?[\]!# ]/g, "\\$&")}`;
}
