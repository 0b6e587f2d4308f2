import { isIP } from "node:net";
import { connect as connectTls } from "node:tls";
import { Client, Connection, isGrpcServiceError, ServiceError } from "@temporalio/client";
import type { DataConverter, SearchAttributeType } from "@temporalio/common";
import type { Logger } from "pino";
import { createPayloadCodec, type PayloadKey } from "./codec.ts";
import { searchAttributes } from "./names.ts";

/** Where Temporal is and how it is spoken to. */
export interface TemporalSettings {
  /** `host:port`. */
  address: string;
  namespace: string;
  /** Absent: no TLS. */
  tls?: {
    serverName?: string | undefined;
    ca?: Uint8Array | undefined;
    pair?: { certificate: Uint8Array; key: Uint8Array } | undefined;
  };
  /** Payloads are encrypted with the first one; none: as they are. */
  keys: readonly PayloadKey[];
}

/** What an operator has to mend: waiting does not help. Names the setting. */
export class TemporalRefused extends Error {
  override name = "TemporalRefused";
}

/** Refused, timed out or unresolved: it may come. */
export class TemporalUnreachable extends Error {
  override name = "TemporalUnreachable";
}

export interface Connected {
  connection: Connection;
  client: Client;
  /** Whether runs can be found by repository, pipeline and ending. */
  searchable: boolean;
}

/** Throws `TemporalRefused` or `TemporalUnreachable`. */
export async function connectTemporal(settings: TemporalSettings, log: Logger, timeoutSeconds = 5): Promise<Connected> {
  const { address, namespace } = settings;
  let connection: Connection | undefined;
  try {
    if (settings.tls !== undefined) await shakeHands(settings, timeoutSeconds);
    connection = await Connection.connect({
      address,
      tls: tlsOf(settings),
      connectTimeout: timeoutSeconds * 1000,
    });
    const open = connection;
    await connection.withDeadline(Date.now() + timeoutSeconds * 1000, () =>
      open.workflowService.describeNamespace({ namespace }),
    );
  } catch (error) {
    await connection?.close();
    throw explained(error, settings);
  }
  const client = new Client({ connection, namespace, dataConverter: dataConverterOf(settings, log) });
  return { connection, client, searchable: await registerSearchAttributes(connection, namespace, log) };
}

/** What a payload lacks is said once for each key. */
export function dataConverterOf({ keys }: Pick<TemporalSettings, "keys">, log?: Logger): DataConverter {
  const said = new Set<string>();
  const say = (message: string) => {
    if (!said.has(message)) log?.error(`${message}. The runs that need it wait.`);
    said.add(message);
  };
  return { payloadCodecs: [createPayloadCodec(keys, say)] };
}

/** The same for a client and for a worker, whose connections are different ones. */
export function tlsOf({ tls }: TemporalSettings) {
  if (tls === undefined) return undefined;
  const { serverName, ca, pair } = tls;
  return {
    ...(serverName === undefined ? {} : { serverNameOverride: serverName }),
    ...(ca === undefined ? {} : { serverRootCACertificate: ca }),
    ...(pair === undefined ? {} : { clientCertPair: { crt: pair.certificate, key: pair.key } }),
  };
}

/** Codes of gRPC: https://grpc.io/docs/guides/status-codes/ */
const code = { notFound: 5, permissionDenied: 7, unauthenticated: 16 };

function explained(error: unknown, { address, namespace, tls }: TemporalSettings): Error {
  const cause = error instanceof ServiceError ? error.cause : error;
  const text = [error, cause].map((one) => (one instanceof Error ? one.message : String(one))).join(": ");
  const options = { cause: error };
  if (isGrpcServiceError(cause) && cause.code === code.notFound)
    return new TemporalRefused(
      `MILLWRIGHT_TEMPORAL_NAMESPACE: ${address} has no namespace ${JSON.stringify(namespace)}. Create it with \`temporal operator namespace create --namespace ${namespace}\`, or name another one.`,
      options,
    );
  if (isGrpcServiceError(cause) && (cause.code === code.permissionDenied || cause.code === code.unauthenticated))
    return new TemporalRefused(
      `MILLWRIGHT_TEMPORAL_TLS_CERT: ${address} does not let this client use the namespace ${JSON.stringify(namespace)}: ${cause.details}`,
      options,
    );
  if (tls !== undefined && rejection.test(`${(cause as { code?: string }).code}: ${text}`))
    return new TemporalRefused(
      `MILLWRIGHT_TEMPORAL_TLS_CA, MILLWRIGHT_TEMPORAL_TLS_CERT or MILLWRIGHT_TEMPORAL_TLS_SERVER_NAME: the TLS connection to ${address} was rejected: ${text}`,
      options,
    );
  return new TemporalUnreachable(`Temporal does not answer at ${address}: ${text}`, options);
}

/** What OpenSSL and Node say of certificates and handshakes. */
const rejection = /cert|\bSSL|\bTLS|handshake|altname|alert/i;

/** gRPC's client keeps trying and never says what a handshake failed of, so one is tried before. Rejects with the reason. */
async function shakeHands(settings: TemporalSettings, timeoutSeconds: number): Promise<void> {
  const { hostname, port } = new URL(`https://${settings.address}`);
  const { serverName, ca, pair } = settings.tls ?? {};
  const host = hostname.replace(/^\[|\]$/g, "");
  const socket = connectTls({
    host,
    port: Number(port || 443),
    ALPNProtocols: ["h2"],
    ...(serverName !== undefined ? { servername: serverName } : isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === undefined ? {} : { ca: Buffer.from(ca) }),
    ...(pair === undefined ? {} : { cert: Buffer.from(pair.certificate), key: Buffer.from(pair.key) }),
  });
  // The preface of HTTP/2 and empty settings (RFC 9113, section 3.4), for servers that wait for them.
  socket.once("secureConnect", () => socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1"));
  try {
    await new Promise<void>((resolve, reject) => {
      // The first bytes come from a server that has accepted us; one that wants another certificate says so instead.
      socket.once("data", () => resolve());
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("the server closed the connection")));
      socket.setTimeout(timeoutSeconds * 1000, () => reject(new Error("the server did not answer in time")));
    });
  } finally {
    socket.destroy();
  }
}

/** IndexedValueType of Temporal's API. */
const valueTypes: Partial<Record<SearchAttributeType, number>> = { KEYWORD: 2, INT: 3 };

/** True when the namespace has all attributes, which are registered where they are missing. */
async function registerSearchAttributes(connection: Connection, namespace: string, log: Logger): Promise<boolean> {
  const wanted = Object.values(searchAttributes);
  try {
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    const missing = wanted.filter(({ name }) => !(name in (customAttributes ?? {})));
    if (missing.length === 0) return true;
    await connection.operatorService.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(missing.map(({ name, type }) => [name, valueTypes[type] as number])),
    });
    return true;
  } catch (error) {
    if (isAlreadyThere(error)) return true;
    const commands = wanted.map(
      ({ name, type }) =>
        `temporal operator search-attribute create --namespace ${namespace} --name ${name} --type ${type === "INT" ? "Int" : "Keyword"}`,
    );
    log.warn(
      { err: error, commands },
      "the search attributes of runs are not registered and may not be from here: runs go on, but are found in Temporal by their key alone until an operator registers them",
    );
    return false;
  }
}

/** Another process was quicker. */
function isAlreadyThere(error: unknown): boolean {
  return isGrpcServiceError(error) && error.code === 6;
}
