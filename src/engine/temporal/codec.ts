import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import type { Payload, PayloadCodec } from "@temporalio/common";

/** A key of 32 bytes, and the name by which a payload says which one it needs. */
export interface PayloadKey {
  id: string;
  secret: Uint8Array;
}

const encoding = "binary/millwright-aes-256-gcm";
const nonceBytes = 12;
const tagBytes = 16;

/**
 * Encrypts every payload with the first key, by AES-256-GCM, or leaves it as it is where there is none. Decrypts with
 * whichever key a payload names, so that a key can be replaced while runs are under way; what was written before there was
 * a key is read as it is. What cannot be decrypted is told to `onTrouble` too, because Temporal's worker only tries again.
 */
export function createPayloadCodec(
  keys: readonly PayloadKey[],
  onTrouble: (message: string) => void = () => undefined,
): PayloadCodec {
  const [current] = keys;
  return {
    encode: async (payloads) =>
      current === undefined ? payloads : payloads.map((payload) => encrypt(payload, current)),
    decode: async (payloads) => {
      try {
        return payloads.map((payload) => decrypt(payload, keys));
      } catch (error) {
        onTrouble((error as Error).message);
        throw error;
      }
    },
  };
}

function encrypt(payload: Payload, { id, secret }: PayloadKey): Payload {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", secret, nonce).setAAD(Buffer.from(id));
  const text = Buffer.concat([cipher.update(written(payload)), cipher.final()]);
  return {
    metadata: { encoding: Buffer.from(encoding), "key-id": Buffer.from(id) },
    data: Buffer.concat([nonce, cipher.getAuthTag(), text]),
  };
}

function decrypt(payload: Payload, keys: readonly PayloadKey[]): Payload {
  const said = textOf(payload.metadata?.["encoding"]);
  if (said !== encoding) return payload;
  const id = textOf(payload.metadata?.["key-id"]);
  const key = keys.find((one) => one.id === id);
  if (key === undefined)
    throw new Error(
      `A payload was encrypted with the key ${JSON.stringify(id)}, which MILLWRIGHT_TEMPORAL_KEY does not have ` +
        `(it has ${keys.length === 0 ? "none" : keys.map((one) => JSON.stringify(one.id)).join(", ")})`,
    );
  const data = Buffer.from(payload.data ?? []);
  const decipher = createDecipheriv("aes-256-gcm", key.secret, data.subarray(0, nonceBytes))
    .setAAD(Buffer.from(id))
    .setAuthTag(data.subarray(nonceBytes, nonceBytes + tagBytes));
  try {
    return read(Buffer.concat([decipher.update(data.subarray(nonceBytes + tagBytes)), decipher.final()]));
  } catch (error) {
    throw new Error(
      `A payload was encrypted with another key that is also called ${JSON.stringify(id)}: the one in MILLWRIGHT_TEMPORAL_KEY does not decrypt it`,
      { cause: error },
    );
  }
}

function written({ metadata, data }: Payload): Buffer {
  const entries = Object.entries(metadata ?? {}).map(([key, value]) => [key, Buffer.from(value).toString("base64")]);
  return Buffer.from(JSON.stringify({ metadata: entries, data: Buffer.from(data ?? []).toString("base64") }));
}

function read(bytes: Buffer): Payload {
  const { metadata, data } = JSON.parse(bytes.toString("utf8")) as { metadata: [string, string][]; data: string };
  return {
    metadata: Object.fromEntries(metadata.map(([key, value]) => [key, Buffer.from(value, "base64")])),
    data: Buffer.from(data, "base64"),
  };
}

function textOf(bytes: Uint8Array | null | undefined): string {
  return Buffer.from(bytes ?? []).toString("utf8");
}
