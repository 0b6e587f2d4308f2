import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";

/** What `MILLWRIGHT_ENGINE=temporal` needs. */
export interface TemporalConfig {
  kind: "temporal";
  /** `host:port`. */
  address: string;
  namespace: string;
  /** Absent: no TLS. */
  tls?: { serverName?: string; ca?: Buffer; pair?: { certificate: Buffer; key: Buffer } };
  /** The first one encrypts what Temporal keeps; none: it is kept as it is. */
  keys: { id: string; secret: Buffer }[];
  /** Serve on the local engine when Temporal cannot be reached at start. */
  fallback: boolean;
  takes: { ordinary: boolean; sandboxed: boolean };
  buildId?: string;
}

export interface TemporalEnvironment {
  DATABASE_URL?: string | undefined;
  MILLWRIGHT_ENGINE_FALLBACK?: "local" | undefined;
  MILLWRIGHT_WORKER_STEPS: "all" | "ordinary" | "sandboxed";
  MILLWRIGHT_TEMPORAL_ADDRESS: string;
  MILLWRIGHT_TEMPORAL_NAMESPACE: string;
  MILLWRIGHT_TEMPORAL_TLS: "off" | "on";
  MILLWRIGHT_TEMPORAL_TLS_CA?: string | undefined;
  MILLWRIGHT_TEMPORAL_TLS_CERT?: string | undefined;
  MILLWRIGHT_TEMPORAL_TLS_KEY?: string | undefined;
  MILLWRIGHT_TEMPORAL_TLS_SERVER_NAME?: string | undefined;
  MILLWRIGHT_TEMPORAL_KEY?: string | undefined;
  MILLWRIGHT_TEMPORAL_BUILD?: string | undefined;
}

const secretBytes = 32;

/** Reads the files that the settings name. What is wrong is added to `problems`, each with its setting's name. */
export function temporalConfigOf(env: TemporalEnvironment, problems: string[]): TemporalConfig {
  if (env.DATABASE_URL === undefined)
    problems.push(
      "MILLWRIGHT_ENGINE is temporal, so DATABASE_URL has to name a PostgreSQL database: servers and workers share it.",
    );
  const steps = env.MILLWRIGHT_WORKER_STEPS;
  const tls = tlsOf(env, problems);
  return {
    kind: "temporal",
    address: env.MILLWRIGHT_TEMPORAL_ADDRESS,
    namespace: env.MILLWRIGHT_TEMPORAL_NAMESPACE,
    ...(tls === undefined ? {} : { tls }),
    keys: keysOf(env.MILLWRIGHT_TEMPORAL_KEY, problems),
    fallback: env.MILLWRIGHT_ENGINE_FALLBACK === "local",
    takes: { ordinary: steps !== "sandboxed", sandboxed: steps !== "ordinary" },
    ...(env.MILLWRIGHT_TEMPORAL_BUILD === undefined ? {} : { buildId: env.MILLWRIGHT_TEMPORAL_BUILD }),
  };
}

function tlsOf(env: TemporalEnvironment, problems: string[]): TemporalConfig["tls"] {
  const ca = fileOf(env, "MILLWRIGHT_TEMPORAL_TLS_CA", problems);
  const certificate = fileOf(env, "MILLWRIGHT_TEMPORAL_TLS_CERT", problems);
  const key = fileOf(env, "MILLWRIGHT_TEMPORAL_TLS_KEY", problems);
  const serverName = env.MILLWRIGHT_TEMPORAL_TLS_SERVER_NAME;
  const given = [ca, certificate, key, serverName].some((one) => one !== undefined);
  if (env.MILLWRIGHT_TEMPORAL_TLS === "off" && !given) return undefined;
  const hasCertificate = env.MILLWRIGHT_TEMPORAL_TLS_CERT !== undefined;
  if (hasCertificate !== (env.MILLWRIGHT_TEMPORAL_TLS_KEY !== undefined))
    problems.push(
      `MILLWRIGHT_TEMPORAL_TLS_${hasCertificate ? "KEY" : "CERT"} is not set: a client certificate and its key belong together.`,
    );
  usable("MILLWRIGHT_TEMPORAL_TLS_CA", { ca }, problems);
  usable("MILLWRIGHT_TEMPORAL_TLS_CERT", { cert: certificate }, problems);
  usable("MILLWRIGHT_TEMPORAL_TLS_KEY", { cert: certificate, key }, problems);
  return {
    ...(serverName === undefined ? {} : { serverName }),
    ...(ca === undefined ? {} : { ca }),
    ...(certificate === undefined || key === undefined ? {} : { pair: { certificate, key } }),
  };
}

type FileSetting = "MILLWRIGHT_TEMPORAL_TLS_CA" | "MILLWRIGHT_TEMPORAL_TLS_CERT" | "MILLWRIGHT_TEMPORAL_TLS_KEY";

function fileOf(env: TemporalEnvironment, name: FileSetting, problems: string[]): Buffer | undefined {
  const path = env[name];
  if (path === undefined) return undefined;
  try {
    return readFileSync(path);
  } catch (error) {
    problems.push(`${name}: ${path} cannot be read: ${(error as Error).message}`);
    return undefined;
  }
}

function usable(name: FileSetting, files: { ca?: Buffer; cert?: Buffer; key?: Buffer }, problems: string[]): void {
  if (Object.values(files).some((file) => file === undefined)) return;
  try {
    createSecureContext(files);
    const [first] = Object.values(files);
    if (name === "MILLWRIGHT_TEMPORAL_TLS_CA" && !first?.includes("-----BEGIN CERTIFICATE-----"))
      throw new Error("it holds no certificate");
  } catch (error) {
    problems.push(`${name}: the file cannot be used for TLS: ${(error as Error).message}`);
  }
}

function keysOf(text: string | undefined, problems: string[]): TemporalConfig["keys"] {
  if (text === undefined) return [];
  return text.split(",").flatMap((one) => {
    const [id = "", encoded = ""] = one.trim().split(":");
    const secret = Buffer.from(encoded, "base64");
    if (/^[\w.-]+$/.test(id) && secret.length === secretBytes) return [{ id, secret }];
    problems.push(
      `MILLWRIGHT_TEMPORAL_KEY: each key is <name>:<base64 of ${secretBytes} bytes>, separated by commas; \`openssl rand -base64 ${secretBytes}\` makes one.`,
    );
    return [];
  });
}
