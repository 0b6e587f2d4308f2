import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gitEnvironment } from "../../../src/workspace/git-environment.ts";

/** A real repository in a temporary directory, with commits at fixed times. */
export class TestRepository {
  readonly directory = mkdtempSync(join(tmpdir(), "millwright-context-"));
  readonly work = join(this.directory, "work");
  readonly gitDir = join(this.work, ".git");
  #commits = 0;

  constructor() {
    mkdirSync(this.work);
    this.git("init", "--quiet");
  }

  git(...args: string[]): string {
    const at = `${1_700_000_000 + this.#commits * 60} +0000`;
    const person = { GIT_AUTHOR_NAME: "A", GIT_AUTHOR_EMAIL: "a@example.invalid", GIT_AUTHOR_DATE: at };
    const committer = { GIT_COMMITTER_NAME: "A", GIT_COMMITTER_EMAIL: "a@example.invalid", GIT_COMMITTER_DATE: at };
    const env = { ...gitEnvironment([["protocol.file.allow", "always"]]), ...person, ...committer };
    return execFileSync("git", args, {
      cwd: this.work,
      env,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    }).trim();
  }

  write(path: string, content: string | Buffer): void {
    mkdirSync(dirname(join(this.work, path)), { recursive: true });
    writeFileSync(join(this.work, path), content);
  }

  link(path: string, target: string): void {
    symlinkSync(target, join(this.work, path));
  }

  /** Writes files (undefined: deletes) and commits them; returns the commit. */
  commit(message: string, files: Record<string, string | Buffer | undefined> = {}): string {
    for (const [path, content] of Object.entries(files)) {
      if (content === undefined) rmSync(join(this.work, path));
      else this.write(path, content);
    }
    this.git("add", "--all");
    this.#commits++;
    this.git("commit", "--quiet", "--allow-empty", "--message", message);
    return this.git("rev-parse", "HEAD");
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
