import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { crc32 } from "node:zlib";
import { XMLParser } from "fast-xml-parser";
import type { Denied } from "./signature.ts";

interface StoredObject {
  bytes: Buffer;
  etag: string;
  writtenAt: Date;
}

/** The buckets of a local S3; keys are in order. */
export interface LocalS3 {
  /** Objects of a bucket by key. Tests may read and change them. */
  bucket(name: string): Map<string, StoredObject>;
  /** One line for each request that was answered: method, path and status. */
  requests: string[];
  /** Called before each request; throw a `Denied` shape's answer by returning it. Given by tests of faults. */
  fault: ((request: { method: string; key: string }) => Denied | undefined) | undefined;
}

const NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/";

/** Path-style S3: objects, listing, deletion of one and of many. Bodies are kept in memory. */
export function createLocalS3(options: { maxObjectBytes: number }) {
  const buckets = new Map<string, Map<string, StoredObject>>();
  const s3: LocalS3 = {
    bucket(name) {
      const found = buckets.get(name) ?? new Map<string, StoredObject>();
      buckets.set(name, found);
      return found;
    },
    requests: [],
    fault: undefined,
  };

  function serve(request: IncomingMessage, response: ServerResponse, raw: Buffer): unknown {
    const url = new URL(request.url ?? "/", "http://localhost");
    const [, name = "", ...rest] = url.pathname.split("/");
    const key = decodeURIComponent(rest.join("/"));
    const method = request.method ?? "GET";
    response.once("finish", () => s3.requests.push(`${method} ${url.pathname} ${response.statusCode}`));
    const objects = buckets.get(name);
    const refuse = (problem: Denied) => sendError(response, problem, method);
    const injected = s3.fault?.({ method, key });
    if (injected) return refuse(injected);
    if (!objects) {
      return refuse({ status: 404, code: "NoSuchBucket", message: `The specified bucket does not exist: ${name}` });
    }
    if (key === "") {
      if (method === "GET") return list(response, name, objects, url.searchParams);
      if (method === "POST" && url.searchParams.has("delete")) return removeMany(response, objects, raw);
    } else if (method === "PUT") {
      const written = put(request, objects, key, raw, url.searchParams);
      return "code" in written ? refuse(written) : response.writeHead(200, { etag: written.etag }).end();
    } else if (method === "GET" || method === "HEAD") {
      const object = objects.get(key);
      if (!object) return refuse({ status: 404, code: "NoSuchKey", message: "The specified key does not exist." });
      response.writeHead(200, {
        "content-length": object.bytes.length,
        "content-type": "application/octet-stream",
        etag: object.etag,
        "last-modified": object.writtenAt.toUTCString(),
      });
      return response.end(method === "GET" ? object.bytes : undefined);
    } else if (method === "DELETE") {
      objects.delete(key);
      return response.writeHead(204).end();
    }
    return refuse({ status: 405, code: "MethodNotAllowed", message: `${method} is not known here.` });
  }

  function put(
    request: IncomingMessage,
    objects: Map<string, StoredObject>,
    key: string,
    raw: Buffer,
    parameters: URLSearchParams,
  ): StoredObject | Denied {
    const asked = (name: string) => request.headers[name]?.toString() ?? parameters.get(name) ?? undefined;
    if (request.headers["content-length"] === undefined) {
      return { status: 411, code: "MissingContentLength", message: "You must provide the Content-Length header." };
    }
    if (Buffer.byteLength(key) > 1024) return { status: 400, code: "KeyTooLongError", message: "The key is too long." };
    const decoded = (request.headers["content-encoding"] ?? "").includes("aws-chunked")
      ? unchunked(raw)
      : { bytes: raw };
    const { bytes } = decoded;
    if (bytes.length > options.maxObjectBytes) {
      return {
        status: 400,
        code: "EntityTooLarge",
        message: `The object has more than ${options.maxObjectBytes} bytes.`,
      };
    }
    const sums: Record<string, string> = {
      "x-amz-checksum-crc32": crcOf(bytes),
      "x-amz-checksum-sha256": createHash("sha256").update(bytes).digest("base64"),
      "content-md5": createHash("md5").update(bytes).digest("base64"),
    };
    for (const [name, right] of Object.entries(sums)) {
      const stated = "trailers" in decoded ? (decoded.trailers[name] ?? asked(name)) : asked(name);
      if (stated !== undefined && stated !== right) {
        return { status: 400, code: "BadDigest", message: `The ${name} you specified did not match what we received.` };
      }
    }
    if (asked("if-none-match") === "*" && objects.has(key)) {
      return { status: 412, code: "PreconditionFailed", message: "At least one of the pre-conditions did not hold." };
    }
    const etag = `"${createHash("md5").update(bytes).digest("hex")}"`;
    const object = { bytes, etag, writtenAt: new Date() };
    objects.set(key, object);
    return object;
  }

  return { s3, serve };
}

