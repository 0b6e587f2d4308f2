import { eq } from "drizzle-orm";
import { blobReference, putBlobRow } from "./blobs.ts";
import type { Bucket } from "./bucket.ts";
import type { Db } from "./database.ts";
import { blobs } from "./schema.ts";
import type { Store } from "./store.ts";

/**
 * Blobs whose bytes lie in a bucket; their rows (repository, run, kind, last use) stay in the database, so that age and
 * active runs count as they do for blobs in it. A row with bytes of its own, such as an intent's text, is read from there.
 */
export function createBucketBlobs(db: Db, bucket: Bucket): Store["blobs"] {
  const get = async (reference: string): Promise<Buffer | undefined> => {
    const [row] = await db
      .select({ content: blobs.content, repositoryId: blobs.repositoryId })
      .from(blobs)
      .where(eq(blobs.reference, reference));
    if (!row) return undefined;
    if (row.content.length > 0) return Buffer.from(row.content);
    const bytes = await bucket.get(blobKey(row.repositoryId, reference));
    if (bytes && blobReference(row.repositoryId, bytes) !== reference) {
      throw new Error(`Blob ${reference} in the bucket is not what was stored: it has ${bytes.length} other bytes`);
    }
    return bytes;
  };
  return {
    put: async (content, owner) => {
      const bytes = Buffer.from(content as Uint8Array);
      const reference = blobReference(owner.repositoryId, bytes);
      // The row comes first: one that was used just now is not deleted by age, and its object stays with it.
      await putBlobRow(db, { reference, ...owner, content: Buffer.alloc(0) });
      await bucket.put(blobKey(owner.repositoryId, reference), bytes);
      return reference;
    },
    get,
    text: async (reference) => (await get(reference))?.toString("utf8"),
  };
}

export function blobKey(repositoryId: number, reference: string): string {
  return `blobs/${repositoryId}/${reference}`;
}

/** Where everything of a repository lies in the bucket, so that deleting it is deleting prefixes (P15). */
export function prefixesOf(repositoryId: number): string[] {
  // Environments and trees on their way are written by src/sandbox/lambda.
  return ["blobs", "environments", "trees"].map((kind) => `${kind}/${repositoryId}/`);
}
