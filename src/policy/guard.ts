import type { Change, FileChange, Finding, GuardPolicy, Verdict } from "./change.ts";
import { findDependencyChanges } from "./dependencies.ts";
import { neutralise } from "./neutralise.ts";
import { foldPath, protectionOf } from "./protected-paths.ts";
import { findSecretValues } from "./secrets.ts";
import { findSize } from "./size.ts";
import { findTestTampering } from "./test-tamper.ts";

export type { Change, FileChange, GuardPolicy, Verdict } from "./change.ts";

/**
 * Judges a whole change before anything of it leaves the machine (security.md M7; docs/guard.md explains the rules).
 * `block`: nothing may be pushed. `draft`: a person has to look. Findings come in order of severity and never contain a secret's
 * value, which is also true of the paths they name; what they say can be posted as it is. Pure and
 * deterministic. A rule that fails on hostile input blocks.
 */
export function guardChange(change: Change, policy: GuardPolicy): Verdict {
  const rules: [name: string, run: () => Finding[]][] = [
    ["secret", () => secretFindings(change, policy)],
    ["path", () => change.files.flatMap((file) => pathFindings(file, change, policy))],
    ["path-collision", () => collisionFindings(change)],
    ["gitattributes", () => change.files.flatMap(attributeFindings)],
    ["binary", () => change.files.flatMap(binaryFindings)],
    ["size", () => findSize(change.files, policy)],
    ["dependencies", () => findDependencyChanges(change.files)],
    ["test", () => findTestTampering(change.files)],
  ];
  const findings = rules.flatMap(([name, run]) => runRule(name, run));
  const safe = findings
    .map((finding) => postable(finding, policy))
    .sort((a, b) => order[a.severity] - order[b.severity]);
  const decision = safe.some(({ severity }) => severity === "block")
    ? "block"
    : safe.some(({ severity }) => severity === "draft")
      ? "draft"
      : "pass";
  return { decision, findings: safe };
}

const order = { block: 0, draft: 1, note: 2 };

function runRule(name: string, run: () => Finding[]): Finding[] {
  try {
    return run();
  } catch {
    return [{ rule: name, severity: "block", message: "this rule could not read the change, so nothing is pushed" }];
  }
}

function postable(finding: Finding, { redactor }: GuardPolicy): Finding {
  const path =
    finding.path === undefined
      ? undefined
      : hides(finding.path, redactor)
        ? "(a path that contains a secret)"
        : finding.path;
  const message = hides(finding.message, redactor) ? "(what was found contains a secret)" : finding.message;
  return { ...finding, ...(path === undefined ? {} : { path: oneLine(path) }), message: harmless(message) };
}

/** It names tests and scripts as a model called them, and is posted (security.md M7). */
function harmless(message: string): string {
  return neutralise(message, { allowHosts: [], maxBytes: 2_000 });
}

