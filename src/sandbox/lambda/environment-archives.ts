import { rm } from "node:fs/promises";
import type { S3Client } from "@aws-sdk/client-s3";
import { downloadFile, uploadFile } from "./bucket-files.ts";
import { pack } from "./pack.ts";
import { MAX_ENTRIES, MAX_TREE_BYTES } from "./request.ts";
import { changesBetween, takeSnapshot } from "./snapshot.ts";
import { BadArchive, unpack } from "./unpack.ts";

/** Whose environment it is; `name` is a hash of what it was made of. */
interface EnvironmentOwner {
  installationId: number;
  repositoryId: number;
  trust: string;
  name: string;
}

/**
 * Environments of workers whose disk does not last, each as one archive in the bucket. What is in them was written by
 * repository code, so nothing is written through their links, which stay as they are.
 */
export function createEnvironmentArchives(options: { s3: S3Client; bucket: string; keyPrefix?: string }) {
  const { s3, bucket, keyPrefix = "" } = options;
  // The repository comes first, because deletion knows it alone.
  const keyOf = ({ repositoryId, installationId, trust, name }: EnvironmentOwner) =>
    `${keyPrefix}environments/${repositoryId}/${installationId}/${trust}/${name}`;

  return {
    /** Fills the empty folder; false when nothing, or nothing that can be read, is kept under that name. */
    async fetch(owner: EnvironmentOwner, folder: string): Promise<boolean> {
      const archive = `${folder}.archive`;
      try {
        const found = await downloadFile({ s3, bucket, key: keyOf(owner) }, archive, MAX_TREE_BYTES);
        if (!found) return false;
        const room = { maxBytes: MAX_TREE_BYTES, maxEntries: MAX_ENTRIES, maxFileBytes: MAX_TREE_BYTES };
        await unpack(archive, { kept: folder }, { before: new Map(), ...room });
        return true;
      } catch (error) {
        // An archive that cannot be read counts as none: set-up makes it anew.
        if (error instanceof BadArchive) return false;
        throw error;
      } finally {
        await rm(archive, { force: true });
      }
    },
    async store(owner: EnvironmentOwner, folder: string): Promise<void> {
      const archive = `${folder}.archive`;
      try {
        const roots = { kept: folder };
        const packed = await pack(changesBetween(new Map(), await takeSnapshot(roots)), roots, archive);
        await uploadFile({ s3, bucket, key: keyOf(owner) }, archive, packed);
      } finally {
        await rm(archive, { force: true });
      }
    },
  };
}
