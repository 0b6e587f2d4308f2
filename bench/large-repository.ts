import { spawn } from "node:child_process";
import { createCipheriv } from "node:crypto";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { gitEnvironment } from "../src/workspace/git-environment.ts";

const laterCommits = 36;
const fileCount = 2_000;
const fileBytes = 10_000;

/**
 * Makes a bare repository at `bare` whose `main` has 2,000 files of 10 kB that do not compress, a quarter of them changed
 * by each of 36 later commits: 200 MB of history above a tree of 20 MB. The last commit adds `files`. The same bytes on
 * every machine. Throws when git does.
 */
export async function writeLargeRepository(bare: string, files: Readonly<Record<string, string>> = {}): Promise<void> {
  await mkdir(bare, { recursive: true });
  await ended(spawn("git", ["init", "--quiet", "--bare", "--initial-branch=main", bare], { env: gitEnvironment() }));
  const git = spawn("git", ["--git-dir", bare, "fast-import", "--quiet"], {
    env: gitEnvironment(),
    stdio: ["pipe", "ignore", "inherit"],
  });
  const done = ended(git);
  const random = createCipheriv("aes-128-ctr", Buffer.alloc(16, 7), Buffer.alloc(16, 1));
  const write = async (chunk: string | Buffer) => {
    if (!git.stdin.write(chunk)) await once(git.stdin, "drain");
  };
  const writeFile = async (path: string, content: Buffer) => {
    await write(`M 100644 inline ${path}\ndata ${content.length}\n`);
    await write(content);
    await write("\n");
  };
  for (let commit = 0; commit <= laterCommits; commit++) {
    await write(commitHead(commit));
    for (let file = 0; file < fileCount; file++) {
      if (commit > 0 && (file + commit) % 4 !== 0) continue;
      await writeFile(`part-${file % 40}/group-${file % 7}/file-${file}.bin`, random.update(Buffer.alloc(fileBytes)));
    }
  }
  if (Object.keys(files).length > 0) {
    await write(commitHead(laterCommits + 1));
    for (const [path, text] of Object.entries(files)) await writeFile(path, Buffer.from(text));
  }
  git.stdin.end();
  await done;
}

function commitHead(number: number): string {
  const message = `commit ${number}`;
  return `commit refs/heads/main\ncommitter Bench <bench@example.com> ${1_700_000_000 + number} +0000\ndata ${message.length}\n${message}\n`;
}

async function ended(child: ReturnType<typeof spawn>): Promise<void> {
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${child.spawnargs.slice(0, 4).join(" ")} ended with ${code}`);
}
