import type { TreeFile } from "../../workspace/source-tree.ts";
import type { FactStore } from "./fact-store.ts";
import { emptyFacts, type FileFacts } from "./file-facts.ts";
import { type FileKind, fileKind } from "./file-kind.ts";

/** A file that can be given to the model, with what is known of it. */
export interface Candidate {
  path: string;
  blobSha: string;
  sizeBytes: number;
  kind: FileKind;
  facts: FileFacts;
}

/** Regular files in the order of their paths: links and submodules have no text of their own. */
export function readCandidates(files: readonly TreeFile[], facts: FactStore): Candidate[] {
  return files
    .filter(({ mode }) => mode === "100644" || mode === "100755")
    .map(({ path, blobSha }) => {
      const known = facts.get(blobSha) ?? emptyFacts;
      const kind = fileKind(path);
      return {
        path,
        blobSha,
        sizeBytes: known.sizeBytes,
        facts: known,
        kind: kind === "source" && known.generated ? "generated" : kind,
      };
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}
