import {
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";

/** A bucket of S3, as far as the store needs it. Every method rejects when the bucket cannot be reached. */
export interface Bucket {
  put(key: string, content: Uint8Array): Promise<void>;
  get(key: string): Promise<Buffer | undefined>;
  /** Those that are not there count as removed. */
  remove(keys: readonly string[]): Promise<void>;
  /** Every object whose key begins with the prefix. */
  removeAll(prefix: string): Promise<void>;
}

/** One request may name so many keys. https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html */
const KEYS_AT_ONCE = 1_000;

/** The bucket `name`; all keys are below `prefix`, which ends with a slash or is empty. */
export function createBucket(options: { s3: S3Client; name: string; prefix?: string }): Bucket {
  const { s3, name: Bucket, prefix: below = "" } = options;

  return { put, get, remove, removeAll };

  async function put(key: string, content: Uint8Array): Promise<void> {
    await s3.send(new PutObjectCommand({ Bucket, Key: below + key, Body: content }));
  }

  async function get(key: string): Promise<Buffer | undefined> {
    try {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: below + key }));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    } catch (error) {
      if (error instanceof NoSuchKey) return undefined;
      throw error;
    }
  }

  async function remove(keys: readonly string[]): Promise<void> {
    for (let at = 0; at < keys.length; at += KEYS_AT_ONCE) {
      const Objects = keys.slice(at, at + KEYS_AT_ONCE).map((key) => ({ Key: below + key }));
      const { Errors } = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } }));
      const [first] = Errors ?? [];
      if (first) throw new Error(`Cannot delete ${Errors?.length} objects, of them ${first.Key}: ${first.Message}`);
    }
  }

  async function removeAll(prefix: string): Promise<void> {
    let ContinuationToken: string | undefined;
    do {
      const page = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: below + prefix, ContinuationToken }));
      await remove((page.Contents ?? []).map(({ Key = "" }) => Key.slice(below.length)));
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
  }
}