/** So that a path that is shown in a code span stays in it. */
function oneLine(path: string): string {
  return path.replaceAll(/[`\r\n]/g, "'");
}

function hides(text: string, redactor: GuardPolicy["redactor"]): boolean {
  try {
    return redactor.contains(text).length > 0 || findSecretValues(text).length > 0;
  } catch {
    return true;
  }
}

function secretFindings(change: Change, { redactor }: GuardPolicy): Finding[] {
  const findings: Finding[] = [];
  const search = (where: string, text: string, path?: string, base = "") => {
    for (const name of redactor.contains(text)) {
      findings.push(block("secret", path, lineWith(text, name, redactor), `${where} contains the secret ${name}`));
    }
    const known = new Set(base === "" ? [] : findSecretValues(base, { path }).map(({ value }) => value));
    for (const { rule, line, value } of findSecretValues(text, { path })) {
      if (!known.has(value))
        findings.push(
          block(
            "secret",
            path,
            path === undefined ? undefined : line,
            `${where} contains what looks like a secret (${rule})`,
          ),
        );
    }
  };
  search("the branch name", change.branch);
  for (const [index, { message, author }] of change.commits.entries())
    search(`the message of commit ${index + 1}`, `${message}\n${author ?? ""}`);
  for (const { name, text } of change.texts) search(`the text "${name.slice(0, 60)}"`, text);
  for (const file of change.files) {
    search("the path of a file", `${file.path}\n${file.symlinkTarget ?? ""}`);
    if (file.status !== "deleted" && file.newText !== undefined)
      search("the file", file.newText, file.path, file.oldText);
  }
  // Two harmless files may be the halves of one secret: they are searched together as well, in their order.
  const added = change.files.filter((file) => file.status !== "deleted").map(addedText);
  const alone = new Set(added.flatMap((text) => redactor.contains(text)));
  for (const name of redactor.contains(added.join(""))) {
    if (!alone.has(name))
      findings.push(block("secret", undefined, undefined, `several files together contain the secret ${name}`));
  }
  return findings;
}

/** Lines of the new text that the old one does not have. */
function addedText(file: FileChange): string {
  const old = new Set((file.oldText ?? "").split("\n"));
  return (file.newText ?? "")
    .split("\n")
    .filter((line) => !old.has(line))
    .join("\n");
}

/** The first line that contains the secret by itself; undefined when it is spread over several. */
function lineWith(text: string, name: string, redactor: GuardPolicy["redactor"]): number | undefined {
  const lines = text.split("\n");
  if (lines.length > 20_000) return undefined;
  const index = lines.findIndex((line) => redactor.contains(line).includes(name));
  return index === -1 ? undefined : index + 1;
}

function pathFindings(file: FileChange, change: Change, policy: GuardPolicy): Finding[] {
  const findings: Finding[] = [];
  const { path } = file;
  for (const name of new Set([path, file.previousPath ?? path])) {
    const protection = protectionOf(name, { globs: policy.protectedPaths, ownRepository: policy.ownRepository });
    if (protection !== undefined)
      findings.push(
        block(`protected-${protection.rule}`, name, undefined, `this path may not be changed: it ${protection.reason}`),
      );
  }
  if (file.status === "deleted") return findings;
  const parts = path.split("/");
  if (/\p{Cc}|\p{Default_Ignorable_Code_Point}|\p{Co}|\p{Cs}|\\|\u2028|\u2029/u.test(path))
    findings.push(
      block("path-characters", path, undefined, "the path contains control, invisible or backslash characters"),
    );
  if (path.startsWith("/") || parts.some((part) => part === "" || part === "." || part === ".."))
    findings.push(block("path-outside", path, undefined, "the path leads out of the tree"));
  if (parts.some((part) => part.startsWith("-")) && parts[0]!.startsWith("-"))
    findings.push(block("path-characters", path, undefined, "the path looks like an option of a command"));
  if (file.kind === "submodule" || file.newMode === "160000")
    findings.push(block("submodule", path, undefined, "submodules may not be added or changed"));
  if (file.kind === "symlink" || file.newMode === "120000") findings.push(...symlinkFindings(file));
  findings.push(...modeFindings(file, change.requestedPaths ?? []));
  return findings;
}

function symlinkFindings({ path, symlinkTarget }: FileChange): Finding[] {
  if (symlinkTarget === undefined)
    return [block("symlink", path, undefined, "the target of the symbolic link is not known")];
  const target = symlinkTarget.replaceAll("\\", "/");
  const inside = !/^(?:\/|[a-z]:|~)/i.test(target) && resolves(path, target);
  if (!inside) return [block("symlink", path, undefined, "the symbolic link leads out of the tree")];
  const resolved = [...path.split("/").slice(0, -1), ...target.split("/")];
  if (resolved.some((part) => foldPath(part) === ".git"))
    return [block("symlink", path, undefined, "the symbolic link leads into a .git directory")];
  return [{ rule: "symlink", severity: "note", path, message: "a symbolic link was added or changed" }];
}

/** Whether a relative target stays in the tree at every step; a link through another link may not climb at all. */
function resolves(path: string, target: string): boolean {
  let depth = path.split("/").length - 1;
  for (const part of target.split("/")) {
    if (part === "..") depth--;
    else if (part !== "" && part !== ".") depth++;
    if (depth < 0) return false;
  }
  return true;
}

function modeFindings(file: FileChange, requestedPaths: readonly string[]): Finding[] {
  const { path, oldMode, newMode, status } = file;
  const asked = requestedPaths.some((requested) => foldPath(requested) === foldPath(path));
  if (newMode !== undefined && !/^(?:100644|100755|120000|160000)$/.test(newMode))
    return [block("mode", path, undefined, "the file's mode is not one that git writes")];
  if (asked || oldMode === newMode || status === "added" || oldMode === undefined || newMode === undefined) return [];
  if (/^100/.test(oldMode) && /^100/.test(newMode)) {
    return [
      block(
        "mode",
        path,
        undefined,
        newMode === "100755"
          ? "the file was made executable, and nobody asked for it"
          : "the file is no longer executable, and nobody asked for it",
      ),
    ];
  }
  return oldMode.slice(0, 3) === newMode.slice(0, 3)
    ? []
    : [block("mode", path, undefined, "a file was replaced by something of another kind")];
}

function collisionFindings({ files, basePaths = [] }: Change): Finding[] {
  const gone = new Set(files.flatMap((file) => (file.status === "deleted" ? [file.path] : (file.previousPath ?? []))));
  const seen = new Map<string, string>();
  const known = new Set<string>();
  /** The first prefix of the path that another spelling has taken already. */
  const collides = (path: string): boolean => {
    for (let end = path.indexOf("/"), count = 0; count < 64; end = path.indexOf("/", end + 1), count++) {
      const prefix = end === -1 ? path : path.slice(0, end);
      if (!known.has(prefix)) {
        known.add(prefix);
        const folded = foldPath(prefix);
        const other = seen.get(folded);
        if (other !== undefined) return true;
        seen.set(folded, prefix);
      }
      if (end === -1) return false;
    }
    return false;
  };
  for (const path of basePaths) if (!gone.has(path)) collides(path);
  const added = files.filter(
    (file) => file.status !== "deleted" && (file.status !== "modified" || basePaths.length === 0),
  );
  return added
    .filter(({ path }) => collides(path))
    .map(({ path }) =>
      block(
        "path-collision",
        path,
        undefined,
        "the path is another one's on file systems that fold letter case or Unicode forms",
      ),
    );
}

/** Filters and diff drivers run programs; what was there at the base is not new. */
function attributeFindings(file: FileChange): Finding[] {
  if (!/(?:^|\/)\.gitattributes$/.test(foldPath(file.path)) || file.status === "deleted") return [];
  if (file.newText === undefined)
    return [block("gitattributes", file.path, undefined, "the attributes cannot be read")];
  const old = new Set((file.oldText ?? "").split("\n").map((line) => line.trim()));
  const lines = file.newText.split("\n");
  const at = lines.findIndex(
    (line) =>
      !old.has(line.trim()) &&
      !line.trim().startsWith("#") &&
      /(?:^|\s)[-!]?(?:filter|diff|merge)=(?!(?:union|text|binary|lfs)(?:\s|$))\S+/.test(line),
  );
  return at === -1
    ? []
    : [
        block(
          "gitattributes",
          file.path,
          at + 1,
          "the attributes name a filter, diff or merge driver, which is a program that git runs",
        ),
      ];
}

function binaryFindings(file: FileChange): Finding[] {
  if (
    file.kind !== "file" ||
    file.status === "deleted" ||
    file.newText !== undefined ||
    file.newMode === "120000" ||
    file.newMode === "160000"
  )
    return [];
  if (file.status === "renamed" && file.oldText === undefined && file.sizeBytes === 0) return [];
  return [
    {
      rule: "binary",
      severity: "draft",
      path: file.path,
      message: `${file.sizeBytes} bytes that are binary, or too large to be read, were ${file.status === "added" ? "added" : "changed"}`,
    },
  ];
}

function block(rule: string, path: string | undefined, line: number | undefined, message: string): Finding {
  return {
    rule,
    severity: "block",
    ...(path === undefined ? {} : { path }),
    ...(line === undefined ? {} : { line }),
    message,
  };
}
