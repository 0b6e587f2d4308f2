import { createHmac, randomBytes } from "node:crypto";
import { createLambdaFunction } from "@probot/adapter-aws-lambda-serverless";
import type { Logger } from "pino";
import { Probot } from "probot";
import { ConfigurationError, type IntakeConfig, ownEnvironment, readIntakeConfig } from "../../config/intake.ts";
import { createNamedStarter } from "../../engine/lambda/start-by-name.ts";
import { createReceive } from "../../handlers/receive.ts";
import { routes } from "../../index.ts";
import { createRedactor } from "../../policy/redact.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { type Answer, answerTo, checkSignature, deliveryIn, type HeaderOf, unsigned } from "../delivery.ts";
import { callAws } from "./call-aws.ts";
import { loadParameters } from "./parameters.ts";

/** What is read of an event of a function URL or of API Gateway, format 2.0. Anybody may invoke with less. */
export interface HttpEvent {
  headers?: Record<string, string | undefined>;
  body?: string;
  isBase64Encoded?: boolean;
  requestContext?: { http?: { method?: string; path?: string } };
}

export interface HttpReply {
  statusCode: number;
  headers: Record<string, string>;
  body: string;
}

type Take = (event: HttpEvent) => Promise<Answer>;

// A missing parameter ends the cold start with its name. When AWS could not be asked, the first delivery asks again.
let take: Take | undefined = await begin().catch((error: unknown) => {
  if (error instanceof ConfigurationError) throw error;
  return undefined;
});

/**
 * The way in on AWS Lambda: the same rules and answers as `createIntake`, on whole bodies. Never rejects: whatever goes
 * wrong is a status.
 */
export async function handler(event: HttpEvent): Promise<HttpReply> {
  const answer = await (take ?? takeLate)(event);
  return {
    statusCode: answer.status,
    headers: { "content-type": "text/plain; charset=utf-8" },
    body: `${answer.text}\n`,
  };
}

/** After a cold start in which AWS could not be asked for the parameters. */
function takeLate(event: HttpEvent): Promise<Answer> {
  const log = createLogger({ level: "info", redactor: createRedactor([]) });
  const late = async () => {
    take = await begin();
    return take(event);
  };
  return answerTo(late, headersOf(event), log);
}

async function begin(): Promise<Take> {
  const config = readIntakeConfig(await loadParameters());
  const redactor = createRedactor(config.app.webhookSecrets.map((value) => ({ name: "webhook-secret", value })));
  const log = createLogger({ level: config.logLevel, redactor });
  const handOver = await probotOf(config, log);
  return (event) => {
    const { method, path = "" } = event.requestContext?.http ?? {};
    // The address is the function's own, so that it may also be given without a path.
    if (method !== "POST" || ![config.webhookPath, "/"].includes(path))
      return Promise.resolve({ status: 404, text: `Deliveries are taken by POST ${config.webhookPath}.` });
    const header = headersOf(event);
    return answerTo(() => takeDelivery(event, header, config, handOver), header, log);
  };
}

async function takeDelivery(
  event: HttpEvent,
  header: HeaderOf,
  config: IntakeConfig,
  handOver: (id: string, name: string, body: string) => Promise<void>,
): Promise<Answer> {
  const text = event.body ?? "";
  const encoding = event.isBase64Encoded === true ? "base64" : "utf8";
  const check = checkSignature(header("x-hub-signature-256"), {
    secrets: config.app.webhookSecrets,
    maxBodyBytes: config.maxBodyBytes,
  });
  if (Buffer.byteLength(text, encoding) > check.maxBytes) return check.tooLarge;
  if (!check.inForm) return unsigned;
  const body = Buffer.from(text, encoding);
  check.update(body);
  if (!check.fits()) return unsigned;
  const found = deliveryIn(body, header);
  if (!("delivery" in found)) return found;
  await handOver(found.delivery.id, found.delivery.name, body.toString("utf8"));
  return { status: 200, text: "ok" };
}

/**
 * Probot behind its Lambda adapter, with our routes. The adapter knows one secret and rejects what is signed with
 * another, so it gets one of its own that lives as long as the process: what our intake has verified is signed with it.
 * Nothing here calls GitHub, so there is no key of the App.
 */
async function probotOf(config: IntakeConfig, log: Logger) {
  const secret = randomBytes(32).toString("hex");
  const probot = await new Probot({ githubToken: "none", secret, log }).ready();
  const path = `/2015-03-31/functions/${encodeURIComponent(config.workerFunction)}/invocations`;
  const engine = createNamedStarter(({ name, payload }) => {
    const headers = { "x-amz-invocation-type": "Event", "x-amz-durable-execution-name": name };
    return callAws({ service: "lambda", path, headers, body: payload }, ownEnvironment());
  });
  const receive = createReceive({ engine, known: () => ({ operator: config, app: config.app }), log });
  const loaded = Promise.withResolvers<void>();
  const adapter = createLambdaFunction(
    (app: Probot) => {
      routes(app, receive);
      loaded.resolve();
    },
    { probot },
  );
  await loaded.promise;
  return async (id: string, name: string, body: string) => {
    const headers = {
      "x-github-delivery": id,
      "x-github-event": name,
      "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
    };
    await adapter({ headers, body } as never, {} as never);
  };
}

/** Gateways differ in the case of names. */
function headersOf(event: HttpEvent): HeaderOf {
  const lower = new Map(Object.entries(event.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]));
  return (name) => lower.get(name);
}
