import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, globSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import pino from "pino";
import { openDatabase } from "../../src/store/database.ts";

/** Names everything that an empty, migrated database depends on. */
function templateName(): string {
  const hash = createHash("sha256");
  const version = createRequire(import.meta.url).resolve("@electric-sql/pglite");
  hash.update(readFileSync(join(dirname(version), "..", "package.json")));
  for (const path of globSync("src/store/migrations/*.sql").toSorted()) hash.update(readFileSync(path));
  return `millwright-database-${hash.digest("hex").slice(0, 16)}`;
}

/**
 * Puts an empty, migrated embedded database below `dataDirectory` unless one is there: a copy takes a tenth of the time
 * that PostgreSQL needs to make one, and most tests start an App of their own.
 */
export async function copyDatabaseTemplate(dataDirectory: string): Promise<void> {
  const target = join(dataDirectory, "database");
  if (existsSync(target)) return;
  const template = join(tmpdir(), templateName());
  if (!existsSync(template)) await makeTemplate(template);
  await mkdir(dataDirectory, { recursive: true });
  // A thousand small files: the program takes half the time of Node's own copy.
  await promisify(execFile)("cp", ["-R", template, target]);
}

async function makeTemplate(template: string): Promise<void> {
  const directory = await mkdtemp(`${template}-`);
  const database = await openDatabase({ dataDirectory: directory, log: pino({ level: "silent" }) });
  await database.close();
  // Another process may have been first; theirs is the same.
  await rename(join(directory, "database"), template).catch(() => undefined);
  await rm(directory, { recursive: true, force: true });
}
