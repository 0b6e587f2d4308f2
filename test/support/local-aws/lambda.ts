import { createHash, randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Answer, createDurableExecutions, type DurableExecution } from "./durable-executions.ts";
import {
  type Ending,
  type ExecutionEnvironment,
  type PackagedFunction,
  startEnvironment,
} from "./execution-environment.ts";

/** What a function is told about its invocation, as far as ours read it. */
export interface LocalContext {
  functionName: string;
  awsRequestId: string;
  tenantId?: string;
  durableExecutionName?: string;
  functionVersion: string;
  getRemainingTimeInMillis(): number;
}

/** A function by its settings, and either its package or a handler in this process. */
export type LocalFunction = FunctionSettings &
  (PackagedFunction | { handler: (event: unknown, context: LocalContext) => Promise<unknown> });

interface FunctionSettings {
  timeoutSeconds?: number;
  /** Then every invocation must name its tenant, and no environment serves two. */
  tenantIsolation?: boolean;
  /** Then an execution's name is taken once. */
  durable?: boolean;
  /** Then it is invoked as AWS invokes a durable function: with what was recorded, until its execution ends. */
  checkpoints?: boolean;
  /** What its alias names; an execution keeps the version that it began with. */
  version?: string;
  /** More invocations at once are throttled. */
  reservedConcurrency?: number;
  /** How often an event is tried. */
  eventAttempts?: number;
}

export interface Invocation {
  functionName: string;
  qualifier?: string;
  type: "RequestResponse" | "Event";
  tenantId?: string;
  durableExecutionName?: string;
  payload: Buffer;
  /** Once it has ended. */
  ending?: Ending;
}

export interface CallbackMessage {
  callbackId: string;
  kind: "succeed" | "fail" | "heartbeat";
  body: Buffer;
}

export interface LocalLambda {
  functions: Map<string, LocalFunction>;
  /** Every invocation that was accepted, oldest first. */
  invocations: Invocation[];
  /** Events that no attempt could handle. */
  deadLetters: Invocation[];
  /** Receives callbacks of durable executions; throwing answers that the callback is unknown. */
  onCallback: ((message: CallbackMessage) => Promise<void>) | undefined;
  /** Executions of functions with checkpoints. */
  executions: { all(): readonly DurableExecution[]; crash(why: string): void; forget(): void };
  /** What each request is answered with instead, while set: for tests of throttling and outages. */
  fault: ((invocation: Invocation) => { status: number; type: string } | undefined) | undefined;
  environments(): ExecutionEnvironment[];
  /** Resolves when no invocation runs any more. */
  idle(): Promise<void>;
}

const SYNCHRONOUS_BYTES = 6 * 1024 * 1024;
const EVENT_BYTES = 1024 * 1024;
const MAX_ENVIRONMENTS = 4;
const ACCOUNT = "123456789012";
/** The credentials of a function's role; nothing on this machine takes them. */
const ROLE = {
  AWS_ACCESS_KEY_ID: "ASIAFUNCTIONROLE",
  AWS_SECRET_ACCESS_KEY: "role-secret",
  AWS_SESSION_TOKEN: "role-token",
};

