import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { GetObjectCommand, NoSuchKey, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import type { Packed } from "./pack.ts";

/** Where an object lies. */
export interface Place {
  s3: S3Client;
  bucket: string;
  key: string;
}

/** The SDK sends bytes again by itself, a stream it cannot. */
const IN_MEMORY_BYTES = 8 * 1024 * 1024;
const ATTEMPTS = 3;

/** Uploads a file whose hash is known; S3 checks it. */
export async function uploadFile(place: Place, file: string, packed: Packed, signal?: AbortSignal): Promise<void> {
  const { s3, bucket: Bucket, key: Key } = place;
  const ChecksumSHA256 = Buffer.from(packed.sha256, "hex").toString("base64");
  const send = (Body: Buffer | Readable) =>
    s3.send(new PutObjectCommand({ Bucket, Key, Body, ContentLength: packed.bytes, ChecksumSHA256 }), {
      abortSignal: signal,
    });
  if (packed.bytes <= IN_MEMORY_BYTES) return void (await send(await readFile(file)));
  for (let attempt = 1; ; attempt++) {
    try {
      return void (await send(createReadStream(file)));
    } catch (error) {
      const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 500;
      if (status < 500 || attempt === ATTEMPTS || signal?.aborted) throw error;
      await sleep(500 * 2 ** attempt, undefined, { signal });
    }
  }
}

/** Downloads an object of at most `maxBytes` to a file; undefined when there is none, or one that is larger. */
export async function downloadFile(
  { s3, bucket, key }: Place,
  file: string,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<Packed | undefined> {
  try {
    const { Body, ContentLength = Number.POSITIVE_INFINITY } = await s3.send(
      new GetObjectCommand({ Bucket: bucket, Key: key }),
      { abortSignal: signal },
    );
    const stream = Body as Readable;
    if (ContentLength > maxBytes) {
      stream.destroy();
      return undefined;
    }
    const hash = createHash("sha256");
    let bytes = 0;
    await pipeline(
      stream,
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          hash.update(chunk);
          bytes += chunk.length;
          yield chunk;
        }
      },
      createWriteStream(file, { mode: 0o600 }),
      { signal },
    );
    return { sha256: hash.digest("hex"), bytes };
  } catch (error) {
    if (error instanceof NoSuchKey) return undefined;
    throw error;
  }
}
