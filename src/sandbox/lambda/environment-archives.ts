import { createReadStream, createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { GetObjectCommand, NoSuchKey, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
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
  const { s3, bucket: Bucket, keyPrefix = "" } = options;
  // The repository comes first, because deletion knows it alone.
  const keyOf = ({ repositoryId, installationId, trust, name }: EnvironmentOwner) =>
    `${keyPrefix}environments/${repositoryId}/${installationId}/${trust}/${name}`;

  return {
    /** Fills the empty folder; false when nothing, or nothing that can be read, is kept under that name. */
    async fetch(owner: EnvironmentOwner, folder: string): Promise<boolean> {
      const archive = `${folder}.archive`;
      try {
        const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: keyOf(owner) }));
        await pipeline(Body as Readable, createWriteStream(archive, { mode: 0o600 }));
        const room = { maxBytes: MAX_TREE_BYTES, maxEntries: MAX_ENTRIES, maxFileBytes: MAX_TREE_BYTES };
        await unpack(archive, { kept: folder }, { before: new Map(), ...room });
        return true;
      } catch (error) {
        // An archive that cannot be read counts as none: set-up makes it anew.
        if (error instanceof NoSuchKey || error instanceof BadArchive) return false;
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
        const body = { Body: createReadStream(archive), ContentLength: packed.bytes };
        const ChecksumSHA256 = Buffer.from(packed.sha256, "hex").toString("base64");
        await s3.send(new PutObjectCommand({ Bucket, Key: keyOf(owner), ...body, ChecksumSHA256 }));
      } finally {
        await rm(archive, { force: true });
      }
    },
  };
}
