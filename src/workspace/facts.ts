import { openSourceTree, type SourceTree, type TreeFile } from "./source-tree.ts";
import type { Facts } from "./workspace.ts";

/** Pointer files are shorter than this. https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md */
const maxPointerBytes = 1_024;
const pointerStart = "version https://git-lfs.github.com/spec/";

/** Facts about a commit, read from its tree alone. */
export async function readFacts(gitDir: string, sha: string): Promise<Facts> {
  const source = openSourceTree(gitDir, sha);
  const entries = await source.files();
  const files = entries.filter(({ mode }) => mode !== "160000");
  return {
    baseSha: sha,
    empty: files.length === 0,
    files: files.length,
    bytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    submodules: entries.filter(({ mode }) => mode === "160000").map(({ path }) => path),
    lfs: await lfsPaths(source, files),
  };
}

/** Paths that hold a pointer in place of their content, in a repository whose attributes speak of LFS at all. */
async function lfsPaths(source: SourceTree, files: readonly TreeFile[]): Promise<string[]> {
  const attributes = files.filter(({ path }) => path === ".gitattributes" || path.endsWith("/.gitattributes"));
  let isUsed = false;
  for await (const { content } of source.readBlobs(attributes.map(({ blobSha }) => blobSha)))
    isUsed ||= content.includes("filter=lfs");
  if (!isUsed) return [];
  const small = files.filter(
    ({ mode, sizeBytes }) => mode.startsWith("100") && sizeBytes > pointerStart.length && sizeBytes < maxPointerBytes,
  );
  const pointers = new Set<string>();
  for await (const { blobSha, content } of source.readBlobs(new Set(small.map(({ blobSha }) => blobSha)))) {
    if (content.toString("latin1", 0, pointerStart.length) === pointerStart) pointers.add(blobSha);
  }
  return small.filter(({ blobSha }) => pointers.has(blobSha)).map(({ path }) => path);
}
