import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { gitEnvironment } from "../../src/workspace/git-environment.ts";

export interface LargeRepository {
  gitDir: string;
  commit: string;
  issue: { title: string; body: string };
}

const commits = 1000;
const linesOfFile = 120;

/**
 * Writes a bare repository of `fileCount` files (about 4 kB each, TypeScript, Python, Go, Java and prose) and 1,000
 * commits. The same numbers give the same content, so that times compare.
 */
export async function writeLargeRepository(directory: string, fileCount: number): Promise<LargeRepository> {
  const gitDir = join(directory, "large.git");
  await git(["init", "--quiet", "--bare", gitDir]);
  const random = randomNumbers(20_000);
  const importing = git(["--git-dir", gitDir, "fast-import", "--quiet"], function* () {
    const paths = Array.from({ length: fileCount }, (_, index) => pathOf(index));
    yield commit(
      0,
      "chore: begin",
      paths.map((path, index) => [path, fileText(index, fileCount, random)]),
    );
    for (let number = 1; number < commits; number++) {
      const changed = Array.from({ length: 1 + random(3) }, () => random(fileCount));
      const message = `fix(${nameOf(changed[0]!)}): ${sentence(random)}`;
      yield commit(
        number,
        message,
        changed.map((index) => [paths[index]!, fileText(index, fileCount, random)]),
      );
    }
  });
  await importing;
  const head = await git(["--git-dir", gitDir, "rev-parse", "refs/heads/main"]);
  return {
    gitDir,
    commit: head.trim(),
    issue: {
      title: `${nameOf(4711)} loses entries when the ${sentence(random)}`,
      body: `Calling \`${nameOf(4711)}\` twice drops the first value.\n\n    at ${nameOf(123)} (${pathOf(123)}:17:3)\n\n${Array.from({ length: 20 }, () => sentence(random)).join(". ")}`,
    },
  };
}

const subjects =
  "account billing cache channel cluster cursor device editor export filter gateway image index invoice ledger locale mailer metric notice order parser policy profile queue render report router schema search session shard signal stream tenant theme token upload vector widget worker".split(
    " ",
  );
const verbs =
  "apply build check close create decode drain encode fetch flush handle index load merge open parse prune read reset resolve schedule send split store sync trim update validate write".split(
    " ",
  );
const endings = [".ts", ".py", ".go", ".java", ".md"];

function nameOf(index: number): string {
  const subject = subjects[index % subjects.length]!;
  const verb = verbs[Math.floor(index / subjects.length) % verbs.length]!;
  return `${verb}${subject[0]!.toUpperCase()}${subject.slice(1)}${index}`;
}

function pathOf(index: number): string {
  const area = subjects[Math.floor(index / 500) % subjects.length]!;
  const part = verbs[Math.floor(index / 25) % verbs.length]!;
  return `packages/${area}/src/${part}/${nameOf(index)}${endings[index % endings.length]}`;
}

function fileText(index: number, fileCount: number, random: (below: number) => number): string {
  const lines = [`import { ${nameOf((index + 1) % fileCount)} } from "./${nameOf((index + 1) % fileCount)}";`, ""];
  while (lines.length < linesOfFile) {
    const other = nameOf(random(fileCount));
    lines.push(
      `// ${sentence(random)}`,
      `export function ${nameOf(index)}_${lines.length}(value) {`,
      `  return ${other}(value, ${random(9999)});`,
      "}",
    );
  }
  return `${lines.join("\n")}\n`;
}

function sentence(random: (below: number) => number): string {
  return Array.from({ length: 5 }, () => `${verbs[random(verbs.length)]} ${subjects[random(subjects.length)]}`).join(
    " ",
  );
}

function commit(number: number, message: string, files: readonly (readonly [string, string])[]): string {
  const at = `${1_600_000_000 + number * 3600} +0000`;
  const changes = files.map(([path, text]) => `M 100644 inline ${path}\n${data(text)}`);
  return `commit refs/heads/main\ncommitter Bench <bench@example.invalid> ${at}\n${data(message)}${changes.join("")}\n`;
}

/** https://git-scm.com/docs/git-fast-import#_data */
function data(text: string): string {
  return `data ${Buffer.byteLength(text)}\n${text}\n`;
}

/** A linear congruential generator (Numerical Recipes' constants): the same numbers on every machine. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

async function git(args: readonly string[], input?: () => Iterable<string>): Promise<string> {
  const child = spawn("git", args, { env: gitEnvironment(), stdio: ["pipe", "pipe", "inherit"] });
  const closed = once(child, "close");
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  for (const text of input?.() ?? []) if (!child.stdin.write(text)) await once(child.stdin, "drain");
  child.stdin.end();
  const [code] = await closed;
  if (code !== 0) throw new Error(`git ${args.join(" ")} ended with ${code}`);
  return output;
}
