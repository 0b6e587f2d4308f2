import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { sql } from "drizzle-orm";
import { openDatabase } from "../../../src/store/database.ts";
import { gitBytes, initBare } from "../../support/local-github/git.ts";
import type { Finder } from "./canaries.ts";

/** One request of the worker as it was on the wire. */
export interface Sent {
  method: string;
  path: string;
  /** Names and values in turn, as they came. */
  headers: string[];
  body: Buffer;
}

export interface Recorder {
  url: string;
  sent: Sent[];
  close(): Promise<void>;
}

/** Stands before a server on loopback and keeps every byte that is sent to it; what it answers goes back as it is. */
export async function startRecorder(target: string): Promise<Recorder> {
  const sent: Sent[] = [];
  const server = createServer((incoming, response) => {
    pass(target, incoming, response, sent).catch(() => response.destroy());
  });
  await new Promise<void>((settle) => server.listen(0, "127.0.0.1", settle));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sent,
    close: () =>
      new Promise((settle) => {
        server.close(() => settle());
        server.closeAllConnections();
      }),
  };
}

async function pass(target: string, incoming: IncomingMessage, response: ServerResponse, sent: Sent[]): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  const { method = "", url: path = "", headers, rawHeaders } = incoming;
  sent.push({ method, path, headers: rawHeaders, body });
  const { "transfer-encoding": _, ...rest } = headers;
  const outgoing = request(`${target}${path}`, { method, headers: { ...rest, "content-length": body.length } });
  outgoing.once("response", (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  outgoing.once("error", () => response.destroy());
  response.once("close", () => outgoing.destroy());
  outgoing.end(body);
}

/** A stretch of bytes that left the worker, and where to. */
export interface Outbound {
  channel: string;
  content: Buffer;
}

/**
 * Everything that a recorder kept, one piece for each request. What may carry a secret is a piece of its own with a
 * channel of its own: the value of `credentials` headers. Packs of git are among the rest as they came; `packsOf` opens them.
 */
export function requestsOf(
  channel: string | ((one: Sent) => string),
  sent: readonly Sent[],
  credentials: Record<string, string>,
): Outbound[] {
  return sent.flatMap((one) => {
    const { method, path, headers, body } = one;
    const name = typeof channel === "string" ? channel : channel(one);
    const pairs = Array.from({ length: headers.length / 2 }, (_, index) => headers.slice(2 * index, 2 * index + 2));
    const isCredential = ([name = ""]: string[]) => credentials[name.toLowerCase()] !== undefined;
    const open = pairs.filter((pair) => !isCredential(pair)).map((pair) => pair.join(": "));
    const decoded = readable(headers, body);
    return [
      { channel: name, content: Buffer.concat([Buffer.from(`${method} ${path}\n${open.join("\n")}\n\n`), decoded]) },
      ...pairs.filter(isCredential).map(([header = "", value = ""]) => ({
        channel: credentials[header.toLowerCase()]!,
        content: Buffer.from(value),
      })),
    ];
  });
}

function readable(headers: string[], body: Buffer): Buffer {
  const at = headers.findIndex((text, index) => index % 2 === 0 && text.toLowerCase() === "content-encoding");
  return at >= 0 && headers[at + 1] === "gzip" ? gunzipSync(body) : body;
}

/** The packs that were pushed, also those that the server refused. */
export function pushedPacks(sent: readonly Sent[]): Buffer[] {
  return sent
    .filter(({ method, path }) => method === "POST" && path.endsWith("/git-receive-pack"))
    .flatMap(({ headers, body }) => packIn(readable(headers, body)));
}

/** The pack in a push or in a bundle; none in a push that only deletes. */
function packIn(bytes: Buffer): Buffer[] {
  const at = bytes.indexOf("PACK\0\0\0");
  return at < 0 ? [] : [bytes.subarray(at)];
}

/**
 * Every object of these packs and repositories as git stores it: contents, names in trees, messages. `directory` is
 * emptied by its owner. Throws when a pack cannot be opened: what cannot be read cannot be called clean.
 */
export async function objectsOf(
  directory: string,
  packs: readonly Buffer[],
  gitDirs: readonly string[],
): Promise<Buffer> {
  await mkdir(directory, { recursive: true });
  const all = join(directory, "objects.git");
  await initBare(all, "main");
  const objects = gitDirs.map((gitDir) => `${join(gitDir, "objects")}\n`);
  await writeFile(join(all, "objects/info/alternates"), objects.join(""));
  for (const pack of packs) await gitBytes(all, ["index-pack", "--stdin", "--fix-thin"], { input: pack });
  return gitBytes(all, ["cat-file", "--batch-all-objects", "--batch", "--buffer", "--unordered"]);
}

export interface DatabaseDump {
  /** All rows of all tables, and every stored document as it is, with the run that it belongs to. */
  pieces: (Outbound & { runKey: unknown })[];
  /** Work in progress: what is in bundles of git. */
  packs: { runKey: unknown; pack: Buffer }[];
  /** The rows of a table, by their columns. */
  rows(table: string): Record<string, unknown>[];
  /** Keys of the runs of an issue. */
  runsOf(issue: number): string[];
}

/** The whole database of a worker that has ended, or of one that shares PostgreSQL. */
export async function dumpDatabase(place: { databaseUrl?: string; dataDirectory: string }): Promise<DatabaseDump> {
  const quiet = { info: () => {}, warn: () => {}, error: () => {} };
  const { db, close } = await openDatabase({ ...place, log: quiet as never });
  try {
    const { rows: tables } = (await db.execute(
      sql`SELECT table_schema AS "schema", table_name AS "table" FROM information_schema.tables
          WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')`,
    )) as unknown as { rows: { schema: string; table: string }[] };
    const issues = new Map<string, number>();
    const byTable = new Map<string, Record<string, unknown>[]>();
    const dump: DatabaseDump = {
      pieces: [],
      packs: [],
      rows: (table) => byTable.get(table) ?? [],
      runsOf: (issue) => [...issues].filter(([, number]) => number === issue).map(([runKey]) => runKey),
    };
    for (const { schema, table } of tables) {
      const from = sql`${sql.identifier(schema)}.${sql.identifier(table)}`;
      const { rows } = (await db.execute(sql`SELECT * FROM ${from}`)) as unknown as { rows: Record<string, unknown>[] };
      byTable.set(table, rows);
      for (const row of rows) {
        const values = Object.values(row);
        const bytes = values.filter((value) => value instanceof Uint8Array).map((value) => Buffer.from(value));
        const texts = values.map((value) => (typeof value === "string" ? value : JSON.stringify(value)));
        for (const content of [...bytes, Buffer.from(texts.join("\n"))])
          dump.pieces.push({ channel: `the database's table ${table}`, content, runKey: row["run_key"] });
        if (table === "runs") issues.set(String(row["run_key"]), Number(row["subject_number"]));
        if (row["kind"] === "bundle")
          dump.packs.push(...bytes.flatMap(packIn).map((pack) => ({ runKey: row["run_key"], pack })));
      }
    }
    return dump;
  } finally {
    await close();
  }
}

/** Every file below a directory but those named, for what must not be on disk. Files that vanish meanwhile are left out. */
export async function filesBelow(
  directory: string,
  channel: string,
  except: (path: string) => boolean,
): Promise<Outbound[]> {
  const pieces: Outbound[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || except(path)) continue;
    const content = await readFile(path).catch(() => undefined);
    if (content !== undefined) pieces.push({ channel: `${channel} ${path.slice(directory.length + 1)}`, content });
  }
  return pieces;
}

/** One sentence for each canary that is in a piece whose channel may not carry it. */
export function searchOutbound(
  find: Finder,
  pieces: readonly Outbound[],
  mayCarry: (channel: string, canary: string) => boolean,
): string[] {
  const sentences = pieces.flatMap(({ channel, content }) =>
    find(content)
      .filter(({ name }) => !mayCarry(channel, name))
      .map(({ name, form }) => `${channel} carries ${name}, ${form}`),
  );
  return [...new Set(sentences)];
}