/** Invoke and the callbacks of durable executions. https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html */
export function createLocalLambda(options: { region: string; s3Port: () => number }) {
  const names = new Map<string, string>();
  const durable = createDurableExecutions({
    arnOf: (functionName, name, id) =>
      `arn:aws:lambda:${options.region}:${ACCOUNT}:function:${functionName}:1/durable-execution/${name}/${id}`,
    invoke({ functionName, name, version }, event) {
      const called = lambda.functions.get(functionName);
      if (!called) return undefined;
      return track(runOnce({ functionName, durableExecutionName: name, tenantId: undefined }, called, event, version));
    },
  });
  const running = new Set<Promise<unknown>>();
  const environments = new Set<ExecutionEnvironment>();
  /** Those that are being started: whoever closes waits for them. */
  const coming = new Set<Promise<ExecutionEnvironment>>();
  const lambda: LocalLambda = {
    functions: new Map(),
    invocations: [],
    deadLetters: [],
    onCallback: undefined,
    executions: {
      all: durable.all,
      crash: durable.crash,
      forget() {
        durable.forget();
        names.clear();
      },
    },
    fault: undefined,
    environments: () => [...environments].filter(({ over }) => !over),
    async idle() {
      while (running.size > 0) await Promise.allSettled(running);
    },
  };

  async function serve(request: IncomingMessage, response: ServerResponse, body: Buffer): Promise<unknown> {
    const url = new URL(request.url ?? "/", "http://localhost");
    const invoked = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/.exec(url.pathname);
    if (invoked) return invoke(request, response, body, decodeURIComponent(invoked[1]!), url.searchParams);
    const told = lambda.onCallback === undefined && durable.serve(request.method ?? "GET", url, body);
    if (told) return sendAnswer(response, told);
    const called = /^\/2025-12-01\/durable-execution-callbacks\/([^/]+)\/(succeed|fail|heartbeat)$/.exec(url.pathname);
    if (called) {
      const message = { callbackId: decodeURIComponent(called[1]!), kind: called[2] as CallbackMessage["kind"], body };
      try {
        if (!lambda.onCallback) throw new Error("nobody receives callbacks");
        await lambda.onCallback(message);
        return send(response, 200, {});
      } catch (error) {
        return refuse(response, 404, "ResourceNotFoundException", error instanceof Error ? error.message : `${error}`);
      }
    }
    return refuse(response, 404, "ResourceNotFoundException", `${request.method} ${url.pathname} is not known here`);
  }

  async function invoke(
    request: IncomingMessage,
    response: ServerResponse,
    payload: Buffer,
    name: string,
    query: URLSearchParams,
  ): Promise<unknown> {
    const asked = (header: string) => request.headers[header]?.toString();
    const { functionName, qualifier } = parsed(name);
    const invocation: Invocation = {
      functionName,
      qualifier: query.get("Qualifier") ?? qualifier,
      type: asked("x-amz-invocation-type") === "Event" ? "Event" : "RequestResponse",
      tenantId: asked("x-amz-tenant-id"),
      durableExecutionName: asked("x-amz-durable-execution-name"),
      payload,
    };
    const fault = lambda.fault?.(invocation);
    if (fault) return refuse(response, fault.status, fault.type, "a fault that a test asked for");
    const called = lambda.functions.get(functionName);
    if (!called) return refuse(response, 404, "ResourceNotFoundException", `Function not found: ${name}`);
    const most = invocation.type === "Event" ? EVENT_BYTES : SYNCHRONOUS_BYTES;
    if (payload.length > most) {
      return refuse(response, 413, "RequestTooLargeException", `${payload.length} bytes exceed ${most} bytes`);
    }
    let event: unknown;
    try {
      event = payload.length === 0 ? {} : JSON.parse(payload.toString("utf8"));
    } catch {
      return refuse(response, 400, "InvalidRequestContentException", "Could not parse request body into json");
    }
    if (Boolean(called.tenantIsolation) !== (invocation.tenantId !== undefined)) {
      const rule = called.tenantIsolation ? "needs a tenant id" : "has no tenant isolation";
      return refuse(response, 400, "InvalidParameterValueException", `The function ${functionName} ${rule}`);
    }
    if (invocation.tenantId !== undefined && !/^[A-Za-z0-9._:/=+\-@ ]{1,256}$/.test(invocation.tenantId)) {
      return refuse(response, 400, "InvalidParameterValueException", "The tenant id has other characters");
    }
    const active = lambda.invocations.filter((it) => it.functionName === functionName && !it.ending).length;
    if (active >= (called.reservedConcurrency ?? Number.POSITIVE_INFINITY)) {
      return refuse(response, 429, "TooManyRequestsException", "Rate Exceeded.");
    }
    const started = startedAs(invocation, called);
    if (started === "refused") {
      return refuse(response, 409, "DurableExecutionAlreadyStartedException", "The name has another input");
    }
    const headers: Record<string, string> = started ? { "x-amz-durable-execution-arn": started.arn } : {};
    if (started?.again) return send(response, invocation.type === "Event" ? 202 : 200, undefined, headers);
    lambda.invocations.push(invocation);
    const ending = track(started?.execution ? endingOf(invocation, started.execution) : run(invocation, called, event));
    if (invocation.type === "Event") return send(response, 202, undefined, headers);
    const ended = await ending;
    const failed = "error" in ended;
    const text = JSON.stringify(failed ? ended.error : ended.result) ?? "null";
    if (Buffer.byteLength(text) > SYNCHRONOUS_BYTES) {
      const errorMessage = `Response payload size (${Buffer.byteLength(text)} bytes) exceeded maximum allowed payload size (${SYNCHRONOUS_BYTES} bytes).`;
      return send(
        response,
        200,
        { errorType: "Function.ResponseSizeTooLarge", errorMessage },
        { ...headers, "x-amz-function-error": "Unhandled" },
      );
    }
    response.writeHead(200, {
      "content-type": "application/json",
      "x-amz-executed-version": "$LATEST",
      ...headers,
      ...(failed && { "x-amz-function-error": "Unhandled" }),
    });
    return response.end(text);
  }

  /** Names of durable executions: the same name and input is the same execution, another input is refused. */
  function startedAs(
    { functionName, durableExecutionName: name, payload }: Invocation,
    called: LocalFunction,
  ): { arn: string; again: boolean; execution?: DurableExecution } | "refused" | undefined {
    if (!called.durable) return undefined;
    const given = name ?? randomUUID();
    if (called.checkpoints) {
      const started = durable.start(functionName, given, payload.toString("utf8"), called.version ?? "1");
      return started === "refused" ? started : { ...started, arn: started.execution.arn };
    }
    const input = createHash("sha256").update(payload).digest("hex");
    const before = names.get(`${functionName}/${given}`);
    if (before !== undefined && before !== input) return "refused";
    names.set(`${functionName}/${given}`, input);
    const arn = `arn:aws:lambda:${options.region}:${ACCOUNT}:function:${functionName}:1/durable-execution/${given}/${input.slice(0, 32)}`;
    return { arn, again: before !== undefined };
  }

  async function run(invocation: Invocation, called: LocalFunction, event: unknown): Promise<Ending> {
    const attempts = invocation.type === "Event" ? (called.eventAttempts ?? 1) : 1;
    let ending: Ending = { error: { errorType: "Error", errorMessage: "never tried" } };
    for (let attempt = 1; attempt <= attempts; attempt++) {
      ending = await runOnce(invocation, called, event);
      if ("result" in ending) break;
    }
    invocation.ending = ending;
    if ("error" in ending && invocation.type === "Event") lambda.deadLetters.push(invocation);
    return ending;
  }

  async function endingOf(invocation: Invocation, execution: DurableExecution): Promise<Ending> {
    const ending = await execution.ended;
    invocation.ending = ending;
    return ending;
  }

  async function runOnce(
    invocation: Pick<Invocation, "functionName" | "tenantId" | "durableExecutionName">,
    called: LocalFunction,
    event: unknown,
    version = called.version ?? "$LATEST",
  ): Promise<Ending> {
    const { functionName, tenantId, durableExecutionName } = invocation;
    const named = {
      functionName,
      awsRequestId: randomUUID(),
      tenantId,
      durableExecutionName,
      functionVersion: version,
    };
    const deadline = Date.now() + (called.timeoutSeconds ?? 60) * 1000;
    const context: LocalContext = { ...named, getRemainingTimeInMillis: () => deadline - Date.now() };
    try {
      if ("handler" in called) return { result: (await called.handler(event, context)) ?? null };
      const environment = await environmentFor(functionName, tenantId, called);
      try {
        return await environment.run(event, context, called.timeoutSeconds ?? 60);
      } finally {
        if (environment.over) environments.delete(environment);
      }
    } catch (error) {
      const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
      return { error: { errorType: name, errorMessage: message, trace: (stack ?? "").split("\n") } };
    }
  }

  /** A warm environment of the same function and tenant that is free, else a new one. */
  async function environmentFor(
    functionName: string,
    tenantId: string | undefined,
    packaged: PackagedFunction,
  ): Promise<ExecutionEnvironment> {
    const free = [...environments].filter(({ busy, over }) => !busy && !over);
    const warm = free.find((it) => it.functionName === functionName && it.tenantId === tenantId);
    if (warm) {
      warm.busy = true;
      return warm;
    }
    const spare = free.toSorted((a, b) => b.lastUsed - a.lastUsed).slice(MAX_ENVIRONMENTS - 1);
    for (const old of spare) environments.delete(old);
    await Promise.all(spare.map((old) => old.close()));
    const starting = startEnvironment(
      functionName,
      tenantId,
      packaged,
      {
        ...{ AWS_REGION: options.region, AWS_LAMBDA_FUNCTION_NAME: functionName, LAMBDA_TASK_ROOT: "/var/task" },
        ...ROLE,
        ...packaged.environment,
      },
      options.s3Port(),
    );
    coming.add(starting);
    const environment = await starting.finally(() => coming.delete(starting));
    environment.busy = true;
    environments.add(environment);
    return environment;
  }

  function track(ending: Promise<Ending>): Promise<Ending> {
    running.add(ending);
    const forget = () => running.delete(ending);
    ending.then(forget, forget);
    return ending;
  }

  async function close(): Promise<void> {
    durable.close();
    await Promise.allSettled(coming);
    await Promise.all([...environments].map((environment) => environment.close()));
    environments.clear();
  }

  return { lambda, serve, close };
}

/** `name`, `name:qualifier` or an ARN. */
function parsed(name: string): { functionName: string; qualifier?: string } {
  const parts = name.split(":");
  const at = parts.indexOf("function") + 1;
  return { functionName: parts[at] ?? name, qualifier: parts[at + 1] };
}

function send(response: ServerResponse, status: number, value: unknown, headers: Record<string, string> = {}): unknown {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  return response.end(value === undefined ? undefined : JSON.stringify(value));
}

function sendAnswer(response: ServerResponse, answer: Answer): unknown {
  if ("value" in answer) return send(response, answer.status, answer.value);
  return refuse(response, answer.status, answer.type, answer.message);
}

function refuse(response: ServerResponse, status: number, type: string, message: string): unknown {
  return send(response, status, { Type: "User", Message: message, message }, { "x-amzn-errortype": type });
}