function list(
  response: ServerResponse,
  bucket: string,
  objects: Map<string, StoredObject>,
  parameters: URLSearchParams,
): unknown {
  const prefix = parameters.get("prefix") ?? "";
  const delimiter = parameters.get("delimiter") ?? "";
  const after = parameters.get("continuation-token") ?? parameters.get("start-after") ?? "";
  const most = Math.min(Number(parameters.get("max-keys") ?? 1000), 1000);
  const found: string[] = [];
  const common = new Set<string>();
  let last = "";
  let more = false;
  for (const key of [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).toSorted()) {
    if (found.length + common.size === most) {
      more = true;
      break;
    }
    const cut = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
    if (cut < 0) found.push(key);
    else common.add(key.slice(0, cut + delimiter.length));
    last = key;
  }
  const contents = found.map((key) => {
    const { bytes, etag, writtenAt } = objects.get(key)!;
    return `<Contents><Key>${xml(key)}</Key><LastModified>${writtenAt.toISOString()}</LastModified><ETag>${xml(etag)}</ETag><Size>${bytes.length}</Size><StorageClass>STANDARD</StorageClass></Contents>`;
  });
  const next = more ? `<NextContinuationToken>${xml(last)}</NextContinuationToken>` : "";
  const folders = [...common].map((key) => `<CommonPrefixes><Prefix>${xml(key)}</Prefix></CommonPrefixes>`).join("");
  return sendXml(
    response,
    200,
    `<ListBucketResult xmlns="${NAMESPACE}"><Name>${xml(bucket)}</Name><Prefix>${xml(prefix)}</Prefix><KeyCount>${found.length + common.size}</KeyCount><MaxKeys>${most}</MaxKeys><IsTruncated>${more}</IsTruncated>${next}${contents.join("")}${folders}</ListBucketResult>`,
  );
}

function removeMany(response: ServerResponse, objects: Map<string, StoredObject>, body: Buffer): unknown {
  const parser = new XMLParser({ isArray: (name) => name === "Object", parseTagValue: false });
  const asked = parser.parse(body.toString("utf8")) as { Delete?: { Object?: { Key: string }[] } };
  const keys = (asked.Delete?.Object ?? []).map(({ Key }) => Key);
  if (keys.length === 0 || keys.length > 1000) {
    return sendError(response, { status: 400, code: "MalformedXML", message: "From 1 to 1000 keys." }, "POST");
  }
  for (const key of keys) objects.delete(key);
  const deleted = keys.map((key) => `<Deleted><Key>${xml(key)}</Key></Deleted>`).join("");
  return sendXml(response, 200, `<DeleteResult xmlns="${NAMESPACE}">${deleted}</DeleteResult>`);
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html */
function unchunked(raw: Buffer): { bytes: Buffer; trailers: Record<string, string> } {
  const parts: Buffer[] = [];
  let at = 0;
  while (at < raw.length) {
    const end = raw.indexOf("\r\n", at);
    const length = Number.parseInt(raw.subarray(at, end).toString("latin1"), 16);
    at = end + 2;
    if (!(length > 0)) break;
    parts.push(raw.subarray(at, at + length));
    at += length + 2;
  }
  const lines = raw.subarray(at).toString("latin1").split("\r\n");
  const trailers = lines.filter((line) => line.includes(":")).map((line) => line.split(/:\s*/, 2));
  return { bytes: Buffer.concat(parts), trailers: Object.fromEntries(trailers) as Record<string, string> };
}

function crcOf(bytes: Buffer): string {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(bytes));
  return sum.toString("base64");
}

/** S3's answer to what it does not do; a HEAD has no body. */
export function sendError(response: ServerResponse, { status, code, message }: Denied, method: string): unknown {
  if (method === "HEAD") return response.writeHead(status).end();
  return sendXml(
    response,
    status,
    `<Error><Code>${code}</Code><Message>${xml(message)}</Message><RequestId>local</RequestId></Error>`,
  );
}

function sendXml(response: ServerResponse, status: number, text: string): unknown {
  return response
    .writeHead(status, { "content-type": "application/xml" })
    .end(`<?xml version="1.0" encoding="UTF-8"?>\n${text}`);
}

function xml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
