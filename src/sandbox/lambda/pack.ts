import { createHash } from "node:crypto";
import { closeSync, constants, createWriteStream, openSync, readSync } from "node:fs";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createZstdCompress, constants as zlib } from "node:zlib";
import { type Change, placeOf, type Roots } from "./snapshot.ts";

/** The first bytes of what an archive holds, before any compression. */
export const MAGIC = Buffer.from("millwright tree 1\n");
/** Windows of this size (8 MiB) are all that an archive may ask its reader to keep. */
export const WINDOW_LOG = 23;
const CHUNK_BYTES = 256 * 1024;

export interface Packed {
  /** Of the file as it is. */
  sha256: string;
  bytes: number;
}

/**
 * Writes changes to an archive: after the magic, for each change the length of a header (4 bytes, little endian), the
 * header as JSON and, where `content` says so, the file's bytes; a header `{ "end": <count> }` is the last. All in one
 * zstd stream. Such an archive can name files, folders and links, and nothing else.
 */
export async function pack(
  changes: readonly Change[],
  roots: Roots,
  file: string,
  signal?: AbortSignal,
): Promise<Packed> {
  const hash = createHash("sha256");
  let bytes = 0;
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      done(null, chunk);
    },
  });
  const compress = createZstdCompress({ params: { [zlib.ZSTD_c_compressionLevel]: 1, [zlib.ZSTD_c_windowLog]: 21 } });
  await pipeline(Readable.from(records(changes, roots)), compress, count, createWriteStream(file, { mode: 0o600 }), {
    signal,
  });
  return { sha256: hash.digest("hex"), bytes };
}

function* records(changes: readonly Change[], roots: Roots): Generator<Buffer> {
  let waiting: Buffer[] = [MAGIC];
  let length = 0;
  for (const change of [...changes, undefined]) {
    const head = header(
      change === undefined ? { end: changes.length } : { ...change, ...change.entry, entry: undefined },
    );
    waiting.push(head);
    length += head.length;
    if (change?.content && change.entry?.kind === "file") {
      for (const chunk of contentOf(placeOf(roots, change.path), change.entry.size)) {
        waiting.push(chunk);
        length += chunk.length;
        if (length < CHUNK_BYTES) continue;
        yield Buffer.concat(waiting);
        waiting = [];
        length = 0;
      }
    }
  }
  yield Buffer.concat(waiting);
}

function header(value: unknown): Buffer {
  const json = Buffer.from(JSON.stringify(value));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(json.length);
  return Buffer.concat([length, json]);
}

/** Exactly `size` bytes; throws when the file has become shorter. */
function* contentOf(place: string, size: number): Generator<Buffer> {
  const file = openSync(place, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    for (let left = size; left > 0; ) {
      const chunk = Buffer.allocUnsafe(Math.min(left, CHUNK_BYTES));
      const length = readSync(file, chunk);
      if (length === 0) throw new Error(`Cannot pack ${place}: it has ${size - left} bytes of ${size}`);
      left -= length;
      yield chunk.subarray(0, length);
    }
  } finally {
    closeSync(file);
  }
}
