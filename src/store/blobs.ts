import { createHash } from "node:crypto";
import { eq, sql } from "drizzle-orm";
import type { Db } from "./database.ts";
import { blobs } from "./schema.ts";
import type { Store } from "./store.ts";

/** Content-addressed bytes in the database: Git bundles of work in progress, transcripts, texts and logs. */
export function createBlobs(db: Db): Store["blobs"] {
  const get = async (reference: string): Promise<Buffer | undefined> => {
    const [row] = await db.select({ content: blobs.content }).from(blobs).where(eq(blobs.reference, reference));
    return row && Buffer.from(row.content);
  };
  return {
    put: async (content, owner) => {
      const bytes = Buffer.from(content as Uint8Array);
      const reference = blobReference(owner.repositoryId, bytes);
      await putBlobRow(db, { reference, ...owner, content: bytes });
      return reference;
    },
    get,
    text: async (reference) => (await get(reference))?.toString("utf8"),
  };
}

/** A blob's row, or that it was used again, and by which run. */
export async function putBlobRow(db: Db, row: typeof blobs.$inferInsert): Promise<void> {
  await db
    .insert(blobs)
    .values(row)
    .onConflictDoUpdate({ target: blobs.reference, set: { usedAt: sql`now()`, runKey: row.runKey } });
}

/** 64 hex digits. The repository is part of it, so that equal content of two repositories is two blobs (P15). */
export function blobReference(repositoryId: number, content: Uint8Array): string {
  return createHash("sha256").update(`${repositoryId}\n`).update(content).digest("hex");
}
